import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thinfile.errors import DataError, ParameterError
from thinfile.nn.fused_embedding import FusedEmbedding, large_table, sum_by_row
from thinfile.nn.interaction import DeepFMNetwork, fm_interaction

SIZES = [3, 20, 1]
BAG_SIZES = [6, 4]


def slow_pairs(factors):
    """Every pair of fields by itself, in double precision."""
    total = torch.zeros(len(factors), dtype=torch.float64)
    for i, j in itertools.combinations(range(factors.shape[1]), 2):
        total += (factors[:, i].double() * factors[:, j].double()).sum(dim=1)
    return total


def some_codes(n_rows, sizes=SIZES):
    return torch.stack([torch.randint(0, size, (n_rows,)) for size in sizes], dim=1)


def some_bags():
    """Five rows: the first bag has an empty row at the start, the second one at the end."""
    return [
        (torch.tensor([5, 0, 3, 3, 1]), torch.tensor([0, 0, 2, 3, 4])),
        (torch.tensor([0, 1, 2, 3, 3, 3]), torch.tensor([0, 1, 2, 3, 6])),
    ]


def slow_forward(net, numbers, codes, bags=()):
    """The formulas, row by row and field by field."""
    table, starts = net.table.weight, net.table.starts.tolist()
    n_fields = codes.shape[1]
    logits = []
    for row in range(len(codes)):
        found = [table[starts[i] + int(code)] for i, code in enumerate(codes[row])]
        for number, (values, offsets) in enumerate(bags):
            end = [*offsets.tolist(), len(values)][row + 1]
            named = values[offsets[row] : end] + starts[n_fields + number]
            found.append(table[named].mean(0) if len(named) else torch.zeros(table.shape[1]))
        logits.append(slow_logit(net, numbers[row], found))
    return torch.stack(logits)


