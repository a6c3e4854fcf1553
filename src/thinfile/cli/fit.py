"""`thinfile fit`: one method, fitted and saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from thinfile.cli.tables import (
    domain_option,
    event_option,
    json_option,
    label_option,
    read_task,
    schema_option,
    target_option,
)


@click.command()
@click.argument("method")
@click.argument("tables", nargs=-1, required=True)
@label_option
@event_option
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the model's versions.",
)
@domain_option
@target_option
@schema_option
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Argument of the method, as in --set max_epochs=20; may be repeated.",
)
@click.option("--random-state", type=click.IntRange(0), default=0, show_default=True)
@json_option
def command(
    method: str,
    tables: tuple[str, ...],
    label: str,
    event: str | None,
    out: Path,
    domain: str | None,
    target: str | None,
    schema: Path | None,
    settings: tuple[str, ...],
    random_state: int,
    as_json: bool,
) -> None:
    """Fit one METHOD on all labels there are and save it as a model.

    TABLES are the old and the new portfolio, or one file with --domain and --target. Nothing is
    measured here: `thinfile compare` does that.
    """
    from thinfile.artifact.fingerprint import fingerprint
    from thinfile.artifact.folder import save_version
    from thinfile.compare.cell import Settings, fit_method
    from thinfile.methods import get_method

    chosen = get_method(method)
    given = Settings(overrides={chosen.name: _parse_settings(settings)})
    task = read_task(tables, label, domain, target, schema, event=event, label_in_target=False)
    rows = {
        "source": task.source,
        "labels": task.target_labelled,
        "unlabelled": task.target[task.y[task.target] < 0],
    }
    model = fit_method(task, given, chosen, **rows, seed=random_state)
    version = save_version(
        model,
        out,
        reference=task.features[task.target.tolist()],
        fingerprint=fingerprint(task.features, task.y),
    )
    notes = [*task.notes, *model.notes_]
    record: dict[str, Any] = {"model": str(version), "method": chosen.name, "notes": notes}
    record |= {f"n_{name}": len(positions) for name, positions in rows.items()}
    _print(record, chosen.title, as_json)


def _print(record: dict[str, Any], title: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(record))
        return
    click.echo(
        f"{title}: {record['n_source']} source rows, {record['n_labels']} labels of the target, "
        f"{record['n_unlabelled']} target rows without"
    )
    for note in record["notes"]:
        click.echo(f"  {note}")
    click.echo(f"Model: {record['model']}")


def _parse_settings(settings: tuple[str, ...]) -> dict[str, Any]:
    parsed = {}
    for each in settings:
        name, equals, text = each.partition("=")
        if not equals:
            raise click.UsageError(f"--set {each!r} must be NAME=VALUE")
        try:
            parsed[name] = json.loads(text)
        except ValueError:
            parsed[name] = text
    return parsed
