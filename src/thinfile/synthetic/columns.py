"""Each column of the made rows beside the real ones: distribution, gaps, values out of range."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.synthetic.sides import CATEGORY, Floats, Sides, as_numbers, as_texts

N_DRAWS = 200
"""Draws by which the chance level of a total variation is found."""

LEVEL = 0.95

KS, TV = "Kolmogorov–Smirnov", "total variation"


@dataclass(frozen=True)
class ColumnFidelity:
    """How near one column of the made rows comes to the real one.

    Attributes
    ----------
    name : str
    kind : str
        "number", "date" or "category".
    measure : str
        Kolmogorov–Smirnov distance of the present values of a number or date; total variation
        distance of a category, with missing as a value of its own.
    distance : float or None
        From 0 (the same) to 1; None where a side has no value.
    holdout : float or None
        The same between hold-out and real rows: what other real rows get.
    chance : float or None
        What two samples of one law and these sizes stay below 19 times of 20.
    missing_real, missing_made : float
        Share of missing values.
    outside : float
        Share of the made values outside the real range, or among no real value.
    """

    name: str
    kind: str
    measure: str
    distance: float | None
    holdout: float | None
    chance: float | None
    missing_real: float
    missing_made: float
    outside: float

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)


def judge_columns(sides: Sides, *, random_state: int = 0) -> list[ColumnFidelity]:
    """Hold each column of the made rows beside the real one, the farthest first.

    Parameters
    ----------
    sides : Sides
    random_state : int
        For the chance level of categories.

    References
    ----------
    Massey, "The Kolmogorov-Smirnov test for goodness of fit", JASA 1951.
    """
    rng = np.random.default_rng(random_state)
    found = [_judge(sides, name, rng) for name in sides.columns]
    return sorted(found, key=lambda each: 1.0 if each.distance is None else -each.distance)


def _judge(sides: Sides, name: str, rng: np.random.Generator) -> ColumnFidelity:
    real, made = sides.real[name], sides.made[name]
    holdout = None if sides.holdout is None else sides.holdout[name]
    kind = sides.kind(name)
    judge = _categories if kind == CATEGORY else _numbers
    return ColumnFidelity(
        name=name,
        kind=kind,
        measure=TV if kind == CATEGORY else KS,
        missing_real=real.null_count() / real.len(),
        missing_made=made.null_count() / made.len(),
        **judge(real, made, holdout, rng),
    )


def _numbers(
    real: pl.Series, made: pl.Series, holdout: pl.Series | None, _: np.random.Generator
) -> dict[str, Any]:
    first, second = _present(real), _present(made)
    third = None if holdout is None else _present(holdout)
    outside = 0.0
    if len(first) and len(second):
        outside = float(np.mean((second < first[0]) | (second > first[-1])))
    return {
        "distance": ks_distance(first, second),
        "holdout": None if third is None else ks_distance(first, third),
        "chance": _ks_chance(len(first), len(second)),
        "outside": outside,
    }


def _present(column: pl.Series) -> Floats:
    values = as_numbers(column)
    return np.sort(values[np.isfinite(values)])


def ks_distance(first: Floats, second: Floats) -> float | None:
    """Largest gap between two empirical distributions; both sorted. None where one is empty.

    Examples
    --------
    >>> import numpy as np
    >>> ks_distance(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 5.0, 6.0]))
    0.5
    """
    if not len(first) or not len(second):
        return None
    values = np.concatenate([first, second])
    below_first = np.searchsorted(first, values, side="right") / len(first)
    below_second = np.searchsorted(second, values, side="right") / len(second)
    return float(np.abs(below_first - below_second).max())


def _ks_chance(n_first: int, n_second: int) -> float | None:
    if not n_first or not n_second:
        return None
    return float(min(1.0, 1.358 * np.sqrt((n_first + n_second) / (n_first * n_second))))


def _categories(
    real: pl.Series, made: pl.Series, holdout: pl.Series | None, rng: np.random.Generator
) -> dict[str, Any]:
    sides = [as_texts(side) for side in (real, made, holdout) if side is not None]
    counts = _count(sides)
    known = counts[0] > 0
    made_present = counts[1].sum()
    return {
        "distance": tv_distance(counts[0], counts[1]),
        "holdout": tv_distance(counts[0], counts[2]) if len(counts) > 2 else None,
        "chance": _tv_chance(counts[0], counts[1], rng),
        "outside": float(counts[1][~known].sum() / made_present),
    }


def _count(sides: list[pl.Series]) -> npt.NDArray[np.int64]:
    """How often each value occurs on each side, shape (sides, values); missing is a value."""
    values = (
        pl.concat([side.alias("value").to_frame() for side in sides])
        .unique()
        .sort("value")["value"]
    )
    places = {value: place for place, value in enumerate(values)}
    counts = np.zeros((len(sides), len(places)), dtype=np.int64)
    for row, side in enumerate(sides):
        for value, n in side.alias("value").value_counts(name="n").iter_rows():
            counts[row, places[value]] = n
    return counts


def tv_distance(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Half the summed differences of the shares, from counts of the same values.

    Examples
    --------
    >>> import numpy as np
    >>> tv_distance(np.array([3, 1, 0]), np.array([1, 1, 2]))
    0.5
    """
    gaps = first / first.sum() - second / second.sum()
    return float(np.abs(gaps).sum() / 2)


def _tv_chance(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], rng: np.random.Generator
) -> float:
    shares = (first + second) / (first.sum() + second.sum())
    n_first, n_second = int(first.sum()), int(second.sum())
    drawn = rng.multinomial(n_first, shares, N_DRAWS) / n_first
    other = rng.multinomial(n_second, shares, N_DRAWS) / n_second
    return float(np.quantile(np.abs(drawn - other).sum(axis=1) / 2, LEVEL))
