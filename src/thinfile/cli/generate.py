"""`thinfile generate`: more rows of a kind, with a report on what they are good for."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinfile.cli.tables import event_option, json_option

if TYPE_CHECKING:
    import polars as pl

    from thinfile.synthetic.generate import Made
    from thinfile.synthetic.judge import Judgement

SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True)
class _Paths:
    """Where rows, page and figures go; the last two are None with --no-report."""

    rows: Path
    page: Path | None
    figures: Path | None


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--like", "like_path", help="Table whose rows the made ones are to be like.")
@click.option(
    "--where", help='Which of its rows, such as "fraud == 1 and amount > 100"; all by default.'
)
@click.option("-n", "--rows", "n", type=click.IntRange(1), required=True, help="Rows to make.")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where they go (.parquet or .csv).",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the report page goes; beside the rows by default.",
)
@click.option("--no-report", is_flag=True, help="Write rows of which nothing is known.")
@click.option("--holdout", "holdout_path", help="Table of real rows that the model has never seen.")
@click.option("--label", help="Column that a model would be trained for.")
@event_option
@click.option(
    "--accept-risk",
    is_flag=True,
    help="Write the rows although they give away training rows.",
)
@click.option("--force", is_flag=True, help="Replace rows, page and figures that are there.")
@click.option("--random-state", type=click.IntRange(0), default=0, show_default=True)
@json_option
def command(
    model: Path,
    like_path: str | None,
    where: str | None,
    n: int,
    out: Path,
    report: Path | None,
    no_report: bool,
    holdout_path: str | None,
    label: str | None,
    event: str | None,
    accept_risk: bool,
    force: bool,
    random_state: int,
    as_json: bool,
) -> None:
    """Make rows with a saved generator, and say what they may be used for.

    MODEL is the folder of a VAE, a table GAN or another generator. No row of --like and no row
    that the model was trained on comes out. Beside the rows lies a report: how like the real ones
    they are, what they are worth for training, and what they give away of the training rows. The
    rows are not written if they give away too much.
    """
    from thinfile.artifact.folder import load
    from thinfile.data.read import read_table
    from thinfile.synthetic.condition import read_condition
    from thinfile.synthetic.generate import check_generator, make_rows

    condition = read_condition(where) if where is not None else None
    paths = _paths(out, report, no_report, [like_path, holdout_path])
    _check_files(paths, like_path, force=force)
    generator = check_generator(load(model))
    like = read_table(like_path) if like_path is not None else None
    holdout = read_table(holdout_path) if holdout_path is not None else None
    given: dict[str, Any] = {"where": condition, "holdout": holdout, "label": label, "event": event}
    made = make_rows(
        generator,
        n,
        like=like,
        **given,
        random_state=random_state,
        is_judged=paths.page is not None,
    )
    judged = (made, generator.schema_, condition, random_state, model)
    found = _judge(*judged) if paths.page is not None else None
    _write(made.table, found, paths, accept_risk=accept_risk)
    _print(made, found, paths, as_json=as_json)


def _paths(out: Path, report: Path | None, no_report: bool, sources: list[str | None]) -> _Paths:
    from thinfile.data.read import is_source
    from thinfile.errors import ParameterError

    if no_report and report is not None:
        raise click.UsageError("--report and --no-report exclude each other")
    page = None if no_report else report or out.with_suffix(".html")
    paths = _Paths(out, page, None if page is None else page.with_suffix(".json"))
    faults = []
    if out.suffix.lower() not in SUFFIXES:
        faults.append(f"--out {out} must end in {' or '.join(SUFFIXES)}")
    if page is not None and page.suffix.lower() not in (".html", ".htm"):
        faults.append(f"--report {page} must end in .html")
    for path in filter(None, (paths.rows, paths.page, paths.figures)):
        if path.is_dir() or not path.parent.is_dir():
            faults.append(f"{path} cannot be written: there is no such folder, or it is one")
        faults += [
            f"{path} is a table that is read: it would be replaced"
            for source in sources
            if source is not None and is_source(path, source)
        ]
    if faults:
        raise ParameterError("; ".join(faults))
    return paths


def _check_files(paths: _Paths, like: str | None, *, force: bool) -> None:
    """Refuse to replace a file: rows of an earlier call may be nowhere else."""
    from thinfile.errors import ParameterError

    _check_report(paths, like)
    files = filter(None, (paths.rows, paths.page, paths.figures))
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        verb = "exists" if len(there) == 1 else "exist"
        raise ParameterError(
            f"{', '.join(there)} {verb}; name another --out, or replace what is there with --force"
        )


def _check_report(paths: _Paths, like: str | None) -> None:
    from thinfile.errors import ParameterError
    from thinfile.report.page import require_packages

    if paths.page is None:
        return
    if like is None:
        raise ParameterError(
            "made rows are written with a report, which holds them against real ones: name these "
            "with --like TABLE, or say --no-report"
        )
    require_packages()


def _judge(made: Made, schema: Any, condition: Any, random_state: int, model: Path) -> Judgement:
    from thinfile.synthetic.judge import judge_synthetic

    assert made.parts is not None
    kind = "" if condition is None else f" with {condition.text}"
    return judge_synthetic(
        made.table,
        made.parts.real,
        holdout=made.parts.holdout,
        label=made.label,
        event=made.event,
        where=condition,
        schema=schema,
        what=f"{made.table.height:,} rows{kind}, made by {model.name or model}",
        notes=[made.parts.note, *made.notes],
        random_state=random_state,
    )


def _write(
    table: pl.DataFrame, found: Judgement | None, paths: _Paths, *, accept_risk: bool
) -> None:
    """All files or none; without the rows where they give away too much."""
    from thinfile.artifact.atomic import writing
    from thinfile.errors import DataError

    refused = found is not None and found.verdict.is_refused and not accept_risk
    contents: dict[Path, bytes] = {}
    if found is not None:
        from thinfile.report.synthetic import render_synthetic

        assert paths.page is not None
        assert paths.figures is not None
        contents[paths.page] = render_synthetic(found).encode()
        contents[paths.figures] = found.to_json().encode()
    with ExitStack() as files:
        if not refused:
            temporary = files.enter_context(writing(paths.rows))
            if paths.rows.suffix.lower() == ".csv":
                table.write_csv(temporary)
            else:
                table.write_parquet(temporary)
        for path, content in contents.items():
            files.enter_context(writing(path)).write_bytes(content)
    if refused:
        assert found is not None
        raise DataError(
            f"{paths.rows} was not written. {found.verdict.headline} See {paths.page}; "
            "--accept-risk --force writes them all the same, with a new report in its place"
        )


def _print(made: Made, found: Judgement | None, paths: _Paths, *, as_json: bool) -> None:
    if as_json:
        record = {
            "out": str(paths.rows),
            "rows": made.table.height,
            "columns": made.table.columns,
            "report": None if paths.page is None else str(paths.page),
            "figures": None if paths.figures is None else str(paths.figures),
            "verdict": None if found is None else found.verdict.to_dict(),
            "notes": made.notes if found is None else found.notes,
        }
        click.echo(json.dumps(record, default=str))
        return
    click.echo(f"{made.table.height:,} rows of {made.table.width} columns: {paths.rows}")
    if found is None:
        click.echo("  No report was made: nothing is known of their likeness, use or privacy.")
        for note in made.notes:
            click.echo(f"  {note}")
        return
    verdict = found.verdict
    click.echo(verdict.headline)
    for sentence in verdict.sentences:
        click.echo(f"  {sentence}")
    for title, lines in (
        ("They may be used for", verdict.uses),
        ("Not for", verdict.not_for),
        ("Mind", verdict.warnings),
        ("How it was measured", found.notes),
    ):
        if lines:
            click.echo(f"{title}:")
        for line in lines:
            click.echo(f"  {line}")
    click.echo(f"Report: {paths.page}, figures: {paths.figures}")
