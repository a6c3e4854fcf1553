"""From the arguments of a variational autoencoder and its rows to a network: sizes and checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from thinfile import params
from thinfile.data.images import ImageEncoder
from thinfile.data.mixed import MixedEncoder
from thinfile.errors import DataError, ParameterError
from thinfile.generative.vae_bank import LABEL
from thinfile.generative.vae_layout import VAELayout, raw_columns
from thinfile.generative.vae_network import NumberLoss, VAENetwork
from thinfile.nn.convolution import ConvDecoder, ConvEncoder
from thinfile.params import Rule
from thinfile.table_model import TableData

MAX_AUTO_LATENT, AUTO_SHARE = 32, 0.4
"""Of a code of size "auto": 12 for the 29 columns of card transactions."""

MIN_HELD, MAX_HELD = 20, 5_000
"""Rows whose bound can choose the weights; fewer are not held back, more are not looked at."""

MIN_OTHERS = 2
"""Rows that are no known events, below which events are trained on, too."""

Encoder = MixedEncoder | ImageEncoder
Labels = npt.NDArray[np.int8]
Rows = npt.NDArray[np.intp]

VAE_RULES: dict[str, Rule] = {
    "latent_size": params.either(params.one_of("auto"), params.integer(1)),
    "widths": params.sequence_of(params.integer(1), min_length=1),
    "activation": params.one_of("relu", "sigmoid", "tanh", "leaky_relu", "silu", "gelu"),
    "scaling": params.one_of("quantile", "minmax", "standard"),
    "number_loss": params.one_of("auto", "gaussian", "squared", "bce"),
    "beta": params.real(0),
    "free_bits": params.real(0),
    "warm_up_epochs": params.integer(0),
    "condition": params.either(
        params.one_of(None, LABEL), params.sequence_of(params.instance(str), min_length=1)
    ),
    "image_shape": params.optional(params.sequence_of(params.integer(1), min_length=2)),
    "filters": params.sequence_of(params.integer(1)),
    "n_importance_samples": params.integer(1),
    "max_epochs": params.integer(1),
    "batch_size": params.integer(2),
    "learning_rate": params.real(0, bounds="()"),
    "validation_fraction": params.real(0, 0.9),
    "patience": params.optional(params.integer(1)),
}

_AS_PUBLISHED = {"max_epochs": 50, "warm_up_epochs": 0, "validation_fraction": 0.0}
PRESETS: dict[str, dict[str, Any]] = {
    "digits": {
        "latent_size": 32,
        "widths": (256,),
        "image_shape": (28, 28),
        "batch_size": 100,
        **_AS_PUBLISHED,
    },
    "cards": {
        "latent_size": 6,
        "widths": (16,),
        "scaling": "minmax",
        "number_loss": "squared",
        "batch_size": 128,
        **_AS_PUBLISHED,
    },
}


def lay_out(encoder: Encoder, condition: str | Sequence[str] | None, y: Labels | None) -> VAELayout:
    """The columns by what the network does with them.

    Raises
    ------
    DataError
        If the condition names what is not there, or leaves nothing to be made.
    """
    has_label = condition == LABEL
    named = () if has_label or condition is None else tuple(condition)
    numbers, codes = raw_columns(encoder)
    if unknown := [name for name in named if name not in numbers + codes]:
        raise DataError(
            f"VAE: condition names {', '.join(map(repr, unknown))}: no such column, or one that "
            "is the same in every training row"
        )
    if has_label and (y is None or not (y >= 0).any()):
        raise DataError("VAE: condition='label' needs y with at least one label")
    layout = VAELayout.of(encoder, named, has_label=has_label)
    if not layout.n_inputs:
        raise DataError(f"VAE: condition={condition!r} leaves no column to be made")
    return layout


def latent_width(given: int | str, n_inputs: int) -> int:
    """The size of the code.

    Raises
    ------
    ParameterError
        If it is above the width of the table.
    """
    if isinstance(given, str):
        return min(MAX_AUTO_LATENT, max(1, round(AUTO_SHARE * n_inputs)))
    if given > n_inputs:
        raise ParameterError(
            f"VAE: latent_size={given} must be at most {n_inputs}, the encoded columns"
        )
    return given


def check_fit(model: Any, encoder: Encoder, n_rows: int) -> list[str]:
    """Hold arguments against each other and against the rows; return what is to be noted.

    Raises
    ------
    ParameterError
        If arguments do not go together.
    DataError
        If there is one row only.
    """
    is_image = isinstance(encoder, ImageEncoder)
    faults = []
    if model.number_loss == "bce" and not is_image and model.scaling != "minmax":
        faults.append(f"number_loss='bce' needs scaling='minmax', not {model.scaling!r}")
    if model.filters and not is_image:
        faults.append(f"filters={tuple(model.filters)} are for images: give image_shape")
    if faults:
        raise ParameterError("VAE: " + "; ".join(faults))
    if n_rows < 2:
        raise DataError(f"VAE: X has 1 sample (n_samples={n_rows}), at least 2 are needed")
    if model.batch_size <= n_rows:
        return []
    return [f"batch_size={model.batch_size} is more than the {n_rows} rows: each step takes all"]


def events_to_leave_out(y: Labels | None) -> tuple[npt.NDArray[np.bool_] | None, list[str]]:
    """Where the known events are, None for none to leave out; and what is to be noted."""
    if y is None or not (y == 1).any():
        return None, []
    events: npt.NDArray[np.bool_] = y == 1
    if (~events).sum() < MIN_OTHERS:
        return None, [f"{events.sum()} of {len(y)} rows have y = 1: trained on like the others"]
    return events, [f"{events.sum()} known events were left out of training"]


def split_rows(
    n_rows: int, events: npt.NDArray[np.bool_] | None, share: float, rng: np.random.Generator
) -> tuple[Rows, Rows | None]:
    """Rows to train on, in random order, and rows held back; events are in neither."""
    rows = np.arange(n_rows)
    if events is not None:
        rows = rows[~events]
    rows = rng.permutation(rows)
    n_held = int(len(rows) * share)
    if n_held < MIN_HELD:
        return rows, None
    return rows[n_held:], rows[:n_held][:MAX_HELD]


def training_tensors(
    layout: VAELayout, data: TableData, rows: Rows, device: torch.device
) -> dict[str, torch.Tensor]:
    """What the network is trained on, in the order of `rows`, on a device."""
    labels = None if data.y is None else data.y[rows]
    tensors = layout.tensors(data.encoded.take(rows), labels)
    return {name: value.to(device) for name, value in tensors.items()}


def build_network(model: Any, layout: VAELayout, encoder: Encoder, latent_size: int) -> VAENetwork:
    """A network of the sizes that a model's arguments name, with random weights."""
    is_image = isinstance(encoder, ImageEncoder)
    loss: NumberLoss = model.number_loss
    if model.number_loss == "auto":
        loss = "bce" if is_image else "gaussian"
    bodies = None
    if model.filters:
        assert isinstance(encoder, ImageEncoder)
        filters, activation = tuple(model.filters), model.activation
        told = latent_size + layout.n_condition
        bodies = (
            ConvEncoder(encoder.shape_, filters, activation=activation),
            ConvDecoder(told, encoder.shape_, filters[::-1], activation=activation),
        )
    return VAENetwork(
        layout,
        latent_size=latent_size,
        widths=tuple(model.widths),
        activation=model.activation,
        number_loss=loss,
        squash=is_image or model.scaling == "minmax",
        bodies=bodies,
    )
