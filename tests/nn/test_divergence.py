"""MK-MMD, joint MMD and CORAL against slow loops, finite differences and hostile input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import DataError, ParameterError
from thinfile.nn import mmd_tiles
from thinfile.nn.divergence import coral, joint_mmd, mk_mmd

OPTIONS = [
    {},
    {"n_kernels": 1},
    {"n_kernels": 4, "base": 3.0},
    {"width": 2.5},
    {"width": [0.3, 1.7, 5.0]},
    {"n_kernels": 3, "kernel_weight": [0.2, 1.5, 0.7]},
    {"base": 2.7, "kernel_weight": [1.0, 0.0, 0.5, 2.0, 0.1]},
    {"kernel_weight": [0.3, 0.0, 2.0, 0.0, 0.0]},
]
ESTIMATORS = ["unbiased", "biased", "linear"]


def widths_of(rows, n_kernels=5, base=2.0, width=None, **_):
    """Every pair, one after the other."""
    if isinstance(width, list):
        return width
    if width is None:
        n = len(rows)
        pairs = [(rows[i] - rows[j]) @ (rows[i] - rows[j]) for i in range(n) for j in range(n)]
        width = sum(pairs) / (n * n - n) or 1.0
    return [width * base ** (i - n_kernels // 2) for i in range(n_kernels)]


def kernel(one, other, widths, weights):
    distance = float((one - other) @ (one - other))
    return sum(b * math.exp(-distance / w) for w, b in zip(widths, weights, strict=True))


def slow_mmd(source, target, *, estimator="unbiased", a=None, b=None, layers=None, **options):
    """The definition, in float64 and in loops; `layers` gives the kernels of several layers."""
    layers = layers or [(source, target)]
    banks = [widths_of(np.concatenate(layer), **options) for layer in layers]
    weights = options.get("kernel_weight") or [1.0] * len(banks[0])

    def k(side_i, i, side_j, j):
        values = [
            kernel(layer[side_i][i], layer[side_j][j], bank, weights)
            for layer, bank in zip(layers, banks, strict=True)
        ]
        return math.prod(values)

    n, m = len(layers[0][0]), len(layers[0][1])
    a = np.ones(n) if a is None else a
    b = np.ones(m) if b is None else b
    if estimator == "linear":
        return slow_linear(k, a, b)
    total = 0.0
    for side_i, wi in ((0, a), (1, b)):
        for side_j, wj in ((0, a), (1, b)):
            part = norm = 0.0
            for i in range(len(wi)):
                for j in range(len(wj)):
                    if estimator == "unbiased" and side_i == side_j and i == j:
                        continue
                    part += wi[i] * wj[j] * k(side_i, i, side_j, j)
                    norm += wi[i] * wj[j]
            total += part / norm if side_i == side_j else -part / norm
    return total


def slow_linear(k, a, b):
    sums, norms = np.zeros(4), np.zeros(4)
    for i in range(0, 2 * (min(len(a), len(b)) // 2), 2):
        values = [k(0, i, 0, i + 1), k(1, i, 1, i + 1), k(0, i, 1, i + 1), k(0, i + 1, 1, i)]
        shares = [a[i] * a[i + 1], b[i] * b[i + 1], a[i] * b[i + 1], a[i + 1] * b[i]]
        sums += np.multiply(values, shares)
        norms += shares
    return float((sums / norms) @ [1, 1, -1, -1])


def draw(n, m, d, seed=0, shift=0.4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(shift, 1.3, size=(m, d))


def fast(source, target, **options):
    return float(mk_mmd(torch.as_tensor(source), torch.as_tensor(target), **options))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("options", OPTIONS)
def test_value_is_the_definition(options, estimator):
    source, target = draw(9, 14, 3)
    expected = slow_mmd(source, target, estimator=estimator, **options)
    assert fast(source, target, estimator=estimator, **options) == pytest.approx(expected, 1e-10)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("options", OPTIONS)
def test_row_weights_are_the_definition_and_free_of_scale(options, estimator):
    source, target = draw(9, 14, 3)
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0.1, 3, 9), rng.uniform(0.1, 3, 14)
    a[2] = 0.0
    expected = slow_mmd(source, target, estimator=estimator, a=a, b=b, **options)
    got = fast(
        source, target, source_weight=1e9 * a, target_weight=b, estimator=estimator, **options
    )
    assert got == pytest.approx(expected, 1e-9)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(2, 12),
    m=st.integers(2, 12),
    d=st.integers(1, 4),
    tile=st.integers(1, 5),
    estimator=st.sampled_from(["unbiased", "biased"]),
    seed=st.integers(0, 99),
)
def test_tiles_of_any_size_give_the_same(n, m, d, tile, estimator, seed):
    source, target = draw(n, m, d, seed)
    expected = slow_mmd(source, target, estimator=estimator)
    before = mmd_tiles.CPU_TILE
    mmd_tiles.CPU_TILE = tile
    try:
        assert fast(source, target, estimator=estimator) == pytest.approx(expected, 1e-9, 1e-12)
    finally:
        mmd_tiles.CPU_TILE = before


def test_several_real_tiles_against_all_pairs_at_once():
    source, target = (torch.tensor(rows) for rows in draw(300, 530, 5))
    joined = torch.cat([source, target])
    distance = torch.cdist(joined, joined, compute_mode="donot_use_mm_for_euclid_dist").square()
    width = distance.sum() / (830**2 - 830)
    kernels = sum(torch.exp(-distance / (width * 2.0**k)) for k in range(-2, 3))
    ss, tt, cross = kernels[:300, :300], kernels[300:, 300:], kernels[:300, 300:]
    expected = ss.mean() + tt.mean() - 2 * cross.mean()
    assert fast(source, target, estimator="biased") == pytest.approx(float(expected), 1e-11)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradcheck(options, estimator, weighted, monkeypatch):
    monkeypatch.setattr(mmd_tiles, "CPU_TILE", 3)
    source, target = (torch.tensor(rows, requires_grad=True) for rows in draw(5, 7, 2))
    width = options.get("width") or float(
        widths_of(np.concatenate(draw(5, 7, 2)), n_kernels=1, base=2.0)[0]
    )
    fixed = {**options, "width": width}
    if weighted:
        fixed["source_weight"] = [0.2, 3.0, 1.0, 0.5, 1.0]
        fixed["target_weight"] = torch.arange(1.0, 8.0)
    assert torch.autograd.gradcheck(
        lambda s, t: mk_mmd(s, t, estimator=estimator, **fixed), (source, target)
    )


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
def test_gradcheck_of_layers_and_of_one_side(estimator):
    source, target = (torch.tensor(rows, requires_grad=True) for rows in draw(4, 5, 2))
    options = {"estimator": estimator, "width": 1.3}

    def layers(function):
        return lambda s, t: function([s, s**2], [t, t**2], **options)

    assert torch.autograd.gradcheck(layers(mk_mmd), (source, target))
    assert torch.autograd.gradcheck(layers(joint_mmd), (source, target))
    fixed = target.detach().clone()
    assert torch.autograd.gradcheck(lambda s: mk_mmd(s, fixed, **options), (source,))
    assert torch.autograd.gradcheck(lambda t: mk_mmd(fixed, t, **options), (target,))


def test_gradcheck_of_coral():
    source, target = (torch.tensor(rows, requires_grad=True) for rows in draw(4, 6, 3))
    weight = torch.tensor([1.0, 2.0, 0.5, 1.0])
    assert torch.autograd.gradcheck(
        lambda s, t: coral(s, t, source_weight=weight), (source, target)
    )


def test_data_driven_width_is_a_constant_to_the_gradient():
    source, target = (torch.tensor(rows, requires_grad=True) for rows in draw(6, 8, 3))
    width = float(widths_of(np.concatenate(draw(6, 8, 3)), n_kernels=1)[0])
    free = torch.autograd.grad(mk_mmd(source, target), source)[0]
    fixed = torch.autograd.grad(mk_mmd(source, target, width=width), source)[0]
    torch.testing.assert_close(free, fixed)


@pytest.mark.parametrize("d", [64, 291])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
def test_float32_gradient_is_close_to_float64(d, narrow, estimator):
    source, target = (torch.tensor(rows) for rows in draw(300, 280, d, shift=0.1))
    if narrow:
        source, target = torch.sigmoid(0.01 * source), torch.sigmoid(0.01 * target)
    source, target = source.float(), target.float()

    def gradient(dtype):
        leaves = [rows.to(dtype).requires_grad_() for rows in (source, target)]
        value = mk_mmd(*leaves, estimator=estimator)
        return torch.cat(torch.autograd.grad(value, leaves)).double()

    exact = gradient(torch.float64)
    assert float((gradient(torch.float32) - exact).norm() / exact.norm()) < 2e-6


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e3])
def test_a_common_offset_does_not_matter(offset):
    source, target = draw(20, 30, 4)
    assert fast(source + offset, target + offset) == pytest.approx(fast(source, target), 1e-8)


def test_far_clusters_in_float32_are_resolved():
    # Grid points of 1/16 are exact in float32 at 1e6.
    near = torch.arange(8.0).reshape(-1, 1) / 16
    source, target = near + 1e6, torch.cat([near - 1e6, near + 1e6])
    expected = slow_mmd(source.double().numpy(), target.double().numpy(), width=0.1)
    got = mk_mmd(source, target, width=0.1)
    assert got.dtype == torch.float32
    assert float(got) == pytest.approx(expected, 1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("place", [0.0, 1e6, 1e-30, 1e30])
def test_identical_points_are_no_distance(estimator, dtype, place):
    source = torch.full((6, 3), place, dtype=dtype, requires_grad=True)
    value = mk_mmd(source, torch.full((4, 3), place, dtype=dtype), estimator=estimator)
    value.backward()
    assert value.item() == pytest.approx(0.0, abs=1e-6)
    assert torch.equal(source.grad, torch.zeros_like(source))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e6, 1e30])
def test_points_of_any_scale_are_finite(estimator, scale):
    source, target = (torch.tensor(scale * rows).float() for rows in draw(6, 8, 3))
    source.requires_grad_()
    value = mk_mmd(source, target, estimator=estimator)
    (value * scale).backward()
    plain = fast(*draw(6, 8, 3), estimator=estimator)
    assert value.item() == pytest.approx(plain, abs=1e-5)
    assert bool(torch.isfinite(source.grad).all())


def test_one_far_row_is_finite_and_exact():
    source, target = draw(30, 40, 3)
    source[7] = 1e6
    expected = slow_mmd(source, target)
    got = float(mk_mmd(torch.tensor(source).float(), torch.tensor(target).float()))
    assert got == pytest.approx(expected, abs=1e-6)


def test_one_row_each_is_biased_only():
    one, other = torch.zeros(1, 2), torch.ones(1, 2)
    expected = slow_mmd(one.double().numpy(), other.double().numpy(), estimator="biased")
    assert float(mk_mmd(one, other, estimator="biased")) == pytest.approx(expected, 1e-6)
    for estimator in ("unbiased", "linear"):
        with pytest.raises(DataError, match="source: 1 row of positive weight; two are needed"):
            mk_mmd(one, other, estimator=estimator)


def test_biased_and_unbiased_have_one_direction_between_equal_populations():
    source, target = (torch.tensor(rows, requires_grad=True) for rows in draw(50, 50, 3))
    gradients = [
        torch.autograd.grad(mk_mmd(source, target, estimator=e), source)[0].flatten()
        for e in ("biased", "unbiased")
    ]
    assert float(torch.cosine_similarity(*gradients, dim=0)) > 0.999


def test_unbiased_has_mean_zero_without_a_difference():
    rng = np.random.default_rng(0)
    draws = [
        fast(rng.normal(size=(20, 2)), rng.normal(size=(20, 2)), width=4.0) for _ in range(200)
    ]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / math.sqrt(200)


def test_layers_add_up_and_joint_multiplies():
    first, second = draw(7, 9, 3), draw(7, 9, 2, seed=5)
    layers = (
        [torch.tensor(first[0]), torch.tensor(second[0])],
        [
            torch.tensor(first[1]),
            torch.tensor(second[1]),
        ],
    )
    for estimator in ESTIMATORS:
        both = float(mk_mmd(*layers, estimator=estimator))
        alone = [fast(*pair, estimator=estimator) for pair in (first, second)]
        assert both == pytest.approx(sum(alone), 1e-12)
    for estimator in ("unbiased", "biased"):
        joint = float(joint_mmd(*layers, estimator=estimator))
        expected = slow_mmd(None, None, layers=[first, second], estimator=estimator)
        assert joint == pytest.approx(expected, 1e-10)


def test_layers_of_unlike_precision_are_joined():
    source, target = draw(6, 7, 3)
    mixed = (
        [torch.tensor(source).float(), torch.tensor(source)],
        [
            torch.tensor(target).float(),
            torch.tensor(target),
        ],
    )
    expected = slow_mmd(None, None, layers=[(source, target)] * 2)
    assert float(joint_mmd(*mixed)) == pytest.approx(expected, 1e-5)


def test_weighting_by_prior_undoes_a_label_shift():
    rng = np.random.default_rng(3)
    good, bad = rng.normal(0, 1, (400, 2)), rng.normal(4, 1, (400, 2))
    source = np.concatenate([good[:200], bad[:200]])
    target = np.concatenate([good[200:390], bad[390:400]])
    weight = np.repeat([190 / 200, 10 / 200], 200)
    assert fast(source, target, source_weight=weight) < 0.02 * fast(source, target)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    source, target = (torch.tensor(rows).to(dtype).requires_grad_() for rows in draw(20, 30, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = mk_mmd(source, target)
    value.backward()
    expected = mk_mmd(source.detach().float(), target.detach().float())
    assert value.dtype == torch.float32
    assert torch.equal(value.detach(), expected)
    assert source.grad.dtype == dtype


def test_no_gradient_is_computed_where_none_is_wanted():
    source, target = (torch.tensor(rows, requires_grad=True) for rows in draw(6, 7, 2))
    with torch.no_grad():
        assert not mk_mmd(source, target).requires_grad
    value = mk_mmd(source, target.detach())
    value.backward()
    assert target.grad is None


def test_a_second_derivative_is_refused():
    source, target = (torch.tensor(rows, requires_grad=True) for rows in draw(6, 7, 2))
    gradient = torch.autograd.grad(mk_mmd(source, target), source, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="does not require grad"):
        gradient.sum().backward()


def test_what_waits_for_backward_is_one_gradient():
    source, target = (torch.tensor(rows, requires_grad=True) for rows in draw(600, 500, 4))
    value = mk_mmd(source, target)
    assert [tuple(kept.shape) for kept in value.grad_fn.saved_tensors] == [(1100, 4)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_cuda_gives_the_same(estimator):
    source, target = (torch.tensor(rows) for rows in draw(3000, 2500, 6))
    on_device = mk_mmd(source.cuda(), target.cuda(), estimator=estimator)
    assert float(on_device) == pytest.approx(fast(source, target, estimator=estimator), 1e-9)


def test_coral_is_the_definition():
    source, target = draw(12, 17, 3)
    difference = np.cov(source.T) - np.cov(target.T)
    expected = (difference**2).sum() / 36
    got = coral(torch.tensor(source), torch.tensor(target))
    assert float(got) == pytest.approx(expected, 1e-12)


def test_coral_with_whole_weights_is_numpys_with_analytic_weights():
    source, target = draw(12, 17, 3)
    weight = np.random.default_rng(2).uniform(0.5, 2, 12)
    difference = np.cov(source.T, aweights=weight) - np.cov(target.T)
    got = coral(torch.tensor(source), torch.tensor(target), source_weight=weight)
    assert float(got) == pytest.approx((difference**2).sum() / 36, 1e-12)


ROWS = torch.zeros(4, 2)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (torch.zeros(0, 2), ROWS, r"source, layer 0: shape \(0, 2\) must be"),
        (ROWS, torch.zeros(3, 0), r"target, layer 0: shape \(3, 0\) must be"),
        (torch.zeros(4), ROWS, r"source, layer 0: shape \(4,\) must be"),
        (ROWS, torch.zeros(4, 3), "layer 0: source has 2 columns and target 3"),
        (ROWS, ROWS.double(), "source is torch.float32 on cpu and target torch.float64"),
        ([ROWS, ROWS[:3]], [ROWS, ROWS], r"source: layers of \[4, 3\] rows must have equal"),
        (ROWS, ROWS.index_fill(0, torch.tensor([2]), math.nan), r"target, layer 0: 1 of 4 rows"),
        (ROWS, ROWS.index_fill(0, torch.tensor([1]), math.inf), r"\(first: row 1\)"),
        (ROWS + 3e38, ROWS + 3e38, "too large for their mean"),
    ],
)
@pytest.mark.parametrize("function", [mk_mmd, joint_mmd])
def test_unusable_rows_are_refused(function, source, target, message):
    with pytest.raises(DataError, match=message):
        function(source, target)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_not_finite_rows_are_refused_by_every_estimator(estimator):
    with pytest.raises(DataError, match="source, layer 0: 4 of 4 rows hold values"):
        mk_mmd(ROWS * math.nan, ROWS, estimator=estimator)
    with pytest.raises(DataError, match="source, layer 0: 4 of 4 rows hold values"):
        coral(ROWS * math.nan, ROWS)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0, 1.0], r"source_weight of shape \(2,\) must have shape \(4,\)"),
        ([1, 1, -2, 1], r"1 of 4 values are negative or not finite \(first: row 2, -2.0\)"),
        ([1, math.nan, math.inf, 1], r"2 of 4 values are negative or not finite \(first: row 1"),
        ([0, 0, 0, 0], "all 4 values are zero"),
        ([0, 0, 3, 0], "source: 1 row of positive weight"),
    ],
)
@pytest.mark.parametrize("function", [mk_mmd, joint_mmd, coral])
def test_unusable_weights_are_refused(function, weight, message):
    with pytest.raises(DataError, match=message):
        function(ROWS, ROWS, source_weight=weight)


def test_linear_needs_a_weighted_pair():
    with pytest.raises(DataError, match="no pair of consecutive rows"):
        mk_mmd(ROWS, ROWS, source_weight=[1, 0, 1, 0], estimator="linear")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_kernels": 0}, "n_kernels=0 must be a whole number ≥ 1"),
        ({"base": 1.0}, "base=1.0 must be a number > 1"),
        ({"width": 0.0}, "width=0.0 must be"),
        ({"width": []}, r"width=\[\] must be"),
        ({"width": [1.0, -1.0]}, "width="),
        ({"kernel_weight": [1.0]}, "kernel_weight=.* must be None or 5 non-negative"),
        ({"kernel_weight": [0.0] * 5}, "not all zero"),
        ({"n_kernels": 0, "base": 0.5}, "n_kernels=0 .*; base=0.5"),
        ({"estimator": "best"}, "estimator='best' must be one of 'unbiased', 'biased', 'linear'"),
    ],
)
def test_unusable_options_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        mk_mmd(ROWS, ROWS, **options)


def test_what_is_no_tensor_is_refused():
    with pytest.raises(ParameterError, match="source holds ndarray"):
        mk_mmd([np.zeros((4, 2))], ROWS)
    with pytest.raises(ParameterError, match=r"target holds torch\.int64"):
        mk_mmd(ROWS, ROWS.long())
    with pytest.raises(ParameterError, match="source holds no layer"):
        mk_mmd([], ROWS)
    with pytest.raises(ParameterError, match="source has 2 layers and target 1"):
        mk_mmd([ROWS, ROWS], ROWS)
    with pytest.raises(ParameterError, match=r"must be one of 'unbiased', 'biased'$"):
        joint_mmd([ROWS], [ROWS], estimator="linear")
