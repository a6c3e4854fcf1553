"""`thinfile schema`: what was inferred about a table, to be looked at and corrected."""

from __future__ import annotations

import json
from pathlib import Path

import click

from thinfile.cli.tables import json_option


@click.command()
@click.argument("table")
@click.option("--label", help="Column with the outcome.")
@click.option("--domain", help="Column that names the population.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the schema to this file (.toml or .json) for correction.",
)
@click.option("--force", is_flag=True, help="Replace the file of --out if it exists.")
@json_option
def command(
    table: str,
    label: str | None,
    domain: str | None,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Look at what was inferred about a table's columns, and save it for correction."""
    from thinfile.data.read import read_table
    from thinfile.errors import DataError
    from thinfile.schema.model import Schema

    if out:
        _check_out(out, table, force)
    frame = read_table(table)
    for option, column in (("--label", label), ("--domain", domain)):
        if column and column not in frame.columns:
            raise DataError(f"{option} {column!r} is no column of {table!r}: {frame.columns}")
    schema = Schema.infer(frame, label=label, domain=domain)
    if out:
        schema.save(out)
    rows = schema.describe(frame)
    if as_json:
        click.echo(json.dumps(rows, default=str))
        return
    _print(rows)
    if out:
        click.echo(f"Written to {out}. Correct it and give it as --schema {out}.")


def _check_out(out: Path, table: str, force: bool) -> None:
    from thinfile.data.read import is_source
    from thinfile.errors import DataError

    if is_source(out, table):
        raise DataError(f"--out {out} is the table itself; name another file")
    if out.exists() and not force:
        raise DataError(f"--out {out} exists; name another file, or replace it with --force")


def _print(rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name in ("name", "role", "format", "missing", "examples", "note"):
        table.add_column(name, overflow="fold", justify="right" if name == "missing" else "left")
    for row in rows:
        missing = row["missing"]
        share = f"{missing:.1%}" if isinstance(missing, float) else ""
        texts = [row["name"], row["role"], row["format"] or "", share, row["examples"], row["note"]]
        table.add_row(*(_text(value) for value in texts))
    console = Console()
    console.width = max(console.width, 110)
    console.print(table, markup=False)


def _text(value: object) -> str:
    from rich.markup import escape

    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return escape(text)
