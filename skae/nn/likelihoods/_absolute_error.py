"""The absolute error: a Laplace likelihood whose scale is fixed."""

import torch
from torch import Tensor
from torch.nn import functional as F

from skae.nn.likelihoods._base import Likelihood
from skae.nn.likelihoods._laplace import double_exponential


class AbsoluteError(Likelihood):
    """Sum of absolute errors over the features: a Laplace log-density of scale 1, less
    its constant."""

    is_scaled = True
    is_density = False

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        dtype = torch.float32 if x.dtype == torch.bfloat16 else x.dtype
        return -F.l1_loss(params, x, reduction="none").sum(-1, dtype=dtype)

    def mean(self, params: Tensor) -> Tensor:
        return params

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        return params + double_exponential(params, generator)

    def in_data_units(self, log_prob: Tensor, scale: Tensor) -> Tensor:
        """The absolute error of the data themselves, which were divided by `scale`."""
        return log_prob * scale[0]
