"""Independent counts."""

import torch
from torch import Tensor

from skae.nn._outputs import to_float32
from skae.nn.likelihoods._base import Likelihood, is_whole, smoothed_rate

# Logarithm of the largest mean count: beyond it float32 overflows in what follows.
LARGEST_LOG_MEAN = 25.0


class Poisson(Likelihood):
    """Independent counts with means ``exp(params)``.

    .. math:: \\log p(x | \\eta) = \\sum_j x_j \\eta_j - e^{\\eta_j} - \\log x_j!
    """

    support = "counts: integers >= 0, up to 2**53"

    def log_probs(self, params: Tensor, x: Tensor) -> Tensor:
        params = to_float32(params).clamp(max=LARGEST_LOG_MEAN)
        return x * params - params.exp() - torch.lgamma(x + 1)

    def mean(self, params: Tensor) -> Tensor:
        return params.clamp(max=LARGEST_LOG_MEAN).exp()

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        return torch.poisson(self.mean(params), generator=generator)

    def contains(self, X: Tensor) -> Tensor:
        return (X >= 0) & is_whole(X)

    def init_params(
        self, mean: Tensor, variance: Tensor, n_rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pearson residuals, and the log-means that they stand for."""
        rate = smoothed_rate(mean, n_rows)
        # Pearson residuals (x - mu) / mu^(1/2); the slope of the logarithm is 1 / mu.
        return rate.log(), rate.rsqrt(), rate.rsqrt()
