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
    target = out or run / "report.html"
    _check_out(target)
    page = _write(run, target)
    click.echo(json.dumps({"report": str(page)}) if as_json else page)


def _write(run: Path, target: Path) -> Path:
    from thinfile.intent.result import is_intent_run, load_intent

    if is_intent_run(run):
        from thinfile.report.intent import write_intent_report

        return write_intent_report(load_intent(run), target)
    from thinfile.compare.result import load_result
    from thinfile.fraud.result import is_fraud_run

    if is_fraud_run(run):
        from thinfile.report.fraud import write_fraud_report

        return write_fraud_report(load_result(run), run, target)
    from thinfile.report.page import write_report

    return write_report(load_result(run), target)


def _check_out(out: Path) -> None:
    from thinfile.errors import ParameterError

    if out.exists() and out.suffix.lower() not in (".html", ".htm"):
        raise ParameterError(f"--out {out} exists and is no page: name a file that ends in .html")
