"""What is measured of a variational autoencoder: bounds of the likelihood, and active units."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinfile.generative.vae_network import Batch, VAENetwork, kl_per_unit


def error_of_rows(network: VAENetwork, batch: Batch, code: Tensor) -> Tensor:
    """Sum of the errors of all columns, shape (rows,)."""
    parts = network.losses(network.decode(code, batch.get("condition")), batch)
    total: Tensor = torch.stack([part.sum(dim=1) for part in parts]).sum(dim=0)
    return total


def drawn_bound(network: VAENetwork, batch: Batch) -> Tensor:
    """The bound of each row's log-likelihood from one drawn code, shape (rows,)."""
    mean, log_variance = network.encode(batch)
    code = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
    kl = kl_per_unit(mean, log_variance).sum(dim=1)
    return -error_of_rows(network, batch, code) - kl


def importance_bound(network: VAENetwork, batch: Batch, draws: Tensor) -> Tensor:
    """The importance-weighted bound of each row's log-likelihood, shape (rows,).

    Parameters
    ----------
    network : VAENetwork
    batch : mapping
        Numbers, codes, condition.
    draws : Tensor of shape (samples, latent_size)
        Standard normal; the same for every row, so that a row's score does not depend on the
        rows beside it.

    References
    ----------
    Burda, Grosse, Salakhutdinov: Importance weighted autoencoders, ICLR 2016, equation 8.
    """
    mean, log_variance = network.encode(batch)
    deviation = torch.exp(0.5 * log_variance)
    log_weights = []
    for draw in draws:
        code = mean + deviation * draw
        # log p(z) − log q(z | x); the constants of the two normals cancel.
        log_prior = -0.5 * code.square().sum(dim=1)
        log_posterior = -0.5 * (draw.square() + log_variance).sum(dim=1)
        log_weights.append(-error_of_rows(network, batch, code) + log_prior - log_posterior)
    return torch.logsumexp(torch.stack(log_weights), dim=0) - math.log(len(draws))
