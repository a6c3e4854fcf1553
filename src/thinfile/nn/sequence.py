"""Networks on histories: convolution and pooling, a recurrent layer, and exact masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from thinfile.nn.blocks import Dense
from thinfile.nn.embeddings import TableInput
from thinfile.params import boolean, check_params, either, integer, one_of, real, sequence_of

LARGEST_AUTO_WIDTH = 32

HISTORY_RULES = {
    "convolution": boolean(),
    "recurrent": boolean(),
    "cell": one_of("lstm", "gru"),
    "embedding_width": either(one_of("auto"), integer(1)),
    "n_filters": integer(1),
    "kernel_size": integer(1),
    "pool_size": integer(1),
    "hidden_width": integer(1),
    "dropout": real(0.0, 1.0, bounds="[)"),
}


class EventInput(nn.Module):
    """Numbers and embedded categories of each event, side by side.

    All fields share one table, with the fields' codes below each other, so one look-up serves
    them all.

    Parameters
    ----------
    n_numbers
        Numeric columns of an event, 0 or more.
    cardinalities
        Codes of each category column, at least 1 each; may be empty.
    embedding_width
        Columns per field. "auto" takes 1.6 · c^0.56 for the mean cardinality c, at most 32.

    Attributes
    ----------
    width : int
        Columns that come out.
    """

    starts: Tensor

    def __init__(
        self, n_numbers: int, cardinalities: Sequence[int], *, embedding_width: int | str = "auto"
    ) -> None:
        super().__init__()
        sizes = [int(c) for c in cardinalities]
        each = _embedding_width(sizes) if embedding_width == "auto" else int(embedding_width)
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        self.register_buffer("starts", torch.tensor(starts, dtype=torch.int32), persistent=False)
        self.table = nn.Embedding(sum(sizes), each) if sizes else None
        if self.table is not None:
            nn.init.normal_(self.table.weight, std=1.0 / math.sqrt(each))
        self.width = n_numbers + each * len(sizes)

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """Join them.  # (rows, events, fields), (rows, events, numbers) -> (rows, events, width)"""
        if self.table is None:
            return numbers
        embedded = self.table(codes + self.starts).flatten(2)
        return torch.cat([numbers, embedded.to(numbers.dtype)], dim=2)


