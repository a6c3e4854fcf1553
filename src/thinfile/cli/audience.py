"""`thinfile audience`: whom to write to, why, and who is left alone for comparison."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinfile.cli.tables import json_option, store_option

if TYPE_CHECKING:
    from thinfile.data.events import EventLog
    from thinfile.intent.audience import Audience
    from thinfile.intent.audience_files import AudiencePaths
    from thinfile.intent.model import IntentModel

SHOWN = 5
INSTANTS = ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("events")
@click.option("--top", type=int, required=True, help="How many of the best customers.")
@click.option(
    "--holdout",
    type=float,
    default=0.1,
    show_default=True,
    help="Share of the best that is drawn at random and not contacted.",
)
@click.option(
    "--cut",
    type=click.DateTime(INSTANTS),
    help="Score as of this instant; the end of the log by default.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("audience.parquet"),
    show_default=True,
    help="Where the list goes (.parquet or .csv); two companions are put beside it.",
)
@click.option(
    "--reasons/--no-reasons",
    default=True,
    show_default=True,
    help="Say in words what speaks for each customer.",
)
@click.option("--random-state", type=click.IntRange(0), default=0, show_default=True)
@click.option("--force", is_flag=True, help="Replace an audience, or use a model with a leak.")
@store_option
@json_option
def command(
    model: Path,
    events: str,
    top: int,
    holdout: float,
    cut: datetime | None,
    out: Path,
    reasons: bool,
    random_state: int,
    force: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Choose the customers who are most likely to buy, with a hold-out group.

    MODEL is what `thinfile intent` saved; EVENTS is a log with the columns that it was fitted on.
    Do not contact the hold-out group: `thinfile follow-up` compares the picked with it.
    """
    from thinfile.artifact.folder import find_artifact
    from thinfile.artifact.manifest import read_manifest
    from thinfile.data.events import EventLog
    from thinfile.errors import DataError
    from thinfile.intent.audience_files import Campaign, check_audience_path, write_audience
    from thinfile.intent.model import load_model

    _check_new(check_audience_path(out), force=force)
    purchase = load_model(model)
    if purchase.leak and not force:
        raise DataError(
            f"{model}: nobody should be written to by this model. {purchase.leak} "
            "(--force chooses an audience all the same)"
        )
    log = EventLog.from_source(events, purchase.recipe.roles, store=store)
    at = cut or log.end + timedelta(microseconds=1)
    audience = _choose(purchase, log, at, top, holdout, random_state, reasons=reasons)
    fingerprint = str(read_manifest(find_artifact(model))["sha256"])
    paths = write_audience(audience, out, Campaign.of(purchase.recipe, at, fingerprint))
    record = _record(audience, paths, at, [*log.notes, *audience.notes])
    if as_json:
        click.echo(json.dumps(record, default=str))
    else:
        _print(audience, paths, record["notes"])


def _check_new(paths: AudiencePaths, *, force: bool) -> None:
    """Refuse to replace an audience: its hold-out group would be lost."""
    from thinfile.errors import ParameterError

    if paths.record.exists() and not force:
        raise ParameterError(
            f"--out {paths.audience} exists: with another hold-out group nobody could tell what "
            "the campaign did; name another file, or say --force"
        )


def _choose(
    model: IntentModel,
    log: EventLog,
    cut: datetime,
    top: int,
    holdout: float,
    random_state: int,
    *,
    reasons: bool,
) -> Audience:
    from thinfile.intent.audience import choose_audience
    from thinfile.intent.reasons import audience_reasons

    known = model.known(log, cut)
    scores = model.score(log, cut)
    scores.columns = ["customer", "probability"]
    audience = choose_audience(scores, top, holdout, random_state)
    if not reasons:
        return audience
    customers = audience.table["customer"]
    return audience.with_reasons(
        audience_reasons(model, log, known, customers, random_state=random_state)
    )


def _record(
    audience: Audience, paths: AudiencePaths, cut: datetime, notes: list[str]
) -> dict[str, Any]:
    return {
        "audience": str(paths.audience),
        "groups": str(paths.groups),
        "record": str(paths.record),
        "cut": cut.isoformat(),
        "counts": audience.counts,
        "highest_probability": audience.table["probability"][0],
        "lowest_probability": audience.table["probability"][-1],
        "random_state": audience.random_state,
        "notes": notes,
    }


def _print(audience: Audience, paths: AudiencePaths, notes: list[str]) -> None:
    counts, table = audience.counts, audience.table
    click.echo(
        f"{counts['picked']:,} picked and {counts['hold-out']:,} held out of "
        f"{counts['scored']:,} customers; probability {table['probability'][0]:.3f} down to "
        f"{table['probability'][-1]:.3f}"
    )
    for row in table.head(SHOWN).to_dicts():
        reasons = [text for name, text in row.items() if name.startswith("reason_") and text]
        group = "" if row["group"] == "picked" else f" [{row['group']}]"
        said = f": {'; '.join(reasons)}" if reasons else ""
        click.echo(f"  {row['rank']}. {row['customer']} {row['probability']:.3f}{group}{said}")
    for note in notes:
        click.echo(f"  {note}")
    click.echo(f"Audience: {paths.audience}, with {paths.groups.name} and {paths.record.name}")
    if counts["hold-out"]:
        click.echo("Contact the picked only. Some weeks later:")
        click.echo(f"  thinfile follow-up {paths.audience} NEW-LOG --out follow-up")
