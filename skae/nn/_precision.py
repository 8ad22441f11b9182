"""What half precision is too coarse for."""

import torch
from torch import Tensor


def single(x: Tensor) -> Tensor:
    """Half-precision numbers in float32, others as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
