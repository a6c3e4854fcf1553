"""What each argument of an SGAN may be."""

from __future__ import annotations

from thinfile import params
from thinfile.params import Rule

_AUTO_WIDTHS = params.either(params.one_of("auto"), params.sequence_of(params.integer(1)))
_AUTO_WEIGHT = params.either(params.one_of("auto"), params.real(0))

SGAN_RULES: dict[str, Rule] = {
    "widths": _AUTO_WIDTHS,
    "generator_widths": _AUTO_WIDTHS,
    "n_latent": params.integer(1),
    "norm": params.one_of("auto", "spectral", "batch", None),
    "dropout": params.either(params.one_of("auto"), params.real(0, 1, bounds="[)")),
    **dict.fromkeys(
        ("two_heads", "feature_matching", "separate_batches", "decay"), params.boolean()
    ),
    "class_loss": params.one_of("mean", "printed"),
    "adversarial_weight": params.real(0),
    **dict.fromkeys(("common_weight", "consistency_weight", "input_noise"), _AUTO_WEIGHT),
    "threshold": params.real(0, 1, bounds="[)"),
    "max_shift": params.integer(0),
    "max_turn": params.real(0, 180),
    "scaling": params.one_of("standard", "quantile", "minmax", "unit"),
    "max_steps": params.either(params.one_of("auto"), params.integer(1)),
    "batch_size": params.integer(4),
    "learning_rate": params.real(0, bounds="()"),
    "generator_learning_rate": params.real(0, bounds="()"),
    "average": params.optional(params.real(0, 1, bounds="()")),
    "keep": params.one_of("best", "last"),
    "n_members": params.either(params.one_of("auto"), params.integer(1)),
    "check_every": params.integer(1),
    "max_unlabelled": params.integer(0),
    "image_shape": params.optional(params.sequence_of(params.integer(1), min_length=2)),
}
