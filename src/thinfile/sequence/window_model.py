"""What models of windows share: reading, training, errors, thresholds, walks and state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from thinfile import params
from thinfile.data.windows import Windows
from thinfile.errors import ArtifactError, DataError, ParameterError
from thinfile.nn.weights import get_weights, set_weights
from thinfile.params import Rule, check_params
from thinfile.sequence.window_errors import WindowErrors
from thinfile.sequence.window_network import WindowNetwork
from thinfile.sequence.window_scaling import SCALINGS, ChannelScaling
from thinfile.sequence.window_training import WindowTensors, train_windows
from thinfile.table_model import State
from thinfile.training.device import choose_device, lean_cpu, seeded
from thinfile.training.length_batches import LengthBatches

SCORING_CELLS = 200_000
Floats32 = NDArray[np.float32]
Floats64 = NDArray[np.float64]


class WindowModel(OutlierMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Base of sequence autoencoders: encoder, reconstructor, detector and generator of windows.

    Subclasses define `_build()`, `_loss(batch)`, `_cells(batch)` (raw error of each cell) and
    may define `sample`, `fill` and what else they do better.

    Attributes
    ----------
    channels_ : tuple of str
    n_steps_ : int
        Steps of the longest window at `fit`.
    network_ : WindowNetwork
    scaling_ : ChannelScaling
    channel_error_ : (channels,)
        Mean raw error of each channel in training: the unit of `errors`.
    offset_ : float
        Score below which a window is called abnormal.
    code_mean_, code_axes_ : (latent,), (latent, latent)
        Mean of the training codes, and their principal directions, each as long as one standard
        deviation, largest first.
    history_ : list of dict
    notes_ : list of str
    """

    _rules: ClassVar[Mapping[str, Rule]] = {}

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to windows.

        Parameters
        ----------
        X : Windows, array (n, steps, channels), or list of (steps_i, channels) arrays
            NaN is a cell that was not measured.
        y
            Ignored.

        Raises
        ------
        ParameterError
            An argument breaks its rule, or the latent size is above the input's.
        DataError
            The windows cannot be used: none, of length zero, infinite, a constant channel.
        """
        name = type(self).__name__
        check_params(name, self.get_params(deep=False), WINDOW_RULES | dict(self._rules))
        windows = Windows.of(X, owner=name)
        _check_measured(windows, name)
        self._check_latent(windows)
        self.notes_: list[str] = []
        self.history_: list[dict[str, Any]] = []
        self.channels_, self.n_steps_ = windows.channels, windows.n_steps
        self.n_features_in_ = len(windows.channels)
        self.scaling_ = ChannelScaling(self.scaling).fit(windows)
        device = choose_device(self.device)
        with seeded(self.random_state, device) as seed, lean_cpu():
            tensors = WindowTensors.of(windows, self.scaling_, device)
            self.network_ = self._build().to(device)
            self._start(windows, seed)
            self.history_ += train_windows(self, tensors, windows.entities, seed)
        self.network_.cpu()
        self._measure(windows)
        return self

    # Roles -----------------------------------------------------------------------------------

    def transform(self, X: Any) -> Floats32:
        """Code of each window, shape (n, latent)."""
        windows = self._read(X)
        return self._over(windows, self._code, np.zeros((len(windows), self.network_.latent)))

    def reconstruct(self, X: Any) -> Floats32:
        """Each window as the model makes it, (n, steps, channels); NaN after a window's end."""
        windows = self._read(X)
        made = self._over(windows, self._again, np.full(windows.values.shape, np.nan))
        return _cut(self.scaling_.undo(made), windows.lengths)

    def errors(self, X: Any) -> WindowErrors:
        """Error of each measured cell; `window`, `step` and `channel` are its means."""
        windows = self._read(X)
        return WindowErrors(windows, self._to_errors(self._raw_errors(windows)))

    def score_samples(self, X: Any) -> Floats64:
        """How normal each window is, shape (n,): higher is more normal."""
        errors = self.errors(X)
        return -(errors.window if self.aggregate == "mean" else errors.worst_step)

    def decision_function(self, X: Any) -> Floats64:
        """`score_samples` above the threshold, shape (n,): negative is abnormal."""
        above: Floats64 = self.score_samples(X) - self.offset_
        return above

    def predict(self, X: Any) -> NDArray[np.int64]:
        """1 for a normal window, -1 for an abnormal one, shape (n,)."""
        return np.where(self.decision_function(X) < 0, -1, 1).astype(np.int64)

    def fill(self, X: Any) -> Windows:
        """The windows with their missing cells filled in; measured cells stay as they are."""
        windows = self._read(X)
        made = self._over(windows, self._filled, np.full(windows.values.shape, np.nan))
        own = _cut(self.scaling_.undo(made), windows.lengths)
        values = np.where(windows.observed, windows.values, own)
        return Windows(values, windows.lengths, windows.channels, windows.rows, windows.entities)

    def decode(self, codes: Any, n_steps: int | None = None) -> Floats32:
        """Windows of codes (n, latent): (n, steps, channels), by default the longest at fit."""
        check_is_fitted(self, "offset_")
        steps = self._steps(n_steps)
        given = torch.as_tensor(_read_codes(codes, self.network_.latent, type(self).__name__))
        self.network_.eval()
        with lean_cpu(), torch.inference_mode():
            return self.scaling_.undo(self.network_.decode(given, steps).numpy())

    def interpolate(self, a: Any, b: Any, n: int = 9) -> Floats32:
        """`n` windows on the straight line between the codes of two, both ends included.

        Parameters
        ----------
        a, b : (steps, channels)
        n : int ≥ 2

        Returns
        -------
        (n, steps, channels)
            As long as the longer of the two.
        """
        check_params(type(self).__name__, {"n": n}, {"n": params.integer(2)})
        pair = [np.asarray(part, dtype=np.float32) for part in (a, b)]
        windows = self._read(pair)
        first, last = self.transform(windows)
        share = np.linspace(0, 1, n)[:, None]
        return self.decode((1 - share) * first + share * last, windows.n_steps)

    def walk(
        self, direction: int = 0, n: int = 9, *, span: float = 2.0, window: Any = None
    ) -> Floats32:
        """`n` windows along a principal direction of the codes: what that direction means.

        Parameters
        ----------
        direction : int in 0 … latent - 1
            0 is the direction in which codes differ most.
        n : int ≥ 2
        span : float > 0
            How far to go to each side, in standard deviations.
        window : (steps, channels), optional
            Where to walk from; the mean code by default.

        Returns
        -------
        (n, steps, channels)
        """
        check_is_fitted(self, "offset_")
        check_params(
            type(self).__name__,
            {"direction": direction, "n": n, "span": span},
            {
                "direction": params.integer(0, self.network_.latent - 1),
                "n": params.integer(2),
                "span": params.real(0, bounds="()"),
            },
        )
        middle = self.code_mean_
        if window is not None:
            middle = self.transform([np.asarray(window, dtype=np.float32)])[0]
        return self.decode(
            middle + np.linspace(-span, span, n)[:, None] * self.code_axes_[direction]
        )

    # State -----------------------------------------------------------------------------------

    def get_state(self) -> State:
        """All that was fitted, in parts that need no pickle."""
        check_is_fitted(self, "offset_")
        weights = get_weights(self.network_)
        values = {
            "channels": list(self.channels_),
            "n_steps": self.n_steps_,
            "scaling": self.scaling_.to_state(),
            "offset": self.offset_,
            "notes": self.notes_,
            "history": self.history_,
        }
        fitted = {name: getattr(self, f"{name}_").copy() for name in FITTED_ARRAYS}
        return State(values, {**weights, **fitted})

    def set_state(self, state: State) -> Self:
        """Become what `get_state` described; nothing in `state` is executed."""
        values = state.values
        self.channels_, self.n_steps_ = tuple(values["channels"]), values["n_steps"]
        self.n_features_in_ = len(self.channels_)
        self.scaling_ = ChannelScaling.from_state(values["scaling"])
        self.offset_, self.notes_ = values["offset"], values["notes"]
        self.history_ = values["history"]
        with seeded(0):  # a network that is built draws weights, which the state's then replace
            self.network_ = self._build().eval()
        try:
            for name in FITTED_ARRAYS:
                setattr(self, f"{name}_", np.asarray(state.arrays[name]))
        except KeyError as error:
            raise ArtifactError(f"{type(self).__name__}: array {error} is missing") from None
        weights = {k: v for k, v in state.arrays.items() if k not in FITTED_ARRAYS}
        set_weights(self.network_, weights, owner=type(self).__name__)
        return self

    # What a model defines --------------------------------------------------------------------

    def _build(self) -> WindowNetwork:
        raise NotImplementedError

    def _start(self, windows: Windows, seed: int) -> None:
        """Set weights before training, where there is something better than chance."""

    def _loss(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        raise NotImplementedError

    def _loss_weights(self, n_steps: int) -> Mapping[str, Any]:
        return {}

    def _cells(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Raw error of each cell.  # (windows, steps, channels)"""
        raise NotImplementedError

    def _code(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self.network_.encode(batch["x"], batch["mask"], batch["lengths"])

    def _again(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self.network_.decode(self._code(batch), batch["x"].shape[1])

    def _filled(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self._again(batch)

    # Inside ----------------------------------------------------------------------------------

    def _read(self, X: Any) -> Windows:
        check_is_fitted(self, "channel_error_")
        name = type(self).__name__
        windows = Windows.of(X, n_channels=len(self.channels_), owner=name)
        _check_measured(windows, name)
        self._check_length(windows.lengths)
        return windows

    def _check_length(self, lengths: NDArray[np.int64]) -> None:
        if lengths.max() > self.n_steps_:
            first = int(np.argmax(lengths > self.n_steps_))
            raise DataError(
                f"{type(self).__name__}: {int((lengths > self.n_steps_).sum())} of {len(lengths)} "
                f"windows are longer than the {self.n_steps_} steps that the model was fitted on "
                f"(first: window {first}, {lengths[first]} steps)"
            )

    def _check_latent(self, windows: Windows) -> None:
        size = windows.n_steps * len(windows.channels)
        if self.latent > size:
            raise ParameterError(
                f"{type(self).__name__}: latent={self.latent} is above the {size} numbers of the "
                f"longest window ({windows.n_steps} steps of {len(windows.channels)} channels)"
            )

    def _steps(self, n_steps: int | None) -> int:
        steps = self.n_steps_ if n_steps is None else n_steps
        rule = {"steps": params.integer(1, self.n_steps_)}
        check_params(type(self).__name__, {"steps": steps}, rule)
        return int(steps)

    def _over(
        self,
        windows: Windows,
        work: Callable[[Mapping[str, Tensor]], Tensor],
        into: NDArray[Any],
    ) -> NDArray[Any]:
        """Fill `into` with what `work` makes of each window, windows of like length together."""
        self.network_.eval()
        into = into.astype(np.float32)
        with lean_cpu(), torch.inference_mode():
            tensors = WindowTensors.of(windows, self.scaling_, torch.device("cpu"))
            for batch in _in_order(tensors, len(self.channels_)):
                made, rows = work(batch).numpy(), batch["rows"].numpy()
                into[rows, : made.shape[1]] = made
        return into

    def _raw_errors(self, windows: Windows) -> Floats64:
        cells = self._over(windows, self._cells, np.full(windows.values.shape, np.nan))
        cells[~windows.observed] = np.nan
        return cells.astype(np.float64)

    def _measure(self, windows: Windows) -> None:
        """What is usual among the training windows."""
        raw = self._raw_errors(windows)
        self.channel_error_ = self._usual(raw)
        codes = self.transform(windows).astype(np.float64)
        self.code_mean_ = codes.mean(0)
        _, sizes, axes = np.linalg.svd(codes - self.code_mean_, full_matrices=False)
        self.code_axes_ = np.zeros((codes.shape[1], codes.shape[1]))
        self.code_axes_[: len(sizes)] = (sizes / np.sqrt(len(codes)))[:, None] * axes
        share = 0.01 if self.contamination == "auto" else self.contamination
        self.offset_ = float(np.quantile(self.score_samples(windows), share))

    def _to_errors(self, raw: Floats64) -> Floats64:
        return raw / self.channel_error_

    def _usual(self, raw: Floats64) -> Floats64:
        mean: Floats64 = np.nanmean(raw.reshape(-1, raw.shape[2]), axis=0)
        return np.maximum(mean, 1e-12)


FITTED_ARRAYS = ("channel_error", "code_mean", "code_axes")

WINDOW_RULES: dict[str, Rule] = {
    "latent": params.integer(1),
    "hidden": params.integer(1),
    "scaling": params.one_of(*SCALINGS),
    "aggregate": params.one_of("mean", "max"),
    "contamination": params.either(params.one_of("auto"), params.real(0, 0.5, bounds="()")),
    "hide": params.real(0, 1),
    "max_epochs": params.integer(1),
    "patience": params.integer(1),
    "batch_tokens": params.integer(1),
    "learning_rate": params.real(0, bounds="()"),
    "weight_decay": params.real(0),
    "validation_fraction": params.real(0, 1, bounds="[)"),
    "random_state": params.random_state(),
}


def _in_order(tensors: WindowTensors, n_channels: int) -> Iterator[dict[str, Tensor]]:
    yield from LengthBatches(
        tensors.lengths.numpy(),
        tensors.rows,
        n_tokens=max(1, SCORING_CELLS // n_channels),
        max_rows=4096,
        shuffle=False,
    )


def _check_measured(windows: Windows, owner: str) -> None:
    empty = ~windows.observed.any(axis=(1, 2))
    if empty.any():
        raise DataError(
            f"{owner}: {int(empty.sum())} of {len(windows)} windows hold no measured cell "
            f"(first: window {int(np.argmax(empty))})"
        )


def _read_codes(codes: Any, latent: int, owner: str) -> Floats32:
    try:
        given: Floats32 = np.asarray(codes, dtype=np.float32)
    except (TypeError, ValueError):
        raise DataError(f"{owner}: codes are no array of numbers (n, {latent})") from None
    if given.ndim != 2 or given.shape[1] != latent:
        raise DataError(f"{owner}: codes have shape {given.shape}, must have (n, {latent})")
    if n_wrong := int((~np.isfinite(given)).any(axis=1).sum()):
        raise DataError(
            f"{owner}: {n_wrong} of {len(given)} codes hold NaN or infinity (shape {given.shape}), "
            f"must be finite numbers (n, {latent})"
        )
    return given


def _cut(values: Floats32, lengths: NDArray[np.int64] | Sequence[int]) -> Floats32:
    """NaN from each window's end on."""
    values[np.arange(values.shape[1]) >= np.asarray(lengths)[:, None]] = np.nan
    return values
