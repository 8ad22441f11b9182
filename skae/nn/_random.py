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
    # A seed from the generator, which so decides these draws as well.
    seed = torch.randint(2**62, (), generator=generator, device=shape.device)
    with torch.random.fork_rng([shape.device] if shape.is_cuda else []):
        torch.manual_seed(int(seed))
        return gamma.sample()


def antithetic_normal(n: int, k: int, seed: int) -> Tensor:
    """Standard normal draws (n, k), float64, in pairs of z and -z: their mean has less
    variance than that of independent ones."""
    generator = torch.Generator().manual_seed(seed)
    # Half of them, rounded up. In float64: draws do not depend on the model's dtype.
    half = torch.randn(-(-n // 2), k, generator=generator, dtype=torch.float64)
    return torch.cat([half, -half])[:n]
