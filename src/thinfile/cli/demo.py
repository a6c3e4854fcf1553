"""`thinfile demo`: the main job on loans that ship with the package."""

from __future__ import annotations

from pathlib import Path

import click

from thinfile.cli.compare import run_and_print
from thinfile.cli.tables import json_option, print_next


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    help="Folder for the run.",
)
@click.option("--labels", type=click.IntRange(0), default=350, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--jobs", type=click.IntRange(1), help="Processes; one for each core by default.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@json_option
def command(
    out: Path, labels: int, seeds: int, jobs: int | None, quiet: bool, as_json: bool
) -> None:
    """Compare all methods on the loans that ship with the package.

    The old portfolio holds loans to existing businesses, the new one loans to new businesses.
    """
    from thinfile.compare.options import Options
    from thinfile.compare.task import build_task
    from thinfile.data.datasets import (
        DEMO_LABEL,
        DEMO_SOURCE,
        DEMO_TARGET,
        demo_path,
        split_demo,
    )

    source, target = split_demo()
    task = build_task(
        source, target, label=DEMO_LABEL, source_name=DEMO_SOURCE, target_name=DEMO_TARGET
    )
    options = Options(labels=(labels,), n_seeds=seeds, n_jobs=jobs)
    page = run_and_print(task, out, options, quiet=quiet, as_json=as_json, report=True)
    if not as_json:
        click.echo(f"\nReport: {page}")
        data = _shown(demo_path())
        print_next(
            [
                f"thinfile score {out / 'best'} {data} --out scores.parquet"
                "   # holds the old loans too: expect notes on drift",
                f"thinfile schema {data} --label {DEMO_LABEL} --out schema.toml",
                f"thinfile compare {data} --domain portfolio --target {DEMO_TARGET} "
                f"--label {DEMO_LABEL} --labels 0,100,1000 --out runs/curve",
            ]
        )


def _shown(path: Path) -> Path:
    """Relative to the present folder where it lies below it."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