def slow_logit(net, numbers, found):
    logit = net.bias.sum()
    if net.linear:
        logit = logit + sum(part[0] for part in found)
        logit = logit + sum(w * x for w, x in zip(net.slopes, numbers, strict=True))
    factors = [part[1:] for part in found]
    if net.fm:
        own = [] if net.number_factors is None else net.number_factors
        vectors = factors + [v * x for v, x in zip(own, numbers, strict=False)]
        logit = logit + sum(a @ b for a, b in itertools.combinations(vectors, 2))
    if net.body is not None:
        joined = torch.cat([*factors, numbers]).unsqueeze(0)
        logit = logit + net.head(net.body(joined)).squeeze()
    return logit


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(0, 7), st.integers(1, 6), st.integers(0, 2**31))
def test_the_sums_and_squares_are_the_pairs(n_rows, n_fields, dim, seed):
    factors = torch.randn(n_rows, n_fields, dim, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(
        fm_interaction(factors).double(), slow_pairs(factors), atol=1e-4, rtol=1e-4
    )


def test_the_paper_s_own_identity_on_a_row_of_ones():
    # With every factor 1, each of the n (n - 1) / 2 pairs adds dim.
    assert fm_interaction(torch.ones(2, 39, 10)).tolist() == [39 * 38 / 2 * 10] * 2


SECTIONS = [s for s in itertools.product([True, False], repeat=3) if any(s)]


@pytest.mark.parametrize(("linear", "fm", "deep"), SECTIONS)
def test_every_combination_of_parts_follows_the_formulas(linear, fm, deep):
    net = network(linear=linear, fm=fm, deep=deep)
    arguments = torch.randn(5, 2), some_codes(5), some_bags()
    assert sections_of(net) == (linear, fm, deep)
    torch.testing.assert_close(net(*arguments), slow_forward(net, *arguments))
    compare_gradients(net, arguments)


def sections_of(net):
    return net.linear, net.fm, net.body is not None


def network(**options):
    torch.manual_seed(0)
    settings = {"dim": 4, "widths": (8, 5), "norm": None, "initial_std": 0.5, **options}
    net = DeepFMNetwork(2, SIZES, bag_cardinalities=BAG_SIZES, **settings)
    if net.slopes is not None:
        nn.init.normal_(net.slopes)
    return net


def compare_gradients(net, arguments):
    weight = torch.randn(5)
    (net(*arguments) * weight).sum().backward()
    fast = {name: p.grad.clone() for name, p in net.named_parameters()}
    net.zero_grad()
    (slow_forward(net, *arguments) * weight).sum().backward()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(fast[name], parameter.grad, atol=1e-5, rtol=1e-4)


def test_numbers_can_stay_out_of_the_factorisation_machine():
    net = network(number_factors=False)
    arguments = torch.randn(5, 2), some_codes(5), some_bags()
    assert net.number_factors is None
    torch.testing.assert_close(net(*arguments), slow_forward(net, *arguments))


def test_the_sparse_gradient_is_the_dense_one():
    net = network()
    arguments = torch.randn(5, 2), some_codes(5).to(torch.int32), some_bags()
    net(*arguments).square().sum().backward()
    dense = net.table.weight.grad
    net.zero_grad()
    net.table.sparse_gradient = True
    net(*arguments).square().sum().backward()
    assert net.table.weight.grad.is_sparse
    torch.testing.assert_close(net.table.weight.grad.to_dense(), dense)


def test_it_is_the_same_without_gradients_as_with():
    net = network()
    arguments = torch.randn(5, 2), some_codes(5), some_bags()
    with torch.no_grad():
        torch.testing.assert_close(net(*arguments), net(*arguments).detach())
        without = net(*arguments)
    torch.testing.assert_close(without, net(*arguments).detach())


@pytest.mark.parametrize(("n_numbers", "sizes"), [(0, [5, 7]), (3, [])])
def test_numbers_or_categories_may_be_missing_altogether(n_numbers, sizes):
    net = DeepFMNetwork(n_numbers, sizes, dim=2, widths=(4,))
    codes = torch.zeros(4, len(sizes), dtype=torch.int32)
    logit = net(torch.randn(4, n_numbers), codes)
    logit.sum().backward()
    assert logit.shape == (4,)
    assert bool(torch.isfinite(logit).all())


def test_in_bfloat16_only_the_network_loses_digits():
    net = network(deep=False)
    arguments = torch.randn(5, 2), some_codes(5), some_bags()
    plain = net(*arguments)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(net(*arguments), plain)
        deep = network()(*arguments)
    assert deep.dtype == torch.float32
    torch.testing.assert_close(deep, network()(*arguments), atol=0.1, rtol=0.05)


def test_the_parts_of_the_table():
    table = FusedEmbedding([2, 3], dim=4, bag_cardinalities=[5], initial_std=1.0)
    assert table.weight.shape == (10, 5)
    assert (table.starts.tolist(), table.limits.tolist()) == ([0, 2, 5], [2, 3, 5])
    assert list(table.state_dict()) == ["weight"]
    first, factors = table(torch.tensor([[1, 2]]))
    assert torch.equal(first[0], table.weight[[1, 4], 0])
    assert torch.equal(factors[0], table.weight[[1, 4], 1:])


@pytest.mark.parametrize("code", [-1, 20, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_a_code_beyond_its_field_is_refused(code, kind):
    codes = torch.tensor([[0, 0, 0], [1, code, 0]], dtype=kind)
    message = rf"code column 1: 1 of 2 codes are outside 0 … 19 \(first: row 1, {code}\)"
    with pytest.raises(DataError, match=message):
        FusedEmbedding(SIZES, 2)(codes)


def test_other_columns_than_told_are_refused():
    with pytest.raises(DataError, match=r"codes of shape \(2, 1\), must be \(rows, 3\)"):
        FusedEmbedding(SIZES, 2)(torch.zeros(2, 1, dtype=torch.int64))
    with pytest.raises(DataError, match="1 numbers per row, must be 2"):
        network()(torch.zeros(5, 1), some_codes(5), some_bags())
    with pytest.raises(DataError, match="0 bags were given, must be 2"):
        network()(torch.zeros(5, 2), some_codes(5))


@pytest.mark.parametrize(
    ("values", "offsets", "message"),
    [
        ([1, 6], [0, 1], r"bag 0: 1 of 2 values are outside 0 … 5 \(first: place 1, 6\)"),
        ([1, 2], [1, 2], "bag 0: offsets must rise from 0 to at most 2"),
        ([1, 2], [0, 3], "bag 0: offsets must rise from 0 to at most 2"),
        ([1, 2, 3], [0, 2, 1], "bag 0: offsets must rise"),
    ],
)
def test_an_unusable_bag_is_refused(values, offsets, message):
    table = FusedEmbedding([], 2, bag_cardinalities=[6])
    with pytest.raises(DataError, match=message):
        table.pool([(torch.tensor(values), torch.tensor(offsets))])


def test_a_bag_without_any_value_is_zero():
    table = FusedEmbedding([], 2, bag_cardinalities=[6])
    nothing = torch.zeros(0, dtype=torch.int64), torch.zeros(3, dtype=torch.int64)
    assert torch.equal(table.pool([nothing]), torch.zeros(3, 1, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"linear": False, "fm": False, "deep": False}, "at least one of them True"),
        ({"linear": 1}, "linear=1 must be True or False"),
        ({"n_numbers": -1}, "n_numbers=-1"),
        (
            {"n_numbers": 0, "cardinalities": []},
            r"n_numbers \+ fields=0 must be a whole number ≥ 1",
        ),
        ({"cardinalities": [3, 0]}, r"cardinalities=\(3, 0\)"),
        ({"dim": 0}, "dim=0"),
        ({"widths": (0,)}, r"widths=\(0,\)"),
    ],
)
def test_unusable_arguments_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        DeepFMNetwork(**{"n_numbers": 1, "cardinalities": [3], **options})


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 60), st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**31))
def test_sums_by_row_are_those_of_a_loop(n, n_rows, width, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, n_rows, (n,), generator=generator)
    values = torch.randn(n, width, generator=generator)
    expected = {}
    for row, value in zip(rows.tolist(), values, strict=True):
        expected[row] = expected.get(row, torch.zeros(width)) + value
    distinct, sums = sum_by_row(rows, values)
    assert distinct.tolist() == sorted(expected)
    for row, total in zip(distinct.tolist(), sums, strict=True):
        torch.testing.assert_close(total, expected[row], atol=1e-5, rtol=1e-5)


def test_rows_of_a_very_long_table_are_not_mixed_up():
    rows = torch.tensor([2**40, 7, 2**40, 2**33])
    distinct, sums = sum_by_row(rows, torch.eye(4))
    assert distinct.tolist() == [7, 2**33, 2**40]
    assert sums.tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 1, 0]]


def test_the_given_rows_are_left_alone():
    rows = torch.tensor([5, 1, 5])
    sum_by_row(rows, torch.ones(3, 1))
    assert rows.tolist() == [5, 1, 5]


def test_a_large_table_can_be_saved_and_trained_like_any_other():
    weight = nn.Parameter(large_table(300_000, 4))  # more than one large page
    assert weight.shape == (300_000, 4)
    assert not weight.detach().any()
    assert weight.is_contiguous()


def test_it_can_be_exported():
    net = network().eval()
    net = DeepFMNetwork(2, SIZES, dim=4, widths=(8,)).eval()
    arguments = torch.zeros(4, 2), some_codes(4)
    exported = torch.export.export(net, arguments)
    torch.testing.assert_close(exported.module()(*arguments), net(*arguments))
