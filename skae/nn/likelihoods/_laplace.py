"""Double exponential noise around the reconstruction."""

import math

import torch
from torch import Tensor

from skae.nn._random import laplace_like
from skae.nn.likelihoods._noise import Noise


class Laplace(Noise):
    """Independent double exponential noise with one learned scale.

    .. math:: \\log p(x | \\mu) = -\\frac{\\lVert x - \\mu \\rVert_1}{b} - d \\log 2 b

    A reconstruction is then a median rather than a mean, and single large errors weigh
    less than under a normal distribution.
    """

    @property
    def variance(self) -> Tensor:
        # The noise is the scale b, the mean absolute deviation; the variance 2 b^2.
        return 2 * self.noise.square()

    def set_noise_variance(self, variance: Tensor | float) -> None:
        self.set_noise((torch.as_tensor(variance, dtype=torch.float64) / 2).sqrt())

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        return params + self.noise * laplace_like(params, generator)

    def _deviation(self, residual: Tensor) -> Tensor:
        return residual.abs()

    def _log_density(
        self, deviation: Tensor, log_noise: Tensor, fraction: Tensor | float = 1.0
    ) -> Tensor:
        constant = log_noise + math.log(2)
        return -deviation * (-log_noise).exp() - fraction * constant
