"""Outputs of a model for a batch, which the objective is made of."""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from skae.nn._posteriors import DiagonalNormal, Point

if TYPE_CHECKING:  # priors import posteriors, likelihoods this module
    from skae.nn.priors import Prior


class Terms(NamedTuple):
    """Terms of the objective; with s draws a row, all but `q` begin with s. With s
    prefixes of the codes, likelihoods and their parameters do."""

    log_likelihood: Tensor  # (n,), nats
    params: Tensor  # (n, d * n_params), of the likelihood
    z: Tensor  # (n, k), drawn from q
    q: Point | DiagonalNormal
    prior: "Prior | None"  # None for a point code
    mask: Tensor | None = None  # (s, 1, k), ones for the latents that were decoded
    weights: Tensor | None = None  # (s, 1), of their losses
    penalty: Tensor | None = None  # (n,), or one for all rows

    def divergences(self) -> Tensor:
        """(n, k), or (n, 1) of all latents together; nats."""
        # A point takes None for a prior.
        divergences = self.q.kl(self.prior, self.z)  # type: ignore[arg-type]
        # Latents beyond the prefix have no divergence.
        return divergences if self.mask is None else divergences * self.mask

    @property
    def divergence(self) -> Tensor:
        """(n,), nats"""
        return self.divergences().sum(-1)

    def path_divergence(self) -> Tensor:
        """The divergence at the draws, whose gradient takes their path alone."""
        assert isinstance(self.q, DiagonalNormal) and self.prior is not None
        # Without the score of q's parameters, whose mean is zero.
        q = self.q.detach()
        if self.mask is None:
            return q.log_prob(self.z) - self.prior.log_prob(self.z)
        divergences = q.log_probs(self.z) - self.prior.log_probs(self.z)
        return (divergences * self.mask).sum(-1)


def to_float32(x: Tensor) -> Tensor:
    """Half-precision numbers in float32, others as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
