"""Shapes that windows are sums of, and events at a place that each window chooses: no recurrence.

This is the part of a sequence autoencoder that principal components would do, and a little more.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn

EventShape = Literal["spike", "step"]
FIT_CELLS = 2_000_000
"""Cells of the windows that the first shapes are fitted to."""
EXACT_WIDTH = 300
"""Cells of a window up to which components are computed exactly."""
FILL_ROUNDS = 10
"""Rounds in which gaps are filled before the shapes are fitted again."""
TINY = 1e-6


class WindowBasis(nn.Module):
    """Linear coefficients of fixed shapes, then events: each a place and a size.

    Coefficients come from least squares on the measured cells, so gaps and short windows need
    nothing else. Where much is missing, they lean to their usual size (as in probabilistic
    principal components). Events are found by trying every place.

    Parameters
    ----------
    n_steps, n_channels : int ≥ 1
        Of the longest window.
    n_shapes, n_events : int ≥ 0
        The code has ``n_shapes + 2 · n_events`` numbers.

    Attributes
    ----------
    mean : (steps, channels)
    shapes : (shapes, steps, channels)
    kernel : (2 · steps - 1, channels)
        What an event adds before, at and after its place (the middle row).

    References
    ----------
    Tipping, Bishop, Probabilistic principal component analysis, JRSS B 1999. Mallat, Zhang,
    Matching pursuits with time-frequency dictionaries, IEEE Trans. Signal Processing 1993.
    """

    ridge: Tensor

    def __init__(self, n_steps: int, n_channels: int, n_shapes: int, n_events: int = 0) -> None:
        super().__init__()
        self.n_steps, self.n_shapes, self.n_events = n_steps, n_shapes, n_events
        self.width = n_shapes + 2 * n_events
        self.mean = nn.Parameter(torch.zeros(n_steps, n_channels))
        self.shapes = nn.Parameter(torch.zeros(n_shapes, n_steps, n_channels))
        self.kernel = nn.Parameter(torch.zeros(2 * n_steps - 1, n_channels))
        self.register_buffer("ridge", torch.zeros(n_shapes))

    def encode(self, x: Tensor, mask: Tensor) -> Tensor:
        """Code of each window: coefficients, places in -1 … 1, sizes.

        Parameters
        ----------
        x
            (windows, steps, channels), finite; at most `n_steps` steps.
        mask
            The same shape, 1 where a cell was measured.
        """
        rest = (x - self.mean[: x.shape[1]]) * mask
        if not self.n_events:
            return self._solve(rest, mask, None)
        places = torch.zeros(len(x), 0, dtype=torch.int64, device=x.device)
        with torch.no_grad():
            for _ in range(self.n_events):
                places = self._add_place(rest, mask, places)
        coefficients = self._solve(rest, mask, places)
        at = 2.0 * places / max(1, self.n_steps - 1) - 1.0
        linear, sizes = torch.split(coefficients, [self.n_shapes, self.n_events], dim=1)
        return torch.cat([linear, at, sizes], dim=1)

    def decode(self, code: Tensor, n_steps: int) -> Tensor:
        """Window of each code.  # (windows, width) -> (windows, steps, channels)"""
        linear, at, sizes = torch.split(code, [self.n_shapes, self.n_events, self.n_events], dim=1)
        shapes = self.shapes[:, :n_steps]
        x = self.mean[:n_steps] + (linear @ shapes.flatten(1)).view(-1, *shapes.shape[1:])
        if self.n_events:
            place = (at.clamp(-1, 1) + 1) / 2 * (self.n_steps - 1)
            x = x + torch.einsum("ne,netc->ntc", sizes, self._atoms(place, n_steps))
        made: Tensor = x
        return made

    def _atoms(self, place: Tensor, n_steps: int) -> Tensor:
        """What an event of size 1 adds.  # (windows, events) -> (windows, events, steps, channels)

        A place between two steps is a mixture of both, so that a walk moves it smoothly.
        """
        below = place.floor()
        step = torch.arange(n_steps, device=place.device)
        at = self.n_steps - 1 + step - below.long().unsqueeze(2)
        share = (place - below)[..., None, None]
        whole = self.kernel[at]
        if not share.any():
            return whole
        return (1 - share) * whole + share * self.kernel[(at - 1).clamp(min=0)]

    def _solve(self, rest: Tensor, mask: Tensor, places: Tensor | None) -> Tensor:
        """Coefficients and sizes by least squares over measured cells."""
        n, steps = rest.shape[:2]
        shapes = self.shapes[:, :steps].flatten(1)  # (shapes, cells)
        basis = shapes.unsqueeze(0)
        ridge = self.ridge
        if places is not None:
            atoms = self._atoms(places.to(rest.dtype), steps).flatten(2)
            basis = torch.cat([basis.expand(n, -1, -1), atoms], dim=1)
            ridge = torch.cat([ridge, ridge.new_zeros(places.shape[1])])
        if not basis.shape[1]:
            return rest.new_zeros(n, 0)
        flat = mask.flatten(1).unsqueeze(1)
        weighted = basis * flat
        gram = weighted @ basis.transpose(1, 2)
        share_missing = 1 - flat.sum(2) / self.mean.numel()
        lean = torch.diag_embed(ridge * share_missing + TINY)
        right = (weighted @ rest.flatten(1).unsqueeze(2)).squeeze(2)
        solved: Tensor = torch.linalg.solve(gram + lean, right.unsqueeze(2)).squeeze(2)
        return solved

    def _add_place(self, rest: Tensor, mask: Tensor, places: Tensor) -> Tensor:
        """One more event, where it explains most of what the others and the shapes leave."""
        steps = rest.shape[1]
        solved = self._solve(rest, mask, places)
        known = (solved[:, : self.n_shapes] @ self.shapes[:, :steps].flatten(1)).view_as(rest)
        if places.shape[1]:
            atoms = self._atoms(places.to(rest.dtype), steps)
            known = known + torch.einsum("ne,netc->ntc", solved[:, self.n_shapes :], atoms)
        left = ((rest - known) * mask).flatten(1)
        each = torch.arange(steps, device=rest.device, dtype=rest.dtype).view(1, -1)
        atoms = self._beside_shapes(self._atoms(each, steps)[0].flatten(1), steps)
        length = mask.flatten(1) @ atoms.square().T
        gain = (left @ atoms.T).square() / (length + TINY)
        gain.scatter_(1, places, -1.0)
        return torch.cat([places, gain.argmax(1, keepdim=True)], dim=1)

    def _beside_shapes(self, atoms: Tensor, steps: int) -> Tensor:
        """The part of each atom that the shapes cannot say.  # (places, cells)"""
        if not self.n_shapes:
            return atoms
        shapes = self.shapes[:, :steps].flatten(1)
        gram = shapes @ shapes.T + TINY * torch.eye(len(shapes), device=shapes.device)
        part: Tensor = atoms - (atoms @ shapes.T) @ torch.linalg.solve(gram, shapes)
        return part


