import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import DataError, ParameterError
from thinfile.nn.embeddings import TableInput


def slow(inputs, cardinalities, numbers, codes):
    """Field by field and row by row, in the order numbers, small fields, large fields."""
    rows = []
    for number_row, code_row in zip(numbers, codes, strict=True):
        small, large, start = [], [], 0
        for code, size in zip(code_row.tolist(), cardinalities, strict=True):
            if size <= 10:
                small += [1.0 if code == i else 0.0 for i in range(size)]
            else:
                large.append(inputs.table.weight[start + code])
                start += size
        rows.append(torch.cat([number_row, torch.tensor(small), *large]))
    return torch.stack(rows)


@settings(max_examples=30, deadline=None)
@given(
    n_numbers=st.integers(0, 3),
    cardinalities=st.lists(st.sampled_from([1, 2, 10, 11, 40]), max_size=4),
    seed=st.integers(0, 99),
)
def test_fused_look_up_is_the_slow_one(n_numbers, cardinalities, seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = TableInput(n_numbers, cardinalities)
    numbers = torch.randn(5, n_numbers, generator=generator)
    codes = torch.zeros(5, len(cardinalities), dtype=torch.int64)
    for i, cardinality in enumerate(cardinalities):
        codes[:, i] = torch.randint(0, cardinality, (5,), generator=generator)
    got = inputs(numbers, codes)
    assert got.shape == (5, inputs.width)
    assert torch.equal(got, slow(inputs, cardinalities, numbers, codes))


def test_no_columns_of_either_kind():
    nothing = torch.zeros(3, 0)
    no_codes = torch.zeros(3, 0, dtype=torch.int64)
    assert TableInput(0, [])(nothing, no_codes).shape == (3, 0)
    assert TableInput(2, [])(torch.ones(3, 2), no_codes).shape == (3, 2)
    assert TableInput(0, [30])(nothing, torch.zeros(3, 1, dtype=torch.int64)).shape == (3, 11)
    assert TableInput(1, [30])(torch.zeros(0, 1), torch.zeros(0, 1, dtype=torch.int64)).numel() == 0


def test_automatic_width_follows_the_mean_of_the_large_fields():
    assert TableInput(0, [3, 9]).embedding_width == 0
    assert TableInput(0, [3, 100]).embedding_width == round(1.6 * 100**0.56)
    assert TableInput(0, [10**6]).embedding_width == 32
    assert TableInput(0, [100, 11], embedding_width=5).width == 10


def test_int32_codes_are_taken_and_gradient_reaches_the_rows_looked_up():
    inputs = TableInput(1, [20, 3], embedding_width=2)
    inputs(torch.zeros(2, 1), torch.tensor([[4, 0], [4, 2]], dtype=torch.int32)).sum().backward()
    touched = inputs.table.weight.grad.abs().sum(dim=1).nonzero().flatten()
    assert touched.tolist() == [4]


@pytest.mark.parametrize("code", [-1, 20])
def test_a_code_beyond_its_field_is_refused(code):
    inputs = TableInput(0, [3, 20, 50])
    codes = torch.tensor([[0, 0, 0], [1, code, 1]])
    with pytest.raises(
        DataError, match=rf"code column 1: 1 of 2 codes .* 0 … 19 \(first: row 1, {code}\)"
    ):
        inputs(torch.zeros(2, 0), codes)


def test_another_number_of_columns_is_refused():
    with pytest.raises(DataError, match="1 numbers and 1 codes per row must be 2 and 1"):
        TableInput(2, [3])(torch.zeros(2, 1), torch.zeros(2, 1, dtype=torch.int64))


def test_the_fields_are_no_part_of_the_weights():
    assert list(TableInput(1, [3, 20]).state_dict()) == ["table.weight"]


def test_it_can_be_exported():
    inputs = TableInput(1, [3, 20])
    arguments = torch.zeros(4, 1), torch.tensor([[2, 19]] * 4)
    exported = torch.export.export(inputs, arguments)
    assert torch.equal(exported.module()(*arguments), inputs(*arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_numbers": -1, "cardinalities": []}, "n_numbers=-1"),
        ({"n_numbers": 1, "cardinalities": [0]}, r"cardinalities=\(0,\)"),
        (
            {"n_numbers": 1, "cardinalities": [3], "embedding_width": "wide"},
            "must be one of 'auto'",
        ),
    ],
)
def test_unusable_arguments_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        TableInput(**arguments)
