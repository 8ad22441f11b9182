"""Priors over the latents; `Prior` is their contract."""

from skae.nn.priors._base import Prior
from skae.nn.priors._fixed import TorchPrior
from skae.nn.priors._make import make_prior
from skae.nn.priors._mixture import Mixture
from skae.nn.priors._normal import Normal
from skae.nn.priors._vamp import Vamp

PRIORS = {"normal": Normal, "mixture": Mixture, "vamp": Vamp}

__all__ = ["PRIORS", "Mixture", "Normal", "Prior", "TorchPrior", "Vamp", "make_prior"]
