"""The initial model as a component of the density.

Networks may give a row unlike all that they were trained on any density, however small.
A mixture with the linear model of the first epoch bounds it from below: a row's
log-density is at least that model's plus the logarithm of its weight (a defensive
mixture).

References
----------
Hesterberg, T. (1995). Weighted average importance sampling and defensive mixture
distributions. Technometrics, 37(2), 185-194.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from skae.nn._ordered import likelihood_of_size
from skae.nn._skip import LinearSkip
from skae.nn.likelihoods import Likelihood
from skae.nn.priors import Normal

if TYPE_CHECKING:  # it imports this module
    from skae.nn._model import LatentModel


class InitialModel(nn.Module):
    """A frozen linear model beside the trained one, whose units it shares.

    Parameters
    ----------
    skip : LinearSkip
    likelihood : Likelihood
    n_components : int

    Attributes
    ----------
    weight : Tensor of shape ()
        Of the initial model in the density, within (0, 1).
    noises : Tensor of shape (k, n_noises)
        Noise scales of its likelihood that suit the prefixes of an ordered code.
    """

    weight: Tensor
    noises: Tensor

    def __init__(self, skip: LinearSkip, likelihood: Likelihood, n_components: int):
        super().__init__()
        self.skip, self.likelihood = skip, likelihood
        self.prior = Normal(n_components)
        self.register_buffer("weight", torch.tensor(0.5, dtype=torch.float64))
        noises = torch.ones(n_components, likelihood.n_noises, dtype=torch.float64)
        self.register_buffer("noises", noises)
        # Training leaves it alone: only its weight in the density is set.
        self.requires_grad_(False)

    @torch.no_grad()
    def set(self, model: "LatentModel", weight: float) -> None:
        """Take over the linear part of `model`, and its likelihood, as they are."""
        self.skip.load_state_dict(model.skip.state_dict())
        self.likelihood.load_state_dict(model.likelihood.state_dict())
        self.weight.fill_(weight)

    def beside(self, model: "LatentModel") -> "LatentModel":
        """The initial model, in the units of `model`."""
        # Units, imputer and order of the latents are those of the trained model: both
        # must describe the same rows and the same codes.
        return model.replaced(
            skip=self.skip,
            encoder=None,
            decoder=None,
            likelihood=self.likelihood,
            prior=self.prior,
            penalty=None,
            initial=None,
            refiner=None,
        )

    def first(self, k: int) -> "InitialModel":
        """The initial model with the first `k` latents."""
        likelihood = likelihood_of_size(self.likelihood, self.noises, k)
        short = InitialModel(self.skip.first(k), likelihood, k).to(self.weight.device)
        short.weight.copy_(self.weight)
        short.noises.copy_(self.noises[:k])
        return short
