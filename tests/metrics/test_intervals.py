import numpy as np
import pytest

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.intervals import draw_row_weights, paired_bootstrap
from thinfile.metrics.ranking import average_precision, ks, roc_auc


def make_runs(n_rows=400, n_seeds=3, strengths=(1.5, 1.0), spread=0.5, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(n_rows) < 0.3).astype(int)
    shared = rng.normal(size=n_rows)
    runs = [
        [s * y + shared + spread * rng.normal(size=n_rows) for _ in range(n_seeds)]
        for s in strengths
    ]
    return y, np.array(runs)


@pytest.mark.parametrize(
    ("name", "metric"), [("auc", roc_auc), ("ks", ks), ("ap", average_precision)]
)
def test_points_are_means_of_the_plain_metric(name, metric):
    y, runs = make_runs()
    result = paired_bootstrap(y, runs, metric=name, n_draws=50, random_state=0)
    expected = [[metric(y, run) for run in method] for method in runs]
    np.testing.assert_allclose(result.per_seed, expected, atol=1e-12)
    np.testing.assert_allclose(result.point, np.mean(expected, axis=1), atol=1e-12)
    assert (result.low <= result.point).all()
    assert (result.point <= result.high).all()
    assert result.draws.shape == (2, 50)


def test_one_seed_is_the_plain_bootstrap_over_rows():
    y, runs = make_runs(n_rows=60, n_seeds=1)
    result = paired_bootstrap(y, runs, n_draws=40, random_state=5)
    weights = draw_row_weights(60, 40, np.random.default_rng(5))
    slow = [[roc_auc(y, method[0], weight=w) for w in weights] for method in runs]
    np.testing.assert_allclose(result.draws, slow, atol=1e-12)
    gap = np.subtract(*slow)
    found = result.difference(0, 1)
    assert found.low == pytest.approx(np.quantile(gap, 0.025))
    assert found.high == pytest.approx(np.quantile(gap, 0.975))
    assert found.probability_greater == pytest.approx((gap > 0).mean() + 0.5 * (gap == 0).mean())


def test_a_draw_takes_as_many_rows_as_there_are():
    weights = draw_row_weights(300, 20, np.random.default_rng(0))
    assert (weights.sum(axis=1, dtype=int) == 300).all()
    assert weights.dtype == np.uint8


def test_pairing_narrows_the_interval_of_a_difference():
    y, runs = make_runs(n_rows=1000, spread=0.1)
    result = paired_bootstrap(y, runs, n_draws=300, random_state=0)
    gap = result.difference(0, 1)
    assert gap.high - gap.low < 0.6 * (result.high - result.low).max()
    assert gap.estimate == pytest.approx(result.point[0] - result.point[1])
    assert gap.probability_greater == 1.0
    back = result.difference(1, 0)
    assert (back.estimate, back.low, back.high) == pytest.approx(
        (-gap.estimate, -gap.high, -gap.low)
    )


def test_the_interval_of_the_mean_covers_rows_and_seeds():
    # The spread of the metric over fresh data is what the interval is to have.
    points, widths = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        y = (rng.random(300) < 0.4).astype(int)
        strength = 1.0 + 0.4 * rng.normal(size=4)  # seeds differ in how good they are
        runs = strength[:, None] * y + rng.normal(size=300)
        result = paired_bootstrap(y, runs[None], n_draws=150, random_state=seed)
        points.append(result.point[0])
        widths.append(result.draws[0].std())
    assert 0.75 < np.mean(widths) / np.std(points) < 1.3


def test_a_method_is_no_better_than_its_copy():
    y, runs = make_runs(strengths=(1.0,))
    result = paired_bootstrap(y, np.concatenate([runs, runs]), n_draws=50, random_state=0)
    gap = result.difference(0, 1)
    assert (gap.estimate, gap.low, gap.high, gap.probability_greater) == (0, 0, 0, 0.5)


def test_failed_runs_are_left_out_of_both_sides_of_a_difference():
    y, runs = make_runs(n_seeds=3)
    whole = paired_bootstrap(y, runs, n_draws=60, random_state=1)
    runs[0, 1] = np.nan
    result = paired_bootstrap(y, runs, n_draws=60, random_state=1)
    gap = result.difference(0, 1)
    assert gap.n_seeds == 2
    per_seed = whole.per_seed[0] - whole.per_seed[1]
    assert gap.estimate == pytest.approx(per_seed[[0, 2]].mean())
    assert result.point[0] == pytest.approx(whole.per_seed[0, [0, 2]].mean())
    np.testing.assert_array_equal(result.draws[1], whole.draws[1])


def test_a_method_that_failed_throughout_has_no_figures():
    y, runs = make_runs()
    runs[1] = np.nan
    result = paired_bootstrap(y, runs, n_draws=20, random_state=1)
    assert np.isnan(result.point[1])
    assert np.isnan(result.low[1])
    gap = result.difference(0, 1)
    assert gap.n_seeds == 0
    assert np.isnan(gap.estimate)


def test_a_state_repeats_the_draws():
    y, runs = make_runs()
    first, second, other = (
        paired_bootstrap(y, runs, n_draws=20, random_state=s).draws for s in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_an_own_metric_can_be_given():
    def mean_score(y, score, weights):
        return (weights @ score) / weights.sum(axis=1)

    y, runs = make_runs()
    result = paired_bootstrap(y, runs, metric=mean_score, n_draws=20, random_state=0)
    np.testing.assert_allclose(result.per_seed, runs.mean(axis=2))


def test_faulty_input_is_named():
    y, runs = make_runs()
    with pytest.raises(
        ParameterError, match=r"metric=.roc. must be one of auc.*; n_draws=0.*; level=2"
    ):
        paired_bootstrap(y, runs, metric="roc", n_draws=0, level=2)
    with pytest.raises(DataError, match=r"it must be \(methods, seeds, 400\)"):
        paired_bootstrap(y, runs[0])
    runs[1, 2, 5] = np.inf
    with pytest.raises(DataError, match="method 1, seed 2: 1 of 400 values are not finite"):
        paired_bootstrap(y, runs)
