"""Lower bounds of the log-density of rows, and losses, in units of the data.

The density of a model with an initial model beside it is a mixture of the two.
"""

from collections.abc import Callable
from functools import reduce
from typing import cast

import torch
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal

from skae.nn._missing_normal import LowRankNormal
from skae.nn._model import LatentModel
from skae.nn.likelihoods import Gaussian
from skae.nn.priors import Normal


def log_bound(model: LatentModel, x: Tensor, base_samples: Tensor) -> Tensor:
    """Importance-weighted lower bound of log p(x) of standardized rows (n, d).

    `base_samples` (s, k) make s draws, the same for every row, so that a row's value
    does not depend on the rows around it (Burda et al., 2016, eq. 8). Where the density
    is normal, it is exact and takes no draws.
    """
    if model.initial is None:
        return _own_log_bound(model, x, base_samples)
    # The bound holds for a mixture as for each of its components.
    components = component_log_bounds(model, x, base_samples)
    return torch.logaddexp(*weighted(model.initial.weight, *components))


def component_log_bounds(
    model: LatentModel, x: Tensor, base_samples: Tensor
) -> tuple[Tensor, Tensor]:
    """Bounds (n,) of the model's own component and of its initial model."""
    assert model.initial is not None
    own = _own_log_bound(model, x, base_samples)
    return own, _own_log_bound(model.initial.beside(model), x, base_samples)


def weighted(weight: Tensor, own: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
    """Log-densities of the model's own component and of the initial model, each with
    its weight; `weight` is the latter's."""
    return own + (-weight).log1p().to(own), initial + weight.log().to(initial)


def is_normal(model: LatentModel) -> bool:
    """Whether a linear decoder makes normal rows of normal latents."""
    likelihood, has_normal_codes = model.likelihood, isinstance(model.prior, Normal)
    return (
        model.decoder is None and has_normal_codes and isinstance(likelihood, Gaussian)
    )


def _own_log_bound(model: LatentModel, x: Tensor, base_samples: Tensor) -> Tensor:
    if is_normal(model):
        variance = cast(Gaussian, model.likelihood).variance
        return _exact_log_density(model, variance, x)
    return importance_weighted(model, x, base_samples)


def importance_weighted(model: LatentModel, x: Tensor, base_samples: Tensor) -> Tensor:
    """The bound of the model's own component, by draws."""
    q, prior = model.encode_variational(x)

    def log_weight(draw: Tensor) -> Tensor:  # (n,), of one draw (k,)
        # One draw at a time: memory does not grow with their number.
        z = q.rsample(draw.expand_as(q.mean))
        log_likelihood = model.log_likelihood(model.decode(z), x)
        return log_likelihood + prior.log_prob(z) - q.log_prob(z)

    total = reduce(torch.logaddexp, map(log_weight, base_samples))
    n_draws = torch.tensor(len(base_samples), dtype=x.dtype, device=x.device)
    return of_data(model, total - n_draws.log(), x)


def _exact_log_density(model: LatentModel, variance: Tensor, x: Tensor) -> Tensor:
    """Log-density (n,) of the normal that a linear decoder makes of normal latents."""
    # In float64: the determinant of a nearly singular covariance loses all digits in
    # float32.
    noise = variance.double().expand(model.n_features)
    mean = model.skip.decode_bias.double()
    loadings = model.skip.decode_weight.double()
    if model.imputer is None:
        log_density = LowRankMultivariateNormal(mean, loadings, noise).log_prob(
            x.double()
        )
    else:  # of the observed entries, in units of their noise
        # Loadings in units of the noise, W / s: its variance is then one.
        std = noise.sqrt()
        normal = LowRankNormal(mean, loadings / std[:, None], 1.0, std)
        log_density = normal.log_prob(x)
    return of_data(model, log_density.to(x.dtype), x)


def rows_log_density(
    model: LatentModel, X: Tensor, log_density: Callable[[LatentModel, Tensor], Tensor]
) -> Tensor:
    """``log_density(model, x)`` (n,) of rows X (n, d) in data units.

    It is minus infinity where a row is outside the support of the likelihood, or so far
    off that the density overflows.
    """
    log_densities = log_density(model, model.units.to_net(X))
    can_be = (model.likelihood.contains(X) | X.isnan()).all(-1)
    return log_densities.where(can_be & ~log_densities.isnan(), -torch.inf)


def of_data(model: LatentModel, log_prob: Tensor, x: Tensor) -> Tensor:
    """Log-densities (n,) of standardized rows as those of the data."""
    scale = model.units.data_scale
    # The density of a row with missing entries has the units of the observed ones
    # alone.
    if model.imputer is not None and model.likelihood.is_density:
        scale = scale.where(~x.isnan(), 1.0)
    return model.likelihood.in_data_units(log_prob, scale)


def loss_of_data(model: LatentModel, loss: float) -> float:
    """A loss of standardized rows as that of the data."""
    log_likelihood = torch.tensor(-loss, dtype=torch.float64)
    scale = model.units.data_scale.cpu()
    return -float(model.likelihood.in_data_units(log_likelihood, scale))


def log_loss(model: LatentModel, x: Tensor, n_steps: int = 0) -> Tensor:
    """Minus the loss of each row's reconstruction, in data units."""
    # A point code has no density, so that the loss of its reconstruction stands here.
    params = model.decode(model.best_code(x, n_steps))
    return of_data(model, model.log_likelihood(params, x), x)
