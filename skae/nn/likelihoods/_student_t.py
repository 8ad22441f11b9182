"""Heavy-tailed noise around the reconstruction."""

import math

import torch
from torch import Tensor, nn

from skae.nn._outputs import to_float32
from skae.nn._random import normal_like, standard_gamma
from skae.nn.likelihoods._base import Likelihood


class StudentT(Likelihood):
    """Independent noise by Student's t, with one learned scale and learned tails.

    .. math:: \\log p(x_j | \\mu_j) = \\log \\Gamma(\\tfrac{\\nu + 1}{2}) -
              \\log \\Gamma(\\tfrac{\\nu}{2}) - \\tfrac12 \\log \\pi \\nu s^2 -
              \\tfrac{\\nu + 1}{2} \\log(1 + \\tfrac{(x_j - \\mu_j)^2}{\\nu s^2})

    There are more than two degrees of freedom, so that the variance exists. For rows
    with gross errors: what a value far off costs grows with the logarithm of its
    distance alone.
    """

    is_scaled = True

    def __init__(self, n_features: int, variance: float = 1.0, df: float = 10.0):
        super().__init__(n_features)
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.log_excess = nn.Parameter(torch.tensor(math.log(df - 2)))
        self.set_noise_variance(variance)

    @property
    def df(self) -> Tensor:
        return 2 + self.log_excess.exp()

    @property
    def variance(self) -> Tensor:
        return (2 * self.log_scale).exp() * self.df / (self.df - 2)

    @torch.no_grad()
    def set_noise_variance(self, variance: Tensor | float) -> None:
        variance = torch.as_tensor(variance, dtype=torch.float64).to(
            self.log_scale.device
        )
        # The variance of Student's t is s^2 df / (df - 2).
        squared_scale = variance * (self.df - 2) / self.df
        self.log_scale.copy_(0.5 * squared_scale.log())

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        constant, tails = self._terms(params, x)
        return self.n_features * constant - 0.5 * (self.df + 1) * tails.sum(-1)

    def log_probs(self, params: Tensor, x: Tensor) -> Tensor:
        constant, tails = self._terms(params, x)
        return constant - 0.5 * (self.df + 1) * tails

    def _terms(self, params: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        df, log_scale = self.df, self.log_scale
        # In units of the scale, (n, d); log1p keeps the digits of small residuals.
        scaled = (x - to_float32(params)) * (-log_scale).exp()
        constant = (
            torch.lgamma((df + 1) / 2)
            - torch.lgamma(df / 2)
            - 0.5 * (math.pi * df).log()
            - log_scale
        )
        return constant, torch.log1p(scaled.square() / df)

    def mean(self, params: Tensor) -> Tensor:
        return params

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        normal = normal_like(params, generator)
        half = (self.df / 2).detach().to(params.dtype).expand(params.shape)
        # Chi-squared over its degrees of freedom.
        ratio = standard_gamma(half, generator) / half
        return params + self.log_scale.exp() * normal * ratio.rsqrt()
