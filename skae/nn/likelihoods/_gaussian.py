"""Normal noise around the reconstruction."""

import math

import torch
from torch import Tensor

from skae.nn._random import normal_like
from skae.nn.likelihoods._noise import Noise


class Gaussian(Noise):
    """Independent normal noise with one learned variance, as of probabilistic PCA.

    .. math:: \\log p(x | \\mu) = -\\frac{\\lVert x - \\mu \\rVert^2}{2 \\sigma^2}
              - \\frac{d}{2} \\log 2 \\pi \\sigma^2
    """

    @property
    def variance(self) -> Tensor:
        return self.noise

    def set_noise_variance(self, variance: Tensor | float) -> None:
        self.set_noise(variance)

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        noise = normal_like(params, generator)
        return params + self.variance.sqrt() * noise

    def _deviation(self, residual: Tensor) -> Tensor:
        return residual.square()

    def _log_density(
        self, deviation: Tensor, log_noise: Tensor, fraction: Tensor | float = 1.0
    ) -> Tensor:
        # The logarithm of the variance learns; the precision is its exponential.
        constant = log_noise + math.log(2 * math.pi)
        return -0.5 * (deviation * (-log_noise).exp() + fraction * constant)


class DiagonalGaussian(Gaussian):
    """Independent normal noise with a learned variance for each feature, as of factor
    analysis, which does not depend on the scale of single features."""

    is_shared = False

    def scale_groups(self) -> list[Tensor]:
        return list(torch.arange(self.n_features).split(1))
