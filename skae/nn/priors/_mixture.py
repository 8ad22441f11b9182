"""Mixtures of normal distributions with diagonal covariance."""

import math

import torch
from torch import Tensor, nn

from skae.nn._posteriors import DiagonalNormal
from skae.nn._random import normal_like
from skae.nn.priors._base import Prior

# Deviation of the clusters' means when training begins: enough that they differ, too
# little to matter, for the latents of the initial model are standard normal.
_INIT_STD = 0.1


class NormalMixture(Prior):
    """Mixture of given normal distributions, one for each row of a posterior.

    Parameters
    ----------
    clusters : DiagonalNormal
        Means and deviations (c, k).
    log_weights : Tensor of shape (c,)
        Normalised.
    """

    def __init__(self, clusters: DiagonalNormal, log_weights: Tensor):
        super().__init__(clusters.mean.shape[1])
        self.clusters, self.log_weights = clusters, log_weights

    def log_prob(self, z: Tensor) -> Tensor:
        mean, log_std = self.clusters.mean, self.clusters.log_std
        precision = (-2 * log_std).exp()
        # Squared distances from all means as products of matrices, (..., n, c).
        squares = z.square() @ precision.T - 2 * z @ (mean * precision).T
        constants = (mean.square() * precision + 2 * log_std).sum(-1)
        constants = constants + self.n_components * math.log(2 * math.pi)
        log_probs = self.log_weights - 0.5 * (squares + constants)
        return log_probs.logsumexp(-1)

    def log_probs(self, z: Tensor) -> Tensor:
        log_probs = self.clusters.log_probs(z.unsqueeze(-2))  # (..., n, c, k)
        return (self.log_weights[:, None] + log_probs).logsumexp(-2)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        chosen = torch.multinomial(
            self.log_weights.exp(), n, replacement=True, generator=generator
        )
        mean = self.clusters.mean[chosen]
        return mean + self.clusters.std[chosen] * normal_like(mean, generator)


class Mixture(Prior):
    """Learned mixture of `n_clusters` normal distributions.

    It can take the shape of the posteriors' mean, which no prior exceeds (Hoffman and
    Johnson, 2016, ELBO surgery), where that has clusters.

    Parameters
    ----------
    n_components : int
        Number of latents.
    n_features : int or None, default=None
        Not used.
    n_clusters : int, default=50
        Number of normal distributions.
    """

    def __init__(
        self, n_components: int, n_features: int | None = None, n_clusters: int = 50
    ):
        super().__init__(n_components, n_features)
        self.logits = nn.Parameter(torch.zeros(n_clusters))
        self.means = nn.Parameter(_INIT_STD * torch.randn(n_clusters, n_components))
        # Variances within and between clusters add up to one.
        log_std = 0.5 * math.log(1 - _INIT_STD**2)
        self.log_stds = nn.Parameter(torch.full((n_clusters, n_components), log_std))

    def config(self) -> dict:
        return super().config() | {"n_clusters": len(self.logits)}

    def given(self, encode=None) -> NormalMixture:
        clusters = DiagonalNormal(self.means, self.log_stds)
        return NormalMixture(clusters, self.logits.log_softmax(0))

    def log_prob(self, z: Tensor) -> Tensor:
        return self.given().log_prob(z)

    def log_probs(self, z: Tensor) -> Tensor:
        return self.given().log_probs(z)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.given().sample(n, generator)
