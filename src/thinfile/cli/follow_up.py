"""`thinfile follow-up`: what became of an audience, weeks later."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinfile.cli.tables import json_option, store_option

if TYPE_CHECKING:
    from thinfile.intent.audience_files import Campaign, SavedAudience
    from thinfile.intent.follow_up import FollowUp

INSTANTS = ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


@click.command("follow-up")
@click.argument("audience", type=click.Path(path_type=Path))
@click.argument("events")
@click.option(
    "--since",
    type=click.DateTime(INSTANTS),
    help="The window begins; by default where the model's window does.",
)
@click.option(
    "--until",
    type=click.DateTime(INSTANTS),
    help="The window ends before this; by default after the model's horizon.",
)
@click.option(
    "--more-than",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Also report the share with more than this many purchases …",
)
@click.option(
    "--categories",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="… in more than this many categories.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for tables, page and picture; must not exist.",
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the picture to this .png file too.",
)
@click.option("--report/--no-report", default=True, show_default=True, help="Page and picture.")
@click.option("--random-state", type=click.IntRange(0), default=0, show_default=True)
@store_option
@json_option
def command(
    audience: Path,
    events: str,
    since: datetime | None,
    until: datetime | None,
    more_than: int,
    categories: int,
    out: Path,
    picture: Path | None,
    report: bool,
    random_state: int,
    store: Path | None,
    as_json: bool,
) -> None:
    """Compare what the picked did afterwards with the hold-out group and the rest.

    AUDIENCE is the file that `thinfile audience` wrote, its companions beside it; EVENTS is the
    log of the following weeks, with the same columns; it may begin earlier.
    """
    from thinfile.data.events import EventLog
    from thinfile.intent.audience_files import read_audience
    from thinfile.intent.follow_up import follow_up
    from thinfile.report.follow_up import check_follow_up_paths, write_follow_up

    check_follow_up_paths(out, picture)
    saved = read_audience(audience)
    campaign = saved.campaign
    opens = _opens(campaign, since)
    found = follow_up(
        saved.groups,
        EventLog.from_source(events, campaign.roles, store=store),
        campaign.buys,
        opens,
        until or opens + campaign.horizon,
        n=more_than,
        m=categories,
        random_state=random_state,
    )
    about = _about(saved, audience)
    files = write_follow_up(found, out, page=report, picture=picture, about=about)
    _print(found, saved, files, as_json=as_json)


def _opens(campaign: Campaign, since: datetime | None) -> datetime:
    from thinfile.errors import DataError

    opens = since or campaign.cut + campaign.gap
    if opens < campaign.cut:
        raise DataError(
            f"--since {opens} lies before the audience's cut ({campaign.cut}): what was bought "
            "then is what the audience was chosen by"
        )
    return opens


def _about(saved: SavedAudience, audience: Path) -> dict[str, Any]:
    campaign, record = saved.campaign, saved.record
    return {
        "file": audience.name,
        "cut": campaign.cut.isoformat(sep=" "),
        "buys": f"{campaign.buys.column}: {', '.join(campaign.buys.values)}",
        "held out": f"{record['holdout']:.0%} of the best, seed {record['random_state']}",
        "model": campaign.model[:16],
    }


def _print(found: FollowUp, saved: SavedAudience, files: list[Path], *, as_json: bool) -> None:
    from thinfile.intent.follow_up_words import headline, record_of, sentences, warnings

    if as_json:
        record = record_of(found) | {"notes": saved.notes, "files": [str(each) for each in files]}
        click.echo(json.dumps(record, default=str))
        return
    click.echo(headline(found))
    for sentence in (*sentences(found), *saved.notes, *warnings(found)):
        click.echo(f"  {sentence}")
    page = [each for each in files if each.suffix == ".html"]
    click.echo(f"Page: {page[0]}" if page else f"Tables: {files[0].parent}")
