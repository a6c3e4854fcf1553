"""`thinfile intent`: who will buy, from an event log."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinfile.cli.compare import Budgets
from thinfile.cli.tables import json_option, print_next, store_option

if TYPE_CHECKING:
    from thinfile.intent.result import IntentResult
    from thinfile.intent.task import IntentTask


class Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between."""

    name = "names"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(name.strip() for name in str(value).split(",") if name.strip())


@click.command()
@click.argument("events")
@click.option("--customer", required=True, help="Column with the customer.")
@click.option("--time", required=True, help="Column with the time of the event.")
@click.option("--buys", required=True, multiple=True, help="Category to predict; repeatable.")
@click.option("--horizon", required=True, help="How far ahead, as in 60d, 8w or 36h.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the run.")
@click.option("--item", help="Column with the article.")
@click.option("--category", help="Column with the category; --buys is one of its values.")
@click.option("--quantity", help="Column with the quantity; below 0 is a return.")
@click.option("--amount", help="Column with the money of the event.")
@click.option(
    "--action",
    metavar="COLUMN=VALUE",
    help="What makes an event a purchase, where the log holds others, as in behavior=buy.",
)
@click.option("--gap", default="0d", show_default=True, help="Time between the cut and the window.")
@click.option(
    "--plan",
    type=click.Choice(["snapshots", "recipe", "literal-recipe"]),
    default="snapshots",
    show_default=True,
    help="Which rows are trained on; literal-recipe leaks and says so.",
)
@click.option("--labels", type=Budgets(), help="Labelled rows to learn from; all by default.")
@click.option(
    "--train-cuts",
    "n_train_cuts",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Instants that training customers are seen from, one horizon apart.",
)
@click.option(
    "--window-days",
    type=click.IntRange(1),
    default=365,
    show_default=True,
    help="Recipes: days in which signs of demand are looked for.",
)
@click.option(
    "--negatives",
    "negatives_per_positive",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Recipes: customers without demand for each buyer.",
)
@click.option(
    "--max-shift",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Recipes: copies of training rows without their last 1, 2, … purchases.",
)
@click.option(
    "--holdout-customers",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    help="Share of the customers that are tested on only.",
)
@click.option("--related", type=Names(), help="Related categories; found by lift by default.")
@click.option("--history", "history_columns", type=Names(), help="Columns for sequence models.")
@click.option("--static", type=Names(), default=(), help="Columns that describe the customer.")
@click.option("--methods", type=Names(), help="Names with commas between; all by default.")
@click.option(
    "--top",
    type=click.IntRange(10),
    help="Customers that precision and lift are measured for; a tenth by default.",
)
@click.option(
    "--max-rows",
    type=click.IntRange(100),
    default=100_000,
    show_default=True,
    help="Rows of training, of validation and of test.",
)
@click.option(
    "--seeds",
    "n_seeds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Repetitions with other labels drawn and other random numbers.",
)
@click.option(
    "--jobs", "n_jobs", type=click.IntRange(1), help="Processes; one for each core by default."
)
@store_option
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or auto.")
@click.option("--random-state", type=click.IntRange(0), default=0, show_default=True)
@click.option("--no-report", is_flag=True, help="Leave the report page out.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@json_option
def command(
    events: str,
    out: Path,
    no_report: bool,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Say who will buy a category next, and which method pays for finding out.

    EVENTS is a log of what customers did: Parquet, CSV or anything DuckDB reads. Every method and
    baseline is trained on earlier customers and measured on later ones.

    \b
    thinfile intent events.parquet --customer CustomerID --time InvoiceDate \\
        --category Group --buys "LUNCH BAG" --horizon 60d --out runs/lunch
    """
    from thinfile.intent.options import IntentOptions

    names = [name for name in IntentOptions.__dataclass_fields__ if name in given]
    options = IntentOptions(**{name: given[name] for name in names})
    options.check()
    options.names()
    task = read_intent_task(events, given, options)
    flagged = run_and_print(task, out, options, quiet=quiet, as_json=as_json, report=not no_report)
    if as_json or flagged:
        return
    audience = ["thinfile", "audience", str(out / "best"), events, "--top", str(options.top or 100)]
    score = ["thinfile", "score", str(out / "best"), events, "--out", "scores.parquet"]
    print_next([shlex.join([*audience, "--out", "audience.parquet"]), shlex.join(score)])


def read_intent_task(events: str, given: dict[str, Any], options: Any) -> IntentTask:
    """The log, what is predicted, and the rows."""
    from thinfile.data.buys import Buys
    from thinfile.data.durations import parse_duration
    from thinfile.data.event_columns import EventColumns
    from thinfile.data.events import EventLog
    from thinfile.intent.task import build_intent_task

    column = given["category"] or given["item"]
    if column is None:
        raise click.UsageError("--category or --item is needed: --buys is one of its values")
    horizon, gap = parse_duration(given["horizon"]), parse_duration(given["gap"])
    roles = EventColumns(
        given["customer"],
        given["time"],
        item=given["item"],
        category=given["category"],
        quantity=given["quantity"],
        amount=given["amount"],
    )
    buys = Buys(column, tuple(given["buys"]), _action(given["action"]))
    log = EventLog.from_source(events, roles, store=given["store"])
    return build_intent_task(log, buys, horizon, gap=gap, options=options)


def run_and_print(
    task: IntentTask, out: Path, options: Any, *, quiet: bool, as_json: bool, report: bool
) -> bool:
    """Compare, write the page, print; whether a leak is suspected."""
    from thinfile.intent.run import compare_intent
    from thinfile.training.progress import choose_progress

    progress = choose_progress(shown=not (quiet or as_json))
    result = compare_intent(task, out, options, progress=progress)
    page = None
    if report:
        from thinfile.report.intent import write_intent_report

        page = write_intent_report(result, out / "report.html")
    if as_json:
        _print_json(result, out, page)
    else:
        _print(result)
    flagged = bool(result.verdict["flagged"])
    if flagged:
        click.echo(f"thinfile: {result.verdict['headline']}", err=True)
    if page and not as_json:
        click.echo(f"\nReport: {page}")
    return flagged


def _action(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    column, equals, value = text.partition("=")
    if not equals or not column or not value:
        raise click.UsageError(f"--action {text!r} must be COLUMN=VALUE, as in behavior=buy")
    return column, value


def _print_json(result: IntentResult, out: Path, page: Path | None) -> None:
    record = {
        "verdict": result.verdict,
        "groups": result.groups.to_dicts(),
        "probes": result.probes,
        "out": str(out),
        "audience": str(out / "audience.parquet"),
        "report": str(page) if page else None,
    }
    click.echo(json.dumps(record, default=str))


def _print(result: IntentResult) -> None:
    notes = result.result.settings["notes"]
    if notes:
        click.echo("How the log was read:")
    for note in notes:
        click.echo(f"  {note}")
    _print_verdict(result)
    _print_board(result)


def _print_verdict(result: IntentResult) -> None:
    failed = result.result.cells.filter(result.result.cells["status"] == "failed")
    for method, error in sorted(set(zip(failed["method"], failed["error"], strict=True))):
        click.echo(f"{method} failed: {error}")
    click.echo(result.verdict["headline"])
    for sentence in (*result.verdict["sentences"], *result.verdict["warnings"]):
        click.echo(f"  {sentence}")
    n_flagged = sum(probe["flagged"] for probe in result.probes)
    click.echo(f"Leak probes: {len(result.probes)} looked, {n_flagged} raised.")


def _print_board(result: IntentResult) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 118)
    board = result.result.leaderboard.filter("chosen")
    choices = dict(zip(board["budget"], board["method"], strict=True))
    for (group, budget), rows in result.groups.group_by(["group", "budget"], maintain_order=True):
        first = rows.row(0, named=True)
        title = (
            f"{result.result.settings['title']} {first['n']:,} later customers ({group}), "
            f"{first['rate']:.1%} buy; {budget:,} labels"
        )
        table = Table(title=escape(title))
        table.add_column("method")
        for name in ("AUC", "AP", f"precision at {first['k']}", "lift", "to best baseline"):
            table.add_column(name, justify="right")
        for row in rows.to_dicts():
            is_choice = row["method"] == choices.get(budget)
            style = "bold" if is_choice else ""
            table.add_row(row["title"] + (" ←" if is_choice else ""), *_cells(row), style=style)
        console.print(table)


def _cells(row: dict[str, Any]) -> list[str]:
    figures = [
        f"{row[name]:.{places}f}\n{row[f'{name}_low']:.{places}f}–{row[f'{name}_high']:.{places}f}"
        for name, places in (("auc", 3), ("ap", 3), ("precision", 3), ("lift", 2))
    ]
    if row["is_reference"]:
        return [*figures, "best baseline"]
    if row["difference"] is None:
        return [*figures, ""]
    low, high = row["difference_low"], row["difference_high"]
    gap = f"{row['difference']:+.3f}\n{low:+.3f}…{high:+.3f}".replace("-", "−")
    return [*figures, gap]
