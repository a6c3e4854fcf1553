"""Numbers as people write them against a slow reader in plain Python."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.schema.numbers import NUMBER_FORMATS, read_number


def read(text: str, form: str | None) -> float | None:
    value: float | None = pl.select(read_number(pl.lit(text), form)).item()
    return value


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        (None, " -1234.5 ", -1234.5),
        (None, "1e-5", 1e-5),
        (None, "1976A", None),
        (None, "1,234", None),
        ("thousands", "1,234,567.5", 1234567.5),
        ("thousands", "1'234'567", 1234567.0),
        ("thousands", "1 234", 1234.0),
        ("thousands", "1,23", None),
        ("thousands", "(1,234.50)", -1234.5),
        ("thousands", "1,234-", -1234.0),
        ("thousands", "", None),
        ("thousands", "-", None),
        ("european", "1.234,56", 1234.56),
        ("european", "12,5", 12.5),
        ("european", "1.234.567", 1234567.0),
        ("european", "1,234.56", None),
        ("money", "$60,000.00 ", 60000.0),
        ("money", "-$5", -5.0),
        ("money", "$-5", -5.0),
        ("money", "($1,000.00)", -1000.0),
        ("money", "CZK 12,000", 12000.0),
        ("money", "¥1,200", 1200.0),
        ("money", "60000", 60000.0),
        ("money", "$12,00x", None),
        ("money european", "1.234,50 €", 1234.5),
        ("money european", "EUR 99,90", 99.9),
        ("percent", "12.5%", 0.125),
        ("percent", "12.5 %", 0.125),
        ("percent", "-3%", -0.03),
        ("percent", "(3%)", -0.03),
        ("percent", "abc%", None),
        ("percent european", "12,5 %", 0.125),
    ],
)
def test_known_values(form: str | None, text: str, value: float | None) -> None:
    assert read(text, form) == pytest.approx(value)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.decimals(-(10**9), 10**9, places=2), min_size=1, max_size=20))
def test_round_trip_of_every_format(values: list[object]) -> None:
    plain = [f"{value:,.2f}" for value in values]
    european = [text.translate(str.maketrans(",.", ".,")) for text in plain]
    written = {
        "thousands": plain,
        "european": european,
        "money": [f"${text} " for text in plain],
        "money european": [f"{text} €" for text in european],
        "percent": [f"{text}%" for text in plain],
        "percent european": [f"{text} %" for text in european],
    }
    assert set(written) == set(NUMBER_FORMATS)
    for form, texts in written.items():
        divisor = 100 if form.startswith("percent") else 1
        found = pl.Series("t", texts).to_frame().select(read_number(pl.col("t"), form))["t"]
        expected = [float(value) / divisor for value in values]  # type: ignore[arg-type]
        assert found.to_list() == pytest.approx(expected, rel=1e-15, abs=0)
