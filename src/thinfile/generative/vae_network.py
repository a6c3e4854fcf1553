"""Encoder and decoder of a variational autoencoder on numbers, flags and categories."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from thinfile.generative.vae_layout import N_LABELS, VAELayout
from thinfile.nn.blocks import Dense

NumberLoss = Literal["gaussian", "squared", "bce"]

LOWEST_LOG_SPREAD = -4.0
"""No column is taken to be known better than e⁻⁴ of its deviation: it would outweigh all."""
LEAST_DEVIATION = 1e-3
LARGEST_LOG_VARIANCE = 12.0
N_RESIDUALS = 65
"""Quantiles of what the decoder is off by, kept for each continuous column."""

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Made:
    """What a decoder says of some rows.

    Attributes
    ----------
    smooth : Tensor of shape (rows, continuous numbers)
        Centres, or log-odds where the loss is "bce".
    flags : Tensor of shape (rows, flags)
        Log-odds of 1.
    logits : Tensor of shape (rows, sum of cardinalities)
    """

    smooth: Tensor
    flags: Tensor
    logits: Tensor


class VAENetwork(nn.Module):
    """Encoder to mean and log-variance, decoder, and the likelihood of each column.

    Parameters
    ----------
    layout
        Which columns there are.
    latent_size
        Width of the code, at least 1.
    widths
        Units of the encoder's hidden layers; the decoder's are the same backwards.
    activation
        As in :class:`thinfile.nn.blocks.Dense`.
    number_loss
        "gaussian": a variance learnt for each column. "squared": the squared error as it is.
        "bce": cross-entropy of numbers between 0 and 1.
    squash
        Whether centres go through a sigmoid, for numbers scaled to 0…1.
    bodies
        Encoder and decoder body in place of the dense ones: images. The first takes (rows,
        numbers), the second gives (rows, numbers); both say their hidden width as ``width``.

    Notes
    -----
    One-hot columns are never made: a layer on them is a sum of rows of its weights.
    """

    residuals: Tensor
    log_deviation: Tensor
    seen: Tensor
    offsets: Tensor
    fields: Tensor

    def __init__(
        self,
        layout: VAELayout,
        *,
        latent_size: int,
        widths: Sequence[int],
        activation: str,
        number_loss: NumberLoss,
        squash: bool,
        bodies: tuple[nn.Module, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.layout, self.latent_size = layout, latent_size
        self.number_loss, self.squash = number_loss, squash
        self.n_smooth, self.n_numbers = len(layout.smooth), layout.n_numbers
        self._set_fields(layout.own_cardinalities)
        told = latent_size + layout.n_condition
        if bodies is None:
            self.input = _MixedLayer(layout, widths[0], activation)
            self.encoder: nn.Module = Dense(self.input.width, widths[1:], activation=activation)
            self.decoder: nn.Module = Dense(told, widths[::-1], activation=activation)
            self.output = nn.Linear(_width(self.decoder), layout.n_inputs)
        else:
            self.encoder, self.decoder = bodies
        self.statistics = nn.Linear(self._encoded_width(bodies is None), 2 * latent_size)
        self.log_spread = nn.Parameter(torch.zeros(self.n_smooth))
        self.register_buffer("log_deviation", torch.zeros(self.n_smooth))
        self.register_buffer("residuals", torch.zeros(N_RESIDUALS, self.n_smooth))
        self.register_buffer("seen", torch.ones(layout.n_inputs - self.n_numbers))
        self.has_bodies = bodies is not None

    def _encoded_width(self, is_dense: bool) -> int:
        return _width(self.encoder) + (0 if is_dense else self.layout.n_condition)

    def _set_fields(self, cardinalities: Sequence[int]) -> None:
        starts = [sum(cardinalities[:i]) for i in range(len(cardinalities))]
        self.register_buffer("offsets", torch.tensor(starts, dtype=torch.int64), persistent=False)
        member = torch.zeros(sum(cardinalities), len(cardinalities))
        for field, (start, size) in enumerate(zip(starts, cardinalities, strict=True)):
            member[start : start + size, field] = 1.0
        self.register_buffer("fields", member, persistent=False)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the code, each (rows, latent_size)."""
        if self.has_bodies:
            hidden = self.encoder(batch["numbers"])
            if "condition" in batch:
                hidden = torch.cat([hidden, batch["condition"]], dim=1)
        else:
            hidden = self.encoder(self.input(batch))
        mean, log_variance = self.statistics(hidden).chunk(2, dim=1)
        return mean, log_variance.clamp(-LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)

    def decode(self, code: Tensor, condition: Tensor | None = None) -> Made:
        """What the columns are likely to be, from codes (rows, latent_size)."""
        told = code if condition is None else torch.cat([code, condition], dim=1)
        hidden = self.decoder(told)
        out = hidden if self.has_bodies else self.output(hidden)
        smooth, flags = out[:, : self.n_smooth], out[:, self.n_smooth : self.n_numbers]
        if self.squash and self.number_loss != "bce":
            smooth = torch.sigmoid(smooth)
        return Made(smooth, flags, out[:, self.n_numbers :])

    def losses(self, made: Made, batch: Batch) -> list[Tensor]:
        """Error of continuous numbers, flags and categories, each (rows, columns of the kind)."""
        numbers = batch["numbers"]
        parts = []
        if self.n_smooth:
            parts.append(self._smooth_loss(made.smooth, numbers[:, : self.n_smooth]))
        if self.n_numbers > self.n_smooth:
            parts.append(_bernoulli(made.flags, numbers[:, self.n_smooth :]))
        if len(self.offsets):
            parts.append(self._code_loss(made.logits, batch["codes"]))
        return parts

    def _smooth_loss(self, centre: Tensor, numbers: Tensor) -> Tensor:
        if self.number_loss == "bce":
            return _bernoulli(centre, numbers)
        if self.number_loss == "squared":
            return (numbers - centre).square()
        spread = self.spread()
        return 0.5 * ((numbers - centre) * torch.exp(-spread)).square() + (
            spread + 0.5 * math.log(2 * math.pi)
        )

    def spread(self) -> Tensor:
        """Logarithm of the deviation learnt for each continuous column."""
        return self.log_deviation + self.log_spread.clamp(min=LOWEST_LOG_SPREAD)

    @torch.no_grad()
    def start_spread(self, numbers: Tensor) -> None:
        """Begin with the columns' own deviations.

        From a wider start the decoder has nothing to say at first, and the units of the code have
        fallen silent before it has.
        """
        if not self.n_smooth:
            return
        deviation = numbers[:, : self.n_smooth].std(dim=0, correction=0)
        self.log_deviation.copy_(torch.log(deviation.clamp_min(LEAST_DEVIATION)))

    def _code_loss(self, logits: Tensor, codes: Tensor) -> Tensor:
        # One product sums the exponentials of every field; a loop over fields costs more.
        highest = logits.detach().amax(dim=1, keepdim=True)
        heaps = torch.exp(logits - highest) @ self.fields
        chosen = logits.gather(1, codes + self.offsets)
        return torch.log(heaps.clamp_min(torch.finfo(heaps.dtype).tiny)) + highest - chosen

    def centre(self, made: Made) -> Tensor:
        """The likeliest number of each column, (rows, numbers): flags as probabilities."""
        smooth = torch.sigmoid(made.smooth) if self.number_loss == "bce" else made.smooth
        return torch.cat([smooth, torch.sigmoid(made.flags)], dim=1)

    @torch.no_grad()
    def learn_codes(self, codes: Tensor) -> None:
        """Keep which codes there are in training, so that no other is drawn."""
        present = torch.zeros_like(self.seen)
        present[torch.unique(codes + self.offsets)] = 1.0
        self.seen.copy_(present)

    @torch.no_grad()
    def learn_residuals(self, batch: Batch) -> None:
        """Keep what the decoder is off by on rows, as quantiles of each continuous column."""
        if not self.n_smooth:
            return
        mean, log_variance = self.encode(batch)
        code = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        centre = self.centre(self.decode(code, batch.get("condition")))[:, : self.n_smooth]
        off = batch["numbers"][:, : self.n_smooth] - centre
        places = torch.linspace(0, len(off) - 1, N_RESIDUALS, device=off.device).round().long()
        self.residuals.copy_(off.sort(dim=0).values[places])

    @torch.no_grad()
    def draw(
        self, made: Made, *, noise: bool = True, residual: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Rows as they could be: numbers (rows, numbers) and codes (rows, categories).

        `residual` (rows, continuous numbers) is added in place of a draw of the network's own.
        """
        numbers = self.centre(made)
        flags = numbers[:, self.n_smooth :]
        if noise:
            own = self._residual(len(numbers)) if residual is None else residual
            numbers[:, : self.n_smooth] += own
            numbers[:, self.n_smooth :] = torch.bernoulli(flags)
        else:
            numbers[:, self.n_smooth :] = flags.round()
        logits = made.logits + torch.log(self.seen)
        if noise:  # the largest after Gumbel noise is a draw in proportion to the probabilities
            uniform = torch.rand_like(logits).clamp_min(torch.finfo(logits.dtype).tiny)
            logits = logits - torch.log(-torch.log(uniform))
        sizes = self.layout.own_cardinalities
        codes = (
            [part.argmax(dim=1) for part in torch.split(logits, list(sizes), dim=1)]
            if sizes
            else []
        )
        empty = torch.zeros(len(numbers), 0, dtype=torch.int64)
        return numbers, torch.stack(codes, dim=1) if codes else empty

    def _residual(self, n_rows: int) -> Tensor:
        """Draw for each row and column from between the kept quantiles."""
        place = torch.rand(n_rows, self.n_smooth) * (N_RESIDUALS - 1)
        below = place.long().clamp(max=N_RESIDUALS - 2)
        low, high = self.residuals.gather(0, below), self.residuals.gather(0, below + 1)
        return torch.lerp(low, high, place - below)


class _MixedLayer(nn.Module):
    """The first hidden layer, on numbers, condition and one-hot categories."""

    starts: Tensor

    def __init__(self, layout: VAELayout, width: int, activation: str) -> None:
        super().__init__()
        self.width = width
        sizes = layout.own_cardinalities
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        self.register_buffer("starts", torch.tensor(starts, dtype=torch.int64), persistent=False)
        n_plain = layout.n_numbers + layout.n_condition
        # Weights start as those of one layer on all columns would.
        whole = Dense(layout.n_inputs + layout.n_condition, [width], activation=activation)
        linear, self.activation = whole.hidden[0].children()
        weight = linear.get_parameter("weight").detach()
        self.weight = nn.Parameter(weight[:, :n_plain].clone())
        self.table = nn.Parameter(weight[:, n_plain:].T.contiguous())
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, batch: Batch) -> Tensor:
        numbers = batch["numbers"]
        if "condition" in batch:
            numbers = torch.cat([numbers, batch["condition"]], dim=1)
        total = functional.linear(numbers, self.weight, self.bias)
        if "codes" in batch:
            rows = batch["codes"] + self.starts
            total = total + functional.embedding_bag(rows, self.table, mode="sum")
        hidden: Tensor = self.activation(total)
        return hidden


def hide_labels(condition: Tensor, share: float) -> Tensor:
    """Make the label unknown in a random share of rows, so that rows without one can be read."""
    shown = (torch.rand(len(condition), 1, device=condition.device) >= share).to(condition.dtype)
    label, rest = condition[:, :N_LABELS], condition[:, N_LABELS:]
    return torch.cat([label * shown, rest], dim=1)


def kl_per_unit(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of each row's code from the standard normal, by unit, in nats."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0)


def _bernoulli(logits: Tensor, numbers: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, numbers, reduction="none")


def _width(module: nn.Module) -> int:
    width = module.width
    assert isinstance(width, int)
    return width
