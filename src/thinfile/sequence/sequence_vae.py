"""Variational autoencoder of windows: new paths, gaps filled, and a bound on how likely one is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from thinfile import params
from thinfile.data.windows import Windows
from thinfile.nn.active_units import ACTIVE_VARIANCE, silent_units
from thinfile.params import Rule, check_params
from thinfile.random_state import RandomState
from thinfile.sequence.sequence_vae_network import VAENetwork
from thinfile.sequence.window_model import WindowModel
from thinfile.training.device import lean_cpu, seeded
from thinfile.training.schedules import linear_warm_up

DRAWN_CELLS = 500_000


class SequenceVAE(WindowModel):
    """A distribution over windows: draw new ones, fill gaps, and tell unlikely ones.

    Use it for paths to test a strategy on, for gaps where a spread of answers is wanted, and as a
    detector where the spread of values changes from window to window. Check drawn paths with
    :func:`thinfile.metrics.stylised_facts.compare_facts` before anybody trusts a back test. Do
    not use it for a compact code: an autoregressive decoder leaves little for the code to say
    (see `active_units_`); :class:`thinfile.sequence.lstm_autoencoder.LSTMAutoencoder` is better
    there. Channels of the same step are drawn independently given what came before.

    Parameters
    ----------
    latent : int ≥ 1, default 4
    hidden : int ≥ 1, default 48
    autoregressive : bool, default True
        Each step is drawn given the steps before it. False: the code alone makes the window.
    likelihood : {"student_t", "normal"}
        Of a cell; Student's t has fat tails whose weight is learned for each channel.
    beta : float ≥ 0, default 1.0
        Weight of the divergence from the prior.
    free_bits : float ≥ 0, default 0.1
        Divergence, in nats for each number of the code and in the mean over a batch, that costs
        nothing: a defence against a code that nobody uses.
    warm_up : float in [0, 1], default 0.3
        Share of training over which `beta` rises from 0.
    drop_past : float in [0, 1), default 0.2
        Share of past steps hidden from the decoder in training, so that it asks the code.
    n_draws : int ≥ 1, default 8
        Codes drawn for each window by `score_samples`.
    scaling, aggregate, contamination, hide, max_epochs, patience, learning_rate, weight_decay, \
