"""Corruptions of the input in training; the target stays clean.

A noise is a callable ``(x, level, generator) -> x`` of standardized rows (n, d):
centred features of mean square one, on average. Level zero leaves rows as they are.

References
----------
Vincent, P. et al. (2010). Stacked denoising autoencoders: learning useful
representations in a deep network with a local denoising criterion. Journal of Machine
Learning Research, 11, 3371-3408.
"""

import torch
from torch import Tensor

from skae.nn._random import normal_like, uniform_like


def gaussian(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add normal noise, `level` times the features' root mean square.

    For measurements; with a small level the autoencoder learns the score of the data
    (Alain and Bengio, 2014).
    """
    return x + level * normal_like(x, generator)


def masking(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Set the share `level` of the cells to their feature's mean.

    For rows whose features tell of one another, pixels among them.
    """
    return x.masked_fill(_chosen(x, level, generator), 0.0)


def salt_and_pepper(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Set the share `level` of the cells to their feature's extremes in the batch, the
    smallest or the largest with equal chances.

    For images, and sensors that fail at a limit.
    """
    is_chosen = _chosen(x, level, generator)
    is_salt = _chosen(x, 0.5, generator)
    extremes = torch.where(is_salt, x.amax(0), x.amin(0))
    return torch.where(is_chosen, extremes, x)


def swap(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Replace the share `level` of the cells by another row's value of that feature.

    Each feature keeps its distribution: the standard for tables of mixed columns. The
    other row is one of the batch; a batch of one row stays as it is.
    """
    n = len(x)
    if n == 1:
        return x
    ahead = uniform_like(x.float(), generator).mul(n - 1).long().clamp(max=n - 2) + 1
    rows = torch.arange(n, device=x.device).unsqueeze(1)
    others = x.gather(0, (rows + ahead) % n)
    return torch.where(_chosen(x, level, generator), others, x)


def dropout(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Set the share `level` of the cells to their feature's mean, and enlarge the
    others by 1 / (1 - level): the expected row stays.

    Masking whose unseen rows have the size of the seen ones (Srivastava et al., 2014).
    """
    return x.masked_fill(_chosen(x, level, generator), 0.0) / (1 - level)


def _chosen(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Mask of cells, each chosen with chance `level`; half precision is too coarse."""
    return uniform_like(x.float(), generator) < level


NOISES = {
    "gaussian": gaussian,
    "masking": masking,
    "salt_and_pepper": salt_and_pepper,
    "swap": swap,
    "dropout": dropout,
}

# Levels that a noise can have: below the bound, or up to it.
BELOW = {"dropout": 1.0}
UP_TO = {"masking": 1.0, "salt_and_pepper": 1.0, "swap": 1.0}
