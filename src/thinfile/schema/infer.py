"""What each column is, concluded from its values and name, with notes on what is not plain."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from thinfile.schema.column import Column
from thinfile.schema.dates import read_date
from thinfile.schema.guess_date import guess_date, pivot_of
from thinfile.schema.guess_text import (
    boolean_pair,
    code_like,
    date_like,
    guess_number_format,
    guess_order,
    id_like,
    is_free_text,
)
from thinfile.schema.missing import NUMBER_WORDS, WORDS, as_text, missing_codes, missing_words
from thinfile.schema.parse import present_values, readable

MAX_ROWS = 1_000_000
"""Evidence is taken from at most this many rows, evenly spaced."""

MANY_CATEGORIES = 255
_ROW_NUMBERS = 50
_UNIQUE_TEXT = 20


@dataclass(frozen=True, slots=True)
class _Evidence:
    name: str
    counts: pl.DataFrame  # distinct present values (value) and how often (count)
    n_missing: int

    @property
    def n_present(self) -> int:
        return int(self.counts["count"].sum())


Conclusion = tuple[Column, list[str]]


def infer_columns(
    frame: pl.DataFrame, *, label: str | None, domain: str | None
) -> tuple[list[Column], list[str]]:
    """Columns and notes for a table; see :meth:`thinfile.schema.model.Schema.infer`."""
    step = -(-frame.height // MAX_ROWS) or 1
    evidence = frame.gather_every(step) if step > 1 else frame
    columns, notes = [], []
    if step > 1:
        notes.append(f"concluded from every {step}th of {frame.height} rows")
    for name in frame.columns:
        role = "label" if name == label else "domain" if name == domain else None
        column, found = (Column(name, role), []) if role else _infer(evidence[name])
        columns.append(column)
        notes += [f"column {name!r}: {note}" for note in found]
    return columns, notes


def _infer(values: pl.Series) -> Conclusion:
    name, dtype = values.name, values.dtype
    if not name.strip():
        return Column(name, "ignored"), ["has no name: ignored"]
    if not readable(dtype):
        return Column(name, "ignored"), [f"is of type {dtype}, which no role can read: ignored"]
    shell = Column(name, "ignored")
    present = values.to_frame().select(present_values(shell, dtype)).to_series()
    evidence = _Evidence(name, _count(present), present.null_count())
    trivial = _infer_trivial(evidence)
    if trivial:
        return trivial
    if dtype == pl.Boolean:
        return Column(name, "boolean"), []
    if dtype.is_temporal():
        return Column(name, "date"), []
    if dtype.is_numeric():
        counts = evidence.counts.with_columns(pl.col("value").cast(pl.Float64))
        return _infer_number(replace(evidence, counts=counts), Column(name, "number"))
    return _infer_text(evidence)


def _count(present: pl.Series) -> pl.DataFrame:
    counts = present.drop_nulls().alias("value").value_counts(sort=False)
    return counts.sort("value")


def _infer_trivial(evidence: _Evidence) -> Conclusion | None:
    shell = Column(evidence.name, "ignored")
    if evidence.counts.is_empty():
        return shell, ["every value is missing: ignored"]
    if evidence.counts.height == 1 and not evidence.n_missing:
        value = evidence.counts["value"][0]
        return shell, [f"every value is {value!r}: constant, ignored"]
    return None


def _infer_text(evidence: _Evidence) -> Conclusion:
    words = missing_words(evidence.counts, NUMBER_WORDS)
    rest = _without(evidence, words)
    trivial = _infer_trivial(rest)
    if trivial:
        column, notes = trivial
        return replace(column, missing=tuple(words["value"])), notes + _word_notes(words)
    found = _infer_text_number(rest) or _infer_text_date(rest)
    if found is None:
        words = missing_words(evidence.counts, WORDS)
        found = _infer_category(_without(evidence, words))
    column, notes = found
    return (
        replace(column, missing=tuple(words["value"]) + column.missing),
        _word_notes(words) + notes,
    )


def _without(evidence: _Evidence, found: pl.DataFrame) -> _Evidence:
    if found.is_empty():
        return evidence
    counts = evidence.counts.join(found, on="value", how="anti", maintain_order="left")
    return replace(
        evidence, counts=counts, n_missing=evidence.n_missing + int(found["count"].sum())
    )


def _word_notes(words: pl.DataFrame) -> list[str]:
    return [
        f"{value!r} ({count} times) is read as missing; take it out of 'missing' to keep it"
        for value, count in words.iter_rows()
    ]


def _infer_text_number(evidence: _Evidence) -> Conclusion | None:
    guess = guess_number_format(evidence.counts)
    if guess is None:
        return None
    column = Column(evidence.name, "number", guess.form)
    if guess.leading_zeros:
        return _as_code(evidence, "some values begin with 0")
    numbers = replace(evidence, counts=guess.numbers)
    column, notes = _infer_number(numbers, column)
    return column, [*guess.notes, *notes]


def _infer_number(evidence: _Evidence, column: Column) -> Conclusion:
    found = missing_codes(evidence.counts)
    rest = _without(evidence, found)
    column = replace(column, missing=tuple(as_text(value) for value in found["value"]))
    notes = _code_notes(found, rest.counts["value"]) + _infinite_notes(evidence.counts)
    values = rest.counts["value"].filter(rest.counts["value"].is_finite())
    if values.is_empty():
        return replace(column, role="ignored"), [*notes, "no value is finite: ignored"]
    if rest.counts.height == 1 and not rest.n_missing:
        note = f"every value is {as_text(values[0])}: constant, ignored"
        return replace(column, role="ignored"), [*notes, note]
    whole = bool((values == values.floor()).all())
    if values.len() == 2 and set(values) == {0.0, 1.0} and column.format is None:
        return replace(column, role="boolean"), notes
    if whole and column.format is None:
        special = _infer_whole(rest, column, values)
        if special:
            return special[0], notes + special[1]
    return column, notes


def _code_notes(found: pl.DataFrame, rest: pl.Series) -> list[str]:
    return [
        f"{as_text(value)} ({count} times) stands apart from the rest ({as_text(rest.min())} to "  # type: ignore[arg-type]
        f"{as_text(rest.max())}) and is read as missing; take it out of 'missing' to keep it"  # type: ignore[arg-type]
        for value, count in found.iter_rows()
    ]


def _infinite_notes(counts: pl.DataFrame) -> list[str]:
    n = int(counts.filter(pl.col("value").is_infinite())["count"].sum())
    return [f"{n} rows are infinite and will be reported as faults"] if n else []


def _infer_whole(evidence: _Evidence, column: Column, values: pl.Series) -> Conclusion | None:
    n = evidence.n_present
    if id_like(column.name) and values.len() >= 0.5 * n:
        return replace(column, role="id"), [f"{values.len()} distinct in {n} rows and named so: id"]
    span = float(values.max()) - float(values.min())  # type: ignore[arg-type]
    if n >= _ROW_NUMBERS and values.len() == n and span == n - 1:
        return replace(column, role="id"), ["counts the rows: id"]
    dated = _infer_digit_date(evidence, column)
    if dated:
        return dated
    if code_like(column.name) or id_like(column.name):
        return _as_code(evidence, "whole numbers in a column named like a code", column)
    return None


def _as_code(evidence: _Evidence, reason: str, column: Column | None = None) -> Conclusion:
    column = column or Column(evidence.name, "category")
    notes = [f"{reason}: category, write role = 'number' if they measure something"]
    return replace(column, role="category", format="code"), notes + _many_notes(evidence)


def _infer_digit_date(evidence: _Evidence, column: Column) -> Conclusion | None:
    values = evidence.counts["value"].filter(evidence.counts["value"].is_finite())
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    if values.len() < 3 or low < 0 or high >= 1e8:
        return None
    long = low >= 19000101
    if not long and not (high < 1e6 and low > 100 and date_like(column.name)):
        return None
    form, width = ("%Y%m%d", 8) if long else ("%y%m%d", 6)
    text = values.cast(pl.Int64).cast(pl.String).str.zfill(width)
    dates = text.alias("value").to_frame().select(read_date(pl.col("value"), form, None))
    if dates.to_series().null_count() > 0.001 * values.len():
        return None
    pivot = pivot_of(text, [form])
    note = f"digits are read as dates ({form}); write role = 'number' if they are none"
    return replace(column, role="date", format=form, pivot=pivot), [note]


def _infer_text_date(evidence: _Evidence) -> Conclusion | None:
    guess = guess_date(evidence.counts)
    if guess is None:
        return None
    notes = list(guess.notes)
    if guess.share < 1:
        notes.append(f"{1 - guess.share:.2%} of the rows fit no pattern and will be reported")
    return Column(evidence.name, "date", guess.form, pivot=guess.pivot), notes


def _infer_category(evidence: _Evidence) -> Conclusion:
    name, values, n = evidence.name, evidence.counts["value"], evidence.n_present
    trivial = _infer_trivial(evidence)
    if trivial:
        return trivial
    if boolean_pair(values):
        return Column(name, "boolean"), []
    order = guess_order(values)
    if order:
        levels = ", ".join(map(repr, order))
        note = f"levels in this order: {levels}; write role = 'category' if they have none"
        return Column(name, "ordinal", order=order), [note]
    if is_free_text(values, n):
        return Column(name, "ignored"), [
            f"free text ({values.len()} distinct in {n} rows): ignored"
        ]
    named = id_like(name) and values.len() >= 0.5 * n
    if named or (n >= _UNIQUE_TEXT and values.len() == n):
        return Column(name, "id"), [f"{values.len()} distinct in {n} rows: id"]
    return Column(name, "category"), _many_notes(evidence)


def _many_notes(evidence: _Evidence) -> list[str]:
    n = evidence.counts.height
    if n <= MANY_CATEGORIES:
        return []
    return [f"{n} distinct values: an encoder keeps the most frequent and puts the others together"]
