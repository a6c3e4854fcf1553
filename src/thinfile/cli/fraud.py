"""`thinfile compare --group fraud`: rare events in one table."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinfile.cli.tables import print_next, print_notes

if TYPE_CHECKING:
    from thinfile.compare.result import Result


def run_fraud(
    tables: tuple[str, ...],
    label: str,
    event: str | None,
    schema: Path | None,
    out: Path,
    given: Mapping[str, Any],
    *,
    quiet: bool,
    as_json: bool,
    report: bool,
) -> None:
    """Compare, write the page, print."""
    from thinfile.data.read import read_table
    from thinfile.fraud.options import FraudOptions
    from thinfile.fraud.run import compare_fraud
    from thinfile.fraud.task import build_fraud_task
    from thinfile.schema.model import Schema
    from thinfile.training.progress import choose_progress

    if len(tables) != 1:
        raise click.UsageError(f"--group fraud takes one table, {len(tables)} were given")
    options = FraudOptions(**given)
    options.check()
    task = build_fraud_task(
        read_table(tables[0]),
        label=label,
        options=options,
        event=event,
        schema=Schema.load(schema) if schema else None,
        title=Path(tables[0]).name.split(".")[0],
    )
    progress = choose_progress(shown=not (quiet or as_json))
    result = compare_fraud(task, out, options, progress=progress)
    page = _write_page(result, out) if report else None
    _print(result, out, page, as_json=as_json)
    if result.verdict["flagged"]:
        click.echo(f"thinfile: {result.verdict['warnings'][0]}", err=True)
    if not as_json:
        _print_next(tables[0], label, result.settings["event"], out)


def _write_page(result: Result, out: Path) -> Path:
    from thinfile.report.fraud import write_fraud_report

    return write_fraud_report(result, out, out / "report.html")


def _print(result: Result, out: Path, page: Path | None, *, as_json: bool) -> None:
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
    _print_boards(result)
    click.echo(result.verdict["headline"])
    for sentence in (*result.verdict["sentences"], *result.verdict["warnings"]):
        click.echo(f"  {sentence}")
    if page:
        click.echo(f"\nReport: {page}")


def _print_boards(result: Result) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    settings = result.settings
    console = Console(width=None if Console().is_terminal else 118)
    heads = (
        "AP",
        f"recall at {settings['alerts']:.1%}",
        f"precision at {settings['top']:,}",
        "AUC",
        "to best baseline",
        "CPU s",
    )
    for budget in settings["budgets"]:
        rows = result.leaderboard.filter(result.leaderboard["budget"] == budget).to_dicts()
        n_genuine = settings["n_genuine"][str(budget)]
        words = f"{budget:,} labelled frauds, {n_genuine:,} genuine"
        table = Table(title=escape(f"{settings['title']}: {words}"))
        table.add_column("method")
        for head in heads:
            table.add_column(head, justify="right")
        for row in rows:
            marker = " ←" if row["chosen"] else ""
            table.add_row(row["title"] + marker, *_cells(row), style="bold" if marker else "")
        console.print(table)


def _cells(row: dict[str, Any]) -> list[str]:
    figures = [
        f"{row[name]:.3f}\n{row[f'{name}_low']:.3f}–{row[f'{name}_high']:.3f}"
        for name in ("ap", "recall", "precision", "auc")
    ]
    if row["is_reference"]:
        difference = "best baseline"
    elif row["difference"] is None:
        difference = ""
    else:
        low, high = row["difference_low"], row["difference_high"]
        difference = f"{row['difference']:+.3f}\n{low:+.3f}…{high:+.3f}".replace("-", "−")
    return [*figures, difference, f"{row['cpu_seconds']:.1f}"]


def _print_next(table: str, label: str, event: str, out: Path) -> None:
    is_number = event.replace(".", "", 1).isdigit() or event in ("true", "false")
    where = f"{label} == {event}" if is_number else f"{label} == '{event}'"
    path, more = shlex.quote(table), shlex.quote(str(out / "vae"))
    told = "" if is_number else f" --event {shlex.quote(event)}"
    colour = f"--color {shlex.quote(label)}{told}"
    print_next(
        [
            f"thinfile score {shlex.quote(str(out / 'best'))} {path} --out scores.parquet",
            f"thinfile map {shlex.quote(str(out / 'autoencoder'))} {path} {colour}",
            f'thinfile generate {more} --like {path} --where "{where}" -n 1000 --out more.parquet',
        ]
    )
