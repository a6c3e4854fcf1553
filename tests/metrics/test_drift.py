import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.drift import csi, drift_word, psi, psi_categories, psi_shares


def test_a_worked_example_of_income_bands():
    # Shares of 40, 30, 30 % against 35, 25, 40 %, the parts worked out by hand.
    parts = psi_shares([0.4, 0.3, 0.3], [0.35, 0.25, 0.4])
    np.testing.assert_allclose(parts, [0.006677, 0.009116, 0.028768], atol=1e-6)
    assert parts.sum() == pytest.approx(0.04456, abs=1e-5)


def test_two_normal_populations_have_the_closed_form():
    # With many bins the index is the symmetric Kullback–Leibler divergence: here shift² = 0.25.
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=200_000), rng.normal(0.5, 1, size=200_000)
    assert psi(first, second, n_bins=200).value == pytest.approx(0.25, abs=0.01)


def test_without_shift_the_index_is_its_chi_square_noise():
    # Yurdakul 2018: mean (bins − 1) · (1/n + 1/m) when nothing has moved.
    rng = np.random.default_rng(0)
    values = [psi(rng.normal(size=2000), rng.normal(size=1000)).value for _ in range(200)]
    assert np.mean(values) == pytest.approx(9 * (1 / 2000 + 1 / 1000), rel=0.1)


@given(st.integers(0, 1000), st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_the_index_is_symmetric_in_its_shares_and_never_negative(seed, n_bins):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 30, 300) / 2, rng.integers(0, 40, 200) / 2
    found = psi(first, second, n_bins=n_bins)
    assert found.value >= 0
    assert len(found.bins) == found.expected.size
    assert found.expected.sum() == pytest.approx(1)
    assert found.actual.sum() == pytest.approx(1)
    assert psi_shares(found.actual, found.expected).sum() == pytest.approx(found.value)
    assert psi(first, first, n_bins=n_bins).value == 0


def test_missing_is_a_bin():
    first = np.array([1.0, 2, 3, 4] * 25)
    second = first.copy()
    second[:30] = np.nan
    found = psi(first, second, n_bins=4)
    assert found.bins[-1] == "missing"
    assert (found.expected[-1], found.actual[-1]) == (0, 0.3)
    assert found.word == "large"


def test_a_spike_keeps_a_bin_and_a_constant_has_one():
    first = np.array([0.0] * 70 + list(range(1, 31)))
    found = psi(first, first)
    assert found.expected[0] == pytest.approx(0.7)
    assert psi(np.zeros(10), np.zeros(5)).value == 0
    # A column that was constant and is not any more must be seen.
    assert psi(np.zeros(100), np.ones(100)).word == "large"
    assert psi(np.ones(100), np.zeros(100)).word == "large"


def test_all_missing_infinite_and_never_seen_values():
    gone = psi(np.arange(50.0), np.full(50, np.nan))
    assert np.isfinite(gone.value)
    assert gone.word == "large"
    assert psi(np.full(9, np.nan), np.full(9, np.nan)).value == 0
    assert psi(np.full(9, np.nan), np.arange(9.0)).word == "large"
    edge = psi([1.0, 2, np.inf, -np.inf], [np.inf] * 4, n_bins=2)
    assert np.isfinite(edge.value)


def test_categories_with_missing_rare_and_new_values():
    first = ["a"] * 50 + ["b"] * 40 + [None] * 10
    second = ["a"] * 50 + ["c"] * 40 + [float("nan")] * 10
    found = psi_categories(first, second)
    assert found.bins == ("a", "b", "c", "missing")
    assert found.expected[-1] == found.actual[-1] == pytest.approx(0.1)
    assert found.parts[0] == 0
    assert found.word == "large"
    few = psi_categories(first, second, max_categories=1)
    assert few.bins == ("a", "other", "missing")
    assert few.value == 0


def test_a_category_called_like_a_bin_is_not_merged_with_it():
    found = psi_categories(["missing", "", None], ["missing", "", None])
    assert found.expected.size == 3


def test_csi_covers_the_shared_columns_largest_first():
    rng = np.random.default_rng(0)
    source = {"same": rng.normal(size=500), "moved": rng.normal(size=500), "only": [1] * 500}
    target = {"same": source["same"], "moved": rng.normal(2, 1, 500), "kind": ["x"] * 500}
    source["word"], target["word"] = np.array(["x", "y"] * 250), np.array(["x", "y"] * 250)
    found = csi(source, target)
    assert list(found) == ["moved", "same", "word"]
    assert found["same"].value == 0
    assert found["moved"].word == "large"


def test_a_column_that_changes_type_is_compared_as_text():
    found = csi({"a": [1, 2, 1, 2]}, {"a": ["1", "2", "1", "2"]})
    assert found["a"].value == 0


def test_rule_of_thumb():
    assert [drift_word(v) for v in (0.0, 0.099, 0.1, 0.249, 0.25, 3)] == [
        "stable",
        "stable",
        "moderate",
        "moderate",
        "large",
        "large",
    ]


def test_faulty_input_is_named():
    with pytest.raises(DataError, match="actual has no row"):
        psi([1.0], [])
    with pytest.raises(DataError, match="expected has no row"):
        psi_categories([], ["a"])
    with pytest.raises(DataError, match="do not match"):
        psi_shares([1, 2], [1, 2, 3])
    with pytest.raises(DataError, match="neither side may be empty"):
        psi_shares([0, 0], [1, 2])
    with pytest.raises(ParameterError, match="n_bins=0"):
        psi([1.0], [1.0], n_bins=0)
    with pytest.raises(ParameterError, match="max_categories=0"):
        psi_categories(["a"], ["a"], max_categories=0)
