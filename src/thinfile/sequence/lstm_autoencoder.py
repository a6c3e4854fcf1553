"""LSTM autoencoder: a window in a few numbers, and what cannot be made again from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from thinfile import params
from thinfile.data.windows import Windows
from thinfile.errors import ParameterError
from thinfile.params import Rule, check_params
from thinfile.random_state import RandomState, seed_from
from thinfile.sequence.window_basis import fit_basis
from thinfile.sequence.window_model import WindowModel
from thinfile.sequence.window_network import LSTMNetwork, ReferenceNetwork, WindowNetwork


class LSTMAutoencoder(WindowModel):
    """Compress windows of a time series, and call abnormal what does not come back.

    Use it to find stretches that are unlike the others, to compare and cluster windows by their
    codes, and to fill gaps. Principal components of the flattened window are the method to beat:
    the default begins as these and learns a correction, so it is seldom worse. Do not use it for
    new paths that must look like real ones (a code's path is too smooth): use
    :class:`thinfile.sequence.sequence_vae.SequenceVAE`. `events` helps where single steps or
    jumps carry much of a window, as in share prices; leave it at 0 for a detector, since an
    event can be just what is to be found.

    Parameters
    ----------
    latent : int ≥ 1, default 8
        Numbers of the code, at most as many as a window has.
    hidden : int ≥ 1, default 48
        Units of each LSTM; the reference form has none besides `latent`.
    decoder : {"repeat", "feedback", "reference"}
        "repeat": the code at every step, with the position; one call for all steps. "feedback":
        each step gets what the last one put out; slower. "reference": LSTM(channels → latent) and
        LSTM(latent → channels) and nothing else; it is there for comparison, see `reference`.
    linear : bool, default True
        Begin as principal components.
    events : int ≥ 0, default 0
        Events with a place that each window chooses; each takes two numbers of the code.
    scaling : {"standard", "robust", "minmax", "none"}
        Of the channels; "robust" where rare values are huge.
    aggregate : {"mean", "max"}
        What `score_samples` takes of a window: the mean error, or that of its worst step.
    contamination : float in (0, 0.5), or "auto"
        Share of the training windows below the threshold; "auto" is 0.01.
    hide : float in [0, 1], default 0.0
        Share of training windows of which a stretch is hidden; try 0.5 for `fill`.
    max_epochs : int ≥ 1, default 40
    patience : int ≥ 1, default 8
        Epochs without a better validation loss before training stops.
    learning_rate, weight_decay : float
    batch_tokens : int ≥ 1, default 2048
        Steps in a batch, filling included.
    validation_fraction : float in [0, 1), default 0.1
        Windows that training is stopped by: the last ones of each entity where entities have 20
        or more, else blocks of neighbours.
    device : str
    random_state : None, int or numpy generator

    Attributes
    ----------
    network_, scaling_, channels_, n_steps_, channel_error_, offset_, code_mean_, code_axes_
        See :class:`thinfile.sequence.window_model.WindowModel`.

    References
    ----------
    Malhotra et al., LSTM-based encoder-decoder for multi-sensor anomaly detection, ICML 2016
    workshop. Srivastava et al., Unsupervised learning of video representations using LSTMs,
    ICML 2015.

    Examples
    --------
    >>> import numpy as np
    >>> time = np.linspace(0, 6, 12) + np.random.default_rng(0).uniform(0, 6, (80, 1))
    >>> windows = np.sin(time)[:, :, None]
    >>> model = LSTMAutoencoder(latent=2, hidden=8, max_epochs=2, random_state=0).fit(windows)
    >>> model.transform(windows).shape, model.errors(windows).step.shape
    ((80, 2), (80, 12))
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "decoder": params.one_of("repeat", "feedback", "reference"),
        "linear": params.boolean(),
        "events": params.integer(0),
    }

    def __init__(
        self,
        *,
        latent: int = 8,
        hidden: int = 48,
        decoder: str = "repeat",
        linear: bool = True,
        events: int = 0,
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
        self.decoder = decoder
        self.linear = linear
        self.events = events
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

    @classmethod
    def reference(cls, **changes: Any) -> Self:
        """The published repeat-vector form: LSTM → last state repeated → LSTM, and no more.

        Its output is an LSTM's state and lies between -1 and 1. So no move beyond one standard
        deviation comes back; with ``scaling="minmax"`` all do, and hardly differ.
        """
        settings = {"latent": 4, "decoder": "reference", "linear": False, "learning_rate": 1e-3}
        return cls(**{**settings, **changes})

    def sample(
        self, n: int, steps: int | None = None, *, random_state: RandomState = None
    ) -> NDArray[np.float32]:
        """New windows from normal codes, (n, steps, channels): smooth, without noise of their own.

        Parameters
        ----------
        n : int ≥ 1
        steps : int, optional
            At most, and by default, as many as the longest window at fit.
        random_state : None, int or numpy generator
        """
        check_is_fitted(self, "offset_")
        check_params(type(self).__name__, {"n": n}, {"n": params.integer(1)})
        rng = np.random.default_rng(seed_from(random_state))
        codes = self.code_mean_ + rng.normal(size=(n, len(self.code_mean_))) @ self.code_axes_
        return self.decode(codes, steps)

    def _build(self) -> WindowNetwork:
        n_channels = len(self.channels_)
        if self.decoder == "reference":
            return ReferenceNetwork(n_channels, self.latent)
        return LSTMNetwork(
            self.n_steps_,
            n_channels,
            self.latent,
            self.hidden,
            linear=self.linear,
            n_events=self.events,
            feedback=self.decoder == "feedback",
        )

    def _start(self, windows: Windows, seed: int) -> None:
        if isinstance(self.network_, LSTMNetwork) and (self.linear or self.events):
            fit_basis(self.network_.basis, self.scaling_.apply(windows), windows.observed, seed)

    def _check_latent(self, windows: Windows) -> None:
        super()._check_latent(windows)
        if 2 * self.events > self.latent:
            raise ParameterError(
                f"{type(self).__name__}: events={self.events} need {2 * self.events} numbers of "
                f"the code, but latent={self.latent}"
            )
        if self.decoder == "reference" and (self.linear or self.events):
            raise ParameterError(
                f"{type(self).__name__}: decoder='reference' goes with linear=False and events=0 "
                f"(linear={self.linear}, events={self.events}); LSTMAutoencoder.reference() sets "
                "them"
            )

    def _loss(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        x, mask = batch["x"], batch["mask"]
        code = self.network_.encode(x, batch.get("seen", mask), batch["lengths"])
        wrong = (self.network_.decode(code, x.shape[1]) - x) * mask
        return {"reconstruction": wrong.square().sum() / mask.sum().clamp(min=1)}

    def _cells(self, batch: Mapping[str, Tensor]) -> Tensor:
        return torch.square(self._again(batch) - batch["x"])
