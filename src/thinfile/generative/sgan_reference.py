"""The SGAN as it is printed in tutorials, collapse included: for experiments, not for use.

Two heads on one body (real or made; K classes and "made"), trained on a balanced table of fewer
than 1,000 labelled rows, as in Odena (2016) and the much-copied Keras example of Lindernoren
("Keras-GAN", sgan.py). Its faults are kept, each as an argument that undoes it:

======================  =============================  ===================================
fault                   as printed                     undone by
======================  =============================  ===================================
class head 32 to 64     ``class_loss="printed"``       ``class_loss="mean"``
times too weak
inputs in 0…1 against   ``scaling="unit"``             ``scaling="minmax"``, ``"standard"``
a generator in −1…1
no unlabelled row       ``max_unlabelled=0``           ``max_unlabelled=20_000``
the last weights score  ``average=None, keep="last"``  ``average=0.995, keep="best"``
one network             ``n_members=1``                ``n_members="auto"``
generator wants to be   ``feature_matching=False``     ``feature_matching=True``
taken for real
batch norm, separate    ``norm="batch"``,              ``norm="spectral"``,
real and made batches   ``separate_batches=True``      ``separate_batches=False``
======================  =============================  ===================================
"""

from __future__ import annotations

from typing import Any

REFERENCE: dict[str, Any] = {
    "n_latent": 10,
    "generator_widths": (16, 32),
    "widths": (31, 16),
    "norm": "batch",
    "dropout": 0.25,
    "two_heads": True,
    "feature_matching": False,
    "separate_batches": True,
    "class_loss": "printed",
    "scaling": "unit",
    "batch_size": 128,
    "max_steps": 5_000,
    "learning_rate": 2e-4,
    "generator_learning_rate": 2e-4,
    "decay": False,
    "average": None,
    "keep": "last",
    "n_members": 1,
    "max_unlabelled": 0,
    "common_weight": 0.0,
    "consistency_weight": 0.0,
    "input_noise": 0.0,
    "target_rate": None,
}
"""Arguments of the reference; both heads weigh a half."""


def class_weights(given: str, n_classes: int, batch_size: int) -> tuple[float, float]:
    """Weights of the class loss on real rows and on made rows.

    The printed ones divide by the rows of half a batch, although the loss is a mean already.

    Examples
    --------
    >>> class_weights("printed", 2, 128)
    (0.015625, 0.0078125)
    """
    if given == "mean":
        return 1.0, 0.5
    half = batch_size // 2
    return 0.5 * n_classes / half, 0.5 / half
