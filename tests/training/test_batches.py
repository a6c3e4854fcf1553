from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import DataError, ParameterError
from thinfile.training.batches import PairedBatches, TensorBatches


def _rows(batches):
    return [batch[0].tolist() for batch in batches]


@settings(deadline=None, max_examples=150)
@given(
    n_rows=st.integers(2, 60),
    batch_size=st.integers(2, 20),
    drop_last=st.booleans(),
    shuffle=st.booleans(),
)
def test_every_row_comes_once_and_the_length_is_true(n_rows, batch_size, drop_last, shuffle):
    batches = TensorBatches(
        (torch.arange(n_rows),),
        batch_size,
        shuffle=shuffle,
        drop_last=drop_last,
        generator=torch.Generator().manual_seed(1),
    )
    rows = _rows(batches)
    flat = [row for batch in rows for row in batch]
    assert len(rows) == len(batches)
    assert len(set(flat)) == len(flat)
    if drop_last:
        assert all(len(batch) == min(batch_size, n_rows) for batch in rows)
    else:
        assert sorted(flat) == list(range(n_rows))
    if shuffle:
        assert all(len(batch) >= 2 for batch in rows)
    else:
        assert flat == list(range(len(flat)))


def test_a_remainder_of_one_row_joins_the_batch_before_only_in_training():
    assert [len(b) for b in _rows(TensorBatches((torch.arange(9),), 4))] == [4, 5]
    assert [len(b) for b in _rows(TensorBatches((torch.arange(9),), 4, shuffle=False))] == [4, 4, 1]


def test_each_pass_has_a_fresh_permutation_and_a_seed_repeats_them():
    def passes():
        generator = torch.Generator().manual_seed(3)
        batches = TensorBatches((torch.arange(50),), 10, generator=generator)
        return _rows(batches), _rows(batches)

    first, second = passes()
    assert first != second
    assert passes() == (first, second)


def test_a_mapping_gives_named_batches_with_rows_kept_together():
    tensors = {"x": torch.arange(20).view(10, 2), "y": torch.arange(10)}
    for batch in TensorBatches(tensors, 3):
        assert list(batch) == ["x", "y"]
        assert torch.equal(batch["x"][:, 0], 2 * batch["y"])


def test_balanced_drawing_gives_each_label_the_same_share():
    label = torch.zeros(2000, dtype=torch.long)
    label[:20] = 1
    generator = torch.Generator().manual_seed(0)
    batches = TensorBatches((label,), 500, balanced=label, generator=generator)
    share = torch.cat([batch[0] for batch in batches]).double().mean()
    assert len(batches) == 4
    assert abs(float(share) - 0.5) < 4 * (0.25 / 2000) ** 0.5


def test_weighted_drawing_follows_the_weights_and_never_draws_a_zero():
    weight = torch.tensor([0.0, 1.0, 3.0, 0.0, 4.0, 0.0])
    row = torch.arange(6).repeat(2000)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat(
        [b[0] for b in TensorBatches((row,), 512, weight=weight.repeat(2000), generator=generator)]
    )
    share = torch.bincount(drawn, minlength=6).double() / 12_000
    assert share[[0, 3, 5]].tolist() == [0, 0, 0]
    assert torch.allclose(share, weight.double() / 8, atol=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"tensors": (torch.zeros(3), torch.zeros(4))},
            r"must share rows and device, got \(3,\) on",
        ),
        ({"tensors": ()}, "no tensors were given"),
        ({"tensors": (torch.zeros(1),)}, "have 1 rows, at least 2"),
        ({"tensors": (torch.zeros(0),), "shuffle": False}, "have 0 rows, at least 1"),
        ({"tensors": (torch.zeros(3),), "weight": torch.tensor([1.0, -1.0, 2.0])}, "1 of them"),
        ({"tensors": (torch.zeros(3),), "weight": torch.zeros(3)}, "sum 0"),
        ({"tensors": (torch.zeros(3),), "weight": torch.ones(2)}, r"shape \(2,\) for 3 rows"),
    ],
)
def test_tensors_that_cannot_be_used_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        TensorBatches(batch_size=2, **arguments)


def test_sizes_and_options_that_cannot_be_used_are_refused():
    ones = torch.ones(4)
    with pytest.raises(ParameterError, match="batch_size is 1, must be at least 2"):
        TensorBatches((ones,), 1)
    assert len(TensorBatches((ones,), 1, shuffle=False)) == 4
    with pytest.raises(ParameterError, match="either balanced or weight"):
        TensorBatches((ones,), 2, balanced=ones, weight=ones)
    side = TensorBatches((ones,), 2)
    with pytest.raises(ParameterError, match="n_batches is 'most'"):
        PairedBatches(side, side, "most")
    with pytest.raises(DataError, match="the target has no batch"):
        PairedBatches(side, [])


@pytest.mark.parametrize(("rule", "n_pairs"), [("longest", 5), ("shortest", 2), (7, 7)])
def test_pairs_draw_both_sides_and_the_shorter_begins_again(rule, n_pairs):
    source = TensorBatches((torch.arange(10),), 2)
    target = TensorBatches((torch.arange(4),), 2)
    pairs = PairedBatches(source, target, rule)
    assert len(pairs) == n_pairs
    for _ in range(2):
        drawn = list(pairs)
        assert len(drawn) == n_pairs
        for first in range(0, n_pairs - 1, 2):  # each two target batches are one permutation
            two = [row for pair in drawn[first : first + 2] for row in pair.target[0].tolist()]
            assert sorted(two) == [0, 1, 2, 3]
        seen = [row for pair in drawn[:5] for row in pair.source[0].tolist()]
        assert len(set(seen)) == len(seen)


def test_the_shorter_side_is_permuted_afresh_each_time():
    pairs = PairedBatches(
        TensorBatches((torch.arange(400),), 40),
        TensorBatches((torch.arange(40),), 40, generator=torch.Generator().manual_seed(5)),
    )
    orders = {tuple(pair.target[0].tolist()) for pair in pairs}
    assert len(orders) == len(pairs) == 10
