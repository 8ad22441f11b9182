"""The contract of priors."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from skae.nn._posteriors import DiagonalNormal


class Prior(nn.Module):
    """Distribution of the latents; the contract.

    A subclass is made from the numbers k of latents and d of features. It offers
    ``log_prob(z) -> (..., n)``, its marginals ``log_probs(z) -> (..., n, k)`` and
    ``sample(n, generator) -> (n, k)``; without a generator, torch's own is used.
    """

    is_static = True  # the same operations for all values: a step may be traced

    def __init__(self, n_components: int, n_features: int | None = None):
        super().__init__()
        self.n_components, self.n_features = n_components, n_features

    def init_params(self, x: Tensor, generator: torch.Generator) -> None:
        """Set what training begins with, from standardized rows."""

    def config(self) -> dict:
        """Arguments of the constructor that make a prior of this structure."""
        return {"n_components": self.n_components, "n_features": self.n_features}

    def first(self, k: int) -> "Prior":
        """The marginal prior of the first `k` latents."""
        raise NotImplementedError

    def given(self, encode: Callable[[Tensor], DiagonalNormal]) -> "Prior":
        """The prior under an encoder; most do not depend on it."""
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        raise NotImplementedError

    def log_probs(self, z: Tensor) -> Tensor:
        raise NotImplementedError

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        raise NotImplementedError

    def divergences(self, posterior: DiagonalNormal, z: Tensor) -> Tensor:
        """Kullback-Leibler divergence in nats, (..., n, k), of each latent where they
        are independent, otherwise (..., n, 1). In closed form where there is one,
        otherwise at the draws `z`."""
        return (posterior.log_prob(z) - self.log_prob(z)).unsqueeze(-1)
