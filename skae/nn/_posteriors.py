"""What an encoder says of a row: one code, or a distribution over codes."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Point:
    """The deterministic code of an autoencoder."""

    mean: Tensor  # (n, k)

    n_params = 1

    @classmethod
    def from_params(cls, params: Tensor) -> "Point":
        return cls(params)

    def rsample(self, noise: Tensor | None) -> Tensor:
        return self.mean


@dataclass(frozen=True)
class DiagonalNormal:
    """The normal posterior with diagonal covariance of a variational autoencoder."""

    mean: Tensor  # (n, k)
    log_std: Tensor  # (n, k)

    n_params = 2

    @classmethod
    def from_params(cls, params: Tensor) -> "DiagonalNormal":
        """Read encoder outputs (n, 2 k): mean and log of the standard deviation."""
        params = params.to(torch.promote_types(params.dtype, torch.float32))
        mean, log_std = params.chunk(2, dim=1)
        # A standard deviation beyond these only overflows what follows.
        return cls(mean, log_std.clamp(-30, 10))

    @property
    def std(self) -> Tensor:
        return self.log_std.exp()

    def detach(self) -> "DiagonalNormal":
        return DiagonalNormal(self.mean.detach(), self.log_std.detach())

    def under_noise(self, ratio: float) -> "DiagonalNormal":
        """The posterior where the likelihood's variance is 1 / `ratio` times as large;
        exact in a linear model, whose rows then tell so much less of their codes."""
        variance = (2 * self.log_std).exp()
        changed = 1 / (1 + (1 / variance - 1).clamp(min=0) * ratio)
        return DiagonalNormal(self.mean * ratio * changed / variance, changed.log() / 2)

    def widened(self, factor: Tensor) -> "DiagonalNormal":
        """With `factor` times the variance."""
        return DiagonalNormal(self.mean, self.log_std + 0.5 * factor.log())

    def rsample(self, noise: Tensor) -> Tensor:
        """Draw by the reparameterisation trick from standard normal `noise`."""
        return self.mean + self.std * noise

    def log_prob(self, z: Tensor) -> Tensor:
        return self.log_probs(z).sum(-1)

    def log_probs(self, z: Tensor) -> Tensor:
        """Of each latent."""
        scaled = (z - self.mean) * (-self.log_std).exp()
        return -0.5 * scaled.square() - self.log_std - 0.5 * math.log(2 * math.pi)
