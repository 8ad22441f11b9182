"""Share of the linear start in the density, learned on held-out rows.

Two densities weighted by what they say of rows that neither has seen are rarely worse
than the better one (Smyth and Wolpert, 1999, linearly combining density estimators via
stacking).
"""

import torch
from torch import Tensor

_N_TURNS = 200


def learned_share(own: Tensor, linear: Tensor, smallest: float) -> float:
    """Weight of the second of two log-densities (n,) in the mixture that suits rows
    best.

    By expectation maximisation; `smallest` rows more speak for each, and it is the
    smallest share of each.
    """
    share = torch.tensor(0.5, dtype=torch.float64)
    difference = (linear - own).double()
    for _ in range(_N_TURNS):
        weights = (difference + share.logit()).sigmoid()
        share = (weights.sum() + smallest) / (len(weights) + 2 * smallest)
        share = share.clamp(smallest, 1 - smallest)
    return float(share)
