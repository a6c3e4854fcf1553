"""Teach an encoder of histories without labels: what comes next, which slices are of one row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from thinfile import params
from thinfile.errors import ParameterError
from thinfile.nn.sequence import HISTORY_RULES, HistoryEncoder, step_mask
from thinfile.params import Rule
from thinfile.training.batches import Batches
from thinfile.training.history import History
from thinfile.training.length_batches import FlatEvents, LengthBatches
from thinfile.training.loop import train
from thinfile.training.optimizer import adam
from thinfile.training.phase import Phase

PRETRAININGS = ("next_event", "contrastive")

PRETRAINING_RULES: dict[str, Rule] = {
    **HISTORY_RULES,
    "pretrain": params.one_of(*PRETRAININGS),
    "pretrain_epochs": params.integer(1),
    "max_events": params.optional(params.integer(1)),
    "max_categories": params.integer(1),
    "batch_tokens": params.integer(1),
    "time_column": params.optional(params.instance(str)),
}
"""Rules of the arguments that an encoder of histories adds to an estimator."""

LEAST_STEPS, LEAST_ROWS = 10, 16
"""A pass has at least so many batches, as long as a batch has so many rows."""

HOURS_PER_DAY = 24.0
PROJECTION_WIDTH = 64
SMALLEST_SLICE, LARGEST_SLICE = 0.25, 0.75
MIN_EVENTS = {"next_event": 2, "contrastive": 4}
"""Events that a history needs to teach something."""

Terms = Mapping[str, Tensor]


def pretrain(
    encoder: HistoryEncoder,
    events: FlatEvents,
    method: str,
    *,
    cardinalities: list[int],
    time_scale: list[list[float]],
    max_epochs: int,
    learning_rate: float,
    n_tokens: int,
    max_rows: int,
) -> History | None:
    """Train an encoder on histories alone, whether their rows have labels or not.

    Use it where labels are few and histories many. It does nothing for rows of a single event.
    Random numbers come from torch's global generator, as in :func:`thinfile.training.loop.train`.

    Parameters
    ----------
    encoder : HistoryEncoder
        Trained in place.
    events : FlatEvents
        All histories, on the encoder's device.
    method : {"next_event", "contrastive"}
        next_event: from each step, the codes and numbers of the event that follows it. contrastive:
        two slices of one history are to be more alike than slices of different rows.
    cardinalities
        Codes per column, as the encoder has them.
    time_scale
        Mean and spread of the log times, as `EventEncoder.time_scale_`.
    max_epochs, learning_rate, n_tokens, max_rows
        As for the loop and for `LengthBatches`.

    Returns
    -------
    History or None
        None where no history is long enough.

    References
    ----------
    Babaev et al., CoLES: contrastive learning for event sequences with self-supervision, SIGMOD
    2022 (slices). Chen et al., A simple framework for contrastive learning of visual
    representations, ICML 2020 (the loss).
    """
    lengths = events.lengths.cpu().numpy()
    rows = np.flatnonzero(lengths >= MIN_EVENTS[method])
    if len(rows) < 2:
        return None
    task: nn.Module
    if method == "next_event":
        task = NextEvent(encoder, events, cardinalities)
    else:
        task = Contrast(encoder, events, time_scale[0])
    task.to(events.days.device)
    place = torch.from_numpy(rows).to(events.days.device)
    batches: Batches = LengthBatches(
        lengths[rows],
        lambda chosen: place[chosen.to(place.device)],
        n_tokens=n_tokens,
        max_rows=max(2, max_rows),
    )
    loss: Callable[[Any], Terms] = task
    phase = Phase(adam(task.parameters(), learning_rate), loss, clip_norm=1.0)
    return train(task, phase, batches, max_epochs=max_epochs)


class NextEvent(nn.Module):
    """From the state after each step, predict the event that comes next.

    The loss is the mean cross-entropy of the category columns and the mean squared error of the
    scaled numbers (the time to the cut excepted, which says nothing of the event).
    """

    def __init__(
        self, encoder: HistoryEncoder, events: FlatEvents, cardinalities: list[int]
    ) -> None:
        super().__init__()
        self.encoder, self.events = encoder, events
        self.sizes = cardinalities
        self.n_numbers = events.numbers.shape[1] - 1
        self.head = nn.Linear(encoder.state_width, sum(cardinalities) + self.n_numbers)

    def forward(self, rows: Tensor) -> Terms:
        """The loss of a batch of rows."""
        codes, numbers, lengths = self.events.padded(rows)
        states, _ = self.encoder.states(codes, numbers, lengths)
        pool = self.encoder.pool_size
        # Step j has seen the events before (j + 1) · pool: that one is the next.
        follows = torch.arange(1, states.shape[1] + 1, device=states.device) * pool
        known = follows < lengths.unsqueeze(1)  # (rows, steps)
        if not bool(known.any()):
            return {"next_event": states.sum() * 0.0}
        row, step = known.nonzero(as_tuple=True)
        predicted = self.head(states[row, step])
        place = follows[step]
        return {"next_event": self._loss(predicted, codes[row, place], numbers[row, place])}

    def _loss(self, predicted: Tensor, codes: Tensor, numbers: Tensor) -> Tensor:
        parts = torch.split(predicted, [*self.sizes, self.n_numbers], dim=1)
        loss = functional.mse_loss(parts[-1], numbers[:, 1:])
        for field, logits in enumerate(parts[:-1]):
            entropy = functional.cross_entropy(logits, codes[:, field].long())
            loss = loss + entropy / len(self.sizes)
        return loss


class Contrast(nn.Module):
    """Tell two slices of one history from slices of other rows in the batch.

    A slice is a run of a quarter to three quarters of the events. Its times to the cut are laid
    out anew, with the distance of its last event from the cut borrowed from another row: else
    the calendar alone would tell which slices lie beside each other.
    """

    def __init__(
        self,
        encoder: HistoryEncoder,
        events: FlatEvents,
        scale: list[float],
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        self.encoder, self.events, self.scale = encoder, events, scale
        self.temperature = temperature
        self.projection = nn.Linear(encoder.width, PROJECTION_WIDTH)

    def forward(self, rows: Tensor) -> Terms:
        """The loss of a batch of rows."""
        first, second = (self._embed(rows) for _ in range(2))
        return {"contrastive": contrastive_loss(first, second, self.temperature)}

    def _embed(self, rows: Tensor) -> Tensor:
        starts, lengths = self._draw(rows)
        codes, numbers, _ = self.events.slices(starts, lengths)
        days = self.events.days[self.events.places(starts, lengths)]
        numbers = numbers.clone()
        numbers[:, :, 0] = self._time_to_cut(rows, days, lengths)
        projected: Tensor = self.projection(self.encoder(codes, numbers, lengths))
        return projected

    def _draw(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        starts, lengths = self.events.starts[rows], self.events.lengths[rows]
        share = torch.empty(len(rows)).uniform_(SMALLEST_SLICE, LARGEST_SLICE).to(lengths.device)
        size = (lengths * share).round().long().clamp(min=1)
        place = torch.rand(len(rows)).to(lengths.device)
        return starts + (place * (lengths - size + 1)).long(), size

    def _time_to_cut(self, rows: Tensor, days: Tensor, lengths: Tensor) -> Tensor:
        others = rows[torch.randperm(len(rows)).to(rows.device)]
        borrowed = self.events.days[self.events.starts[others] + self.events.lengths[others] - 1]
        last = days.gather(1, (lengths - 1).unsqueeze(1))
        moved = days - last + borrowed.unsqueeze(1)
        mean, spread = self.scale
        logs = (torch.log1p(HOURS_PER_DAY * moved.clamp(min=0)) - mean) / spread
        return logs * step_mask(lengths, days.shape[1])


def contrastive_loss(first: Tensor, second: Tensor, temperature: float = 0.1) -> Tensor:
    """Cross-entropy of finding each vector's partner among all others of the batch.

    Parameters
    ----------
    first, second : Tensor
        (rows, width); row i of one is the partner of row i of the other.
    temperature : float > 0
        Divides the cosines.

    Returns
    -------
    Tensor
        A single number.
    """
    both = functional.normalize(torch.cat([first, second]), dim=1)
    likeness = both @ both.T / temperature
    itself = torch.eye(len(both), dtype=torch.bool, device=both.device)
    n = len(first)
    partner = torch.arange(2 * n, device=both.device).roll(n)
    return functional.cross_entropy(likeness.masked_fill(itself, -torch.inf), partner)


def build_encoder(estimator: Any) -> HistoryEncoder:
    """The encoder of an estimator that has the arguments of one and a fitted `event_encoder_`."""
    events = estimator.event_encoder_
    arguments = {name: getattr(estimator, name) for name in HISTORY_RULES}
    return HistoryEncoder(len(events.number_names_), events.cardinalities_, **arguments)


def pretrain_encoder(
    estimator: Any, encoder: HistoryEncoder, events: FlatEvents, learning_rate: float
) -> list[dict[str, Any]]:
    """Pretrain by the estimator's arguments; records of the run, and a note where there is none."""
    history = pretrain(
        encoder,
        events,
        estimator.pretrain,
        cardinalities=estimator.event_encoder_.cardinalities_,
        time_scale=estimator.event_encoder_.time_scale_,
        max_epochs=estimator.pretrain_epochs,
        learning_rate=learning_rate,
        n_tokens=estimator.batch_tokens,
        max_rows=rows_per_batch(len(events.lengths), estimator.batch_size),
    )
    if history is None:
        estimator.notes_.append("no two histories are long enough to pretrain on: left out")
        return []
    return [dict(record) for record in history]


def check_pretraining(estimator: Any) -> None:
    """Refuse what the parts of an estimator's encoder cannot learn.

    Raises
    ------
    ParameterError
        For next_event where the encoder is a mean of events, which has no next one.
    """
    if estimator.pretrain == "next_event" and not (estimator.convolution or estimator.recurrent):
        raise ParameterError(
            f"{type(estimator).__name__}: pretrain='next_event' needs convolution or recurrent: a "
            "mean of events has no next one"
        )


def rows_per_batch(n_rows: int, batch_size: int) -> int:
    """Most rows of a batch: so few that a pass over few rows is more than one step."""
    return min(batch_size, max(LEAST_ROWS, -(-n_rows // LEAST_STEPS)))
