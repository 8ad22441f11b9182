"""Codes of which few are active at a time."""

import math

from torch import Tensor
from torch.nn import functional as F

from skae.nn._model import LatentModel
from skae.nn._outputs import Terms
from skae.nn._params import is_number
from skae.nn.penalties._base import Penalty


class L1(Penalty):
    r"""Mean absolute code over a batch, beyond a target.

    .. math:: \sum_j \big| \tfrac1n \sum_i |z_{ij}| - t \big|

    With the target zero it is the mean of the codes' 1-norms, the penalty of sparse
    coding (Olshausen and Field, 1996). For codes of which few are far from zero.

    Parameters
    ----------
    target : float, default=0.0
        Mean absolute value t of each latent over the rows.
    """

    def __init__(self, target: float = 0.0):
        super().__init__()
        if not is_number(target) or not target >= 0:
            raise ValueError(f"target must be a number >= 0; got {target!r}.")
        self.target = target

    def forward(self, model: LatentModel, x: Tensor, terms: Terms) -> Tensor:
        sizes = terms.z.abs().mean(0)
        return (sizes - self.target).abs().sum()


class KLSparsity(Penalty):
    r"""Divergence of the latents' mean activation over a batch from a target.

    .. math:: \sum_j KL(\rho \,\|\, \hat\rho_j), \qquad
              \hat\rho_j = \tfrac1n \sum_i \sigma(z_{ij})

    between Bernoulli distributions, where the logistic function of a code is its
    activation: the classical sparse autoencoder (Ng, 2011, CS294A lecture notes). For
    features that are on for few rows and off for the others.

    Parameters
    ----------
    target : float, default=0.05
        Mean activation rho, within (0, 1).
    """

    strength = 10.0

    def __init__(self, target: float = 0.05):
        super().__init__()
        if not is_number(target) or not 0 < target < 1:
            raise ValueError(f"target must lie within (0, 1); got {target!r}.")
        self.target = target

    def forward(self, model: LatentModel, x: Tensor, terms: Terms) -> Tensor:
        z = terms.z
        log_n = math.log(len(z))
        # In logarithms: a latent that is off everywhere still has a gradient.
        log_on = F.logsigmoid(z).logsumexp(0) - log_n
        log_off = F.logsigmoid(-z).logsumexp(0) - log_n
        rho = self.target
        entropy = rho * math.log(rho) + (1 - rho) * math.log1p(-rho)
        return (entropy - rho * log_on - (1 - rho) * log_off).sum()
