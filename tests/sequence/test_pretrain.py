from __future__ import annotations

import numpy as np
import pytest
import torch

from thinfile.nn.sequence import HistoryEncoder
from thinfile.sequence.pretrain import (
    Contrast,
    NextEvent,
    contrastive_loss,
    pretrain,
    rows_per_batch,
)
from thinfile.training.length_batches import FlatEvents


def _events(n_rows: int = 60, seed: int = 0) -> FlatEvents:
    """After code c comes c + 1, and each row has a level: both tasks can be learnt."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 15, n_rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    first = np.repeat(rng.integers(0, 4, n_rows), lengths)
    codes = (first + np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)) % 4
    days = np.concatenate([np.sort(rng.uniform(1, 99, n))[::-1] for n in lengths])
    level = np.repeat(rng.normal(size=n_rows), lengths) + 0.1 * rng.normal(size=len(days))
    numbers = np.column_stack([np.log1p(24 * days), level])
    return FlatEvents.of(
        codes.astype(np.int32)[:, None],
        numbers.astype(np.float32),
        days.astype(np.float32),
        offsets,
    )


def _encoder(**arguments) -> HistoryEncoder:
    torch.manual_seed(0)
    given = {"embedding_width": 4, "n_filters": 8, "hidden_width": 8, "pool_size": 1, **arguments}
    return HistoryEncoder(2, [4], **given)


def test_the_loss_is_that_of_a_loop():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(5, 3, generator=generator) for _ in range(2))
    both = [v / v.norm() for v in (*first, *second)]
    expected = 0.0
    for i, own in enumerate(both):
        scores = [float(own @ other) / 0.1 for other in both]
        others = [np.exp(s) for j, s in enumerate(scores) if j != i]
        expected -= np.log(np.exp(scores[(i + 5) % 10]) / sum(others)) / 10
    assert float(contrastive_loss(first, second)) == pytest.approx(expected, rel=1e-5)
    alike = contrastive_loss(torch.eye(5), torch.eye(5))
    assert float(alike) < 1e-3 < float(contrastive_loss(first, second))


def test_slices_lie_within_their_history_and_borrow_a_time_to_the_cut():
    torch.manual_seed(0)
    events = _events()
    rows = torch.from_numpy(np.flatnonzero(events.lengths.numpy() >= 4))
    task = Contrast(_encoder(), events, [0.0, 1.0])
    lasts = set((events.days[events.starts + events.lengths - 1])[rows].tolist())
    for _ in range(20):
        starts, lengths = task._draw(rows)
        assert (starts >= events.starts[rows]).all()
        assert (starts + lengths <= events.starts[rows] + events.lengths[rows]).all()
        assert (lengths >= 1).all()
        assert (lengths <= (0.75 * events.lengths[rows]).round()).all()
        days = events.days[events.places(starts, lengths)]
        times = task._time_to_cut(rows, days, lengths)
        last = times.gather(1, (lengths - 1).unsqueeze(1)).squeeze(1)
        found = (torch.expm1(last) / 24).tolist()
        assert all(min(abs(f - d) for d in lasts) < 1e-2 for f in found)


@pytest.mark.parametrize("pool_size", [1, 3])
def test_what_is_predicted_is_the_event_after_those_seen(pool_size):
    """Every (state, next event) pair, by a loop over rows."""
    events = _events()
    encoder = _encoder(pool_size=pool_size).eval()
    task = NextEvent(encoder, events, [4])
    rows = torch.arange(60)
    codes, numbers, lengths = events.padded(rows)
    states, _ = encoder.states(codes, numbers, lengths)
    losses, errors = [], []
    for row, length in enumerate(lengths.tolist()):
        for step, follows in enumerate(range(pool_size, length, pool_size)):
            predicted = task.head(states[row, step])
            losses.append(-torch.log_softmax(predicted[:4], 0)[codes[row, follows, 0]])
            errors.append((predicted[4] - numbers[row, follows, 1]) ** 2)
    expected = torch.stack(losses).mean() + torch.stack(errors).mean()
    torch.testing.assert_close(task(rows)["next_event"], expected)


@pytest.mark.parametrize(("method", "share"), [("next_event", 0.8), ("contrastive", 0.8)])
def test_the_loss_falls(method, share):
    torch.manual_seed(0)
    events = _events(200)
    history = pretrain(
        _encoder(),
        events,
        method,
        cardinalities=[4],
        time_scale=[[0.0, 1.0], [0.0, 1.0]],
        max_epochs=12,
        learning_rate=0.03,
        n_tokens=500,
        max_rows=32,
    )
    assert history is not None
    losses = history.column(method)
    assert losses[-1] < share * losses[0]


def test_one_event_each_teaches_nothing():
    events = FlatEvents.of(
        np.zeros((2, 1), np.int32),
        np.zeros((2, 2), np.float32),
        np.ones(2, np.float32),
        np.array([0, 1, 2]),
    )
    for method in ("next_event", "contrastive"):
        assert (
            pretrain(
                _encoder(),
                events,
                method,
                cardinalities=[4],
                time_scale=[[0.0, 1.0], [0.0, 1.0]],
                max_epochs=1,
                learning_rate=0.01,
                n_tokens=100,
                max_rows=8,
            )
            is None
        )


def test_few_rows_are_cut_into_several_batches():
    assert [rows_per_batch(n, 256) for n in (10, 100, 1000, 100_000)] == [16, 16, 100, 256]
