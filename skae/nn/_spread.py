"""How far draws lie from their means, beside how far cells do.

Sizes of deviations that are drawn, in standard deviations, are brought to those that
are found, quantile by quantile, whatever the law of the draws; signs stay.
"""

import torch
from torch import Tensor

# Factors of deviations of one step, two, and so on; larger ones have the last.
_STEP, _N_FACTORS = 0.25, 14


def as_drawn() -> Tensor:
    """Factors (f,) that leave deviations as they are."""
    return torch.ones(_N_FACTORS, dtype=torch.float64)


def learned_factors(drawn: Tensor, found: Tensor) -> Tensor:
    """Factors (f,) that bring the sizes that are drawn to those that are found.

    Cells that a model was trained on are told too well: no variance is made smaller.
    """
    ratio = (found.square().mean() / drawn.square().mean()).sqrt()
    if not ratio > 0:
        return as_drawn()
    knots = _STEP * torch.arange(1, _N_FACTORS + 1).to(drawn)
    below = torch.stack([(drawn.abs() <= knot).to(knots).mean() for knot in knots])
    return (found.abs().quantile(below) / knots / ratio.clamp(max=1)).cpu()


def stretched(deviations: Tensor, factors: Tensor) -> Tensor:
    """Deviations times the factors of their sizes, with lines between these."""
    factors = factors.to(deviations)
    last = len(factors) - 1
    position = (deviations.abs() / _STEP - 1).clamp(0, last)
    before = position.long()
    after = (before + 1).clamp(max=last)
    return deviations * torch.lerp(factors[before], factors[after], position - before)
