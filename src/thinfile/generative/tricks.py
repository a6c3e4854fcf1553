"""The tricks that keep a GAN's training steady, each with its name, its strength and its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thinfile import params
from thinfile.errors import ParameterError
from thinfile.params import Rule

LOSSES = ("saturating", "non_saturating", "least_squares", "hinge", "wasserstein")


@dataclass(frozen=True)
class Trick:
    """One trick.

    Attributes
    ----------
    title : str
        What tables and pictures show.
    off, on : Any
        The value without it, and the one that its name alone stands for.
    rule : Rule
        What values it takes.
    summary : str
        What it does, in a line.
    reference : str
        Where it comes from.
    """

    title: str
    off: Any
    on: Any
    rule: Rule
    summary: str
    reference: str


_SALIMANS = "Salimans et al., Improved techniques for training GANs, NeurIPS 2016"
_CHINTALA = "Chintala, Denton, Arjovsky and Mathieu, How to train a GAN?, NeurIPS tutorial 2016"
_PFAU = "Pfau and Vinyals, Connecting GANs and actor-critic methods, 2016"

TRICKS: dict[str, Trick] = {
    "loss": Trick(
        "Non-saturating loss",
        "saturating",
        "non_saturating",
        params.one_of(*LOSSES),
        "The generator raises log D(made) instead of lowering log(1 − D(made)); or another loss",
        "Goodfellow et al., NeurIPS 2014; Mao et al., ICCV 2017 (least squares); Lim and Ye 2017 "
        "(hinge); Arjovsky et al., ICML 2017 (Wasserstein)",
    ),
    "input_scaling": Trick(
        "Inputs from −1 to 1",
        False,
        True,
        params.boolean(),
        "Real rows in the range of the generator's tanh; off: in 0…1, so that the sign tells",
        "Radford, Metz and Chintala, ICLR 2016; " + _CHINTALA,
    ),
    "spherical_latent": Trick(
        "Spherical latent",
        False,
        True,
        params.boolean(),
        "z on the sphere of radius √width instead of normal",
        "White, Sampling generative networks, 2016",
    ),
    "batch_norm": Trick(
        "Batch norm",
        False,
        True,
        params.boolean(),
        "Normalise over the batch: in the generator, and in a discriminator of images",
        "Ioffe and Szegedy, ICML 2015; Radford, Metz and Chintala, ICLR 2016",
    ),
    "separate_batches": Trick(
        "Separate batches",
        False,
        True,
        params.boolean(),
        "The discriminator sees a batch of real rows, then one of made rows, never a mixture",
        _CHINTALA,
    ),
    "soft_labels": Trick(
        "Soft labels",
        0.0,
        0.1,
        params.real(0, 0.5, bounds="[)"),
        "Real rows have the label 1 − value (losses with a probability only)",
        _SALIMANS,
    ),
    "noisy_labels": Trick(
        "Noisy labels",
        0.0,
        0.05,
        params.real(0, 0.5, bounds="[)"),
        "So large a share of the discriminator's labels is turned round",
        _CHINTALA,
    ),
    "input_noise": Trick(
        "Decaying input noise",
        0.0,
        0.1,
        params.real(0),
        "Normal noise of this deviation on what the discriminator sees, down to 0 at the end",
        "Sønderby et al., ICLR 2017; Arjovsky and Bottou, ICLR 2017",
    ),
    "generator_dropout": Trick(
        "Dropout in the generator",
        0.0,
        0.25,
        params.real(0, 1, bounds="[)"),
        "Share of hidden units dropped, in training",
        "Isola et al., CVPR 2017; " + _CHINTALA,
    ),
    "historical_averaging": Trick(
        "Historical averaging",
        0.0,
        1e-3,
        params.real(0),
        "Weight of ‖θ − mean of all θ so far‖², on both sides",
        _SALIMANS,
    ),
    "weight_average": Trick(
        "Averaged weights",
        0.0,
        0.999,
        params.real(0, 1, bounds="[)"),
        "Rows are made with a moving average of the generator's weights, of this decay",
        "Yazıcı et al., The unusual effectiveness of averaging in GAN training, ICLR 2019",
    ),
    "replay": Trick(
        "Replay of old fakes",
        0.0,
        0.5,
        params.real(0, 1, bounds="[)"),
        "So large a share of the made rows that the discriminator sees is from earlier steps",
        "Shrivastava et al., CVPR 2017; " + _PFAU,
    ),
    "target_network": Trick(
        "Target network",
        0.0,
        0.9,
        params.real(0, 1, bounds="[)"),
        "The generator is judged by a moving average of the discriminator, of this decay",
        _PFAU,
    ),
    "diversity": Trick(
        "Diversity reward",
        0.0,
        0.1,
        params.real(0),
        "Reward of the distance between two made rows, by the distance of their z",
        "Mao et al., Mode seeking GANs, CVPR 2019; " + _PFAU,
    ),
    "train_while_above": Trick(
        "Train while its loss is above",
        None,
        (0.7, 2.0),
        params.optional(params.sequence_of(params.real(), min_length=2)),
        "A side repeats its step, at most twice, while its loss is above: discriminator, generator",
        _CHINTALA,
    ),
    "class_labels": Trick(
        "Class labels",
        False,
        True,
        params.boolean(),
        "Where `fit` was given y, both sides are told the class",
        "Mirza and Osindero, 2014; Miyato and Koyama, ICLR 2018",
    ),
    "spectral_norm": Trick(
        "Spectral norm",
        False,
        True,
        params.boolean(),
        "Each layer of the discriminator stretches nothing by more than 1",
        "Miyato et al., ICLR 2018",
    ),
    "gradient_penalty": Trick(
        "Gradient penalty",
        0.0,
        10.0,
        params.real(0),
        "Weight of (‖∂D/∂x‖ − 1)² between real and made rows",
        "Gulrajani et al., NeurIPS 2017",
    ),
    "packing": Trick(
        "PacGAN",
        1,
        4,
        params.integer(1),
        "The discriminator judges so many rows at once, and so sees when they are alike",
        "Lin et al., PacGAN, NeurIPS 2018",
    ),
}
"""Every trick by its name, in the order in which they are applied to a step."""

Given = Mapping[str, Any] | Sequence[str] | None
"""What users write: values by name, or names alone, over a class's own choice."""

