"""Independent binary features, or shares between zero and one."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Bernoulli(nn.Module):
    """Independent binary features with probabilities ``sigmoid(params)``.

    .. math:: \\log p(x | \\eta) = \\sum_j x_j \\eta_j - \\log(1 + e^{\\eta_j})

    Its negative is the binary cross-entropy, defined for every x in [0, 1].
    """

    n_params = 1
    is_scaled = False

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        params = params.to(torch.promote_types(params.dtype, torch.float32))
        return (x * params - F.softplus(params)).sum(-1)

    def mean(self, params: Tensor) -> Tensor:
        return params.sigmoid()

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        uniform = torch.rand(
            params.shape, generator=generator, device=params.device, dtype=params.dtype
        )
        return (uniform < params.sigmoid()).to(params.dtype)

    def in_data_units(self, log_prob: Tensor, scale: Tensor, n_features: int) -> Tensor:
        return log_prob

    @staticmethod
    def check(X) -> None:
        """Raise unless every value lies in [0, 1]."""
        low, high = float(X.min()), float(X.max())
        if low < 0 or high > 1:
            value = low if low < 0 else high
            raise ValueError(
                "A Bernoulli likelihood (binary cross-entropy) needs values in [0, 1]; "
                f"X has {value:g}. Use MinMaxScaler before, or another likelihood."
            )
