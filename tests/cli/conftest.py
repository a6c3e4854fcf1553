"""The command line as users call it, two small portfolios as files, and a model and a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from thinfile.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


def make_portfolio(
    n: int, *, shift: float = 0.0, seed: int = 0, n_labels: int | None = None
) -> pl.DataFrame:
    """Raw rows with a number, a category, an id and a label, which is empty after `n_labels`."""
    rng = np.random.default_rng(seed)
    age = rng.normal(45 + shift, 12, n).round(1)
    region = rng.choice(["north", "south", "east"], n)
    log_odds = (age - 47) / 8 + 0.8 * (region == "south") - 0.3
    events = (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(int).tolist()
    known = n if n_labels is None else n_labels
    columns = {
        "customer": [f"C{seed}-{row:05}" for row in range(n)],
        "age": age,
        "income": rng.lognormal(8, 0.5, n).round(2),
        "region": region,
        "bad": [*events[:known], *[None] * (n - known)],
    }
    return pl.DataFrame(columns)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `thinfile` with arguments, in this process."""

    def run(*arguments: object) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(each) for each in arguments])
        found = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return Answer(stopped.value.code, found.out, found.err)

    return run


@pytest.fixture(scope="session")
def portfolio() -> Callable[..., pl.DataFrame]:
    return make_portfolio


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with old.parquet, new.parquet (200 of 260 labelled), new.csv and both.csv."""
    folder = tmp_path_factory.mktemp("portfolios")
    old, new = make_portfolio(240), make_portfolio(260, shift=4, seed=1, n_labels=200)
    old.write_parquet(folder / "old.parquet")
    old.write_csv(folder / "old.csv")
    new.write_parquet(folder / "new.parquet")
    new.write_csv(folder / "new.csv")
    both = pl.concat(
        [old.with_columns(product=pl.lit("loan")), new.with_columns(product=pl.lit("card"))]
    )
    both.write_csv(folder / "both.csv")
    return folder


@pytest.fixture(scope="session")
def quick() -> list[str]:
    """Options that make `compare` a matter of a moment."""
    return [
        "--methods=boosted_source,logistic_source,logistic_pooled",
        "--seeds=1",
        "--jobs=1",
        "--quiet",
        "--no-report",
    ]


@pytest.fixture(scope="session")
def model(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved logistic regression; tests must copy it before they damage it."""
    out = tmp_path_factory.mktemp("saved") / "models"
    tables = [str(files / "old.parquet"), str(files / "new.parquet")]
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "logistic_pooled", *tables, "--label", "bad", "--out", str(out)])
    assert stopped.value.code == 0
    (version,) = out.iterdir()
    return version


@pytest.fixture(scope="session")
def refused() -> Callable[..., None]:
    """Checks that an answer is one line on standard error, exit code 2, and no other output."""
    return _refused


def _refused(answer: Answer, message: str, *, as_json: bool) -> None:
    assert answer.code == 2, answer.err
    assert answer.out == ""
    assert answer.err.count("\n") == 1, answer.err
    if as_json:
        record = json.loads(answer.err)
        assert record["exit_code"] == 2
        assert message in record["error"]
    else:
        assert answer.err.startswith("thinfile: ")
        assert message in answer.err
