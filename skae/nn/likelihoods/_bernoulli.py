"""Independent binary features, or values between zero and one."""

import torch
from torch import Tensor
from torch.nn import functional as F

from skae.nn._outputs import to_float32
from skae.nn._random import uniform_like
from skae.nn.likelihoods._base import Likelihood, smoothed_probability


class Bernoulli(Likelihood):
    """Independent binary features with probabilities ``sigmoid(params)``.

    .. math:: \\log p(x | \\eta) = \\sum_j x_j \\eta_j - \\log(1 + e^{\\eta_j})

    Its negative is the binary cross-entropy, defined for every x in [0, 1].
    """

    support = "values in [0, 1] (MinMaxScaler makes them)"

    def log_probs(self, params: Tensor, x: Tensor) -> Tensor:
        params = to_float32(params)
        # From logits: a probability that rounds to zero or one would have an infinite
        # logarithm.
        return x * params - F.softplus(params)

    def mean(self, params: Tensor) -> Tensor:
        return params.sigmoid()

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        uniform = uniform_like(params, generator)
        return (uniform < params.sigmoid()).to(params.dtype)

    def contains(self, X: Tensor) -> Tensor:
        return (X >= 0) & (X <= 1)

    def init_params(
        self, mean: Tensor, variance: Tensor, n_rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pearson residuals, and the logits that they stand for."""
        p = smoothed_probability(mean, n_rows)
        # Pearson residuals (x - p) / (p (1 - p))^(1/2) have variance one; the slope of
        # the logit is 1 / (p (1 - p)).
        factor = (p * (1 - p)).rsqrt()
        return p.logit(), factor, factor


class BinarizedBernoulli(Bernoulli):
    """Binary features, of which rows hold the probabilities: training draws them anew
    in each epoch (dynamic binarisation, as of MNIST's grey values).

    Salakhutdinov, R. and Murray, I. (2008). On the quantitative analysis of deep belief
    networks. ICML.
    """

    def resample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        uniform = uniform_like(x, generator)
        return (uniform < x).to(x.dtype)
