"""`thinfile fit`: one method, fitted and saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinfile.cli.tables import (
    domain_option,
    event_option,
    ignore_option,
    json_option,
    read_task,
    schema_option,
    target_option,
)

if TYPE_CHECKING:
    from thinfile.compare.task import Task


@click.command()
@click.argument("method")
@click.argument("tables", nargs=-1, required=True)
@click.option(
    "--label",
    help="Column with the outcome: 1, 0, empty. Models without labels (vae, table_gan, …) need "
    "none.",
)
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
@ignore_option
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Argument of the method, as in --set max_epochs=20; may be repeated.",
)
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With one table: page to write on how it was trained and what it reconstructs or makes.",
)
@click.option("--random-state", type=click.IntRange(0), default=0, show_default=True)
@json_option
def command(
    method: str,
    tables: tuple[str, ...],
    label: str | None,
    event: str | None,
    out: Path,
    domain: str | None,
    target: str | None,
    schema: Path | None,
    ignore: list[str] | None,
    settings: tuple[str, ...],
    page: Path | None,
    random_state: int,
    as_json: bool,
) -> None:
    """Fit one METHOD on all labels there are and save it as a model.

    TABLES are the old and the new portfolio, or one file with --domain and --target. Methods for
    rare events and models without labels take one table: `thinfile fit vae transactions.parquet
    --label fraud --out models/vae`. Nothing is measured here: `thinfile compare` does that.
    """
    from thinfile.cli.fit_table import fit_one_table, is_for_one_table, print_fit
    from thinfile.methods import METHODS, MODELS, get_method

    given = _parse_settings(settings)
    if is_for_one_table(method):
        if domain or target:
            raise click.UsageError(f"--domain and --target do not go with {method}")
        given["random_state"] = random_state
        made = fit_one_table(method, tables, label, event, out, schema, given, page, ignore or ())
        click.echo(json.dumps(made)) if as_json else print_fit(made)
        return
    if page is not None:
        raise click.UsageError(f"--page does not go with {method}")
    if ignore:
        raise click.UsageError(f"--ignore does not go with {method}; mark columns in --schema")
    title = get_method(method, [*METHODS, *MODELS]).title
    if label is None:
        raise click.UsageError(f"{method} needs --label, the column with the outcome")
    task = read_task(tables, label, domain, target, schema, event=event, label_in_target=False)
    _print(_fit_populations(task, method, given, out, random_state), title, as_json)


def _fit_populations(
    task: Task, method: str, given: dict[str, Any], out: Path, seed: int
) -> dict[str, Any]:
    """Fit to both populations, save a version, and say what was done."""
    from thinfile.artifact.fingerprint import fingerprint
    from thinfile.artifact.folder import save_version
    from thinfile.compare.cell import Settings, fit_method
    from thinfile.methods import get_method

    rows = {
        "source": task.source,
        "labels": task.target_labelled,
        "unlabelled": task.target[task.y[task.target] < 0],
    }
    settings = Settings(overrides={method: given})
    model = fit_method(task, settings, get_method(method), **rows, seed=seed)
    version = save_version(
        model,
        out,
        reference=task.features[task.target.tolist()],
        fingerprint=fingerprint(task.features, task.y),
    )
    notes = [*task.notes, *model.notes_]
    record: dict[str, Any] = {"model": str(version), "method": method, "notes": notes}
    return record | {f"n_{name}": len(positions) for name, positions in rows.items()}


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
