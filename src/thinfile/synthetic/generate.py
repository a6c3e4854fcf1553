"""More rows of a kind from a fitted generator, in the form of the table they are to join."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.images import ImageEncoder
from thinfile.data.labels import label_texts
from thinfile.data.row_hash import Hashes, known, row_hashes
from thinfile.errors import DataError, ParameterError
from thinfile.schema.model import Schema
from thinfile.synthetic.condition import Condition
from thinfile.synthetic.event import n_values, settle_event
from thinfile.synthetic.raw_form import fill_rest, raw_form

MAX_ROUNDS, MIN_ASKED = 10, 50
"""Times that a generator is asked, and rows it is asked for at least from the second time on."""

HELD_BACK = 0.2
"""Share of rows that are held back where the model knows none of them."""


class Generator(Protocol):
    """What makes rows: typed columns in the order of its schema, none of them a training row."""

    schema_: Schema

    def sample(self, n: int, *, random_state: Any = None) -> pl.DataFrame:
        """Rows after the law of the training table."""

    def sample_like(self, X: Any, n: int, *, random_state: Any = None) -> pl.DataFrame:
        """Rows of the kind of `X`."""


@dataclass(frozen=True)
class Parts:
    """The rows that made ones are to be like, by what the model may know of them.

    Attributes
    ----------
    real : polars.DataFrame
        Rows the model was trained on or is given to vary; of all kinds.
    holdout : polars.DataFrame or None
        Rows that it has neither seen nor is given; of all kinds.
    note : str
        How they were told apart.
    """

    real: pl.DataFrame
    holdout: pl.DataFrame | None
    note: str


@dataclass(frozen=True)
class Made:
    """Made rows in the form of the table.

    Attributes
    ----------
    table : polars.DataFrame
        All columns of the table they were made after.
    parts : Parts or None
        What to judge them against; None where there was no table.
    label, event : str or None
        The label column, as given or as found in the condition, and the value that is the event,
        where that is known.
    notes : list of str
        What was done that the user should know of.
    """

    table: pl.DataFrame
    parts: Parts | None
    label: str | None
    event: str | None
    notes: list[str]


def check_generator(model: Any) -> Generator:
    """The model itself, if it makes tables.

    Raises
    ------
    ParameterError
        If it makes nothing, or images or windows.
    """
    if not (hasattr(model, "sample") and hasattr(model, "sample_like")):
        raise ParameterError(
            f"{type(model).__name__} makes no rows: a generator is needed, such as a VAE, a "
            "TableGAN or SMOTE"
        )
    if isinstance(getattr(model, "encoder_", None), ImageEncoder):
        raise ParameterError(f"this {type(model).__name__} makes images, not rows of a table")
    if not hasattr(model, "schema_"):
        raise ParameterError(f"{type(model).__name__} makes windows, not rows of a table")
    generator: Generator = model
    return generator


def make_rows(
    model: Generator,
    n: int,
    *,
    like: pl.DataFrame | None = None,
    where: Condition | None = None,
    holdout: pl.DataFrame | None = None,
    label: str | None = None,
    event: str | None = None,
    random_state: int = 0,
    is_judged: bool = False,
) -> Made:
    """Make rows that look like those of a table and are none of them.

    Use it through ``thinfile generate``, which adds the report. Rows that a report will need as a
    hold-out are not given to the generator.

    Parameters
    ----------
    model : Generator
        Fitted.
    n : int
        Rows wanted, at least 1.
    like : polars.DataFrame, optional
        Raw rows, as the model was trained on. Without it the model's own law is drawn from.
    where : Condition, optional
        Which of them the made rows are to be like; needs `like`.
    holdout : polars.DataFrame, optional
        Raw rows that no generator has seen. Without it they are looked for among `like`: rows
        that the model does not know as its training rows.
    label : str, optional
        Column of `like` that the model does not make and that made rows need: filled by the
        condition where that settles it, else by making each of its values apart. By default the
        first such column of the condition.
    event : str, optional
        The label's value that is the event; see :func:`thinfile.synthetic.judge.judge_synthetic`.
    random_state : int
    is_judged : bool, default False
        The rows will be judged: refuse, before any is made, a label of two values of which none
        is plainly the event.

    Raises
    ------
    DataError
        If no row fulfils the condition, or too few rows can be made that are new.
    ParameterError
        If the arguments do not fit each other.
    """
    _check(n, like, where, holdout)
    if like is None:
        typed = model.sample(n, random_state=random_state)
        return Made(typed, None, None, None, [])
    label = _label(model, like, where) if label is None else _known(label, like)
    event = settle_event(like, label, where, event, is_judged=is_judged)
    parts = part_rows(model, like, where, holdout, random_state)
    kind = _of_kind(parts.real, where)
    maker = _Maker(model, like, _all_hashes(model, like, holdout), event)
    table, notes = maker.make(kind, n, label, random_state)
    return Made(table, parts, label, event, notes)


def _check(
    n: int, like: pl.DataFrame | None, where: Condition | None, holdout: pl.DataFrame | None
) -> None:
    faults = []
    if n < 1:
        faults.append(f"n={n} must be at least 1")
    if like is None and where is not None:
        faults.append("a condition needs a table (--like) whose rows it picks")
    if like is None and holdout is not None:
        faults.append("hold-out rows need the table (--like) that they were held out of")
    if faults:
        raise ParameterError("; ".join(faults))


def _known(label: str, like: pl.DataFrame) -> str:
    if label not in like.columns:
        raise DataError(f"the table has no column {label!r} for the label")
    return label


def _label(model: Generator, like: pl.DataFrame, where: Condition | None) -> str | None:
    """The first column of the condition that the model does not make and that has two values."""
    for name in () if where is None else where.columns:
        is_made = name in model.schema_.features
        if name in like.columns and not is_made and n_values(like[name]) == 2:
            return name
    return None


def _of_kind(table: pl.DataFrame, where: Condition | None) -> pl.DataFrame:
    found = table if where is None else table.filter(where.mask(table))
    if not found.height:
        text = "" if where is None else f" that fulfil {where.text!r}"
        raise DataError(f"there are no rows{text} to make others like")
    return found


def part_rows(
    model: Generator,
    like: pl.DataFrame,
    where: Condition | None,
    holdout: pl.DataFrame | None,
    random_state: int,
) -> Parts:
    """Tell training rows from rows that can serve as a hold-out.

    A generator keeps hashes of its training rows. Rows of `like` that it does not know are held
    out, at most as many as it knows; if it knows none of them, a fifth is held back at random.
    """
    if not like.height:
        raise DataError("the table has no rows to make others like")
    chosen = (
        np.ones(like.height, dtype=np.bool_) if where is None else where.check_any(like, "rows")
    )
    seen = _seen(model, like)
    if holdout is not None:
        return _with_holdout(model, like, holdout)
    if seen is None:
        return Parts(
            like,
            None,
            "The model does not say which rows it was trained on, so that none could be held out; "
            "name some with --holdout.",
        )
    rng = np.random.default_rng(random_state)
    held = np.zeros(like.height, dtype=np.bool_)
    for kind in (chosen, ~chosen):
        held |= _held(kind, seen, rng)
    if not held.any():
        return Parts(
            like,
            None,
            f"All {like.height:,} rows are training rows of the model: none could be held out; "
            "name rows it has not seen with --holdout.",
        )
    return Parts(like.filter(~held), like.filter(held), _part_note(held, seen, chosen))


def _seen(model: Generator, table: pl.DataFrame) -> npt.NDArray[np.bool_] | None:
    hashes: Hashes | None = getattr(model, "row_hashes_", None)
    if hashes is None:
        return None
    return known(_typed(model, table), hashes)


def _typed(model: Generator, table: pl.DataFrame) -> pl.DataFrame:
    return model.schema_.parse(table).frame


def _held(
    kind: npt.NDArray[np.bool_], seen: npt.NDArray[np.bool_], rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    unseen = np.flatnonzero(kind & ~seen)
    n_seen = int((kind & seen).sum())
    if not n_seen:
        n_held = int(HELD_BACK * len(unseen))
    else:
        # Where the model knows few of them, it is given half of the others to vary.
        n_held = len(unseen) if len(unseen) <= n_seen else max(n_seen, len(unseen) // 2)
    held = np.zeros(len(kind), dtype=np.bool_)
    held[rng.permutation(unseen)[:n_held]] = True
    return held


def _part_note(
    held: npt.NDArray[np.bool_], seen: npt.NDArray[np.bool_], chosen: npt.NDArray[np.bool_]
) -> str:
    n_held, n_kind = int(held.sum()), int((held & chosen).sum())
    how = (
        "a fifth of the rows at random, of which the model knows none"
        if not seen.any()
        else "rows that are not among the model's training rows (it keeps their hashes)"
    )
    return (
        f"Hold-out: {n_held:,} of the {len(held):,} rows, {n_kind:,} of them of the wanted kind: "
        f"{how}. They were not given to the model either."
    )


def _with_holdout(model: Generator, like: pl.DataFrame, holdout: pl.DataFrame) -> Parts:
    seen = _seen(model, holdout)
    own = known(_typed(model, holdout), np.unique(row_hashes(_typed(model, like))))
    used = own if seen is None else own | seen
    kept = holdout.filter(~used)
    dropped = int(used.sum())
    note = f"Hold-out: {kept.height:,} rows of a table of their own."
    if dropped:
        note += f" {dropped:,} more were left out, being rows of the table or training rows."
    if not kept.height:
        raise DataError(
            f"all {holdout.height:,} hold-out rows are training rows or rows of the table"
        )
    return Parts(like, kept, note)


def _all_hashes(model: Generator, like: pl.DataFrame, holdout: pl.DataFrame | None) -> Hashes:
    """Rows that must not come out: all real ones that are known here."""
    tables = [like] if holdout is None else [like, holdout]
    own = [row_hashes(_typed(model, table)) for table in tables]
    kept = getattr(model, "row_hashes_", None)
    return np.unique(np.concatenate([*own, *([] if kept is None else [kept])]))


@dataclass(frozen=True)
class _Maker:
    model: Generator
    like: pl.DataFrame
    forbidden: Hashes
    event: str | None

    def make(
        self, kind: pl.DataFrame, n: int, label: str | None, seed: int
    ) -> tuple[pl.DataFrame, list[str]]:
        """Rows like `kind`; each value of the label apart where the kind holds several."""
        groups = self._groups(kind, label)
        shares = np.array([rows.height for rows in groups]) / kind.height
        counts = np.floor(shares * n).astype(int)
        # The rows lost by rounding go to the groups that lost most.
        counts[np.argsort(counts - shares * n, kind="stable")[: n - counts.sum()]] += 1
        tables, notes = [], list[str]()
        for place, (rows, count) in enumerate(zip(groups, counts.tolist(), strict=True)):
            if count:
                table, said = self._like(rows, count, label, seed + place)
                tables.append(table)
                notes += [line for line in said if line not in notes]
        joined = pl.concat(tables)
        order = np.random.default_rng(seed).permutation(joined.height)
        return (joined if len(tables) == 1 else joined[order]), notes

    def _groups(self, kind: pl.DataFrame, label: str | None) -> list[pl.DataFrame]:
        if label is None or label in self.model.schema_.features:
            return [kind]
        return [rows for _, rows in kind.group_by(label, maintain_order=True)]

    def _like(
        self, rows: pl.DataFrame, n: int, label: str | None, seed: int
    ) -> tuple[pl.DataFrame, list[str]]:
        sample = self._sampler(rows, label)
        parts: list[pl.DataFrame] = []
        notes: list[str] = []
        lacking = n
        for number in range(MAX_ROUNDS):
            # Where some were lost, more are asked for than are lacking.
            asked = max(2 * lacking, MIN_ASKED) if number else lacking
            typed = sample(asked, seed + 1_000 * number)
            raw, notes = raw_form(typed, self.model.schema_, self.like)
            # What is written counts: rounding may turn a new row into a known one.
            raw = raw.filter(~known(_typed(self.model, raw), self.forbidden)).head(lacking)
            parts.append(raw)
            lacking -= raw.height
            if not lacking:
                break
        if lacking:
            raise DataError(
                f"{lacking:,} of {n:,} rows could not be made: in {MAX_ROUNDS} rounds the others "
                "were rows of the table, which has too few different values for new rows"
            )
        whole, said = fill_rest(pl.concat(parts), self.like, rows)
        return whole, [*notes, *said]

    def _sampler(self, rows: pl.DataFrame, label: str | None) -> Callable[[int, int], pl.DataFrame]:
        given: dict[str, Any] = {}
        names = inspect.signature(self.model.sample_like).parameters
        if label is not None and "y" in names and getattr(self.model, "condition", None) == "label":
            given["y"] = _labels(rows[label], self.event)
        return lambda n, seed: self.model.sample_like(rows, n, random_state=seed, **given)


def _labels(column: pl.Series, event: str | None) -> npt.NDArray[Any]:
    """1, 0 and -1 for what is missing, whatever the column's type."""
    if event is not None:
        texts = label_texts(column, column.name, "the table")
        y: npt.NDArray[Any] = (texts == event).cast(pl.Int64).fill_null(-1).to_numpy()
        return y
    numbers = column.cast(pl.Float64, strict=False).fill_nan(None).fill_null(-1.0)
    return numbers.to_numpy().astype(np.int64)
