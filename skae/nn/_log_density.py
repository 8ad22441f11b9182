"""Lower bounds of the log-density of rows, in units of the data.

The density of a model with a kept start is a mixture of the two.
"""

import math

import torch
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal

from skae.nn._missing_normal import NormalLaw
from skae.nn._model import LatentModel
from skae.nn.likelihoods import Gaussian
from skae.nn.priors import Normal


def log_bound(model: LatentModel, x: Tensor, noise: Tensor) -> Tensor:
    """Importance-weighted lower bound of log p(x) of standardized rows (n, d).

    `noise` (s, k) holds s draws, the same for every row, so that a row's value does not
    depend on the rows around it (Burda et al., 2016, eq. 8). Where the law is normal,
    it is exact and takes no draws.
    """
    if model.start is None:
        return _own_log_bound(model, x, noise)
    return torch.logaddexp(*in_shares(model, *own_and_start(model, x, noise)))


def own_and_start(
    model: LatentModel, x: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Bounds of the model's own part and of its start."""
    return _own_log_bound(model, x, noise), log_bound(model.start, x, noise)


def in_shares(model: LatentModel, own: Tensor, linear: Tensor) -> tuple[Tensor, Tensor]:
    """Log-densities of the model's own part and of its start, each with its share."""
    share = model.start_share
    return own + math.log1p(-share), linear + math.log(share)


def _own_log_bound(model: LatentModel, x: Tensor, noise: Tensor) -> Tensor:
    is_linear_gaussian = (
        model.decoder is None
        and isinstance(model.likelihood, Gaussian)
        and isinstance(model.prior, Normal)
    )
    if is_linear_gaussian:
        return _exact_log_density(model, x)
    return importance_weighted(model, x, noise)


def importance_weighted(model: LatentModel, x: Tensor, noise: Tensor) -> Tensor:
    """The bound of the model's own part, by draws."""
    q, prior = model.encode(x), model.current_prior()
    total = None
    for draw in noise:
        z = q.rsample(draw.expand_as(q.mean))
        weight = model.log_likelihood(model.decode(z), x)
        weight = weight + prior.log_prob(z) - q.log_prob(z)
        total = weight if total is None else torch.logaddexp(total, weight)
    n_draws = torch.tensor(len(noise), dtype=x.dtype, device=x.device)
    return model.of_data(total - n_draws.log(), x)


def _exact_log_density(model: LatentModel, x: Tensor) -> Tensor:
    """Of the normal law that a linear decoder makes of normal latents."""
    noise = model.likelihood.variance.double().expand(model.n_features)
    mean, weight = (
        w.double() for w in (model.spine.decode_bias, model.spine.decode_weight)
    )
    if model.law is None:
        log_density = LowRankMultivariateNormal(mean, weight, noise).log_prob(
            x.double()
        )
    else:  # of the observed cells, in units of their noise
        std = noise.sqrt()
        law = NormalLaw(mean, weight / std[:, None], 1.0, std)
        log_density = law.log_prob(x)
    return model.of_data(log_density.to(x.dtype), x)
