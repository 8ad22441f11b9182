"""The standard normal prior."""

import math

import torch
from torch import Tensor, nn

from skae.nn._latents import DiagonalNormal


class Normal(nn.Module):
    """Independent standard normal latents, N(0, I)."""

    def __init__(self, n_components: int):
        super().__init__()
        self.n_components = n_components

    def log_prob(self, z: Tensor) -> Tensor:
        constant = 0.5 * math.log(2 * math.pi) * self.n_components
        return -0.5 * z.square().sum(-1) - constant

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(
            n, self.n_components, generator=generator, device=generator.device
        )

    def divergence(self, posterior: DiagonalNormal, z: Tensor) -> Tensor:
        """Kullback-Leibler divergence in nats, in closed form; `z` is not needed."""
        variance = (2 * posterior.log_std).exp()
        terms = posterior.mean.square() + variance - 1 - 2 * posterior.log_std
        return 0.5 * terms.sum(-1)
