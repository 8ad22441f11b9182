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
    def from_params(cls, params: Tensor, log_std: Tensor | None = None) -> "Point":
        return cls(params)

    def rsample(self, noise: Tensor | None) -> Tensor:
        return self.mean

    def divergence(self, prior: torch.nn.Module, z: Tensor) -> Tensor:
        return self.mean.new_zeros(())


@dataclass(frozen=True)
class DiagonalNormal:
    """The normal posterior with diagonal covariance of a variational autoencoder."""

    mean: Tensor  # (n, k)
    log_std: Tensor  # (n, k)

    n_params = 2

    @classmethod
    def from_params(cls, params: Tensor, log_std: Tensor) -> "DiagonalNormal":
        """Read ``(n, 2 k)`` encoder outputs: mean, and departure from `log_std`."""
        mean, departure = params.to(log_std.dtype).chunk(2, dim=1)
        # Beyond e^±10 of its start a standard deviation only overflows what follows.
        return cls(mean, log_std + departure.clamp(-10, 10))

    @property
    def std(self) -> Tensor:
        return self.log_std.exp()

    def rsample(self, noise: Tensor) -> Tensor:
        """Draw by the reparameterisation trick from standard normal `noise`."""
        return self.mean + self.std * noise

    def log_prob(self, z: Tensor) -> Tensor:
        scaled = (z - self.mean) * (-self.log_std).exp()
        constant = 0.5 * math.log(2 * math.pi) * z.shape[-1]
        return -(0.5 * scaled.square() + self.log_std).sum(-1) - constant

    def divergence(self, prior: torch.nn.Module, z: Tensor) -> Tensor:
        return prior.divergence(self, z)


LATENTS = {"point": Point, "diagonal_normal": DiagonalNormal}
