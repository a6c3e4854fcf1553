"""`thinfile score`: a file of any size through a saved model."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinfile.cli.tables import json_option, store_option

if TYPE_CHECKING:
    from thinfile.artifact.score import ScoreSummary


MAX_MOVED = 5
"""Columns that have moved which the terminal shows."""


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("table")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("scores.parquet"),
    show_default=True,
    help="Where the scores go (.parquet or .csv).",
)
@click.option("--id", "ids", multiple=True, help="Column to hand through; may be repeated.")
@click.option(
    "--on-fault",
    type=click.Choice(["missing", "reject", "raise"]),
    help="What becomes of values that break the schema; the schema itself decides by default.",
)
@click.option(
    "--cut",
    type=click.DateTime(),
    help="Instant to look from, of a model of event logs; just after the last event by default.",
)
@store_option
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
def command(
    model: Path,
    table: str,
    out: Path,
    ids: tuple[str, ...],
    on_fault: str | None,
    cut: datetime | None,
    store: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Score a file with a saved model, in constant memory.

    MODEL is a model's folder, a folder of versions (the newest is taken) or a run. TABLE is raw,
    as the model was trained on: Parquet, CSV or anything DuckDB reads. A model of event logs takes
    a log, and gives one probability for each customer.
    """
    from thinfile.artifact.score import score_file
    from thinfile.intent.model import is_intent_model

    if is_intent_model(model):
        _score_log(model, table, out, cut, store, as_json=as_json)
        return
    if cut is not None or store is not None:
        raise click.UsageError(
            "--cut and --store are for models of event logs; this one takes a table"
        )

    shown = not quiet and not as_json
    summary = score_file(
        model,
        table,
        out,
        id_columns=list(ids) or None,
        on_fault=on_fault,
        progress=_show if shown else None,
    )
    if shown:
        click.echo("", err=True)
    if as_json:
        click.echo(json.dumps(summary.to_dict()))
    else:
        _print(summary)


def _score_log(
    model: Path, log: str, out: Path, cut: datetime | None, store: Path | None, *, as_json: bool
) -> None:
    from thinfile.intent.score import score_log

    summary = score_log(model, log, out, cut=cut, store=store)
    if as_json:
        click.echo(json.dumps(summary.to_dict()))
        return
    click.echo(
        f"{summary.n_customers:,} customers scored as of {summary.cut}, mean "
        f"{summary.mean_probability:.3f}: {summary.out}"
    )
    for note in summary.notes:
        click.echo(f"  {note}")
    _print_moved(summary.psi)


def _show(n_rows: int) -> None:
    click.echo(f"\rscored {n_rows:,} rows", nl=False, err=True)


def _print(summary: ScoreSummary) -> None:
    mean = "" if summary.mean_probability is None else f", mean {summary.mean_probability:.3f}"
    click.echo(f"{summary.n_scored:,} of {summary.n_rows:,} rows scored{mean}: {summary.out}")
    if summary.n_rejected:
        click.echo(f"{summary.n_rejected:,} rows rejected")
    for fault in summary.faults:
        click.echo(f"  {fault.in_words(summary.n_rows)}")
    if summary.faults_file:
        click.echo(f"Faults: {summary.faults_file}")
    _print_moved(summary.psi)


def _print_moved(psi: dict[str, float] | None) -> None:
    moved = [(name, value) for name, value in (psi or {}).items() if value >= 0.1]
    rest = len(moved) - MAX_MOVED
    moved = moved[:MAX_MOVED]
    for name, value in moved:
        word = "has moved" if value >= 0.25 else "is moving"
        click.echo(f"  {name} {word}: PSI {value:.2f} against the rows the model was measured on")
    if rest > 0:
        click.echo(f"  and {rest} more columns; --json lists them all")
