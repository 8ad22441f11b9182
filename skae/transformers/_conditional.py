"""Draws from a model of a mixed table, given what is known of some columns.

Codes are drawn by importance: each counts by the probability that its row has what is
given. Where too few codes count, further ones come from around these (population Monte
Carlo [1]_). The row of a code then has the given columns drawn within what is given,
and all others from the likelihood.

.. [1] Cappe, O., Guillin, A., Marin, J. M. and Robert, C. P. (2004). Population Monte
   Carlo. Journal of Computational and Graphical Statistics, 13(4), 907-929.
"""

import warnings
from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import log_ndtr, logsumexp, ndtr, ndtri

from skae.data._column_encoders import Levels, Ranks
from skae.data._table_columns import NOMINAL, Column
from skae.data._tables import Table

# Codes of a round, and rounds at most.
_N_CODES, _MOST_ROUNDS = 4096, 4

# Effective number of codes from which on no further round follows, and below which a
# warning says so.
_ENOUGH, _FEW = 500, 30

# Fraction of the codes of a later round that come from the density itself, so that no
# weight is larger than its inverse times that of the first round.
_DEFENSIVE = 0.2

# Codes around which those of a later round are drawn.
_N_CENTRES = 200


@dataclass
class Condition:
    """What is given of a column: some of a group's columns, or a range of quantiles.

    Attributes
    ----------
    part : slice
        Columns of the network.
    allowed : ndarray of shape (width,) or None
        Fraction of each level of a group that is given.
    low, high : float
        Range of quantiles; equal where the value itself is given.
    """

    part: slice
    allowed: np.ndarray | None = None
    low: float = -np.inf
    high: float = np.inf

    def log_prob(self, means: np.ndarray, std: np.ndarray) -> np.ndarray:
        """Log-probability (m,) of it in rows of these means (m, width)."""
        means = means[:, self.part]
        if self.allowed is not None:
            with np.errstate(divide="ignore"):
                return np.log((means.clip(0) * self.allowed).sum(1))
        low, high = (
            (end - means[:, 0]) / std[self.part.start] for end in (self.low, self.high)
        )
        if self.low == self.high:
            return -0.5 * low**2
        # From the nearer tail, where probabilities are not rounded to one.
        is_above = low > 0
        low, high = np.where(is_above, -high, low), np.where(is_above, -low, high)
        first, last = log_ndtr(low), log_ndtr(high)
        with np.errstate(divide="ignore"):
            return last + np.log1p(-np.exp(np.minimum(first - last, 0.0)))

    def draw(self, means, std, random_state) -> np.ndarray:
        """Encoded values (n, width) within it."""
        means = means[:, self.part]
        if self.allowed is not None:
            odds = means.clip(0) * self.allowed
            total = odds.cumsum(1)
            at = random_state.uniform(size=(len(odds), 1)) * total[:, -1:]
            chosen = (total <= at).sum(1).clip(max=odds.shape[1] - 1)
            return np.eye(odds.shape[1])[chosen]
        mean, scale = means[:, 0], std[self.part.start]
        low, high = ((end - mean) / scale for end in (self.low, self.high))
        # Mirrored, so that it is the left tail, of which there are more digits.
        sign = np.where(low + high > 0, -1.0, 1.0)
        ends = np.sort(np.stack([sign * low, sign * high]), axis=0)
        first, last = ndtr(ends)
        rank = first + random_state.uniform(size=len(mean)) * (last - first)
        values = mean + sign * scale * ndtri(rank).clip(*ends)
        return values[:, None].clip(self.low, self.high)


def conditions_of(table: Table, given: dict) -> list[Condition]:
    """Conditions of a mapping from names of columns to a value, a pair of the lowest
    and the highest one, or a set of values.

    Raises
    ------
    ValueError
        If a column is unknown, a pair is none, or no training row has such a value.
    """
    parts = {column.name: (column, part) for column, part in table.parts()}
    unknown = [name for name in given if name not in parts]
    if unknown:
        raise ValueError(f"given has columns that X did not have: {unknown}.")
    found = [_condition(*parts[name], what) for name, what in given.items()]
    # What is always the same needs no condition, once it is possible.
    return [
        condition for condition in found if condition.part.stop > condition.part.start
    ]


def _condition(column: Column, part: slice, what) -> Condition:
    encoder = column.encoder
    is_pair, is_set = isinstance(what, tuple), isinstance(what, Set)
    values = (
        _ends(column, what)
        if is_pair
        else column.read_values(list(what) if is_set else [what])
    )
    if isinstance(encoder, Levels):
        allowed = encoder.within(values, is_range=is_pair)
        if not allowed.any():
            raise ValueError(_impossible(column, what))
        return Condition(part, allowed=allowed[: max(encoder.width, 0)])
    assert isinstance(encoder, Ranks)
    if is_set:
        raise ValueError(
            f"Column {column.name!r} has numbers: give a value or a pair of the lowest "
            f"and the highest, not {what!r}."
        )
    low, high = encoder.quantiles_of(values.min(), values.max())
    if not low <= high:
        raise ValueError(_impossible(column, what))
    return Condition(part, low=low, high=high)


