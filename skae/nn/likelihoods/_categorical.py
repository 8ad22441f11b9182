"""One category, as a group of one-hot columns."""

import torch
from torch import Tensor

from skae.nn._outputs import to_float32
from skae.nn.likelihoods._base import Likelihood, smoothed_probability

# A sum of one-hot columns in float32 differs from one by rounding.
_ROUNDING = 1e-4


class Categorical(Likelihood):
    """One category of `n_features`, with probabilities ``softmax(params)``.

    .. math:: \\log p(x | \\eta) = \\sum_j x_j \\eta_j - \\log \\sum_j e^{\\eta_j}

    Also defined for rows of probabilities, which sum to one.
    """

    support = "one-hot rows, or probabilities that sum to one"

    def log_probs(self, params: Tensor, x: Tensor) -> Tensor:
        # Logits are defined up to a constant, which `log_softmax` removes.
        return x * to_float32(params).log_softmax(-1)

    def mean(self, params: Tensor) -> Tensor:
        return params.softmax(-1)

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        chosen = torch.multinomial(params.softmax(-1), 1, generator=generator)
        return torch.zeros_like(params).scatter_(-1, chosen, 1.0)

    def contains(self, X: Tensor) -> Tensor:
        is_probability = (X >= 0) & (X <= 1)
        sums_to_one = (X.sum(-1, keepdim=True) - 1).abs() <= _ROUNDING
        # A row with a bad value is bad for that value alone.
        return is_probability & (sums_to_one | ~is_probability.all(-1, keepdim=True))

    def encodes(self, X: Tensor) -> Tensor:
        # All zeros are an unknown category, as of OneHotEncoder(handle_unknown=
        # "ignore").
        return self.contains(X) | (X == 0).all(-1, keepdim=True)

    def init_params(
        self, mean: Tensor, variance: Tensor, n_rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pearson residuals, and the logits that they stand for."""
        p = smoothed_probability(mean, n_rows)
        # Residuals (x - p) / p^(1/2) make up the chi-squared statistic.
        return p.log(), p.rsqrt(), p.rsqrt()
