"""Rules between columns of a mixed table, as numbers of a row.

A tree that tells valid rows from others splits each column on its own, and follows a
rule between two of them with many splits. Of two kinds of rules a number of its own
says whether they hold: one column is never below another one, as ends and begins; and
levels that never come together, as a city and another country.
"""

from collections.abc import Iterator
from itertools import combinations, permutations

import numpy as np

from skae.data._column_encoders import Levels
from skae.data._table_columns import Column
from skae.data._tables import Table
from skae.io import storable


@storable
class Orders:
    """Differences of pairs of columns, one of which is never below the other.

    Where all values of one are above all of the other, there is no rule to break.

    Parameters
    ----------
    table : Table
    numbers : ndarray of shape (n, c)
        Of its training rows, NaN where a value is missing.

    Attributes
    ----------
    lower, upper : ndarray of shape (p,)
        Column numbers.
    scale, shift : ndarray of shape (c,)
        From numbers to values that compare: those of dates are seconds.
    """

    def __init__(self, table: Table, numbers: np.ndarray):
        seconds = [column.dates and column.dates.in_seconds for column in table.columns]
        self.scale, self.shift = np.transpose([pair or (1.0, 0.0) for pair in seconds])
        values = numbers * self.scale + self.shift
        like = [_comparable(column) for column in table.columns]
        pairs = [
            (i, j)
            for i, j in permutations(range(len(like)), 2)
            if like[i] and like[i] == like[j] and _are_ordered(*values.T[[i, j]])
        ]
        self.lower, self.upper = np.array(pairs, dtype=np.int64).reshape(-1, 2).T

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Differences (n, p), NaN where a value is missing."""
        values = numbers * self.scale + self.shift
        return values[:, self.upper] - values[:, self.lower]


def _comparable(column: Column):
    """What is equal of columns whose values compare; None of those without any."""
    if not column.width:  # what is always the same keeps no order
        return None
    if column.dates is None:
        return column.kind if column.kind == "number" else None
    return column.dates.is_duration, column.dates.zone is None


def _are_ordered(lower, upper) -> bool:
    both = ~np.isnan(lower) & ~np.isnan(upper)
    if not both.any():
        return False
    lower, upper = lower[both], upper[both]
    return bool((lower <= upper).all() and lower.max() > upper.min())


@storable
class NewPairs:
    """How often the pairs of levels of a row, that no training row has, would come if
    columns were independent: the largest expected number of training rows.

    A rare pair may be new by chance; one of two frequent levels breaks a rule. Missing
    is a level, also of numbers.

    Parameters
    ----------
    table : Table
    numbers : ndarray of shape (n, c)
        Of its training rows, NaN where a value is missing.

    Attributes
    ----------
    counts : list of c ndarray
        Training rows of each level.
    seen, seen_again : list of ndarray
        Of each pair of columns, the pairs of levels that one training row has, and
        several, as numbers.
    """

    def __init__(self, table: Table, numbers: np.ndarray):
        levels = _levels(table, numbers)
        self.counts = [
            np.bincount(own, minlength=column.width + 1)
            for column, own in zip(table.columns, levels.T)
        ]
        self.seen, self.seen_again = [], []
        for _, _, pair in self._pairs(levels):
            found, counts = np.unique(pair, return_counts=True)
            self.seen.append(found)
            self.seen_again.append(found[counts > 1])

    def __call__(self, table: Table, numbers: np.ndarray, *, are_training: bool):
        """Expected number (n, 1) of rows; training rows are new to all others."""
        levels = _levels(table, numbers)
        largest = np.zeros(len(levels))
        seen = self.seen_again if are_training else self.seen
        n_rows = self.counts[0].sum()
        for (i, j, pair), known in zip(self._pairs(levels), seen):
            expected = self.counts[i][levels[:, i]] * self.counts[j][levels[:, j]]
            is_new = ~np.isin(pair, known)
            largest = np.maximum(largest, is_new * expected / n_rows)
        return largest[:, None]

    def _pairs(self, levels) -> Iterator[tuple[int, int, np.ndarray]]:
        """Two columns, and the number (n,) of the pair of levels of each row."""
        # Columns of one level make no pairs.
        varying = [j for j, own in enumerate(self.counts) if (own > 0).sum() > 1]
        for i, j in combinations(varying, 2):
            yield i, j, levels[:, i] * len(self.counts[j]) + levels[:, j]


def _levels(table: Table, numbers: np.ndarray) -> np.ndarray:
    """Levels (n, c) of the columns of a network; the last one is of missing values, and
    the first one of all numbers of a column without levels."""
    levels = np.zeros(numbers.shape, dtype=np.int64)
    for j, column in enumerate(table.columns):
        is_missing = np.isnan(numbers[:, j])
        if column.width and isinstance(column.encoder, Levels):
            observed = column.encoder.columns_of(numbers[~is_missing, j])
            levels[~is_missing, j] = observed
        levels[is_missing, j] = column.width
    return levels