batch_tokens, validation_fraction, device, random_state
        As for :class:`thinfile.sequence.lstm_autoencoder.LSTMAutoencoder`.

    Attributes
    ----------
    active_units_ : int
        Numbers of the code whose mean differs between windows (variance above 0.01).
    network_, scaling_, channels_, n_steps_, channel_error_, offset_, code_mean_, code_axes_
        See :class:`thinfile.sequence.window_model.WindowModel`. Errors of this model are
        negative log-densities, less their mean in training, plus 1.

    References
    ----------
    Bowman et al., Generating sentences from a continuous space, CoNLL 2016. Kingma et al.,
    Improved variational inference with inverse autoregressive flow, NeurIPS 2016 (free bits).
    Burda et al., Importance weighted autoencoders, ICLR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> moves = np.random.default_rng(0).standard_t(4, size=(60, 20, 1))
    >>> model = SequenceVAE(latent=2, hidden=8, max_epochs=2, random_state=0).fit(moves)
    >>> model.sample(3, steps=50, random_state=0).shape
    (3, 50, 1)
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "autoregressive": params.boolean(),
        "likelihood": params.one_of("student_t", "normal"),
        "beta": params.real(0),
        "free_bits": params.real(0),
        "warm_up": params.real(0, 1),
        "drop_past": params.real(0, 1, bounds="[)"),
        "n_draws": params.integer(1),
    }

    network_: VAENetwork

    def __init__(
        self,
        *,
        latent: int = 4,
        hidden: int = 48,
        autoregressive: bool = True,
        likelihood: str = "student_t",
        beta: float = 1.0,
        free_bits: float = 0.1,
        warm_up: float = 0.3,
        drop_past: float = 0.2,
        n_draws: int = 8,
        scaling: str = "standard",
        aggregate: str = "mean",
        contamination: float | str = "auto",
        hide: float = 0.0,
        max_epochs: int = 40,
        patience: int = 8,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.0,
        batch_tokens: int = 2048,
        validation_fraction: float = 0.1,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.latent = latent
        self.hidden = hidden
        self.autoregressive = autoregressive
        self.likelihood = likelihood
        self.beta = beta
        self.free_bits = free_bits
        self.warm_up = warm_up
        self.drop_past = drop_past
        self.n_draws = n_draws
        self.scaling = scaling
        self.aggregate = aggregate
        self.contamination = contamination
        self.hide = hide
        self.max_epochs = max_epochs
        self.patience = patience
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_tokens = batch_tokens
        self.validation_fraction = validation_fraction
        self.device = device
        self.random_state = random_state

    def sample(
        self, n: int, steps: int | None = None, *, random_state: RandomState = None
    ) -> NDArray[np.float32]:
        """New paths, (n, steps, channels), in the channels' units.

        Parameters
        ----------
        n : int ≥ 1
        steps : int, optional
            As many as the longest window at fit by default; any number where the model is
            autoregressive. One code holds for a whole path.
        random_state : None, int or numpy generator
        """
        codes = None
        return self._draw(n, steps, codes, random_state)

    def sample_like(
        self, X: Any, n: int, *, steps: int | None = None, random_state: RandomState = None
    ) -> NDArray[np.float32]:
        """New paths with the codes of given windows (drawn with replacement)."""
        windows = self._read(X)
        return self._draw(n, steps, windows, random_state)

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Importance-weighted bound of the log-density per measured cell, higher is more normal.

        With ``aggregate="max"``, minus the largest error of a step instead.
        """
        if self.aggregate == "max":
            return super().score_samples(X)
        windows = self._read(X)
        bound = np.zeros((len(windows), 1))
        with seeded(0):  # the same draws for the same windows
            bound = self._over(windows, self._bound, bound)
        n_cells = windows.observed.sum(axis=(1, 2))
        scores: NDArray[np.float64] = bound[:, 0].astype(np.float64) / n_cells
        return scores

    @property
    def active_units_(self) -> int:
        """Numbers of the code in use."""
        check_is_fitted(self, "offset_")
        return int((np.square(self.code_axes_).sum(0) > ACTIVE_VARIANCE).sum())

    # Inside ----------------------------------------------------------------------------------

    def _measure(self, windows: Windows) -> None:
        super()._measure(windows)
        self.notes_ += silent_units(self.active_units_, self.latent)

    def _build(self) -> VAENetwork:
        return VAENetwork(
            self.n_steps_,
            len(self.channels_),
            self.latent,
            self.hidden,
            autoregressive=self.autoregressive,
            student=self.likelihood == "student_t",
        )

    def _loss(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        x, mask, seen = batch["x"], batch["mask"], batch.get("seen", batch["mask"])
        network = self.network_
        mean, log_variance = network.posterior(x, seen, batch["lengths"])
        code = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        if network.training and self.drop_past:
            kept = torch.rand(*x.shape[:2], 1, device=x.device) >= self.drop_past
            seen = seen * kept
        density = network.log_density(x, *network.cells(code, x, seen))
        n_cells = mask.sum().clamp(min=1)
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean(0)
        # The floor holds for the batch's mean: single windows may say nothing.
        floored = divergence.clamp(min=self.free_bits).sum()
        return {
            "reconstruction": -(density * mask).sum() / n_cells,
            "divergence": floored * len(x) / n_cells,
        }

    def _loss_weights(self, n_steps: int) -> Mapping[str, Any]:
        n_rise = max(1, round(self.warm_up * n_steps))
        return {"divergence": linear_warm_up(n_rise, self.beta)}

    def _cells(self, batch: Mapping[str, Tensor]) -> Tensor:
        parts = self.network_.cells(self._code(batch), batch["x"], batch["mask"])
        return -self.network_.log_density(batch["x"], *parts)

    def _again(self, batch: Mapping[str, Tensor]) -> Tensor:
        """What the code and the true past let one expect at each step."""
        return self.network_.cells(self._code(batch), batch["x"], batch["mask"])[0]

    def _filled(self, batch: Mapping[str, Tensor]) -> Tensor:
        known = (batch["x"], batch["mask"])
        steps = batch["x"].shape[1]
        return self.network_.unroll(self._code(batch), steps, draw=False, known=known)

    def _bound(self, batch: Mapping[str, Tensor]) -> Tensor:
        x, mask = batch["x"], batch["mask"]
        mean, log_variance = self.network_.posterior(x, mask, batch["lengths"])
        draws = []
        for _ in range(self.n_draws):
            noise = torch.randn_like(mean)
            code = mean + torch.exp(0.5 * log_variance) * noise
            density = self.network_.log_density(x, *self.network_.cells(code, x, mask))
            prior = -0.5 * code.square().sum(1)
            own = -0.5 * (noise.square() + log_variance).sum(1)
            draws.append((density * mask).sum((1, 2)) + prior - own)
        bound = torch.logsumexp(torch.stack(draws), dim=0) - math.log(self.n_draws)
        return bound.unsqueeze(1)

    def _draw(
        self, n: int, steps: int | None, like: Windows | None, random_state: RandomState
    ) -> NDArray[np.float32]:
        check_is_fitted(self, "offset_")
        n_steps = self.n_steps_ if steps is None else steps
        longest = None if self.autoregressive else self.n_steps_
        rules = {"n": params.integer(1), "steps": params.integer(1, longest)}
        check_params(type(self).__name__, {"n": n, "steps": n_steps}, rules)
        size = max(1, DRAWN_CELLS // (n_steps * len(self.channels_)))
        with seeded(random_state), lean_cpu(), torch.inference_mode():
            codes = torch.randn(n, self.latent) if like is None else self._posterior_draws(like, n)
            parts = [self.network_.unroll(c, n_steps, draw=True) for c in torch.split(codes, size)]
        return self.scaling_.undo(torch.cat(parts).numpy())

    def _posterior_draws(self, windows: Windows, n: int) -> Tensor:
        rows = torch.randint(len(windows), (n,)).numpy()
        into = np.zeros((n, 2 * self.latent))
        both = self._over(
            windows.take(rows),
            lambda b: torch.cat(self.network_.posterior(b["x"], b["mask"], b["lengths"]), dim=1),
            into,
        )
        mean, log_variance = torch.from_numpy(both).chunk(2, dim=1)
        return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)

    def _usual(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = np.nanmean(raw.reshape(-1, raw.shape[2]), axis=0)
        return mean

    def _to_errors(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        return raw - self.channel_error_ + 1.0
