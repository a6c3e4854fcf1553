"""Settings of the autoencoder: the rule of each argument, those that go together, presets."""

from __future__ import annotations

from typing import Any

from thinfile import params
from thinfile.data.images import ImageEncoder
from thinfile.errors import DataError, ParameterError
from thinfile.generative.autoencoder_network import Layout
from thinfile.nn.embeddings import TableInput
from thinfile.params import Rule

MAX_AUTO_LATENT = 64
AUTO_SHARE = 0.4
"""Size of an "auto" code, as a share of the inputs: 12 for the reference's 29."""

_ACTIVATIONS = ("relu", "sigmoid", "tanh", "leaky_relu", "silu", "gelu")

RULES: dict[str, Rule] = {
    "latent_size": params.either(params.one_of("auto"), params.integer(1)),
    "widths": params.sequence_of(params.integer(1)),
    "filters": params.sequence_of(params.integer(1)),
    "activation": params.one_of(*_ACTIVATIONS),
    "code_activation": params.one_of(None, *_ACTIVATIONS),
    "squash": params.one_of("auto", None, "sigmoid", "tanh"),
    "loss": params.one_of("squared", "bce"),
    "scaling": params.one_of("minmax", "standard", "quantile"),
    "noise": params.real(0),
    "masking": params.real(0, 1, bounds="[)"),
    "trim": params.real(0, 1, bounds="[)"),
    "row_error": params.one_of("auto", "largest", "standardised", "mean"),
    "max_epochs": params.integer(1),
    "max_steps": params.optional(params.integer(1)),
    "batch_size": params.integer(2),
    "learning_rate": params.real(0, bounds="()"),
    "weight_decay": params.real(0),
    "validation_fraction": params.real(0, 0.9),
    "patience": params.optional(params.integer(1)),
}

PRESETS: dict[str, dict[str, Any]] = {
    "digits": {
        "image_shape": (28, 28),
        "latent_size": 32,
        "widths": (),
        "code_activation": "relu",
        "squash": "sigmoid",
        "loss": "bce",
        "row_error": "mean",
        "masking": 0.0,
        "max_epochs": 50,
        "max_steps": None,
        "batch_size": 256,
        "validation_fraction": 0.0,
        "patience": None,
    },
    "cards": {
        "latent_size": 12,
        "widths": (),
        "code_activation": "tanh",
        "squash": "sigmoid",
        "loss": "squared",
        "scaling": "minmax",
        "row_error": "mean",
        "masking": 0.0,
        "max_epochs": 20,
        "max_steps": None,
        "batch_size": 128,
        "validation_fraction": 0.1,
        "patience": None,
    },
}


def squash_of(model: Any) -> str | None:
    """The squashing that "auto" stands for."""
    if model.squash != "auto":
        squash: str | None = model.squash
        return squash
    return "sigmoid" if model.scaling == "minmax" or _has_images(model) else None


def row_error_of(model: Any) -> str:
    """The sum over columns that "auto" stands for."""
    if model.row_error != "auto":
        return str(model.row_error)
    return "mean" if _has_images(model) else "largest"


def check_together(model: Any) -> None:
    """Hold arguments against each other, and against what X was.

    Raises
    ------
    ParameterError
        With every fault.
    """
    faults = []
    images = _has_images(model)
    if model.loss == "bce" and squash_of(model) != "sigmoid":
        faults.append("loss='bce' needs squash='sigmoid'")
    if model.squash in ("sigmoid", "tanh") and model.scaling != "minmax" and not images:
        faults.append(f"squash={model.squash!r} needs scaling='minmax', not {model.scaling!r}")
    if model.filters and not images:
        faults.append(f"filters={tuple(model.filters)!r} are for images only")
    if faults:
        raise ParameterError(f"{type(model).__name__}: {'; '.join(faults)}")


def choose_latent_size(model: Any) -> int:
    """Columns of the code.

    Raises
    ------
    DataError
        If the table gives the network one input only.
    ParameterError
        If the code would not be narrower than the inputs.
    """
    encoder = model.encoder_
    n_inputs = TableInput(len(encoder.number_names_), encoder.cardinalities_).width
    if n_inputs < 2:
        raise DataError(
            f"the table gives the network {n_inputs} input (n_features = {model.n_features_in_}): "
            "at least 2 are needed, for a code that is narrower"
        )
    if model.latent_size == "auto":
        return min(MAX_AUTO_LATENT, max(1, round(AUTO_SHARE * n_inputs)))
    if model.latent_size >= n_inputs:
        raise ParameterError(
            f"{type(model).__name__}: latent_size={model.latent_size} must be below the "
            f"{n_inputs} inputs that the table gives, else rows are just copied"
        )
    return int(model.latent_size)


def layout_of(model: Any) -> Layout:
    """Shapes of the network of a model whose encoder and `latent_size_` are fitted."""
    encoder = model.encoder_
    return Layout(
        n_numbers=len(encoder.number_names_),
        cardinalities=tuple(encoder.cardinalities_),
        latent_size=model.latent_size_,
        widths=tuple(model.widths),
        activation=model.activation,
        code_activation=model.code_activation,
        squash=squash_of(model),
        shape=getattr(encoder, "shape_", None),
        filters=tuple(model.filters),
    )


def _has_images(model: Any) -> bool:
    return isinstance(model.encoder_, ImageEncoder)
