"""Noise that suits rows which the weights have not seen.

What a fit says of its noise on the rows that it learns is too little. Where the density
keeps a share of the linear start, rows that the start accounts for say nothing of the
noise: which ones they are, and the noise of the others, are found by turns (expectation
maximisation; Dempster, Laird and Rubin, 1977).
"""

from collections.abc import Callable

import torch
from torch import Tensor

_N_TURNS = 20


def raised_noise(
    learned: Tensor,
    deviations: Tensor,
    losses_at: Callable[[Tensor], Tensor],
    shares: Callable[[Tensor], tuple[Tensor, Tensor]] | None,
) -> Tensor:
    """Return the noise (m,), not below the learned one, that suits rows best.

    Parameters
    ----------
    learned : Tensor of shape (m,)
    deviations : Tensor of shape (n, m)
        Their weighted mean is the best noise of rows with these weights.
    losses_at : callable
        Losses (n,) of the rows with a given noise.
    shares : callable or None
        From losses to the log-densities (n,) of the model's own part and of its start;
        None where the model stands alone.
    """

    def at_least_learned(noise):
        return torch.maximum(noise, learned)

    if shares is None:
        return at_least_learned(deviations.mean(0))

    def settled(noise):
        for _ in range(_N_TURNS):
            own, linear = shares(losses_at(noise))
            weights = (own - linear).sigmoid()
            total = weights.sum().clamp(min=1e-30)
            noise = at_least_learned(weights @ deviations / total)
        return noise

    def loss(noise):
        return float(-torch.logaddexp(*shares(losses_at(noise))).mean())

    # From the mean of all rows alone it can stop where one far row is still thought
    # the model's own.
    ends = at_least_learned(deviations.mean(0)), learned
    return min(map(settled, ends), key=loss)
