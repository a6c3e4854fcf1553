"""`thinfile report`: the page of a finished comparison."""

from __future__ import annotations

import json
from pathlib import Path

import click

from thinfile.cli.tables import json_option


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the page; RUN/report.html by default.",
)
@json_option
def command(run: Path, out: Path | None, as_json: bool) -> None:
    """Write the report page of a finished comparison again."""
    from thinfile.compare.result import load_result
    from thinfile.report.page import write_report

    page = write_report(load_result(run), out or run / "report.html")
    click.echo(json.dumps({"report": str(page)}) if as_json else page)
