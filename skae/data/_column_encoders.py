"""Columns of mixed tables as columns of a network: levels one-hot, ranks normal.

Both work on numbers, of which NaN is missing: values, or positions in a list of labels.
"""

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import ndtr, ndtri

from skae.io import storable

# Different values up to which numbers are levels: spikes, grades, years, counts of few.
MOST_LEVELS = 25

# Knots of the ranks of a column, about: twice the root of its rows, at most so many.
_MOST_KNOTS = 1000

# Digits after the point beyond which differences are rounding.
_MOST_DECIMALS = 8

# Points of the quadrature of a mean.
_N_POINTS = 15

# Part of the last digit below which a number is whole.
_ROUNDING = 1e-6


@storable
class Levels:
    """One of several values, as a one-hot group of columns.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Training values.
    is_ordered : bool
        Whether values are numbers: others are then taken for the nearest level.
    max_categories : int
        Columns at most, of which the last one then stands for the infrequent levels.

    Attributes
    ----------
    levels : ndarray of shape (l,)
        The values, those with a column of their own first.
    counts : ndarray of shape (l,)
    n_own : int
    """

    def __init__(self, values: np.ndarray, is_ordered: bool, max_categories: int):
        self.is_ordered = is_ordered
        found, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        self.n_own = len(found)
        if len(found) > max_categories:
            # The most frequent ones; of equal ones the first.
            order = np.argsort(-counts, kind="stable")
            self.n_own = max_categories - 1
            order[: self.n_own].sort()
            found, counts = found[order], counts[order]
        self.levels, self.counts = found, counts

    @property
    def width(self) -> int:
        """Columns; none of what is always the same."""
        n_columns = self.n_own + (self.n_own < len(self.levels))
        return n_columns if n_columns > 1 else 0

    @property
    def rarest(self) -> int:
        """Column of the rarest level."""
        return int(self._column_counts.argmin())

    @property
    def _column_counts(self) -> np.ndarray:
        rest = self.counts[self.n_own :]
        own = self.counts[: self.n_own]
        return np.append(own, rest.sum()) if len(rest) else own

    def columns_of(self, values: np.ndarray) -> np.ndarray:
        """Column (n,) of each value, none of which is NaN: of a number the nearest
        level's, -1 of what is no level."""
        order = np.argsort(self.levels)
        if not len(order):
            return np.full(len(values), -1)
        sorted_levels = self.levels[order]
        place = np.searchsorted(sorted_levels, values).clip(0, len(order) - 1)
        if self.is_ordered:
            before = (place - 1).clip(0)
            nearer = values - sorted_levels[before] < sorted_levels[place] - values
            place = np.where(nearer, before, place)
        known = self.is_ordered | (sorted_levels[place] == values)
        return np.where(known, np.minimum(order[place], self.n_own), -1)

    def is_unknown(self, values: np.ndarray) -> np.ndarray:
        """Mask (n,) of the values that are no level, or numbers outside of all; not of
        missing ones."""
        if not len(self.levels):
            return ~np.isnan(values)
        if self.is_ordered:
            return (values < self.levels.min()) | (values > self.levels.max())
        return ~np.isnan(values) & ~np.isin(values, self.levels)

    def encode(self, values: np.ndarray, generator=None, out=None) -> np.ndarray:
        """One-hot rows (n, width), in `out` where it is given: NaN where the value is
        missing, zeros of an unknown one."""
        rows = np.empty((len(values), self.width)) if out is None else out
        rows[:] = 0.0
        if not self.width:
            return rows
        is_missing = np.isnan(values)
        rows[is_missing] = np.nan
        observed = np.flatnonzero(~is_missing)
        columns = self.columns_of(values[observed])
        is_known = columns >= 0
        rows[observed[is_known], columns[is_known]] = 1.0
        return rows

    def decode(self, rows: np.ndarray, generator=None) -> np.ndarray:
        """Values (n,) of probabilities (n, width): of ordered levels the median, of
        others the mode. Infrequent levels are drawn, or without a generator the most
        frequent of them."""
        if not self.width:
            value = self.levels[0] if len(self.levels) else np.nan
            return np.full(len(rows), value)
        if self.is_ordered and self.n_own == len(self.levels):
            total = rows.clip(0).cumsum(1)
            columns = (total < total[:, -1:] / 2).sum(1).clip(max=self.width - 1)
        else:
            columns = rows.argmax(1)
        place = columns.copy()
        is_rest = columns == self.n_own
        if is_rest.any():
            place[is_rest] = self._infrequent(int(is_rest.sum()), generator)
        return self.levels[place]

    def mean(self, rows: np.ndarray, std: np.ndarray) -> np.ndarray:
        """Level (n,) of numbers that is nearest to their mean by probabilities (n,
        width)."""
        if not self.width or self.n_own < len(self.levels):
            return self.decode(rows)
        weights = rows.clip(0)
        means = weights @ self.levels / weights.sum(1).clip(1e-12)
        return self.levels[self.columns_of(means)]

    def _infrequent(self, n: int, generator) -> np.ndarray:
        counts = self.counts[self.n_own :]
        if generator is None:
            return np.full(n, self.n_own + counts.argmax())
        drawn = generator.choice(len(counts), n, p=counts / counts.sum())
        return self.n_own + drawn

    def within(self, values: np.ndarray, *, is_range: bool) -> np.ndarray:
        """Fraction (n_columns,) of each column's levels that are among the values, or
        between the least and the greatest of them."""
        levels = self.levels
        inside = np.isin(levels, values)
        if is_range:
            inside = (levels >= values.min()) & (levels <= values.max())
        fractions = inside[: self.n_own].astype(float)
        rest, counts = inside[self.n_own :], self.counts[self.n_own :]
        if len(rest):
            fractions = np.append(fractions, counts[rest].sum() / counts.sum())
        return fractions