TABLE_TRICKS: Mapping[str, Any] = {
    "loss": "hinge",
    "input_scaling": True,
    "batch_norm": True,
    "class_labels": True,
    "spectral_norm": True,
    "weight_average": 0.99,
}
"""What `TableGAN` does by itself; why stands in docs/decisions/table-gan-default.md."""

CTGAN_TRICKS: Mapping[str, Any] = {
    **TABLE_TRICKS,
    "loss": "wasserstein",
    "spectral_norm": False,
    "weight_average": 0.0,
    "gradient_penalty": 10.0,
    "packing": 10,
}
"""The game of Xu et al. as `tricks`; their learning rate is 2e-4, their dropout 0.5."""


def trick_values(owner: str, given: Given, default: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every trick, named or not.

    Parameters
    ----------
    owner : str
        Opens the message.
    given : mapping, sequence of str or None
        A name alone, or with the value True, stands for its usual strength; False, None or 0
        turn a trick off.
    default : mapping
        What the class does by itself; tricks that it does not name are off.

    Raises
    ------
    ParameterError
        If a name is unknown or a value breaks its rule; all faults in one message.

    Examples
    --------
    >>> values = trick_values("DCGAN", ["spectral_norm"], {"soft_labels": 0.1})
    >>> values["spectral_norm"], values["soft_labels"], values["replay"]
    (True, 0.1, 0.0)
    """
    wanted = dict.fromkeys(given, True) if _is_names(given) else dict(given or {})  # type: ignore[arg-type]
    unknown = [name for name in wanted if name not in TRICKS]
    values = {name: trick.off for name, trick in TRICKS.items()}
    for name, value in {**default, **wanted}.items():
        if name in TRICKS:
            values[name] = _meant(TRICKS[name], value)
    faults = [f"{name!r} is no trick (known: {', '.join(TRICKS)})" for name in unknown]
    faults += [
        f"{name}={values[name]!r} must be {trick.rule[1]}"
        for name, trick in TRICKS.items()
        if not trick.rule[0](values[name])
    ]
    if faults:
        raise ParameterError(f"{owner}: tricks: " + "; ".join(faults))
    return values


def _is_names(given: Given) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str)


def _meant(trick: Trick, value: Any) -> Any:
    if value is True:
        return trick.on
    return trick.off if value is False or value is None else value