def fit_basis(
    basis: WindowBasis, values: NDArray[np.float32], observed: NDArray[np.bool_], seed: int
) -> None:
    """Give a basis the principal components of windows, and the better shape of an event.

    Parameters
    ----------
    values : (windows, steps, channels)
        Scaled; anything where `observed` is False.
    """
    rng = np.random.default_rng(seed)
    n_rows = max(basis.n_shapes, FIT_CELLS // max(1, values[0].size))
    rows = rng.permutation(len(values))[:n_rows]
    filled, known = values[rows].reshape(len(rows), -1), observed[rows].reshape(len(rows), -1)
    mean = np.where(known, filled, 0).sum(0) / np.maximum(known.sum(0), 1)
    filled = np.where(known, filled, mean)
    width = min(basis.n_shapes, *filled.shape)
    parts, variances = np.zeros((basis.n_shapes, filled.shape[1])), np.zeros(basis.n_shapes)
    for _ in range(1 if known.all() else FILL_ROUNDS):
        if not width:
            break
        left, sizes, right = _components(filled - mean, width, seed)
        parts[:width], variances[:width] = right, sizes**2 / len(filled)
        filled = np.where(known, filled, mean + (left * sizes) @ right)
        mean = filled.mean(0)
    noise = np.square(filled - mean).sum(1).mean() - variances.sum()
    noise = max(noise, 0.0) / max(1, filled.shape[1] - width)
    with torch.no_grad():
        basis.mean.copy_(torch.from_numpy(mean).view_as(basis.mean))
        basis.shapes.copy_(torch.from_numpy(parts).view_as(basis.shapes))
        basis.ridge.copy_(torch.from_numpy(noise / np.maximum(variances, TINY)).clamp(max=1e3))
    if basis.n_events:
        _choose_kernel(basis, values[rows], observed[rows])


def _components(
    values: NDArray[np.float64], width: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    if values.shape[1] <= EXACT_WIDTH:
        left, sizes, right = np.linalg.svd(values, full_matrices=False)
    else:
        left, sizes, right = randomized_svd(values, width, n_iter=10, random_state=seed)
    return left[:, :width], sizes[:width], right[:width]


def _choose_kernel(
    basis: WindowBasis, values: NDArray[np.float32], observed: NDArray[np.bool_]
) -> None:
    """A spike (one step) or a step (from one step on): whichever leaves less."""
    x, mask = torch.from_numpy(values), torch.from_numpy(observed.astype(np.float32))
    x = torch.where(mask > 0, x, 0.0)[:500]
    mask = mask[:500]
    left: dict[EventShape, float] = {}
    for shape in ("spike", "step"):
        set_kernel(basis, shape)
        with torch.no_grad():
            back = basis.decode(basis.encode(x, mask), x.shape[1])
        left[shape] = float(((back - x) * mask).square().sum())
    set_kernel(basis, min(left, key=lambda shape: left[shape]))


def set_kernel(basis: WindowBasis, shape: EventShape) -> None:
    """Set what an event looks like before training."""
    with torch.no_grad():
        basis.kernel.zero_()
        middle = basis.n_steps - 1
        basis.kernel[middle : middle + 1 if shape == "spike" else None] = 1.0
