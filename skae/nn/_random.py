"""Random numbers in the shape, dtype and place of a tensor."""

import torch
from torch import Tensor

from skae.nn._own_draws import current_generator, drawing_from


def normal_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal draws."""
    return torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def uniform_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draws from [0, 1)."""
    return torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def laplace_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Double exponential draws of scale one."""
    # By the inverse distribution function; a uniform draw of 0 would give infinity.
    centred = uniform_like(x, generator) - 0.5
    tiny = torch.finfo(x.dtype).tiny
    return -centred.sign() * (1 - 2 * centred.abs()).clamp(min=tiny).log()


def standard_gamma(shape: Tensor, generator: torch.Generator | None) -> Tensor:
    """Gamma draws of these shape parameters and scale one."""
    draw = getattr(torch, "_standard_gamma", None)
    if draw is not None:  # torch's distributions take no generator
        return draw(shape.contiguous(), generator=generator)
    gamma = torch.distributions.Gamma(shape, 1.0)
    if generator is None:
        return gamma.sample()
    with drawing_from(generator, all_of_torch=True):
        return gamma.sample()


def dropout(x: Tensor, fraction: float) -> Tensor:
    """Zero that fraction of the values and enlarge the others, so that the mean stays;
    by the generator of a fit."""
    keep = torch.empty_like(x).bernoulli_(1 - fraction, generator=current_generator())
    return x * keep.div_(1 - fraction)


def antithetic_normal(n: int, k: int, seed: int) -> Tensor:
    """Standard normal draws (n, k), float64, in pairs of z and -z: their mean has less
    variance than that of independent ones."""
    generator = torch.Generator().manual_seed(seed)
    # Half of them, rounded up. In float64: draws do not depend on the model's dtype.
    half = torch.randn(
        -(-n // 2), k, generator=generator, dtype=torch.float64, device="cpu"
    )
    return torch.cat([half, -half])[:n]
