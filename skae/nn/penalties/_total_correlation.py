"""Dependence of the latents on one another."""

import math

from torch import Tensor

from skae.nn._model import LatentModel
from skae.nn._outputs import Terms
from skae.nn._posteriors import DiagonalNormal
from skae.nn.penalties._base import Penalty


class TotalCorrelation(Penalty):
    """Divergence of the posteriors' mean from the product of its marginals, in nats.

    .. math:: KL(q(z) \\| \\prod_j q(z_j))

    Estimated within a batch, whose posteriors stand for all. With the weight
    :math:`\\beta - 1` the objective is that of the beta-TCVAE.

    Chen, R. T. Q. et al. (2018). Isolating sources of disentanglement in variational
    autoencoders. NeurIPS.
    """

    needs_posterior = True

    def forward(self, model: LatentModel, x: Tensor, terms: Terms) -> Tensor:
        assert isinstance(terms.q, DiagonalNormal)  # as `needs_posterior` has it
        # Of the draw of each row under the posterior of each other, (n, n, k).
        log_probs = terms.q.log_probs(terms.z.unsqueeze(-2))
        # log q(z), and the sum of log q(z_j), each plus the constant log n per mean
        joint = log_probs.sum(-1).logsumexp(1)
        marginals = log_probs.logsumexp(1).sum(-1)
        n, k = terms.z.shape
        return (joint - marginals).mean() + (k - 1) * math.log(n)
