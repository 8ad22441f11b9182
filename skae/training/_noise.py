"""Noise that suits rows which the weights have not seen.

What a fit says of its noise on the rows that it learns is too little. Where the density
keeps a share of the linear start, rows that the start accounts for say nothing of the
noise: which ones they are, and the noise of the others, are found by turns (expectation
maximisation; Dempster, Laird and Rubin, 1977).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from skae.training._validation import Judged

_N_TURNS = 20


def raised_noise(
    learned: Tensor,
    judged: Judged,
    losses_at: Callable[[Tensor], Tensor],
    shares: Callable[[Tensor], tuple[Tensor, Tensor]] | None,
) -> Tensor:
    """Return the noise (m,), not below the learned one, that suits rows best.

    Parameters
    ----------
    learned : Tensor of shape (m,)
    judged : Judged
        The weighted mean of its deviations, over the observed cells, is the best noise
        of rows with these weights.
    losses_at : callable
        Losses (n,) of the rows with a given noise.
    shares : callable or None
        From losses to the log-densities (n,) of the model's own part and of its start;
        None where the model stands alone.
    """

    def best(weights):
        observed = (weights @ judged.shares).clamp(min=1e-30)
        return torch.maximum(weights @ judged.deviations / observed, learned)

    of_all = best(torch.ones_like(judged.losses))
    if shares is None:
        return of_all

    def settled(noise):
        for _ in range(_N_TURNS):
            own, linear = shares(losses_at(noise))
            noise = best((own - linear).sigmoid())
        return noise

    def loss(noise):
        return float(-torch.logaddexp(*shares(losses_at(noise))).mean())

    # From the mean of all rows alone it can stop where one far row is still thought
    # the model's own.
    return min(map(settled, (of_all, learned)), key=loss)
