"""Random numbers in the shape, dtype and place of a tensor."""

import torch
from torch import Tensor


def normal_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal draws."""
    return torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def uniform_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draws from [0, 1)."""
    return torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def laplace_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Double exponential draws of scale one."""
    centred = uniform_like(x, generator) - 0.5
    tiny = torch.finfo(x.dtype).tiny
    return -centred.sign() * (1 - 2 * centred.abs()).clamp(min=tiny).log()
