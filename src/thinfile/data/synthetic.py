"""Made-up populations whose differences are known: for tests, benchmarks and first steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.errors import ParameterError

N_FACTORS = 12
LABEL = "bad"


@dataclass(frozen=True)
class SyntheticTransfer:
    """A source and a target with the same columns; `label` names the one that holds 1 or 0."""

    source: pl.DataFrame
    target: pl.DataFrame
    label: str


def make_transfer(
    n_source: int = 6_500,
    n_target: int = 5_150,
    n_features: int = 291,
    source_rate: float = 1_000 / 6_500,
    target_rate: float = 350 / 5_150,
    covariate_shift: float = 0.5,
    concept_shift: float = 0.3,
    random_state: int | None = None,
) -> SyntheticTransfer:
    """Draw two populations of customers that share columns and differ as much as you say.

    Columns are mixtures of a dozen hidden factors and noise; some are skewed, as amounts are.
    Whether a customer is bad follows a curved function of the factors. By default sizes and rates
    are those of the published cold-start study that the DAN method here is held against. Use it
    to see what a method does when you know the truth; a ranking of methods on it says little
    about real portfolios.

    Parameters
    ----------
    n_source, n_target
        Rows, at least 10 each.
    n_features
        Columns, at least 1.
    source_rate, target_rate
        Share of bads, in (0, 1); met to the row. At least one of each class is made.
    covariate_shift
        How far the target's factors move, in standard deviations along one direction, ≥ 0.
    concept_shift
        In [0, 1]: 0 keeps what makes a customer bad, 1 replaces it by something unrelated.
    random_state
        Whole number for repeatable tables.

    Returns
    -------
    SyntheticTransfer
        Columns ``x0``, ``x1``, … (Float64) and ``bad`` (Int8).

    Raises
    ------
    ParameterError
        Naming every argument that breaks its rule.

    Examples
    --------
    >>> transfer = make_transfer(100, 50, 4, 0.2, 0.1, random_state=0)
    >>> transfer.source["bad"].sum(), transfer.target["bad"].sum()
    (20, 5)
    """
    _check(
        "make_transfer",
        n_source=(n_source, n_source >= 10, "≥ 10"),
        n_target=(n_target, n_target >= 10, "≥ 10"),
        n_features=(n_features, n_features >= 1, "≥ 1"),
        source_rate=(source_rate, 0 < source_rate < 1, "in (0, 1)"),
        target_rate=(target_rate, 0 < target_rate < 1, "in (0, 1)"),
        covariate_shift=(covariate_shift, covariate_shift >= 0, "≥ 0"),
        concept_shift=(concept_shift, 0 <= concept_shift <= 1, "in [0, 1]"),
    )
    generator = np.random.default_rng(random_state)
    loadings = generator.normal(size=(N_FACTORS, n_features))
    skewed = generator.random(n_features) < 0.3
    direction = _unit(generator)
    source_risk = _unit(generator)
    # At 1 the target's risk is at a right angle to the source's: nothing is left of it.
    other = _unit(generator)
    other = other - (other @ source_risk) * source_risk
    other /= np.linalg.norm(other)
    target_risk = np.cos(concept_shift * np.pi / 2) * source_risk
    target_risk = target_risk + np.sin(concept_shift * np.pi / 2) * other
    tables = []
    for n_rows, rate, risk, shift in (
        (n_source, source_rate, source_risk, 0.0),
        (n_target, target_rate, target_risk, covariate_shift),
    ):
        factors = generator.normal(size=(n_rows, N_FACTORS)) + shift * direction
        values = _columns(factors, loadings, skewed, generator)
        tables.append(_table(values, _worst(factors @ risk, rate, generator)))
    return SyntheticTransfer(tables[0], tables[1], LABEL)


def make_table(
    n_rows: int,
    n_numbers: int = 30,
    n_categories: int = 20,
    *,
    missing_share: float = 0.05,
    random_state: int | None = None,
) -> pl.DataFrame:
    """Draw a table of numbers and categories with gaps and a label; for timing and tests.

    Parameters
    ----------
    n_rows
        At least 1.
    n_numbers
        Float64 columns ``number0`` …, at least 0.
    n_categories
        String columns ``category0`` …, at least 0; with 5 to 200 values, a few of them frequent.
    missing_share
        Share of empty cells in every second column, in [0, 1).
    random_state
        Whole number for repeatable tables.

    Returns
    -------
    polars.DataFrame
        Those columns and ``bad`` (Int8), about a fifth of it 1.

    Raises
    ------
    ParameterError
        Naming every argument that breaks its rule.

    Examples
    --------
    >>> make_table(3, 1, 1, random_state=0).columns
    ['number0', 'category0', 'bad']
    """
    _check(
        "make_table",
        n_rows=(n_rows, n_rows >= 1, "≥ 1"),
        n_numbers=(n_numbers, n_numbers >= 0, "≥ 0"),
        n_categories=(n_categories, n_categories >= 0, "≥ 0"),
        missing_share=(missing_share, 0 <= missing_share < 1, "in [0, 1)"),
    )
    generator = np.random.default_rng(random_state)
    columns: dict[str, pl.Series] = {}
    risk = generator.normal(size=n_rows)
    for number in range(n_numbers):
        values = 0.3 * risk + generator.normal(size=n_rows)
        columns[f"number{number}"] = pl.Series(np.exp(values) if number % 3 == 0 else values)
    for number in range(n_categories):
        columns[f"category{number}"] = _category(n_rows, number, generator)
    for column in list(columns)[::2]:
        empty = pl.Series(generator.random(n_rows) < missing_share)
        columns[column] = columns[column].set(empty, None)
    columns[LABEL] = pl.Series((risk + generator.normal(size=n_rows) > 1.19).astype(np.int8))
    return pl.DataFrame(columns)


def _category(n_rows: int, number: int, generator: np.random.Generator) -> pl.Series:
    n_values = int(np.geomspace(5, 200, 10)[number % 10].round())
    # The square of a uniform crowds the first values, as codes of places and banks do.
    codes = (generator.random(n_rows) ** 2 * n_values).astype(np.int64)
    names = pl.Series([f"value {value:03}" for value in range(n_values)])
    return names.gather(codes)


def _columns(
    factors: NDArray[Any],
    loadings: NDArray[Any],
    skewed: NDArray[Any],
    generator: np.random.Generator,
) -> NDArray[Any]:
    values: NDArray[Any] = factors @ loadings / np.sqrt(N_FACTORS)
    values += generator.normal(size=values.shape)  # (rows, features)
    values[:, skewed] = np.exp(values[:, skewed])
    return values


def _worst(risk: NDArray[Any], rate: float, generator: np.random.Generator) -> NDArray[Any]:
    """Make the rows of highest noisy risk bad; that is a logistic model with an exact count."""
    curved = 1.2 * risk + 0.5 * np.abs(risk)
    noisy = curved + generator.logistic(size=risk.size)
    n_bad = min(max(round(rate * risk.size), 1), risk.size - 1)
    bad = np.zeros(risk.size, dtype=np.int8)
    bad[np.argsort(-noisy)[:n_bad]] = 1
    return bad


def _table(values: NDArray[Any], bad: NDArray[Any]) -> pl.DataFrame:
    names = [f"x{number}" for number in range(values.shape[1])]
    return pl.from_numpy(values, schema=names).with_columns(pl.Series(LABEL, bad))


def _unit(generator: np.random.Generator) -> NDArray[Any]:
    direction = generator.normal(size=N_FACTORS)
    unit: NDArray[Any] = direction / np.linalg.norm(direction)
    return unit


def _check(owner: str, **arguments: tuple[float, bool, str]) -> None:
    faults = [
        f"{name}={value} must be {rule}"
        for name, (value, kept, rule) in arguments.items()
        if not kept
    ]
    if faults:
        raise ParameterError(f"{owner}: " + "; ".join(faults))
