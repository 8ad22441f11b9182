"""Corruptions of the input in training; the target stays clean.

A noise is a callable ``(x, level, generator) -> x`` of standardized rows (n, d):
centred features of mean square one, on average. Level zero leaves rows as they are.

References
----------
Vincent, P. et al. (2010). Stacked denoising autoencoders: learning useful
representations in a deep network with a local denoising criterion. Journal of Machine
Learning Research, 11, 3371-3408.
"""

from collections.abc import Callable
from functools import partial, wraps

import torch
from torch import Tensor

from skae.nn._own_draws import drawing_from
from skae.nn._random import normal_like, uniform_like


def gaussian(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add normal noise, `level` times the features' root mean square.

    For measurements; with a small level the autoencoder learns the score of the data
    (Alain and Bengio, 2014).
    """
    return x + level * normal_like(x, generator)


def masking(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Set the fraction `level` of the entries to their feature's mean.

    For rows whose features tell of one another, pixels among them.
    """
    return x.masked_fill(_chosen(x, level, generator), 0.0)


def salt_and_pepper(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Set the fraction `level` of the entries to their feature's extremes in the
    batch, the smallest or the largest with equal chances.

    For images, and sensors that fail at a limit.
    """
    is_chosen = _chosen(x, level, generator)
    is_salt = _chosen(x, 0.5, generator)
    # Of the batch, not of all rows: a corruption is a function of its input.
    extremes = torch.where(is_salt, x.amax(0), x.amin(0))
    return torch.where(is_chosen, extremes, x)


def swap(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Replace the fraction `level` of the entries by another row's values.

    Each feature keeps its distribution: the standard for tables of mixed columns. The
    other row is one of the batch; a batch of one row stays as it is.
    """
    n = len(x)
    if n == 1:
        return x
    # 1 to n - 1 rows ahead, cyclically: never the row itself. In float32, since half
    # precision cannot count the rows of a batch; the clamp is for a product that rounds
    # up to n - 1.
    ahead = uniform_like(x.float(), generator).mul(n - 1).long().clamp(max=n - 2) + 1
    rows = torch.arange(n, device=x.device).unsqueeze(1)
    # (n, d), each entry from a row of its own
    others = x.gather(0, (rows + ahead) % n)
    return torch.where(_chosen(x, level, generator), others, x)


def dropout(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Set the fraction `level` of the entries to their feature's mean, and enlarge the
    others by 1 / (1 - level): the expected row stays.

    Masking whose unseen rows have the size of the seen ones (Srivastava et al., 2014).
    """
    return x.masked_fill(_chosen(x, level, generator), 0.0) / (1 - level)


def _chosen(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Mask of entries, each with chance `level`; half precision is too coarse."""
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


def make_corruption(noise: str | Callable | None, level: float) -> Callable | None:
    """Return ``(x, generator) -> x`` of a name or a callable, or None for no noise.

    Raises
    ------
    ValueError
        If `level` is none of that noise.
    """
    if noise is None or level == 0:
        return None
    # A user's own noise sets its own range of levels.
    if not isinstance(noise, str):
        return partial(_corrupt, _with_own_draws(noise), float(level))
    if noise in BELOW and not level < BELOW[noise]:
        raise ValueError(
            f"noise_level={level!r} is out of range: {noise!r} takes a fraction of the "
            f"entries within [0, {BELOW[noise]:g})."
        )
    if noise in UP_TO and not level <= UP_TO[noise]:
        raise ValueError(
            f"noise_level={level!r} is out of range: {noise!r} takes a fraction of the "
            f"entries within [0, {UP_TO[noise]:g}]."
        )
    return partial(_corrupt, NOISES[noise], float(level))


def _with_own_draws(noise: Callable) -> Callable:
    @wraps(noise)
    def drawn(x: Tensor, level: float, generator: torch.Generator):
        # It may not use the generator that it is given.
        with drawing_from(generator, all_of_torch=True):
            return noise(x, level, generator)

    return drawn


def _corrupt(
    noise: Callable, level: float, x: Tensor, generator: torch.Generator
) -> Tensor:
    seen = noise(x, level, generator)
    # Checked at every call: a user's own noise may depend on the batch.
    if not isinstance(seen, Tensor):
        raise TypeError(
            f"noise={noise!r} must return a tensor of shape {tuple(x.shape)}; got "
            f"{seen!r}."
        )
    if seen.shape != x.shape:
        raise ValueError(
            f"noise={noise!r} must return rows of shape {tuple(x.shape)}; got "
            f"{tuple(seen.shape)}."
        )
    return seen
