"""`thinfile compare`: the main job."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from thinfile.cli.tables import (
    domain_option,
    event_option,
    ignore_option,
    json_option,
    label_option,
    names_in,
    print_next,
    print_result,
    read_task,
    schema_option,
    target_option,
)

OF_FRAUD = ("time", "ignore", "genuine", "alerts", "top")
"""Options of the group fraud only."""


class Budgets(click.ParamType[tuple[int | str, ...]]):
    """`350`, `0,100,350` or `10,all`."""

    name = "numbers"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | str, ...]:
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        try:
            budgets = tuple(part if part == "all" else int(part) for part in parts)
        except ValueError:
            self.fail(
                f"{value!r} must be whole numbers with commas between, as in 0,100,350 (or `all`, "
                "with --group fraud)"
            )
        if min(budget for budget in (*budgets, 0) if not isinstance(budget, str)) < 0:
            self.fail(f"{value!r} must be 0 or more")
        return budgets


@click.command()
@click.argument("tables", nargs=-1, required=True)
@label_option
@event_option
@click.option(
    "--labels",
    type=Budgets(),
    help="Labels of the target that a method may see; a list gives a curve. With --group fraud: "
    "labelled frauds, where `all` is a number too.  [default: 350; with --group fraud 10,50,100]",
)
@click.option(
    "--group",
    type=click.Choice(["transfer", "fraud"]),
    default="transfer",
    show_default=True,
    help="transfer: from an old portfolio to a new one. fraud: rare events in one table.",
)
@click.option("--time", help="With --group fraud: column to split by; the latest rows are tested.")
@ignore_option
@click.option(
    "--genuine",
    type=click.IntRange(10),
    help="With --group fraud: labelled genuine rows; 20 per fraud by default, 1,000 to 5,000.",
)
@click.option(
    "--alerts",
    type=click.FloatRange(0, 0.5, min_open=True),
    help="With --group fraud: share of rows that can be looked into.  [default: 0.001, or 20 rows]",
)
@click.option(
    "--top",
    type=click.IntRange(1),
    help="With --group fraud: alerts that precision is of.  [default: 100]",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the run.")
@domain_option
@target_option
@schema_option
@click.option(
    "--methods",
    callback=lambda ctx, param, value: names_in(value),
    help="Names with commas between; all by default.",
)
@click.option(
    "--seeds",
    "n_seeds",
    type=click.IntRange(1),
    help="Repetitions with other labels drawn.  [default: 3; with --group fraud 5]",
)
@click.option(
    "--jobs", "n_jobs", type=click.IntRange(1), help="Processes; one for each core by default."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or auto.")
@click.option(
    "--target-rate",
    type=float,
    help="Base rate that the business expects in the target, for runs without labels.",
)
@click.option("--random-state", type=click.IntRange(0), default=0, show_default=True)
@click.option("--no-report", is_flag=True, help="Leave the report page out.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@json_option
def command(
    tables: tuple[str, ...],
    label: str,
    event: str | None,
    domain: str | None,
    target: str | None,
    schema: Path | None,
    out: Path,
    no_report: bool,
    quiet: bool,
    as_json: bool,
    group: str,
    **given: Any,
) -> None:
    """Run every method and baseline on the same few labels and say what pays.

    TABLES are the old and the new portfolio (Parquet, CSV or anything DuckDB reads), or one file
    with --domain and --target. With --group fraud it is one table with few labelled events. A run
    that was killed goes on when called again.
    """
    # What was not given is left to the options of each group, which have other defaults.
    given = {name: value for name, value in given.items() if value is not None}
    fraud_given = {name: given.pop(name) for name in OF_FRAUD if name in given}
    printed = {"quiet": quiet, "as_json": as_json, "report": not no_report}
    _check_group(group, domain or target, fraud_given, given.get("labels", ()))
    if group == "fraud":
        from thinfile.cli.fraud import run_fraud

        run_fraud(tables, label, event, schema, out, {**given, **fraud_given}, **printed)
        return
    from thinfile.compare.options import Options

    task = read_task(tables, label, domain, target, schema, event=event)
    options = Options(**given)
    page = run_and_print(task, out, options, **printed)
    if as_json:
        return
    if page:
        click.echo(f"\nReport: {page}")
    score = ["thinfile", "score", str(out / "best"), tables[-1], "--out", "scores.parquet"]
    print_next([shlex.join(score), shlex.join(_curve(tables, out, options.labels))])


def _check_group(
    group: str, population: str | None, of_fraud: Mapping[str, Any], labels: Sequence[int | str]
) -> None:
    """Refuse options of the other group."""
    if group == "fraud":
        if population:
            raise click.UsageError("--domain and --target do not go with --group fraud")
        return
    if of_fraud:
        raise click.UsageError(f"--{' and --'.join(of_fraud)} need --group fraud")
    if "all" in labels:
        raise click.UsageError("--labels all needs --group fraud")


def _curve(tables: tuple[str, ...], out: Path, labels: Sequence[int]) -> list[str]:
    """The same comparison at several budgets, into a folder of its own."""
    given = click.get_current_context().params
    words = ["thinfile", "compare", *tables]
    for name in ("label", "domain", "target", "schema", "event"):
        if given.get(name):
            words += [f"--{name}", str(given[name])]
    most = max(labels) or 100
    return [*words, "--labels", f"0,{most // 2},{most}", "--out", f"{out}-curve"]


def run_and_print(
    task: object, out: Path, options: object, *, quiet: bool, as_json: bool, report: bool
) -> Path | None:
    """Compare, write the page, print; the path of the page."""
    from thinfile.compare.options import Options
    from thinfile.compare.run import compare
    from thinfile.compare.task import Task
    from thinfile.training.progress import choose_progress

    assert isinstance(task, Task)
    assert isinstance(options, Options)
    progress = choose_progress(shown=not (quiet or as_json))
    result = compare(task, out, options, progress=progress)
    page = None
    if report:
        from thinfile.report.page import write_report

        page = write_report(result, out / "report.html")
    print_result(result, out, as_json=as_json, page=page)
    if result.verdict.get("leak"):
        click.echo(f"thinfile: {result.verdict['leak']}", err=True)
    return page
