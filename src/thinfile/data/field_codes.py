"""One field of codes or of bags: its vocabulary, learnt from training rows, and its look-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.categories import RARE, count_values
from thinfile.data.field_schema import UNIT
from thinfile.data.vocabulary import (
    UNSEEN,
    Arrays,
    Codes,
    HashVocabulary,
    Lookup,
    WordVocabulary,
    load_vocabulary,
)

RARE_SHARE = 0.01
"""From this share of rare values on, a note says so."""

_SHOWN = 60

PARTS = ("month", "day", "weekday", "hour")
"""Parts of a time that can be fields; weekday 1 is Monday."""


@dataclass(frozen=True)
class FieldRules:
    """What becomes of a value: see `thinfile.data.fields.FieldEncoder`."""

    min_count: int | None
    max_vocabulary: int
    key: bytes

    def least(self, n_present: int) -> int:
        """How often a value must occur to have a code of its own."""
        return max(2, min(10, n_present // 100)) if self.min_count is None else self.min_count


@dataclass(frozen=True)
class CodeField:
    """A column, or a part of its times, with one code per row."""

    source: str
    part: str | None
    vocabulary: Lookup

    @property
    def is_part(self) -> bool:
        """Whether it is a part of a time."""
        return self.part is not None

    @property
    def name(self) -> str:
        """As tables and messages show it."""
        return self.source if self.part is None else f"{self.source} ({self.part})"

    def encode(self, frame: pl.DataFrame, tally: Tally) -> Codes:
        """Codes of a parsed frame, shape (rows,); what is not known goes to the tally."""
        texts = text_of(frame, self.source, self.part)
        codes = self.vocabulary.look_up(texts)
        return tally.settle(codes, texts, np.arange(frame.height), frame.height)

    def to_state(self) -> dict[str, Any]:
        """All but what is large, as JSON values."""
        return {
            "source": self.source,
            "part": self.part,
            "vocabulary": self.vocabulary.to_state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays) -> CodeField:
        """Read what `to_state` gave, with the arrays of the vocabulary."""
        return cls(state["source"], state["part"], load_vocabulary(state["vocabulary"], arrays))


@dataclass(frozen=True)
class BagField:
    """A column with any number of values per row."""

    source: str
    separator: str
    vocabulary: Lookup
    is_part: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """As tables and messages show it."""
        return self.source

    def encode(self, frame: pl.DataFrame, tally: Tally) -> tuple[Codes, npt.NDArray[np.int64]]:
        """Codes of all values, row after row, and how many each row has, shape (rows,)."""
        rows, texts = split_values(frame[self.source], self.separator)
        codes = tally.settle(self.vocabulary.look_up(texts), texts, rows, frame.height)
        return codes, np.bincount(rows, minlength=frame.height)

    def to_state(self) -> dict[str, Any]:
        """All but what is large, as JSON values."""
        return {
            "source": self.source,
            "separator": self.separator,
            "vocabulary": self.vocabulary.to_state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays) -> BagField:
        """Read what `to_state` gave, with the arrays of the vocabulary."""
        lookup = load_vocabulary(state["vocabulary"], arrays)
        return cls(state["source"], state["separator"], lookup)


@dataclass
class Tally:
    """Values of one field that training rows did not have."""

    name: str
    is_part: bool = False  # of a time: a month that training did not have, say
    n_unseen: int = 0
    n_present: int = 0
    row: int = -1
    value: str = ""
    _n_rows: int = field(default=0, repr=False)

    @property
    def share(self) -> float:
        """Of the values that are not missing, 0 where all are."""
        return self.n_unseen / self.n_present if self.n_present else 0.0

    def settle(self, codes: Codes, texts: pl.Series, rows: npt.NDArray[Any], n_rows: int) -> Codes:
        """Count the unknown among the next `n_rows` rows, and give them the code of rare ones."""
        unseen = np.flatnonzero(codes == UNSEEN)
        if len(unseen) and not self.n_unseen:
            first = int(unseen[0])
            self.row, self.value = self._n_rows + int(rows[first]), str(texts[first])
        self.n_unseen += len(unseen)
        self.n_present += texts.len() - texts.null_count()
        self._n_rows += n_rows
        codes[unseen] = RARE
        return codes

    def describe(self) -> str:
        """How many, the first row and its value, as messages say it."""
        shown = self.value if len(self.value) <= _SHOWN else f"{self.value[:_SHOWN]}…"
        return (
            f"column {self.name!r}: {self.n_unseen} of {self.n_present} values were not in the "
            f"training rows (first: row {self.row}, {shown!r})"
        )


def text_of(frame: pl.DataFrame, source: str, part: str | None) -> pl.Series:
    """The texts that a field gives codes to."""
    value = pl.col(source) if part is None else time_part(pl.col(source), part)
    return frame.select(value.cast(pl.String)).to_series()


def time_part(time: pl.Expr, part: str) -> pl.Expr:
    """Month (1 to 12), day (1 to 31), weekday (1 = Monday) or hour (0 to 23)."""
    value: pl.Expr = getattr(time.dt, part)()
    return value


def split_values(texts: pl.Series, separator: str) -> tuple[npt.NDArray[np.int64], pl.Series]:
    """Row and text of every value of a multi-valued column; empty ones do not count."""
    texts = texts.cast(pl.String)
    if separator != UNIT:  # a list may stand where text was
        texts = texts.str.replace_all(UNIT, separator, literal=True)
    value = pl.col("value").str.strip_chars()
    table = (
        pl.DataFrame({"row": pl.int_range(texts.len(), eager=True), "value": texts})
        .drop_nulls()
        .with_columns(pl.col("value").str.split(separator))
        .explode("value")
        .with_columns(value)
        .filter(value != "")
    )
    return table["row"].to_numpy(), table["value"]


def fit_lookup(
    name: str, texts: pl.Series, rules: FieldRules, *, has_gaps: bool
) -> tuple[Lookup | None, list[str], list[str]]:
    """The vocabulary of training texts; `has_gaps` says whether some row has none.

    Returns
    -------
    tuple
        The vocabulary, or None where the column says nothing; notes; notes on shared codes.
    """
    counts, n_present = count_values(texts), texts.len() - texts.null_count()
    least = rules.least(n_present)
    own = counts.filter(pl.col("n") >= least)
    if counts.is_empty():
        return None, [f"column {name!r}: every training row is missing, left out"], []
    if counts.height == 1 and not has_gaps:
        return None, [f"column {name!r}: the same in every training row, left out"], []
    if own.is_empty():
        reason = f"no value occurs {least} times in {n_present} training rows, left out"
        return None, [f"column {name!r}: {reason}"], []
    notes = _rare_notes(name, 1.0 - float(own["n"].sum()) / n_present, least)
    if own.height > rules.max_vocabulary:
        hashed = HashVocabulary.fit(own["value"], rules.max_vocabulary, rules.key)
        return hashed, notes, [_shared_note(name, hashed, own)]
    # Rare words are kept as long as they fit, to tell them from words never seen.
    words = counts if counts.height <= rules.max_vocabulary else own
    return WordVocabulary(words["value"], own.height), notes, []


def _rare_notes(name: str, share: float, least: int) -> list[str]:
    if share < RARE_SHARE:
        return []
    return [
        f"column {name!r}: {share:.1%} of the values occur fewer than {least} times; they share "
        "a code with values never seen"
    ]


def _shared_note(name: str, hashed: HashVocabulary, own: pl.DataFrame) -> str:
    shared = hashed.shared(own["value"])
    rows = own["n"].to_numpy()
    return (
        f"column {name!r}: {own.height} values are hashed to {hashed.n_buckets} codes; "
        f"{shared.mean():.1%} of them, in {rows[shared].sum() / rows.sum():.1%} of the rows, "
        "share a code; a larger max_vocabulary avoids it"
    )
