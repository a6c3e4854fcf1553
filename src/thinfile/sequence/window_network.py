"""Networks that put a window into a few numbers and make it again."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from thinfile.nn.sequence import last_state, masked_mean
from thinfile.sequence.window_basis import WindowBasis

N_WAVES = 8


class WindowNetwork(nn.Module):
    """What every such network has: `encode` and `decode`."""

    latent: int

    def encode(self, x: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
        """Code of each window.

        Parameters
        ----------
        x
            (windows, steps, channels), scaled, finite.
        mask
            The same shape, 1 where a cell was measured.
        lengths
            (windows,)

        Returns
        -------
        Tensor
            (windows, latent)
        """
        raise NotImplementedError

    def decode(self, code: Tensor, n_steps: int) -> Tensor:
        """Window of each code.  # (windows, latent) -> (windows, steps, channels)"""
        raise NotImplementedError


class ReferenceNetwork(WindowNetwork):
    """LSTM(channels → latent), its last state repeated, LSTM(latent → channels).

    What comes out is the state of an LSTM, so it lies between -1 and 1, whatever went in.

    References
    ----------
    Srivastava, Mansimov, Salakhutdinov, Unsupervised learning of video representations using
    LSTMs, ICML 2015.
    """

    def __init__(self, n_channels: int, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.encoder = nn.LSTM(n_channels, latent, batch_first=True)
        self.decoder = nn.LSTM(latent, n_channels, batch_first=True)

    def encode(self, x: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
        return last_state(self.encoder(x * mask)[0], lengths)

    def decode(self, code: Tensor, n_steps: int) -> Tensor:
        out: Tensor = self.decoder(code.unsqueeze(1).expand(-1, n_steps, -1))[0]
        return out


class LSTMNetwork(WindowNetwork):
    """A basis, and LSTMs for what it leaves.

    The encoder reads the window, its gaps and what the basis left of it, and corrects the basis's
    code. The decoder adds to the basis's window. Both begin with no correction at all, so
    training starts from principal components.

    Parameters
    ----------
    n_steps, n_channels, latent, hidden : int ≥ 1
    linear : bool
        Whether there are shapes.
    n_events : int ≥ 0
    feedback : bool
        The decoder gets what it put out one step before (and is a loop); else it gets where it is
        in the window (and is one call).
    """

    def __init__(
        self,
        n_steps: int,
        n_channels: int,
        latent: int,
        hidden: int,
        *,
        linear: bool = True,
        n_events: int = 0,
        feedback: bool = False,
    ) -> None:
        super().__init__()
        self.latent, self.n_steps, self.n_channels = latent, n_steps, n_channels
        n_free = latent - 2 * n_events
        self.basis = WindowBasis(n_steps, n_channels, n_free if linear else 0, n_events)
        self.encoder = nn.LSTM(3 * n_channels, hidden, batch_first=True)
        self.to_code = _two_layers(2 * hidden, hidden, latent)
        self.from_code = _two_layers(latent, hidden, hidden)
        self.feedback = feedback
        self.decoder = nn.LSTM(
            hidden + (n_channels if feedback else N_WAVES), hidden, batch_first=True
        )
        self.out = nn.Linear(hidden, n_channels)
        if linear or n_events:
            for part in (*self.to_code[-1].parameters(), *self.out.parameters()):
                nn.init.zeros_(part)
        self.register_buffer("waves", position_waves(n_steps), persistent=False)

    waves: Tensor

    def encode(self, x: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
        code = self._basis_code(x, mask)
        back = self.basis.decode(self._to_basis(code), x.shape[1])
        states = self.encoder(torch.cat([x * mask, mask, (x - back) * mask], dim=2))[0]
        summary = torch.cat([last_state(states, lengths), masked_mean(states, lengths)], dim=1)
        change: Tensor = self.to_code(summary)
        return code + change * self._may_change()

    def decode(self, code: Tensor, n_steps: int) -> Tensor:
        base = self.basis.decode(self._to_basis(code), n_steps)
        lifted = self.from_code(code)
        if self.feedback:
            return base + self._loop(lifted, n_steps)
        each = lifted.unsqueeze(1).expand(-1, n_steps, -1)
        waves = self.waves[:n_steps].expand(len(code), -1, -1)
        change: Tensor = self.out(self.decoder(torch.cat([each, waves], dim=2))[0])
        return base + change

    def _loop(self, lifted: Tensor, n_steps: int) -> Tensor:
        state = torch.tanh(lifted).unsqueeze(0)
        memory = (state, torch.zeros_like(state))
        out, parts = lifted.new_zeros(len(lifted), self.n_channels), []
        for _ in range(n_steps):
            states, memory = self.decoder(torch.cat([lifted, out], dim=1).unsqueeze(1), memory)
            out = self.out(states.squeeze(1))
            parts.append(out)
        return torch.stack(parts, dim=1)

    def _basis_code(self, x: Tensor, mask: Tensor) -> Tensor:
        code = self.basis.encode(x, mask)
        # Without shapes the first numbers of the code are the LSTM's alone.
        return nn.functional.pad(code, (self.latent - code.shape[1], 0))

    def _to_basis(self, code: Tensor) -> Tensor:
        return code[:, self.latent - self.basis.width :]

    def _may_change(self) -> Tensor:
        """0 for the places of events, which were found by trying them all."""
        allowed = torch.ones(self.latent)
        n_events = self.basis.n_events
        allowed[self.latent - 2 * n_events : self.latent - n_events] = 0.0
        return allowed.to(self.waves.device)


def _two_layers(n_inputs: int, hidden: int, n_outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_inputs, hidden), nn.GELU(), nn.Linear(hidden, n_outputs))


def position_waves(n_steps: int) -> Tensor:
    """Cosines over the longest window, slow to fast.  # (steps, N_WAVES)"""
    step = (torch.arange(n_steps) + 0.5) / n_steps
    return torch.cos(math.pi * step.unsqueeze(1) * torch.arange(1, N_WAVES + 1))
