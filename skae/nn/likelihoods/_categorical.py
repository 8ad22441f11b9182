"""One category, as a group of one-hot columns."""

import torch
from torch import Tensor

from skae.nn._precision import single
from skae.nn.likelihoods._base import Likelihood, smoothed_share

# A sum of one-hot columns in float32 differs from one by rounding.
_ROUNDING = 1e-4


class Categorical(Likelihood):
    """One category of `n_features`, with probabilities ``softmax(params)``.

    .. math:: \\log p(x | \\eta) = \\sum_j x_j \\eta_j - \\log \\sum_j e^{\\eta_j}

    Also defined for rows of shares, which sum to one.
    """

    support = "one-hot rows, or shares that sum to one"

    def log_probs(self, params: Tensor, x: Tensor) -> Tensor:
        return x * single(params).log_softmax(-1)

    def mean(self, params: Tensor) -> Tensor:
        return params.softmax(-1)

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        chosen = torch.multinomial(params.softmax(-1), 1, generator=generator)
        return torch.zeros_like(params).scatter_(-1, chosen, 1.0)

    def contains(self, X: Tensor) -> Tensor:
        is_share = (X >= 0) & (X <= 1)
        sums_to_one = (X.sum(-1, keepdim=True) - 1).abs() <= _ROUNDING
        # A row with a bad value is bad for that value alone.
        return is_share & (sums_to_one | ~is_share.all(-1, keepdim=True))

    def start(
        self, mean: Tensor, variance: Tensor, n_rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pearson residuals, and the logits that they stand for."""
        p = smoothed_share(mean, n_rows)
        return p.log(), p.rsqrt(), p.rsqrt()