@storable
class Ranks:
    """A number by its rank, as the quantile of a standard normal at that rank.

    Between knots, which are training values, the map is linear; outside it rises with
    the logarithm of the distance, first as steeply as between the median and the 99th
    percentile. A value that several rows have stands for all quantiles of theirs. Where
    most values are of several rows, all of them are knots, and there is nothing
    between.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Training values.

    Attributes
    ----------
    knots : ndarray of shape (m,)
        Increasing.
    low, high : ndarray of shape (m,)
        First and last quantile of each.
    slope : float
        Quantiles for a unit next to the knots, outside.
    decimals : int or None
        Digits after the point that values have at most; None is any number.
    """

    width = 1

    def __init__(self, values: np.ndarray):
        values = values[~np.isnan(values)]
        knots, counts = np.unique(values, return_counts=True)
        self.decimals = _decimals(knots)
        n, ends = len(values), counts.cumsum()
        n_knots = min(int(2 * n**0.5), _MOST_KNOTS)
        self.is_discrete = 2 * len(knots) < n and len(knots) <= _MOST_KNOTS
        low, high = ((ends - counts + 0.5) / n, (ends - 0.5) / n)
        if not self.is_discrete and len(knots) > n_knots:
            # Those nearest to equally spaced ranks, the ends, and what many rows have.
            chosen = np.searchsorted(ends, np.linspace(0, n, n_knots))
            often = np.flatnonzero(counts > n / n_knots)
            last = len(knots) - 1
            chosen = np.unique(np.append(chosen.clip(max=last), [*often, 0, last]))
            knots, low, high = knots[chosen], low[chosen], high[chosen]
        if self.is_discrete:
            # Quantiles of all draws are of some value.
            low, high = low - 0.5 / n, high + 0.5 / n
            low[0], high[-1] = 0.5 / n, 1 - 0.5 / n
        self.knots, self.low, self.high = knots, ndtri(low), ndtri(high)
        centre, far = np.quantile(values, [0.5, 0.99])
        rise = ndtri(0.99) / (far - centre) if far > centre else 0.0
        self.slope = float(rise or 1 / (knots[-1] - knots[0]))

    def encode(self, values: np.ndarray, generator=None, out=None) -> np.ndarray:
        """Quantiles (n, 1), in `out` where it is given; NaN where the value is missing.

        Those of a value that several rows have are spread at random by the generator,
        or else their middle.
        """
        low, high = self._interval(values)
        fraction = 0.5 if generator is None else generator.uniform(size=len(values))
        # Between ranks, which have equal weights, not between quantiles.
        first, last = ndtr(low), ndtr(high)
        rank = first + fraction * (last - first)
        # Far outside, ranks are all one.
        z = np.where(high > low, ndtri(rank), low)
        rows = np.empty((len(values), 1)) if out is None else out
        rows[:, 0] = z
        return rows

    def _interval(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and last quantile (n,) of values."""
        knots = self.knots
        place = np.searchsorted(knots, values).clip(0, len(knots) - 1)
        before = (place - 1).clip(0)
        gap = np.where(place > before, knots[place] - knots[before], 1.0)
        part = ((values - knots[before]) / gap).clip(0, 1)
        z = self.high[before] + part * (self.low[place] - self.high[before])
        # By logarithms, since networks make nothing of a million.
        below = np.log1p((knots[0] - values).clip(min=0) * self.slope)
        above = np.log1p((values - knots[-1]).clip(min=0) * self.slope)
        z = np.where(values < knots[0], self.low[0] - below, z)
        z = np.where(values > knots[-1], self.high[-1] + above, z)
        is_knot = knots[place] == values
        low = np.where(is_knot, self.low[place], z)
        high = np.where(is_knot, self.high[place], z)
        is_missing = np.isnan(values)
        low[is_missing] = high[is_missing] = np.nan
        return low, high

    def decode(self, rows: np.ndarray, generator=None) -> np.ndarray:
        """Values (n,) of quantiles (n, 1), within those of training."""
        z = rows[:, 0]
        if self.is_discrete:
            place = np.searchsorted(self.high, z).clip(max=len(self.knots) - 1)
            return self.knots[place]
        positions = np.stack([self.low, self.high], 1).ravel()
        values = np.interp(z, positions, self.knots.repeat(2))
        if self.decimals is None:
            return values
        return values.round(self.decimals).clip(self.knots[0], self.knots[-1])

    def mean(self, rows: np.ndarray, std: np.ndarray) -> np.ndarray:
        """Mean values (n,) of normal quantiles of this mean and deviation (n, 1)."""
        points, weights = hermegauss(_N_POINTS)
        values = [self.decode(rows + point * std) for point in points]
        means = np.average(values, axis=0, weights=weights)
        return means if self.decimals is None else means.round(self.decimals)

    def quantiles_of(self, low: float, high: float) -> tuple[float, float]:
        """First and last quantile of the values from `low` to `high` that can be drawn;
        the last one is below the first where there are none."""
        knots = self.knots
        if self.decimals is not None:
            low, high = (
                _rounded_up(low, self.decimals),
                -_rounded_up(-high, self.decimals),
            )
        inside = np.flatnonzero((knots >= low) & (knots <= high))
        is_between = not self.is_discrete and knots[0] <= low <= high <= knots[-1]
        if not (len(inside) or is_between) or low > high:
            return np.inf, -np.inf
        ends = np.array([low, high], dtype=float)
        if self.is_discrete:
            ends = knots[inside[[0, -1]]]
        first, last = self._interval(ends)
        at_start, at_end = ends[0] <= knots[0], ends[1] >= knots[-1]
        return (
            -np.inf if at_start and low < high else float(first[0]),
            np.inf if at_end and low < high else float(last[1]),
        )

    def log_slope(self, values: np.ndarray) -> np.ndarray:
        """Logarithm (n,) of how steep the map is at values, zero at missing ones.

        That of the width of its quantiles for a value that several rows have.
        """
        knots = self.knots
        low, high = self._interval(values)
        after = np.searchsorted(knots, values, side="right").clip(1, len(knots) - 1)
        rise = self.low[after] - self.high[after - 1]
        slope = rise / (knots[after] - knots[after - 1])
        distance = np.maximum(knots[0] - values, values - knots[-1])
        outside = self.slope / (1 + distance.clip(min=0) * self.slope)
        slope = np.where(distance > 0, outside, slope)
        slope = np.where(high > low, high - low, slope)
        return np.where(np.isnan(values), 0.0, np.log(slope.clip(1e-300)))


def _rounded_up(value: float, decimals: int) -> float:
    nearest = round(float(value), decimals)
    return nearest if nearest >= value else round(nearest + 10**-decimals, decimals)


def _decimals(values: np.ndarray) -> int | None:
    for decimals in range(_MOST_DECIMALS + 1):
        if (values.round(decimals) == values).all():
            return decimals
    return None
