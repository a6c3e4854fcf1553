"""What the SGAN lowers: the K + 1 form, the two heads of the reference, matching, consistency.

Logits have shape (members, rows, outputs). In the K + 1 form (Salimans et al., NeurIPS 2016) the
outputs are the K classes and "made" is one more class whose logit is fixed at 0, so that a row is
real with log-odds log Σ exp(logits). With two heads (Odena 2016 as the reference prints it) they
are K classes, "made", and the logit of being real.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def class_loss(logits: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy over all members and rows; `y` of shape (members, rows)."""
    return functional.cross_entropy(logits.flatten(0, 1), y.flatten())


def constant_class_loss(logits: Tensor, label: int) -> Tensor:
    """Mean cross-entropy where every row is taken for one class."""
    return -functional.log_softmax(logits, dim=2)[..., label].mean()


def real_log_odds(logits: Tensor) -> Tensor:
    """Log-odds that a row is real, in the K + 1 form, shape (members, rows)."""
    return logits.logsumexp(dim=2)


def real_or_made(real: Tensor, made: Tensor) -> Tensor:
    """Binary cross-entropy of two sets of log-odds of being real, each counting half.

    Examples
    --------
    >>> float(real_or_made(torch.zeros(1, 4), torch.zeros(1, 4)))
    0.6931471824645996
    """
    return 0.5 * (is_real(real) + is_made(made))


def is_real(log_odds: Tensor) -> Tensor:
    """−log P(real), meaned."""
    return functional.softplus(-log_odds).mean()


def is_made(log_odds: Tensor) -> Tensor:
    """−log P(made), meaned."""
    return functional.softplus(log_odds).mean()


def feature_matching(made: Tensor, real: Tensor) -> Tensor:
    """Squared distance of the mean features of made and of real rows, summed over features.

    The mean over members is taken, each with its own generator.
    """
    return (made.mean(dim=1) - real.mean(dim=1)).square().sum(dim=1).mean()


def consistency(weak: Tensor, strong: Tensor, threshold: float) -> Tensor:
    """Cross-entropy of one view's logits under the other view's class, where that is certain.

    Parameters
    ----------
    weak : Tensor
        Logits of the little-changed view; no gradient goes through it.
    strong : Tensor
        Logits of the changed view.
    threshold : float
        Rows whose best class has at least this probability count.

    References
    ----------
    Sohn et al., FixMatch, NeurIPS 2020.
    """
    with torch.no_grad():
        certainty, label = weak.softmax(dim=2).max(dim=2)
    each = functional.cross_entropy(strong.flatten(0, 1), label.flatten(), reduction="none")
    return (each * (certainty.flatten() >= threshold)).mean()


def shifted(images: Tensor, shape: tuple[int, int, int], reach: int, fill: float) -> Tensor:
    """Each image moved by up to `reach` pixels along both axes.  # (1, images, pixels)"""
    if not reach:
        return images
    channels, height, width = shape
    n_images = images.shape[1]
    padded = functional.pad(images.view(n_images, *shape), (reach,) * 4, value=fill)
    device = images.device
    down, right = torch.randint(0, 2 * reach + 1, (2, n_images, 1), device=device)
    rows = (down + torch.arange(height, device=device))[:, None, :, None]
    columns = (right + torch.arange(width, device=device))[:, None, None, :]
    each = torch.arange(n_images, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[None, :, None, None]
    return padded[each, channel, rows, columns].reshape(1, n_images, -1)


def turned(images: Tensor, shape: tuple[int, int, int], reach: float, fill: float) -> Tensor:
    """Each image turned by up to `reach` degrees and scaled by up to a tenth, about its middle.

    # (1, images, pixels)
    """
    if not reach:
        return images
    n_images = images.shape[1]
    draws = 2 * torch.rand(2, n_images, device=images.device) - 1
    angle, scale = draws[0] * math.radians(reach), 1 + 0.1 * draws[1]
    cosine, sine, none = angle.cos() * scale, angle.sin() * scale, torch.zeros_like(angle)
    maps = torch.stack([cosine, -sine, none, sine, cosine, none], dim=1).view(-1, 2, 3)
    # Beyond the edge grid_sample puts 0, so the fill is taken off first.
    places = functional.affine_grid(maps, [n_images, *shape], align_corners=False)
    lifted = images.view(n_images, *shape) - fill
    moved = functional.grid_sample(lifted, places, align_corners=False) + fill
    return moved.reshape(1, n_images, -1)
