"""What a model says of a batch, and the objective is made of."""

from typing import NamedTuple

from torch import Tensor, nn

from skae.nn._posteriors import DiagonalNormal, Point


class Terms(NamedTuple):
    """What the objective is made of; with s draws a row, all but `q` begin with s. With
    s prefixes of the codes, likelihoods and their parameters do."""

    log_likelihood: Tensor  # (n,), nats
    params: Tensor  # (n, d * n_params), of the likelihood
    z: Tensor  # (n, k), drawn from q
    q: Point | DiagonalNormal
    prior: nn.Module | None  # None for a point code
    is_kept: Tensor | None = None  # (s, 1, k), ones for the latents that were decoded
    weights: Tensor | None = None  # (s, 1), of their losses
    penalty: Tensor | None = None  # (n,), or one for all rows

    def divergences(self) -> Tensor:
        """(n, k), or (n, 1) of all latents together; nats."""
        divergences = self.prior.divergences(self.q, self.z)
        return divergences if self.is_kept is None else divergences * self.is_kept

    @property
    def divergence(self) -> Tensor:
        """(n,), nats"""
        return self.divergences().sum(-1)

    def path_divergence(self) -> Tensor:
        """The divergence at the draws, whose gradient takes their path alone."""
        q = self.q.detach()
        if self.is_kept is None:
            return q.log_prob(self.z) - self.prior.log_prob(self.z)
        divergences = q.log_probs(self.z) - self.prior.log_probs(self.z)
        return (divergences * self.is_kept).sum(-1)
