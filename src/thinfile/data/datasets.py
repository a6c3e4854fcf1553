"""Tables that ship with the package, and the folder of larger ones that do not."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import polars as pl

from thinfile.errors import DataError

DEMO_LABEL = "defaulted"
DEMO_DOMAIN = "portfolio"
DEMO_SOURCE = "existing-business"
DEMO_TARGET = "new-business"
DATA_VARIABLE = "THINFILE_DATA"


def demo_path() -> Path:
    """Where the demo's Parquet file lies; for commands that take a path."""
    return Path(str(files("thinfile") / "data" / "files" / "sba_demo.parquet"))


def load_demo() -> pl.DataFrame:
    """Load 25,000 loans of the US Small Business Administration, text as published.

    An old portfolio (loans to existing businesses, approved in the fiscal years 1998–2005) and a
    new product (loans to new businesses, 2005–2006) in one table. Use it to try thinfile; do not
    draw conclusions about today's lending from it. What was kept, what was dropped and why stands
    in ``data/files/README.md`` of the package.

    Returns
    -------
    polars.DataFrame
        One row per loan. ``defaulted`` is the label (1, 0, or null where the outcome is not
        known), ``portfolio`` the population, ``loan`` an id; the other columns are features.

    Examples
    --------
    >>> from thinfile.data.datasets import load_demo
    >>> table = load_demo()
    >>> sorted(table["portfolio"].unique())
    ['existing-business', 'new-business']
    """
    return pl.read_parquet(demo_path())


def split_demo(table: pl.DataFrame | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the demo's source and target as two tables without the population column."""
    frame = load_demo() if table is None else table
    source = frame.filter(pl.col(DEMO_DOMAIN) == DEMO_SOURCE).drop(DEMO_DOMAIN)
    target = frame.filter(pl.col(DEMO_DOMAIN) == DEMO_TARGET).drop(DEMO_DOMAIN)
    return source, target


def data_folder() -> Path:
    """Find the folder of the larger public tables that tests and benchmarks use.

    It is named by the environment variable ``THINFILE_DATA``; without one it is looked for at
    ``../shared/data`` from the project's root. Nothing in the package itself needs it.

    Raises
    ------
    DataError
        If there is no such folder.
    """
    named = os.environ.get(DATA_VARIABLE)
    folder = Path(named) if named else Path(__file__).resolve().parents[4] / "shared" / "data"
    if not folder.is_dir():
        raise DataError(
            f"the folder {str(folder)!r} of public tables is not there: "
            f"set {DATA_VARIABLE} to a folder that holds them"
        )
    return folder
