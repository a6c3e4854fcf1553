"""Windows of time series: stretches of a long table, of unequal length and with gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.data.window_columns import numbers_of, order_of
from thinfile.errors import DataError
from thinfile.frame import as_frame
from thinfile.params import Rule, check_params, instance, integer, optional, sequence_of

Floats = NDArray[np.float32]


@dataclass(frozen=True, repr=False)
class Windows:
    """Many short series side by side, filled up to the longest of them.

    Build it with :meth:`of` (arrays, lists) or :func:`make_windows` (a long table). Use it where
    each series has at most a few hundred steps and a handful of numbers per step. It is not for
    event histories with categories: those are :class:`thinfile.data.histories.Histories`.

    Attributes
    ----------
    values : (windows, steps, channels) float32
        NaN where a cell was not measured, and from a window's length on.
    lengths : (windows,) int64
        Steps of each window, at least 1.
    channels : tuple of str
    rows : (windows, steps) int64 or None
        Row of the table that each step came from, -1 after the end; None without a table.
    entities : (windows,) array or None
        Whom each window belongs to.

    Examples
    --------
    >>> windows = Windows.of([[[1.0], [2.0]], [[3.0]]])
    >>> windows.values.shape, windows.lengths.tolist(), int(windows.observed.sum())
    ((2, 2, 1), [2, 1], 3)
    """

    values: Floats
    lengths: NDArray[np.int64]
    channels: tuple[str, ...]
    rows: NDArray[np.int64] | None = None
    entities: NDArray[Any] | None = None

    @property
    def observed(self) -> NDArray[np.bool_]:
        """Cells that were measured, shape (windows, steps, channels)."""
        known: NDArray[np.bool_] = ~np.isnan(self.values)
        return known

    @property
    def n_steps(self) -> int:
        """Steps of the longest window."""
        return int(self.values.shape[1])

    def __repr__(self) -> str:
        least, most = int(self.lengths.min(initial=self.n_steps)), self.n_steps
        steps = f"{most}" if least == most else f"{least} to {most}"
        shown = ", ".join(self.channels[:8]) + (", …" if len(self.channels) > 8 else "")
        return f"Windows({len(self):,} windows of {steps} steps, channels: {shown})"

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, places: NDArray[Any] | Sequence[int]) -> Windows:
        """Some of the windows, in the order given."""
        index = np.asarray(places)
        rows = None if self.rows is None else self.rows[index]
        entities = None if self.entities is None else self.entities[index]
        return Windows(self.values[index], self.lengths[index], self.channels, rows, entities)

    @classmethod
    def of(
        cls,
        X: Any,
        *,
        channels: Sequence[str] | None = None,
        n_channels: int | None = None,
        owner: str = "Windows",
    ) -> Windows:
        """Read and check windows of any kind.

        Parameters
        ----------
        X : Windows, array (n, steps, channels) or (n, steps), or list of (steps_i, channels)
            NaN is a cell that was not measured. A list of 1-D arrays has one channel.
        channels
            Names; ``channel 0``, … by default.
        n_channels
            How many channels there must be, where a fitted model asks.
        owner
            Opens the messages.

        Raises
        ------
        DataError
            No windows, a window of no steps, different numbers of channels, infinities, texts.
        """
        if not isinstance(X, cls):
            values, lengths = _from_arrays(X, owner)
            names = channels or [f"channel {c}" for c in range(values.shape[2])]
            X = cls(values, lengths, tuple(names))
        windows: Windows = X
        _check(windows, n_channels, owner)
        return windows


def make_windows(
    table: Any,
    entity: str | None,
    time: str,
    channels: Sequence[str],
    length: int,
    step: int | None = None,
    *,
    min_length: int = 1,
) -> Windows:
    """Cut the series of each entity in a long table into windows.

    Rows are ordered by time within their entity; a step of a window is a row, whatever time lies
    between two rows. Windows begin at an entity's first row and then every `step` rows; the last
    one ends with the entity's last row and is shorter where rows run out.

    Parameters
    ----------
    table
        One row per entity and time: pandas, polars or Arrow frame.
    entity : str or None
        Column that names whom a row belongs to (an account, a share); None: all rows are one's.
    time : str
        Column to sort by: dates, times or numbers; also as text, such as 31.01.2024 or 01.2024.
    channels : sequence of str
        Columns of numbers, also as text such as 1,200.50 €; an empty cell becomes NaN.
    length : int ≥ 1
        Most steps of a window.
    step : int ≥ 1, default `length`
        Rows between the first rows of two windows; below `length` they overlap.
    min_length : int ≥ 1, default 1
        Shorter windows are left out.

    Returns
    -------
    Windows
        With `rows` (rows of `table` as it was given) and `entities`.

    Raises
    ------
    ParameterError
        An argument breaks its rule.
    DataError
        A column is not there or no number, a time is empty or a text that cannot be read,
        infinities, or no window is long enough.

    Examples
    --------
    >>> table = pl.DataFrame({"who": list("aaab"), "day": [1, 2, 3, 1], "paid": [1.0, 2.0, 3.0, 4]})
    >>> make_windows(table, "who", "day", ["paid"], length=2).lengths.tolist()
    [2, 1, 1]
    """
    given = {k: v for k, v in locals().items() if k in _RULES}
    check_params("make_windows", given, _RULES)
    frame = as_frame(table, name="table")
    _check_columns(frame, [*([entity] if entity else []), time, *channels], time)
    keys = pl.lit(0).alias("entity") if entity is None else pl.col(entity).alias("entity")
    order = frame.select(keys, order_of(frame, time).alias("time")).with_row_index("row")
    order = order.sort("entity", "time", maintain_order=True)
    starts, lengths = _cuts(order["entity"], length, step or length, min_length)
    if not len(starts):
        raise DataError(
            f"make_windows: no entity has min_length={min_length} rows (the table has "
            f"{frame.height} rows)"
        )
    offsets = np.arange(int(lengths.max()))
    inside = offsets < lengths[:, None]  # (windows, steps)
    places = np.where(inside, starts[:, None] + offsets, -1)
    rows = np.where(inside, order["row"].to_numpy().astype(np.int64)[places], -1)
    numbers = np.column_stack([numbers_of(frame, name) for name in channels])
    values = np.where(inside[..., None], numbers[rows], np.nan).astype(np.float32)
    entities = None if entity is None else order["entity"].to_numpy()[starts]
    windows = Windows(values, lengths, tuple(channels), rows, entities)
    return Windows.of(windows, owner="make_windows")


_RULES: dict[str, Rule] = {
    "entity": optional(instance(str)),
    "time": instance(str),
    "channels": sequence_of(instance(str), min_length=1),
    "length": integer(1),
    "step": optional(integer(1)),
    "min_length": integer(1),
}


def _cuts(
    entities: pl.Series, length: int, step: int, min_length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First sorted row and length of each window."""
    counts = entities.rle().struct.field("len").to_numpy().astype(np.int64)
    firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    # One more window while rows are left that no window has held.
    n_windows = 1 + np.maximum(0, -(-(counts - length) // step))
    owner = np.repeat(np.arange(len(counts)), n_windows)
    place = np.arange(n_windows.sum()) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    starts = firsts[owner] + place * step
    lengths = np.minimum(length, firsts[owner] + counts[owner] - starts)
    kept = lengths >= min_length
    return starts[kept], lengths[kept]


def _check_columns(frame: pl.DataFrame, names: Sequence[str], time: str) -> None:
    if absent := [name for name in names if name not in frame.columns]:
        raise DataError(f"make_windows: no column {absent} in the table; it has {frame.columns}")
    if n_empty := frame[time].null_count():
        first = int(frame[time].is_null().arg_max() or 0)
        raise DataError(
            f"column {time!r}: {n_empty} of {frame.height} times are empty (first: row {first})"
        )


def _from_arrays(X: Any, owner: str) -> tuple[Floats, NDArray[np.int64]]:
    if isinstance(X, np.ndarray) and X.dtype != object:
        values = _as_floats(X, owner)
        if values.ndim not in (2, 3):
            raise DataError(f"{owner}: X has shape {values.shape}, must be (n, steps, channels)")
        values = values[..., None] if values.ndim == 2 else values
        return values, np.full(len(values), values.shape[1], dtype=np.int64)
    try:
        parts = [_as_floats(part, owner) for part in X]
    except TypeError:
        raise DataError(
            f"{owner}: X is a {type(X).__name__}, must be an array (n, steps, channels) or a list "
            "of (steps, channels) arrays"
        ) from None
    return _padded([p[:, None] if p.ndim == 1 else p for p in parts], owner)


def _padded(parts: list[Floats], owner: str) -> tuple[Floats, NDArray[np.int64]]:
    if not parts:
        raise DataError(f"{owner}: X holds no windows")
    lengths = np.array([part.shape[0] for part in parts], dtype=np.int64)
    _check_lengths(lengths, owner)
    if bad := next((i for i, part in enumerate(parts) if part.ndim != 2), None):
        raise DataError(f"{owner}: window {bad} has shape {parts[bad].shape}, must be 2-D")
    widths = [part.shape[1] for part in parts]
    if len(set(widths)) > 1:
        odd = next(i for i, width in enumerate(widths) if width != widths[0])
        raise DataError(
            f"{owner}: windows differ in their number of channels "
            f"(window 0 has {widths[0]}, window {odd} has {widths[odd]})"
        )
    values = np.full((len(parts), lengths.max(), widths[0]), np.nan, dtype=np.float32)
    for place, part in enumerate(parts):
        values[place, : len(part)] = part
    return values, lengths


def _as_floats(part: Any, owner: str) -> Floats:
    try:
        with np.errstate(over="ignore"):  # what does not fit becomes an infinity, told of below
            return np.asarray(part, dtype=np.float32)
    except (TypeError, ValueError):
        raise DataError(f"{owner}: X holds values that are no numbers") from None


def _check_lengths(lengths: NDArray[np.int64], owner: str) -> None:
    if (lengths == 0).any():
        raise DataError(
            f"{owner}: {int((lengths == 0).sum())} of {len(lengths)} windows have length zero "
            f"(first: window {int(np.argmax(lengths == 0))}); a window needs at least one step"
        )


def _check(windows: Windows, n_channels: int | None, owner: str) -> None:
    values = windows.values
    if not len(windows):
        raise DataError(f"{owner}: X holds no windows (shape={values.shape})")
    if not values.shape[2]:
        raise DataError(f"{owner}: X has no channels (shape={values.shape})")
    _check_lengths(windows.lengths if values.shape[1] else windows.lengths * 0, owner)
    if n_channels is not None and values.shape[2] != n_channels:
        raise DataError(
            f"{owner}: X has {values.shape[2]} channels, the model was fitted on {n_channels}"
        )
    wrong = np.isinf(values)
    if wrong.any():
        window, step, channel = np.argwhere(wrong)[0]
        raise DataError(
            f"channel {windows.channels[channel]!r}: {int(wrong.sum())} of "
            f"{int(windows.lengths.sum()) * values.shape[2]} cells are infinite "
            f"(first: window {window}, step {step})"
        )
