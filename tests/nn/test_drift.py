import numpy as np
import pytest
import torch

from thinfile.errors import DataError, ParameterError
from thinfile.nn.divergence import mk_mmd
from thinfile.nn.drift import domain_distance, mmd_permutation_test


def draw(n, m, d=3, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(shift, 1, size=(m, d))


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
@pytest.mark.parametrize("options", [{}, {"base": 3.0, "n_kernels": 2}, {"width": [0.5, 2.0]}])
def test_statistic_and_null_are_mk_mmd_of_the_permuted_rows(estimator, options):
    source, target = draw(300, 270, shift=0.2)
    options = {"estimator": estimator, **options}
    result = mmd_permutation_test(source, target, n_permutations=19, random_state=4, **options)
    assert result.statistic == pytest.approx(
        float(mk_mmd(torch.tensor(source), torch.tensor(target), **options)), abs=1e-10
    )
    joined, generator = np.concatenate([source, target]), np.random.default_rng(4)
    for null in result.null:
        inside = np.zeros(570, dtype=bool)
        inside[generator.permutation(570)[:300]] = True
        again = mk_mmd(torch.tensor(joined[inside]), torch.tensor(joined[~inside]), **options)
        assert null == pytest.approx(float(again), abs=1e-10)


def test_p_value_and_band_are_those_of_the_null():
    result = mmd_permutation_test(
        *draw(40, 30), n_permutations=99, level=0.8, random_state=np.random.default_rng(1)
    )
    reached = int((result.null >= result.statistic).sum())
    assert result.p_value == (1 + reached) / 100
    assert result.null.shape == (99,)
    inside = (result.null >= result.band[0]) & (result.null <= result.band[1])
    assert 0.75 <= inside.mean() <= 0.85


def test_p_values_are_uniform_without_a_difference():
    p_values = [
        mmd_permutation_test(*draw(20, 25, 2, seed=s), n_permutations=39, random_state=s).p_value
        for s in range(200)
    ]
    for level in (0.1, 0.25, 0.5):
        expected_error = 3 * np.sqrt(level * (1 - level) / 200)
        assert abs(np.mean(np.array(p_values) <= level) - level) < expected_error


def test_a_small_shift_is_found_in_float32_at_two_thousand_rows():
    source, target = (rows.astype(np.float32) for rows in draw(2000, 2000, 4, shift=0.1))
    result = mmd_permutation_test(source, target, n_permutations=99, random_state=0)
    assert result.p_value == 0.01
    assert result.statistic > result.band[1]
    exact = mmd_permutation_test(
        source.astype(float), target.astype(float), n_permutations=99, random_state=0
    )
    np.testing.assert_allclose(result.null, exact.null, atol=3e-6)


def test_identical_rows_are_no_drift():
    result = mmd_permutation_test(np.ones((5, 2)), np.ones((8, 2)), n_permutations=19)
    assert result.p_value == 1.0
    assert result.statistic == pytest.approx(0.0, abs=1e-12)


def test_the_seed_decides_and_the_global_state_is_left_alone():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    torch_before = torch.get_rng_state()
    runs = [mmd_permutation_test(*draw(20, 20), random_state=7).null for _ in range(2)]
    domain_distance(*draw(20, 20), random_state=7)
    np.testing.assert_array_equal(*runs)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)


@pytest.mark.parametrize("kind", ["list", "float32", "tensor", "integer"])
def test_arrays_of_any_kind_are_taken(kind):
    rows = [[float(i), float(i % 3)] for i in range(12)]
    tables = {
        "list": rows,
        "float32": np.array(rows, dtype=np.float32),
        "tensor": torch.tensor(rows, requires_grad=True),
        "integer": np.array(rows, dtype=int),
    }
    test = mmd_permutation_test(tables[kind], rows, n_permutations=19, random_state=0)
    assert test.statistic < 0
    assert 0 <= domain_distance(tables[kind], rows, random_state=0).auc <= 1


def test_the_distance_grows_with_the_shift_and_ends_at_two():
    distances = [domain_distance(*draw(150, 90, shift=s), random_state=0) for s in (0, 0.7, 9)]
    assert distances[0].auc == pytest.approx(0.5, abs=0.1)
    assert distances[0].proxy_a < 0.35
    assert distances[0].auc < distances[1].auc < distances[2].auc
    assert distances[2].auc == 1.0
    assert distances[2].proxy_a == 2.0
    assert distances[1].proxy_a == pytest.approx(2 * (1 - 2 * distances[1].error))


def test_the_distance_is_near_the_best_possible_classifier():
    # Two normals one standard deviation apart: AUC Φ(1/√2), best error Φ(−1/2).
    result = domain_distance(*draw(4000, 2000, 1, shift=1.0), random_state=0)
    assert result.auc == pytest.approx(0.7602, abs=0.015)
    assert result.error == pytest.approx(0.3085, abs=0.015)
    assert result.probability.shape == (6000,)
    assert result.probability[4000:].mean() > 0.55 > result.probability[:4000].mean()


def test_squares_see_a_change_of_spread():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(300, 2)), rng.normal(0, 3, size=(300, 2))
    seen = domain_distance(source, target, random_state=0).auc
    blind = domain_distance(source, target, squares=False, random_state=0).auc
    assert seen > 0.8
    assert blind < 0.6


def test_constant_columns_and_far_values_do_no_harm():
    source, target = draw(60, 50)
    source[:, 1] = target[:, 1] = 7.0
    source[3, 0] = 1e9
    result = domain_distance(source, target, random_state=0)
    assert np.isfinite(result.probability).all()
    assert result.auc < 0.75


@pytest.mark.parametrize("function", [mmd_permutation_test, domain_distance])
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((0, 3)), "source, layer 0: shape"),
        (np.zeros((1, 3)), r"source has 1 rows, \d are needed"),
        (np.zeros((9, 2)), "source has 2 columns and target 3"),
        (np.full((9, 3), np.nan), "source, layer 0: 9 of 9 rows"),
        ([["a", "b", "c"]] * 9, "source of type list must be numbers"),
    ],
)
def test_unusable_rows_are_refused(function, source, message):
    with pytest.raises(DataError, match=message):
        function(source, np.zeros((9, 3)))


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (mmd_permutation_test, {"n_permutations": 5}, "n_permutations=5 must be"),
        (mmd_permutation_test, {"level": 1.0}, "level=1.0"),
        (mmd_permutation_test, {"estimator": "linear"}, "estimator='linear'"),
        (mmd_permutation_test, {"width": -1.0}, "width=-1.0"),
        (mmd_permutation_test, {"random_state": "x"}, "random_state"),
        (domain_distance, {"n_folds": 1, "l2": -1.0}, "n_folds=1 .*; l2=-1.0"),
    ],
)
def test_unusable_options_are_refused(function, options, message):
    with pytest.raises(ParameterError, match=message):
        function(*draw(9, 9), **options)
