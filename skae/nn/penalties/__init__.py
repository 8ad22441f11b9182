"""Penalties, which the objective adds to the loss: one file each."""

from skae.nn.penalties._adversarial import Adversarial
from skae.nn.penalties._base import CallablePenalty, Penalty, PenaltySum
from skae.nn.penalties._contractive import Contractive
from skae.nn.penalties._make import make_penalty
from skae.nn.penalties._mmd import MMD
from skae.nn.penalties._orthogonal import Orthogonal
from skae.nn.penalties._sparsity import L1, KLSparsity
from skae.nn.penalties._total_correlation import TotalCorrelation

PENALTIES = {
    "l1": L1,
    "kl_sparsity": KLSparsity,
    "contractive": Contractive,
    "orthogonal": Orthogonal,
    "mmd": MMD,
    "adversarial": Adversarial,
    "total_correlation": TotalCorrelation,
}

__all__ = [
    "L1",
    "MMD",
    "PENALTIES",
    "Adversarial",
    "CallablePenalty",
    "Contractive",
    "KLSparsity",
    "Orthogonal",
    "Penalty",
    "PenaltySum",
    "TotalCorrelation",
    "make_penalty",
]
