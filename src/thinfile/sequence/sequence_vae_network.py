"""The networks of a variational autoencoder of windows, and the density of a cell."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from thinfile.nn.sequence import last_state, masked_mean
from thinfile.sequence.window_network import N_WAVES, WindowNetwork, position_waves

LEAST_DF = 2.1
"""Degrees of freedom above 2, so that there is a variance."""
LOG_SCALE = (-5.0, 4.0)


class VAENetwork(WindowNetwork):
    """Window → normal distribution of the code; code (and past steps) → distribution of each cell.

    Parameters
    ----------
    n_steps, n_channels, latent, hidden : int ≥ 1
    autoregressive : bool
        The decoder sees the steps before, and what to make of any length follows; else it sees
        where it is in the window.
    student : bool
        Student-t cells, with degrees of freedom learned for each channel; else normal ones.
    """

    waves: Tensor

    def __init__(
        self,
        n_steps: int,
        n_channels: int,
        latent: int,
        hidden: int,
        *,
        autoregressive: bool = True,
        student: bool = True,
    ) -> None:
        super().__init__()
        self.latent, self.n_channels = latent, n_channels
        self.autoregressive, self.student = autoregressive, student
        self.encoder = nn.LSTM(3 * n_channels, hidden, batch_first=True)
        self.to_code = nn.Linear(2 * hidden, 2 * latent)
        self.from_code = nn.Sequential(nn.Linear(latent, hidden), nn.GELU())
        extra = 3 * n_channels if autoregressive else N_WAVES
        self.decoder = nn.LSTM(hidden + extra, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 2 * n_channels)
        self.log_df = nn.Parameter(torch.full((n_channels,), math.log(4.0)))
        self.register_buffer("waves", position_waves(n_steps), persistent=False)

    def posterior(self, x: Tensor, mask: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the code.  # each (windows, latent)"""
        states = self.encoder(_cells_seen(x, mask))[0]
        summary = torch.cat([last_state(states, lengths), masked_mean(states, lengths)], dim=1)
        mean, log_variance = self.to_code(summary).chunk(2, dim=1)
        return mean, log_variance.clamp(-10.0, 4.0)

    def encode(self, x: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
        return self.posterior(x, mask, lengths)[0]

    def cells(self, code: Tensor, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Place and log-scale of each cell, given the true steps before it, in one call."""
        if self.autoregressive:
            extra = nn.functional.pad(_cells_seen(x, mask), (0, 0, 1, 0))[:, :-1]
        else:
            extra = self.waves[: x.shape[1]].expand(len(x), -1, -1)
        lifted = self.from_code(code).unsqueeze(1).expand(-1, x.shape[1], -1)
        return self._parts(self.decoder(torch.cat([lifted, extra], dim=2))[0])

    def unroll(
        self,
        code: Tensor,
        n_steps: int,
        *,
        draw: bool,
        known: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Step by step, each from those before: measured, or else drawn or expected.

        Parameters
        ----------
        draw
            Whether a cell is drawn from its distribution, or its place is taken.
        known
            Values and mask of cells that are measured already, each (windows, steps, channels).
        """
        if not self.autoregressive:
            return self._all_at_once(code, n_steps, draw=draw, known=known)
        lifted, n_channels = self.from_code(code).unsqueeze(1), self.n_channels
        memory: tuple[Tensor, Tensor] | None = None
        before, parts = code.new_zeros(len(code), 1, 3 * n_channels), []
        for step in range(n_steps):
            states, memory = self.decoder(torch.cat([lifted, before], dim=2), memory)
            value = self._value(*self._parts(states), draw=draw)
            if known is not None:
                at, mask = known[0][:, step : step + 1], known[1][:, step : step + 1]
                value = torch.where(mask > 0, at, value)
            parts.append(value)
            before = _cells_seen(value, torch.ones_like(value))
        return torch.cat(parts, dim=1)

    def decode(self, code: Tensor, n_steps: int) -> Tensor:
        return self.unroll(code, n_steps, draw=False)

    def log_density(self, x: Tensor, place: Tensor, log_scale: Tensor) -> Tensor:
        """Of each cell, natural logarithm, in scaled units."""
        z = (x - place) * torch.exp(-log_scale)
        if not self.student:
            return -0.5 * (z.square() + math.log(2 * math.pi)) - log_scale
        df = self.df
        constant = torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2) - 0.5 * torch.log(math.pi * df)
        return constant - (df + 1) / 2 * torch.log1p(z.square() / df) - log_scale

    @property
    def df(self) -> Tensor:
        """Degrees of freedom of each channel."""
        return LEAST_DF + torch.exp(self.log_df)

    def _all_at_once(
        self, code: Tensor, n_steps: int, *, draw: bool, known: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        empty = code.new_zeros(len(code), n_steps, self.n_channels)
        value = self._value(*self.cells(code, empty, empty), draw=draw)
        return value if known is None else torch.where(known[1] > 0, known[0], value)

    def _parts(self, states: Tensor) -> tuple[Tensor, Tensor]:
        place, log_scale = self.out(states).chunk(2, dim=2)
        return place, log_scale.clamp(*LOG_SCALE)

    def _value(self, place: Tensor, log_scale: Tensor, *, draw: bool) -> Tensor:
        if not draw:
            return place
        noise = torch.randn_like(place)
        if self.student:
            half = (self.df / 2).expand_as(place)
            noise = noise * torch.rsqrt(torch._standard_gamma(half) / half)
        return place + torch.exp(log_scale) * noise


def _cells_seen(x: Tensor, mask: Tensor) -> Tensor:
    """Values, their sizes and what is measured: sizes tell the spread before any training."""
    return torch.cat([x * mask, x.abs() * mask, mask], dim=2)
