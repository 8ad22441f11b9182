"""Independent counts that vary more than Poisson's."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skae.nn._outputs import to_float32
from skae.nn._random import standard_gamma
from skae.nn.likelihoods._base import Likelihood, is_whole, smoothed_rate
from skae.nn.likelihoods._poisson import LARGEST_LOG_MEAN

# Sizes beyond which the counts are Poisson's to rounding, or nearly all zero.
_SMALLEST_SIZE, _LARGEST_SIZE = 1e-2, 1e4


class NegativeBinomial(Likelihood):
    """Independent counts with means ``exp(params)`` and a learned size of each feature.

    .. math:: \\log p(x | \\mu) = \\sum_j \\log \\frac{\\Gamma(x_j + r_j)}
              {\\Gamma(r_j) x_j!} + r_j \\log \\frac{r_j}{r_j + \\mu_j} +
              x_j \\log \\frac{\\mu_j}{r_j + \\mu_j}

    The variance is :math:`\\mu + \\mu^2 / r`.
    """

    support = "counts: integers >= 0, up to 2**53"

    def __init__(self, n_features: int, size: float = 1.0):
        super().__init__(n_features)
        self.log_size = nn.Parameter(torch.full((n_features,), size).log())

    def log_probs(self, params: Tensor, x: Tensor) -> Tensor:
        params = to_float32(params).clamp(max=LARGEST_LOG_MEAN)
        log_size, size = self.log_size, self.log_size.exp()
        # log(mu / r): softplus keeps both logarithms of the density finite.
        log_odds = params - log_size
        count = torch.lgamma(x + size) - torch.lgamma(size) - torch.lgamma(x + 1)
        failure = size * F.softplus(log_odds)
        success = x * F.softplus(-log_odds)
        return count - failure - success

    def mean(self, params: Tensor) -> Tensor:
        return params.clamp(max=LARGEST_LOG_MEAN).exp()

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        size = self.log_size.detach().exp().to(params.dtype).expand(params.shape)
        # A Poisson count whose rate is mu times a gamma draw of mean 1 and variance
        # 1/r.
        gamma = standard_gamma(size, generator) / size
        return torch.poisson(self.mean(params) * gamma, generator=generator)

    def contains(self, X: Tensor) -> Tensor:
        return (X >= 0) & is_whole(X)

    @torch.no_grad()
    def init_params(
        self, mean: Tensor, variance: Tensor, n_rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sizes by moments, Pearson residuals, and the log-means they stand for."""
        rate = smoothed_rate(mean, n_rows)
        # From variance = mu + mu^2 / r; counts that vary less than Poisson's have the
        # largest size.
        size = rate.square() / (variance - rate).clamp(min=1e-30)
        size = size.clamp(_SMALLEST_SIZE, _LARGEST_SIZE)
        self.log_size.copy_(size.log())
        # Standard deviation of a count, by which Pearson residuals are divided; the
        # slope of the logarithm is 1 / mu.
        deviation = (rate + rate.square() / size).sqrt()
        return rate.log(), 1 / deviation, deviation / rate
