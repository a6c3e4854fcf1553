"""What several commands share: reading two populations, and printing results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from thinfile.compare.result import Result
    from thinfile.compare.task import Task

MAX_NOTES = 15
"""Lines about the tables that the terminal shows."""


def names_in(text: str | None) -> list[str] | None:
    """Names with commas between."""
    return [name.strip() for name in text.split(",")] if text else None


label_option = click.option("--label", required=True, help="Column with the outcome: 1, 0, empty.")
event_option = click.option(
    "--event",
    metavar="VALUE",
    help="Label value that is the event; needed where it is not plain, as it is in 0/1.",
)
domain_option = click.option("--domain", help="Column that names the population, for one file.")
target_option = click.option("--target", help="Name of the target population, with --domain.")
schema_option = click.option(
    "--schema",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Corrected schema file (.toml or .json), see `thinfile schema`.",
)
ignore_option = click.option(
    "--ignore",
    metavar="COLUMNS",
    callback=lambda ctx, param, value: names_in(value),
    help="For one table: columns that no model sees, with commas between.",
)
store_option = click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to sort a log in that is larger than memory; used again for the same log.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def read_task(
    tables: tuple[str, ...],
    label: str,
    domain: str | None,
    target: str | None,
    schema: Path | None,
    *,
    event: str | None = None,
    label_in_target: bool = True,
) -> Task:
    """Two files, or one with a population column, as a task."""
    from thinfile.compare.task import build_task, split_by_domain
    from thinfile.data.read import read_table
    from thinfile.schema.model import Schema

    if len(tables) > 2:
        raise click.UsageError(f"one or two tables are needed, {len(tables)} were given")
    given: dict[str, Any] = {"label": label, "event": event, "label_in_target": label_in_target}
    given["schema"] = Schema.load(schema) if schema else None
    if len(tables) == 2:
        if domain or target:
            raise click.UsageError("--domain and --target go with one file; two files were given")
        names = _two_names(*tables)
        frames = [read_table(path) for path in tables]
        return build_task(*frames, source_name=names[0], target_name=names[1], **given)
    if not domain or not target:
        raise click.UsageError(
            "give two files (old and new), or one file with --domain COLUMN and --target NAME"
        )
    old, new, source_name, notes = split_by_domain(read_table(tables[0]), domain, target)
    return build_task(old, new, source_name=source_name, target_name=target, notes=notes, **given)


def print_result(result: Result, out: Path, *, as_json: bool, page: Path | None) -> None:
    """Leaderboard and verdict on the terminal, or as JSON."""
    if as_json:
        record: dict[str, Any] = {
            "verdict": result.verdict,
            "leaderboard": result.leaderboard.to_dicts(),
            "out": str(out),
            "report": str(page) if page else None,
        }
        click.echo(json.dumps(record, default=str))
        return
    print_notes(result.settings["notes"])
    _print_board(result)
    verdict = result.verdict
    click.echo(verdict["headline"])
    for sentence in (*verdict["sentences"], *verdict["warnings"]):
        click.echo(f"  {sentence}")


def print_next(commands: list[str]) -> None:
    """Three commands to try next."""
    click.echo("\nTry next:")
    for command in commands:
        click.echo(f"  {command}")


def print_notes(notes: list[str]) -> None:
    """What was concluded about the tables, so that nobody finds it out too late."""
    if notes:
        click.echo("How the tables were read:")
    for note in notes[:MAX_NOTES]:
        click.echo(f"  {note}")
    if len(notes) > MAX_NOTES:
        click.echo(f"  and {len(notes) - MAX_NOTES} more, in run.json and on the report page")


def _print_board(result: Result) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 118)
    for budget in result.settings["budgets"]:
        rows = result.leaderboard.filter(result.leaderboard["budget"] == budget).to_dicts()
        title = escape(f"{result.settings['title']}, {budget} labels of the target")
        table = Table(title=title)
        table.add_column("method")
        for name in ("AUC", "Gini", "KS", "AP", "to best baseline", "CPU s"):
            table.add_column(name, justify="right")
        for row in rows:
            marker = " ←" if row["chosen"] else ""
            table.add_row(row["title"] + marker, *_cells(row), style="bold" if marker else "")
        console.print(table)
    failed = result.cells.filter(result.cells["status"] == "failed")
    for method, error in sorted(set(zip(failed["method"], failed["error"], strict=True))):
        console.print(f"{method} failed: {error}", markup=False)


def _cells(row: dict[str, Any]) -> list[str]:
    figures = [
        f"{row[name]:.3f}\n{row[f'{name}_low']:.3f}–{row[f'{name}_high']:.3f}"
        for name in ("auc", "gini", "ks", "ap")
    ]
    if row.get("is_reference"):
        difference = "best baseline"
    elif row.get("difference") is None:
        difference = ""
    else:
        low, high = row["difference_low"], row["difference_high"]
        difference = f"{row['difference']:+.3f}\n{low:+.3f}…{high:+.3f}".replace("-", "−")
    return [*figures, difference, f"{row['cpu_seconds']:.1f}"]


def _two_names(old: str, new: str) -> tuple[str, str]:
    """Short names of two files, told apart where they are alike."""
    stems = [Path(path).name.split(".")[0] for path in (old, new)]
    return (stems[0], stems[1]) if stems[0] != stems[1] else ("source", "target")