class HistoryEncoder(nn.Module):
    """One vector from a history of any length, 0 included.

    The events pass a convolution over time with pooling, then an LSTM or GRU; out come its last
    state, its mean and its maximum over the history. Either part can be switched off; without
    both, the mean of the events' inputs comes out, which is the baseline to beat. Use pooling:
    it is what makes the two parts together faster than the LSTM alone.

    The convolution looks back only, so nothing after an event reaches its state, and histories
    start at position 0 and are filled up at the end: filling reaches no result.

    Parameters
    ----------
    n_numbers, cardinalities, embedding_width
        As for :class:`EventInput`.
    convolution, recurrent : bool
        Parts that are there.
    cell : {"lstm", "gru"}
    n_filters, kernel_size : int ≥ 1
        Channels of the convolution, and how many events it sees at a time.
    pool_size : int ≥ 1
        Events that become one step (by maximum); 1 pools nothing.
    hidden_width : int ≥ 1
        Units of the recurrent layer.
    dropout : float in [0, 1)
        Share of what comes out that is dropped in training.

    Attributes
    ----------
    state_width, width : int
        Columns of a state, and of what comes out.

    Raises
    ------
    ParameterError
        An argument breaks its rule.

    References
    ----------
    Hochreiter, Schmidhuber, Long short-term memory, Neural Computation 1997. Cho et al., Learning
    phrase representations using RNN encoder–decoder, EMNLP 2014 (GRU).

    Examples
    --------
    >>> encoder = HistoryEncoder(2, [5], embedding_width=4, hidden_width=8)
    >>> codes, numbers = torch.zeros(3, 9, 1, dtype=torch.int32), torch.zeros(3, 9, 2)
    >>> encoder(codes, numbers, torch.tensor([9, 1, 0])).shape
    torch.Size([3, 24])
    """

    def __init__(
        self,
        n_numbers: int,
        cardinalities: Sequence[int],
        *,
        embedding_width: int | str = "auto",
        convolution: bool = True,
        recurrent: bool = True,
        cell: str = "lstm",
        n_filters: int = 32,
        kernel_size: int = 5,
        pool_size: int = 4,
        hidden_width: int = 64,
        dropout: float = 0.0,
    ) -> None:
        given = {k: v for k, v in locals().items() if k in HISTORY_RULES}
        check_params("HistoryEncoder", given, HISTORY_RULES)
        check_params(
            "HistoryEncoder",
            {"n_numbers": n_numbers, "cardinalities": tuple(cardinalities)},
            {"n_numbers": integer(0), "cardinalities": sequence_of(integer(1))},
        )
        super().__init__()
        self.inputs = EventInput(n_numbers, cardinalities, embedding_width=embedding_width)
        self.pool_size = pool_size if convolution else 1
        width = self.inputs.width
        self.convolution = nn.Conv2d(width, n_filters, (1, kernel_size)) if convolution else None
        width = n_filters if convolution else width
        self.recurrent = _recurrent(cell, width, hidden_width) if recurrent else None
        self.state_width = hidden_width if recurrent else width
        self._is_bag = not (convolution or recurrent)
        self.width = self.state_width * (1 if self._is_bag else 3)
        self.dropout = nn.Dropout(dropout)

    def forward(self, codes: Tensor, numbers: Tensor, lengths: Tensor) -> Tensor:
        """Vector of each history.

        Parameters
        ----------
        codes
            (rows, events, fields), integer; events from `lengths` on are not looked at.
        numbers
            (rows, events, numbers), float, finite.
        lengths
            (rows,), integer, 0 … events.

        Returns
        -------
        Tensor
            (rows, width); 0 where a history is empty.
        """
        states, n_steps = self.states(codes, numbers, lengths)
        mean = masked_mean(states, n_steps)
        if self._is_bag:
            return self._drop(mean)
        parts = [last_state(states, n_steps), mean, masked_max(states, n_steps)]
        return self._drop(torch.cat(parts, dim=1))

    def states(self, codes: Tensor, numbers: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """State after each step, and the number of steps of each row.

        Step j has seen the events before ``(j + 1) · pool_size`` and none after them.

        Returns
        -------
        tuple of Tensor
            (rows, steps, state_width) and (rows,).
        """
        x = self.inputs(codes, numbers)  # (rows, events, width)
        if self.convolution is not None:
            x = self._convolve(x, lengths)
            lengths = (lengths + self.pool_size - 1) // self.pool_size
        if self.recurrent is not None:
            x = self.recurrent(x)[0]
        return x, lengths

    def _convolve(self, x: Tensor, lengths: Tensor) -> Tensor:
        assert self.convolution is not None
        pool, rest = self.pool_size, -x.shape[1] % self.pool_size
        x = functional.pad(x, (0, 0, self.convolution.kernel_size[1] - 1, rest))
        # As an image of one line whose channels lie last in memory: no copy, and faster.
        x = self.convolution(x.transpose(1, 2).unsqueeze(2))  # (rows, filters, 1, events)
        x = x.squeeze(2).transpose(1, 2)  # (rows, events, filters)
        if pool > 1:
            # Filling becomes 0, and so does all below 0 next: it never wins a maximum.
            x = x * step_mask(lengths, x.shape[1]).unsqueeze(2)
            x = x.reshape(len(x), -1, pool, x.shape[2]).amax(2)
        return torch.relu(x)

    def _drop(self, x: Tensor) -> Tensor:
        dropped: Tensor = self.dropout(x)
        return dropped


class SequenceNetwork(nn.Module):
    """Histories and static columns → hidden layers → one logit.

    Parameters
    ----------
    encoder : HistoryEncoder or None
        None where no row has a history.
    n_numbers, cardinalities
        Static columns, as for :class:`thinfile.nn.embeddings.TableInput`; there may be none.
    widths, dropout
        Hidden layers of the head.
    """

    def __init__(
        self,
        encoder: HistoryEncoder | None,
        n_numbers: int,
        cardinalities: Sequence[int],
        widths: Sequence[int],
        *,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.inputs = TableInput(n_numbers, cardinalities)
        # The number of events is no part of a mean or a maximum: it goes in by itself.
        width = self.inputs.width + (encoder.width + 1 if encoder else 0)
        self.body = Dense(width, widths, dropout=dropout)
        self.head = nn.Linear(self.body.width, 1)

    def forward(
        self, numbers: Tensor, codes: Tensor, history: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor:
        """Log-odds of the event, shape (rows,); `history` as `HistoryEncoder` takes it."""
        x = self.inputs(numbers, codes)
        if self.encoder is not None:
            n_events = torch.log1p(history[2].to(x.dtype)).unsqueeze(1)
            x = torch.cat([self.encoder(*history), n_events, x], dim=1)
        logit: Tensor = self.head(self.body(x)).squeeze(1)
        return logit


def step_mask(lengths: Tensor, n_steps: int) -> Tensor:
    """True for the steps that a row has.  # (rows,) -> (rows, steps)"""
    return torch.arange(n_steps, device=lengths.device) < lengths.unsqueeze(1)


def masked_mean(states: Tensor, lengths: Tensor) -> Tensor:
    """Mean over the steps that a row has, 0 without any.  # -> (rows, width)"""
    mask = step_mask(lengths, states.shape[1]).to(states.dtype)
    total = torch.bmm(mask.unsqueeze(1), states).squeeze(1)
    return total / lengths.clamp(min=1).to(states.dtype).unsqueeze(1)


def masked_max(states: Tensor, lengths: Tensor) -> Tensor:
    """Maximum over the steps that a row has, 0 without any.  # -> (rows, width)"""
    mask = step_mask(lengths, states.shape[1]).unsqueeze(2)
    largest = states.masked_fill(~mask, -torch.inf).amax(dim=1)
    return largest.masked_fill((lengths == 0).unsqueeze(1), 0.0)


def last_state(states: Tensor, lengths: Tensor) -> Tensor:
    """State of the last step that a row has, 0 without any.  # -> (rows, width)"""
    rows = torch.arange(len(states), device=states.device)
    last = states[rows, (lengths - 1).clamp(min=0)]
    return last.masked_fill((lengths == 0).unsqueeze(1), 0.0)


def _recurrent(cell: str, n_inputs: int, width: int) -> nn.RNNBase:
    kind: Any = nn.LSTM if cell == "lstm" else nn.GRU
    layer: nn.RNNBase = kind(n_inputs, width, batch_first=True)
    if cell == "lstm":
        # A cell that keeps its memory at the start learns from long histories sooner.
        with torch.no_grad():
            dict(layer.named_parameters())["bias_hh_l0"][width : 2 * width] = 1.0
    return layer


def _embedding_width(sizes: list[int]) -> int:
    if not sizes:
        return 0
    suggested: float = 1.6 * (sum(sizes) / len(sizes)) ** 0.56
    return min(LARGEST_AUTO_WIDTH, round(suggested))
