"""Location families whose best noise scale has a closed form."""

import math

import torch
from torch import Tensor, nn

from skae.nn.likelihoods._base import Likelihood


class Noise(Likelihood):
    """Location family with learned noise, one for all features or one for each.

    A subclass says how a value deviates from its parameter, and the density at a given
    deviation. The noise that suits rows best is their mean deviation.
    """

    is_scaled = True
    is_shared = True

    def __init__(self, n_features: int, noise: float = 1.0):
        super().__init__(n_features)
        self.n_noises = 1 if self.is_shared else n_features
        self.log_noise = nn.Parameter(torch.full((self.n_noises,), math.log(noise)))

    @property
    def noise(self) -> Tensor:
        return self.log_noise.exp()

    @torch.no_grad()
    def set_noise(self, noise: Tensor | float) -> None:
        self.log_noise.copy_(torch.as_tensor(noise, dtype=torch.float64).log())

    def deviations(self, params: Tensor, x: Tensor) -> Tensor:
        # Zero for missing entries (NaN), which `observed_fractions` accounts for.
        return self._means(self._deviation(params - x).where(~x.isnan(), 0))

    def observed_fractions(self, x: Tensor) -> Tensor:
        return self._means((~x.isnan()).to(x.dtype))

    def log_density(
        self, deviations: Tensor, noise: Tensor, fractions: Tensor | float = 1.0
    ) -> Tensor:
        return self._sum_density(deviations, noise.log(), fractions)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return self._sum_density(self._mean_deviations(params - x), self.log_noise)

    def log_probs(self, params: Tensor, x: Tensor) -> Tensor:
        return self._log_density(self._deviation(params - x), self.log_noise)

    def mean(self, params: Tensor) -> Tensor:
        return params

    def _mean_deviations(self, residuals: Tensor) -> Tensor:
        return self._means(self._deviation(residuals))

    def _means(self, values: Tensor) -> Tensor:
        """Means over the features of each noise, (..., n_noises)."""
        if not self.is_shared:
            return values
        # Summed in float32 at least: half precision loses small terms of many.
        total = values.sum(-1, keepdim=True, dtype=self.log_noise.dtype)
        return total / self.n_features

    def _sum_density(
        self, deviations: Tensor, log_noise: Tensor, fractions: Tensor | float = 1.0
    ) -> Tensor:
        # The density of d values of one noise depends on them by their mean deviation
        # alone, so that a row needs one term instead of d.
        terms = self._log_density(deviations, log_noise, fractions).sum(-1)
        return terms * self.n_features if self.is_shared else terms

    def _deviation(self, residual: Tensor) -> Tensor:
        """Deviation of each value, whose mean is the noise."""
        raise NotImplementedError

    def _log_density(
        self, deviation: Tensor, log_noise: Tensor, fraction: Tensor | float = 1.0
    ) -> Tensor:
        """Log-density of each value; or of a mean over features, of which that fraction
        is observed."""
        raise NotImplementedError
