"""Posteriors of the code of a row: one point, or a distribution.

Both are named tuples, and so pytrees, which `torch.func` and `torch.export` take. An
encoder has as many outputs for each latent as the tuple has fields.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:  # priors import this module
    from skae.nn.priors import Prior


class Point(NamedTuple):
    """The deterministic code of an autoencoder."""

    mean: Tensor  # (n, k)

    @classmethod
    def from_params(cls, params: Tensor) -> "Point":
        return cls(params)

    def rsample(self, base_samples: Tensor | None) -> Tensor:
        return self.mean

    def kl(self, prior: "Prior | None", z: Tensor) -> Tensor:
        """Zero, (..., n, 1): a point has no divergence."""
        return z.new_zeros(*z.shape[:-1], 1)


class DiagonalNormal(NamedTuple):
    """The normal posterior with diagonal covariance of a variational autoencoder."""

    mean: Tensor  # (n, k)
    log_std: Tensor  # (n, k)

    @classmethod
    def from_params(cls, params: Tensor) -> "DiagonalNormal":
        """Read encoder outputs (n, 2 k): mean and log of the standard deviation."""
        # Half precision has too few digits for exp and log of a deviation.
        params = params.to(torch.promote_types(params.dtype, torch.float32))
        mean, log_std = params.chunk(2, dim=1)
        # A standard deviation beyond these only overflows what follows.
        return cls(mean, log_std.clamp(-30, 10))

    @property
    def std(self) -> Tensor:
        return self.log_std.exp()

    def detach(self) -> "DiagonalNormal":
        return DiagonalNormal(self.mean.detach(), self.log_std.detach())

    def with_likelihood_variance(self, ratio: Tensor) -> "DiagonalNormal":
        """The posterior where the likelihood's variance is 1 / `ratio` times as large;
        exact in a linear model, whose rows then determine their codes so much less."""
        # The precision 1 / v is one, from the prior, plus the row's information. The
        # ratio multiplies the latter, and with it the product of precision and mean.
        variance = (2 * self.log_std).exp()
        changed = 1 / (1 + (1 / variance - 1).clamp(min=0) * ratio)
        return DiagonalNormal(self.mean * ratio * changed / variance, changed.log() / 2)

    def inflated(self, factor: Tensor) -> "DiagonalNormal":
        """With `factor` times the variance."""
        return DiagonalNormal(self.mean, self.log_std + 0.5 * factor.log())

    def rsample(self, base_samples: Tensor) -> Tensor:
        """Draw by the reparameterisation trick from standard normal `base_samples`."""
        return self.mean + self.std * base_samples

    def log_prob(self, z: Tensor) -> Tensor:
        return self.log_probs(z).sum(-1)

    def log_probs(self, z: Tensor) -> Tensor:
        """Log-density of each latent, (..., n, k)."""
        scaled = (z - self.mean) * (-self.log_std).exp()
        return -0.5 * scaled.square() - self.log_std - 0.5 * math.log(2 * math.pi)

    def kl(self, prior: "Prior", z: Tensor) -> Tensor:
        """Divergence from `prior` in nats, (..., n, k) of each latent where they are
        independent, otherwise (..., n, 1); without a closed form at the draws `z`."""
        return prior.divergences(self, z)


POSTERIORS: dict[str, type[Point] | type[DiagonalNormal]] = {
    "point": Point,
    "normal": DiagonalNormal,
}
