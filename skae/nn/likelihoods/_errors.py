"""Errors of a reconstruction: likelihoods of a fixed scale, less their constants."""

import torch
from torch import Tensor
from torch.nn import functional as F

from skae.nn._random import laplace_like, normal_like
from skae.nn.likelihoods._base import Likelihood


class Error(Likelihood):
    """Sum over the features of an error that grows with a power of the data's unit."""

    is_scaled = True
    is_density = False
    power: int

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        # Half-precision errors are summed in float32.
        dtype = torch.float32 if x.dtype == torch.bfloat16 else x.dtype
        return -self._error(params, x).sum(-1, dtype=dtype)

    def log_probs(self, params: Tensor, x: Tensor) -> Tensor:
        return -self._error(params, x)

    def mean(self, params: Tensor) -> Tensor:
        return params

    def in_data_units(self, log_prob: Tensor, scale: Tensor) -> Tensor:
        """The error of the data themselves, which were divided by `scale`."""
        # All features have one scale, as for PCA: its power is that of the unit.
        # In float64, which has a small error times a large power.
        error = log_prob.double() * scale.flatten()[0] ** self.power
        return error.to(log_prob.dtype)

    def _error(self, params: Tensor, x: Tensor) -> Tensor:
        raise NotImplementedError


class SquaredError(Error):
    """Squared error: minus a Gaussian log-density of variance 1/2."""

    power = 2

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        # The deviation of the normal whose log-density is minus the squared error.
        return params + 0.5**0.5 * normal_like(params, generator)

    def _error(self, params: Tensor, x: Tensor) -> Tensor:
        return (params - x).square()


class AbsoluteError(Error):
    """Absolute error: minus a Laplace log-density of scale 1."""

    power = 1

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        return params + laplace_like(params, generator)

    def _error(self, params: Tensor, x: Tensor) -> Tensor:
        return F.l1_loss(params, x, reduction="none")
