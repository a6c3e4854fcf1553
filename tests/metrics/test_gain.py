import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.gain import gain_table, lift_at, lift_curve, profit_curve


def slow_lift(y, score, n_top, n_shuffles=4000):
    """Mean over random orders of the ties."""
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(n_shuffles):
        order = np.lexsort((rng.random(y.size), -score))
        rates.append(y[order[:n_top]].mean())
    return np.mean(rates) / y.mean()


def test_lift_with_ties_is_the_mean_over_their_orders():
    rng = np.random.default_rng(1)
    y, score = rng.integers(0, 2, 40), rng.integers(0, 4, 40)
    assert lift_at(y, score, 0.25) == pytest.approx(slow_lift(y, score, 10), abs=0.02)
    assert lift_at(y, score, 1.0) == pytest.approx(1.0)


@given(st.integers(0, 500), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_the_table_adds_up_whatever_the_order_of_rows(seed, n_bins):
    rng = np.random.default_rng(seed)
    y, score, weight = rng.integers(0, 2, 50), rng.integers(0, 9, 50), rng.random(50) + 0.1
    y[:2] = [0, 1]
    table = gain_table(y, score, weight=weight, n_bins=n_bins)
    assert table.n_rows.sum() == pytest.approx(weight.sum())
    assert table.n_positive.sum() == pytest.approx(weight[y == 1].sum())
    assert table.share_positive[-1] == pytest.approx(1)
    assert table.cumulative_lift[-1] == pytest.approx(1)
    assert np.average(table.lift) == pytest.approx(1)
    mixed = rng.permutation(50)
    again = gain_table(y[mixed], score[mixed], weight=weight[mixed], n_bins=n_bins)
    np.testing.assert_allclose(again.rate, table.rate, atol=1e-12)


def test_a_perfect_score_fills_the_first_bins():
    y = np.array([1] * 20 + [0] * 80)
    table = gain_table(y, -np.arange(100), n_bins=10)
    np.testing.assert_allclose(table.lift, [5, 5, 0, 0, 0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(table.share_positive[:3], [0.5, 1, 1])
    shares, caught = lift_curve(y, -np.arange(100), n_points=10)
    assert (shares[0], caught[0], shares[-1], caught[-1]) == (0, 0, 1, 1)
    np.testing.assert_allclose(caught[1:], table.share_positive)


def test_equal_scores_lie_on_the_diagonal():
    shares, caught = lift_curve([0, 1, 1, 0], np.zeros(4), n_points=7)
    np.testing.assert_allclose(shares, caught)


def test_profit_equals_a_loop_over_cut_offs():
    rng = np.random.default_rng(2)
    y, score = rng.integers(0, 2, 50), rng.normal(size=50)
    curve = profit_curve(y, score, gain=100, loss=250, n_points=50)
    order = np.argsort(score)
    for n_accepted in range(51):
        accepted = y[order[:n_accepted]]
        expected = 100 * (accepted == 0).sum() - 250 * (accepted == 1).sum()
        assert curve.profit[n_accepted] == pytest.approx(expected, abs=1e-9)
    assert curve.best_profit == curve.profit.max() >= 0
    assert curve.best_share == curve.share_accepted[np.argmax(curve.profit)]


def test_faulty_input_is_named():
    with pytest.raises(ParameterError, match="n_bins=0"):
        gain_table([0, 1], [1, 2], n_bins=0)
    with pytest.raises(ParameterError, match="share=0"):
        lift_at([0, 1], [1, 2], 0)
    with pytest.raises(ParameterError, match="n_points=0"):
        lift_curve([0, 1], [1, 2], n_points=0)
    with pytest.raises(ParameterError, match="loss=-1"):
        profit_curve([0, 1], [1, 2], gain=1, loss=-1)
    with pytest.raises(DataError, match="class 1 have no weight"):
        gain_table([0, 1], [1, 2], weight=[1, 0])
    with pytest.raises(DataError, match="both are needed"):
        gain_table([0, 0], [1, 2])
