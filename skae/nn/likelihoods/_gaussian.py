"""Normal noise around the reconstruction."""

import math

import torch
from torch import Tensor, nn


class Gaussian(nn.Module):
    """Independent normal noise with one learned variance.

    .. math:: \\log p(x | \\mu) = -\\frac{\\lVert x - \\mu \\rVert^2}{2 \\sigma^2}
              - \\frac{d}{2} \\log 2 \\pi \\sigma^2
    """

    n_params = 1
    is_scaled = True  # the model centres and scales the data

    def __init__(self, noise_variance: float = 1.0):
        super().__init__()
        self.log_variance = nn.Parameter(torch.tensor(math.log(noise_variance)))

    @property
    def variance(self) -> Tensor:
        return self.log_variance.exp()

    @torch.no_grad()
    def set_noise_variance(self, noise_variance: float) -> None:
        self.log_variance.fill_(math.log(noise_variance))

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        squares = (x - params).square().sum(-1, dtype=self.log_variance.dtype)
        return log_density(squares, x.shape[-1], self.log_variance)

    def mean(self, params: Tensor) -> Tensor:
        return params

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(
            params.shape, generator=generator, device=params.device, dtype=params.dtype
        )
        return params + self.variance.sqrt() * noise

    def in_data_units(self, log_prob: Tensor, scale: Tensor, n_features: int) -> Tensor:
        """Log-density of the data themselves, which were divided by `scale`."""
        return log_prob - n_features * scale.log()

    @staticmethod
    def check(X) -> None:
        """Every finite number is in the support."""


def log_density(squares: Tensor, n_features: int, log_variance: Tensor) -> Tensor:
    """Normal log-density of rows at the given squared distances from the mean."""
    constant = log_variance + math.log(2 * math.pi)
    return -0.5 * (squares * (-log_variance).exp() + n_features * constant)
