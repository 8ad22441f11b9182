"""The variational mixture of posteriors."""

import torch
from torch import Tensor, nn

from skae.nn.priors._base import Prior
from skae.nn.priors._mixture import NormalMixture


class Vamp(Prior):
    """Mixture of the posteriors of learned pseudo-inputs, the VampPrior.

    .. math:: p(z) = \\frac1C \\sum_{c=1}^C q(z | u_c)

    Pseudo-inputs `u` begin at training rows; fewer rows than `n_pseudo_inputs` repeat.

    Tomczak, J. and Welling, M. (2018). VAE with a VampPrior. AISTATS.

    Parameters
    ----------
    n_components : int
        Number of latents.
    n_features : int
        Size of a pseudo-input.
    n_pseudo_inputs : int, default=500
        Number of pseudo-inputs, and of normal distributions in the mixture.
    """

    def __init__(self, n_components: int, n_features: int, n_pseudo_inputs: int = 500):
        super().__init__(n_components, n_features)
        self.pseudo_inputs = nn.Parameter(torch.zeros(n_pseudo_inputs, n_features))

    def config(self) -> dict:
        return super().config() | {"n_pseudo_inputs": len(self.pseudo_inputs)}

    @torch.no_grad()
    def init_params(self, x: Tensor, generator: torch.Generator) -> None:
        n_inputs = len(self.pseudo_inputs)
        # Each row once before any repeats. On the processor, where the generator is.
        order = torch.randperm(len(x), generator=generator)
        order = order.repeat(-(-n_inputs // len(x)))[:n_inputs]
        self.pseudo_inputs.copy_(x[order.to(x.device)])

    def given(self, encode) -> NormalMixture:
        clusters = encode(self.pseudo_inputs)
        # Equal weights, 1 / C each.
        weights = clusters.mean.new_zeros(len(clusters.mean))
        return NormalMixture(clusters, weights.log_softmax(0))
