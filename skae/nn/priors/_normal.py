"""The standard normal prior."""

import math

import torch
from torch import Tensor

from skae.nn._posteriors import DiagonalNormal
from skae.nn.priors._base import Prior


class Normal(Prior):
    """Independent standard normal latents, N(0, I)."""

    origin: Tensor

    def __init__(self, n_components: int, n_features: int | None = None):
        super().__init__(n_components, n_features)
        # A buffer for its device alone, on which draws are made.
        self.register_buffer("origin", torch.zeros(n_components, dtype=torch.float32))

    def first(self, k: int) -> "Normal":
        return Normal(k, self.n_features).to(self.origin.device)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.log_probs(z).sum(-1)

    def log_probs(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square() + math.log(2 * math.pi))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(
            n,
            self.n_components,
            generator=generator,
            device=self.origin.device,
            dtype=torch.float32,  # the default may be another, whose draws differ
        )

    def divergences(self, posterior: DiagonalNormal, z: Tensor) -> Tensor:
        """In closed form; `z` is not needed."""
        # (..., n, k): (m^2 + s^2 - 1 - log s^2) / 2
        variance = (2 * posterior.log_std).exp()
        terms = posterior.mean.square() + variance - 1 - 2 * posterior.log_std
        return 0.5 * terms
