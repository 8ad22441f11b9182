"""Priors over the latents; `Prior` is their contract."""

from skae.nn.priors._base import Prior
from skae.nn.priors._fixed import Fixed
from skae.nn.priors._mixture import Mixture
from skae.nn.priors._normal import Normal
from skae.nn.priors._vamp import Vamp

PRIORS = {"normal": Normal, "mixture": Mixture, "vamp": Vamp}

__all__ = ["PRIORS", "Fixed", "Mixture", "Normal", "Prior", "Vamp"]
