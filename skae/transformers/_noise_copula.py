"""Dependence between the columns of a mixed table that the code leaves."""

import numpy as np
from scipy.special import ndtr, ndtri

from skae.data._tables import Table
from skae.io import storable

# Probabilities of residuals are kept off zero and one by so much.
_LEAST = 1e-6

# Rows that the correlation of two columns needs.
_LEAST_ROWS = 20


@storable
class NoiseCopula:
    """Correlations of the noise around decoded rows: a Gaussian copula [1]_.

    A likelihood draws the columns of a row independently, given its code. What training
    rows lack of that independence, weak links of columns mostly, is in the correlations
    of their residuals: in standard deviations of a number, and as the normal quantile
    at a random rank within the probability of a level.

    Parameters
    ----------
    table : Table
    x : ndarray of shape (n, width)
        Encoded training rows, NaN where a value is missing.
    means : ndarray of shape (n, width)
        Decoded draws of their codes.
    std : ndarray of shape (width,)
        Standard deviations of quantiles around their means.
    random_state : RandomState

    Attributes
    ----------
    root : ndarray of shape (c, c)
        A root of the correlations of the columns.

    References
    ----------
    .. [1] Nelsen, R. B. (2006). An introduction to copulas. Springer.
    """

    def __init__(self, table: Table, x, means, std, random_state):
        residuals = np.full((len(x), len(table.columns)), np.nan)
        for j, (column, part) in enumerate(table.parts()):
            if column.width:
                residuals[:, j] = _residuals(
                    x[:, part], means[:, part], std[part], column.is_group, random_state
                )
        correlation = _correlations(residuals)
        values, axes = np.linalg.eigh(correlation)
        # Of pairs of other rows each, it need not be one.
        root = axes * np.sqrt(values.clip(0))
        self.root = root / np.sqrt(np.square(root).sum(1, keepdims=True))

    def draw(self, table: Table, means, std, random_state) -> np.ndarray:
        """Encoded rows (n, width) around these means."""
        n_columns = len(table.columns)
        noise = random_state.normal(size=(len(means), n_columns)) @ self.root.T
        rows = means.copy()
        for j, (column, part) in enumerate(table.parts()):
            if not column.is_group:
                rows[:, part] += std[part] * noise[:, [j]]
            elif column.width:
                rows[:, part] = _at_ranks(means[:, part], ndtr(noise[:, [j]]))
        return rows


def _residuals(x, means, std, is_group: bool, random_state) -> np.ndarray:
    """Residuals (n,) of a column, normal ones; NaN where it is missing."""
    if not is_group:
        return (x - means)[:, 0] / std[0]
    is_missing = np.isnan(x).any(1)
    probabilities = means.clip(_LEAST)
    last = (probabilities / probabilities.sum(1, keepdims=True)).cumsum(1)
    level = np.nan_to_num(x).argmax(1)[:, None]
    high = np.take_along_axis(last, level, 1)[:, 0]
    low = np.where(
        level[:, 0] > 0, np.take_along_axis(last, level.clip(1) - 1, 1)[:, 0], 0
    )
    rank = low + random_state.uniform(size=len(x)) * (high - low)
    return np.where(is_missing, np.nan, ndtri(rank.clip(_LEAST, 1 - _LEAST)))


def _at_ranks(means, ranks) -> np.ndarray:
    """One-hot rows (n, width) of the levels at ranks (n, 1)."""
    total = means.clip(0).cumsum(1)
    chosen = (total <= ranks * total[:, -1:]).sum(1).clip(max=means.shape[1] - 1)
    return np.eye(means.shape[1])[chosen]


def _correlations(residuals: np.ndarray) -> np.ndarray:
    """Correlations (c, c) of columns over the rows that have both; zero of too few."""
    known = (~np.isnan(residuals)).astype(float)
    values = np.nan_to_num(residuals)
    counts = known.T @ known
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.sqrt((np.square(values).T @ known) * (known.T @ np.square(values)))
        correlations = values.T @ values / scale
    correlations[(counts < _LEAST_ROWS) | ~np.isfinite(correlations)] = 0.0
    np.fill_diagonal(correlations, 1.0)
    return correlations
