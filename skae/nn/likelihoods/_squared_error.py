"""The squared error: a normal likelihood whose scale is fixed."""

import torch
from torch import Tensor
from torch.nn import functional as F

from skae.nn.likelihoods._base import Likelihood


class SquaredError(Likelihood):
    """Sum of squared errors over the features: a Gaussian log-density of variance 1/2,
    less its constant."""

    is_scaled = True
    is_density = False

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        # Half-precision squares are summed in float32.
        dtype = torch.float32 if x.dtype == torch.bfloat16 else x.dtype
        return -F.mse_loss(params, x, reduction="none").sum(-1, dtype=dtype)

    def mean(self, params: Tensor) -> Tensor:
        return params

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(
            params.shape, generator=generator, device=params.device, dtype=params.dtype
        )
        return params + 0.5**0.5 * noise

    def in_data_units(self, log_prob: Tensor, scale: Tensor) -> Tensor:
        """The squared error of the data themselves, which were divided by `scale`."""
        return log_prob * scale[0].square()