def _ends(column: Column, what: tuple) -> np.ndarray:
    """Lowest and highest number of a pair, of which None is no end."""
    problem = f"Column {column.name!r}: got {what!r}, "
    if column.kind in NOMINAL:
        raise ValueError(problem + "but its values have no order: give a set of them.")
    if len(what) != 2:
        raise ValueError(problem + "not a pair of the lowest and the highest value.")
    given = [end for end in what if end is not None]
    numbers = iter(column.read_values(given))
    low, high = (
        open_end if end is None else next(numbers)
        for end, open_end in zip(what, (-np.inf, np.inf))
    )
    if column.labels is not None and any(end not in column.labels for end in given):
        raise ValueError(_impossible(column, what))
    if not low <= high:
        raise ValueError(problem + "whose lowest value is not below the highest.")
    return np.array([low, high])


def _impossible(column: Column, what) -> str:
    return f"No training row has {what!r} in column {column.name!r}."


class CodeSampler:
    """Codes of rows that have what is given.

    Parameters
    ----------
    draw : callable
        From a number and a random state to codes (m, k) of the density.
    log_density : callable
        From codes (m, k) to their log-densities (m,).
    decode : callable
        From codes (m, k) to means (m, width) of encoded rows.
    std : ndarray of shape (width,)
        Standard deviations of quantiles around their means.
    """

    def __init__(self, draw, log_density, decode, std):
        self._draw, self._log_density = draw, log_density
        self._decode, self.std = decode, std

    def weigh(self, n: int, conditions: list[Condition], random_state):
        """Codes (m, k), the means (m, width) of their rows, and log-weights (m,), from
        which n rows are to be chosen.

        Raises
        ------
        ValueError
            If what is given is impossible.
        """
        codes = self._draw(max(_N_CODES, n), random_state)
        means, log_weights = self._weighted(codes, conditions)
        n_effective = _effective(log_weights)
        for _ in range(_MOST_ROUNDS - 1):
            if n_effective >= min(_ENOUGH, n) or not np.isfinite(log_weights).any():
                break
            around = self._around(codes, log_weights, random_state)
            proposed, log_proposal = around
            new_means, log_new = self._weighted(proposed, conditions)
            log_new = log_new + self._log_density(proposed) - log_proposal
            if _effective(log_new) > n_effective:
                codes, means, log_weights = proposed, new_means, log_new
                n_effective = _effective(log_new)
        if not np.isfinite(log_weights).any():
            raise ValueError("given is impossible under the model.")
        if n_effective < min(_FEW, n):
            warnings.warn(
                f"What is given is rare: the {n} rows come from an effective number of "
                f"{n_effective:.0f} codes, and are less varied than they should be.",
                UserWarning,
                stacklevel=6,
            )
        return codes, means, log_weights

    def _weighted(self, codes, conditions):
        means = self._decode(codes)
        return means, sum(c.log_prob(means, self.std) for c in conditions)

    def _around(self, codes, log_weights, random_state):
        """Codes (m, k) around those that count, and their log-density (m,)."""
        m, k = codes.shape
        chosen = np.unique(systematic(log_weights, _N_CENTRES, random_state))
        weights = np.exp(log_weights[chosen] - logsumexp(log_weights[chosen]))
        n_effective = 1 / np.square(weights).sum()
        centre = weights @ codes[chosen]
        spread = (codes[chosen] - centre) * np.sqrt(weights)[:, None]
        # Few codes do not show a covariance: the density's is worth k of them.
        share = n_effective / (n_effective + k)
        covariance = share * spread.T @ spread + (1 - share) * np.cov(codes.T).reshape(
            k, k
        )
        # Silverman's rule; shrunken centres keep the covariance as it is.
        h2 = n_effective ** (-2 / (k + 4))
        centres = centre + np.sqrt(1 - h2) * (codes[chosen] - centre)
        root = np.linalg.cholesky(h2 * covariance + 1e-9 * np.eye(k))
        n_own = round(_DEFENSIVE * m)
        of = random_state.choice(len(chosen), m - n_own, p=weights)
        near = centres[of] + random_state.normal(size=(m - n_own, k)) @ root.T
        proposed = np.concatenate([near, self._draw(n_own, random_state)])
        return proposed, self._log_proposal(proposed, centres, weights, root)

    def _log_proposal(self, codes, centres, weights, root):
        k = codes.shape[1]
        white, middle = (np.linalg.solve(root, x.T).T for x in (codes, centres))
        squares = cdist(white, middle, "sqeuclidean")
        constant = -0.5 * k * np.log(2 * np.pi) - np.log(np.diag(root)).sum()
        near = logsumexp(-0.5 * squares, axis=1, b=weights) + constant
        return np.logaddexp(
            np.log(_DEFENSIVE) + self._log_density(codes), np.log1p(-_DEFENSIVE) + near
        )


def _effective(log_weights: np.ndarray) -> float:
    """Effective sample size of weights (m,)."""
    if not np.isfinite(log_weights).any():
        return 0.0
    return float(np.exp(2 * logsumexp(log_weights) - logsumexp(2 * log_weights)))


def systematic(log_weights: np.ndarray, n: int, random_state) -> np.ndarray:
    """Indices (n,), in random order, each as often as its weight, rounded."""
    weights = np.exp(log_weights - logsumexp(log_weights))
    at = (np.arange(n) + random_state.uniform()) / n
    found = np.searchsorted(weights.cumsum(), at).clip(max=len(weights) - 1)
    return random_state.permutation(found)
