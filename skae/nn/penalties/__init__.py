"""Penalties of codes: modules that turn `Terms` of a batch into a scalar."""

from skae.nn.penalties._mmd import MMD
from skae.nn.penalties._total_correlation import TotalCorrelation

PENALTIES = {"mmd": MMD, "total_correlation": TotalCorrelation}

__all__ = ["MMD", "PENALTIES", "TotalCorrelation"]
