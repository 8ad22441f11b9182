"""Outlier scores of rows and of what transformers make of them.

A score is fitted to training rows, to their views, an array of each transformer's
answers, and to the views by transformers that had not seen the rows. It has
`terms`, the values that a score is made of; `calibrate`, which takes the terms of
training rows as if they were new, and returns their scores; `total`, the scores;
`by_feature`, their summands; and `n_ranges`, by which the threshold is above the upper
quartile. Shapes: n rows, d features, k neighbours, m views.
"""

import numpy as np

from skae.detection._distances import (
    NeighbourDistance,
    QuadraticDistance,
    most_concentrated,
    nearest,
)
from skae.io import storable

# Largest number of reference rows, among which neighbours are searched: the time of a
# search by brute force is proportional to it.
_N_REFERENCES = 10_000

# Interquartile ranges between the upper quartile of the scores and the threshold, which
# is Tukey's fence; fewer where groups lower the scores: 1 % of normal values are above.
_FENCE = 1.5
_FENCE_OF_DISTANCES = 1.25

# Part of the way from the upper quartile to the fence, in which scores of groups end.
NEAR_THE_FENCE = 0.1

# How much of both logarithms a row may share with its neighbours. The few rows of a
# small group may be a few times as far from each other as usual; those farther
# away are outliers themselves. The covariance may lack a whole group.
MOST_OF_A_GROUP = 2, np.inf

# Quantile of the training rows up to which terms are usual, and no sign of a group.
_USUAL = 0.7

# Weight of a residual beside its row, where neighbours are searched.
_RESIDUAL = 0.5

# Smallest usual size of a residual, in standard deviations of its feature: float32
# transformers round to 1e-7, and a feature may follow from others but for rounding.
_SMALLEST = 1e-3


def fence(scores, n_ranges):
    """Upper quartile of scores (n,), and the fence above it."""
    # The largest score of three quarters of the rows: of eight, the usual quantile
    # is between it and the next one, which may be an outlier's.
    upper = np.quantile(scores, 0.75, method="inverted_cdf")
    return upper, upper + n_ranges * (upper - np.quantile(scores, 0.25))


def threshold(scores, scores_as_new, n_ranges, contamination):
    """Outlier score above which a row is an outlier.

    Both kinds of scores (n,) are of the training rows: as they are, and as if they
    were new.
    """
    # The fraction is one of training rows, so their own scores decide.
    if contamination != "auto":
        return np.quantile(scores, 1 - contamination)
    # Training rows are nearer than new rows to what was fitted to them; where they are
    # few for their features, a fence of theirs would exclude most new rows.
    return fence(scores_as_new, n_ranges)[1]


@storable
class DistanceScore:
    """Mean of log2(1 + distance) of two squared distances in usual sizes.

    They are the distance from neighbours of rows beside their residuals, and the robust
    Mahalanobis distance of reconstruction and residual. A row whose neighbours score as
    high as itself belongs to a group.

    Parameters
    ----------
    n_neighbors : int
        Number of neighbours in `NeighbourDistance`; `n_neighbors_` is the one in use.
    trim : float
        Fraction of the rows that the Mahalanobis distances are fitted without.
    """

    n_ranges = _FENCE_OF_DISTANCES

    def __init__(self, n_neighbors, trim):
        self.n_neighbors = n_neighbors
        self.trim = trim

    @staticmethod
    def view(transformer, X, rows):
        """Reconstruction and residual side by side (n, 2 d) of X (n, d); `rows` are X
        as the transformer takes them."""
        R = _reconstructed(transformer, rows)
        # A missing entry is as reconstructed.
        return np.hstack([R, np.nan_to_num(X - R)])

    def fit(self, X, views, unseen, random_state):
        """Fit both distances.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Rows.
        views : list of ndarray of shape (n, 2 * d)
            Views of the rows; the distances in them are averaged.
        unseen : list of ndarray of shape (n_unseen, 2 * d)
            Views of rows that the transformers had not seen.
        random_state : RandomState
            Generator of references, where there are too many rows.
        """
        self._factors = _residual_factors(X, unseen)
        # By the rows themselves, whatever the transformer makes of outliers.
        rest = most_concentrated(X, self.trim)
        self._quadratic = [QuadraticDistance().fit(view[rest]) for view in views]
        self._references = np.arange(len(X))
        if len(X) > _N_REFERENCES:
            chosen = random_state.choice(len(X), _N_REFERENCES, replace=False)
            self._references = chosen
        beside = self._beside(X, views)
        self._near = NeighbourDistance(self.n_neighbors)
        self._near.fit(beside[self._references])
        self.n_neighbors_ = self._near.n_neighbors_
        # In units of their usual sizes, both distances may be added.
        near, squares, _ = self._distances(X, views)
        self._sizes = _usual_size(near, X), _usual_size(squares[rest], X)
        return self

    def terms(self, X, views):
        """log2(1 + distance) in usual sizes (n, 2), of neighbours and Mahalanobis."""
        return self._logarithms(*self._distances(X, views)[:2])

    def calibrate(self, X, views, as_new):
        """Learn what is usual from the terms (n, 2) of training rows as if they were
        new, and return the scores (n,) that these make."""
        *distances, neighbours = self._distances(X, views)
        # By the same fit as the terms that they are compared with: another one may have
        # left out more of a group.
        terms = self._logarithms(*distances)
        self._reference_terms = terms[self._references]
        self._usual_terms = np.quantile(terms, _USUAL, axis=0)
        self._upper, self._fence = fence(as_new.mean(1), self.n_ranges)
        return self._scores(as_new, neighbours)

    def total(self, X, views):
        """Return the outlier scores (n,) of X (n, d)."""
        return self.by_feature(X, views).sum(1)

    def by_feature(self, X, views):
        """Return the summands (n, d) of the outlier scores of X (n, d).

        A logarithm is divided among the features like its distance.
        """
        *distances, neighbours = self._distances(X, views)
        terms = self._logarithms(*distances)
        parts = sum(_fractions(p) * t[:, None] for p, t in zip(distances, terms.T))
        return _fractions(parts) * self._scores(terms, neighbours)[:, None]

    def _distances(self, X, views):
        """Summands (n, d) of both distances, and indices of the neighbours (n, k)."""
        near, neighbours = self._near.find(self._beside(X, views))
        squares = sum(q.by_column(v) for q, v in zip(self._quadratic, views))
        d = X.shape[1]
        return _by_feature(near, d), _by_feature(squares, d) / len(views), neighbours

    def _beside(self, X, views):
        """Rows beside their residuals (n, (1 + m) d), in which neighbours are found."""
        d = X.shape[1]
        residuals = [view[:, d:] * f for view, f in zip(views, self._factors)]
        return np.hstack([X, *residuals])

    def _logarithms(self, *distances):
        """log2(1 + distance) in usual sizes (n, 2), from the summands of both."""
        sums = np.stack([parts.sum(1) for parts in distances], 1)
        # In logarithms, since a ratio may be out of range; of zero, -inf.
        with np.errstate(divide="ignore"):
            return np.logaddexp2(0, np.log2(sums) - np.log2(self._sizes))

    def _scores(self, terms, neighbours):
        """Outlier scores (n,): means of terms (n, 2), less what a group has in common.

        Rows keep their order below the fence: a group of them may be outliers as well.
        """
        # (n, k, 2), of which the median leaves out one outlier beside another.
        around = np.median(self._reference_terms[neighbours], axis=1)
        common = (around - self._usual_terms).clip(0, MOST_OF_A_GROUP).mean(1)
        scores = terms.mean(1)
        # Near the fence, it is approached and not reached.
        width = NEAR_THE_FENCE * (self._fence - self._upper)
        above = np.maximum(scores - (self._fence - width), 0)
        below_fence = scores - above + above * width / np.where(above, width + above, 1)
        return np.maximum(below_fence, scores - common)


@storable
class ReconstructionScore:
    """Mean over features of squared residuals in their usual sizes for new rows.

    Parameters
    ----------
    n_neighbors : int
        Ignored.
    trim : float
        Fraction of the rows, the farthest ones, that usual sizes are means without.
    """

    n_ranges = _FENCE

    def __init__(self, n_neighbors, trim):
        self.trim = trim

    @staticmethod
    def view(transformer, X, rows):
        """Residuals (n, d) of X (n, d); `rows` are X as the transformer takes them."""
        return np.nan_to_num(X - _reconstructed(transformer, rows))

    def fit(self, X, views, unseen, random_state):
        """Learn the usual sizes; views are residuals: see `DistanceScore.fit`."""
        self._sizes = []
        for squares in (view**2 for view in unseen):
            least = (_SMALLEST * X.std(0)) ** 2  # (d,)
            far = (squares / _positive(np.maximum(squares.mean(0), least))).sum(1)
            usual = squares[nearest(far, len(far) - round(self.trim * len(far)))]
            self._sizes.append(_positive(np.maximum(usual.mean(0), least)))
        return self

    def terms(self, X, views):
        """The scores (n, 1)."""
        return self.total(X, views)[:, None]

    def calibrate(self, X, views, as_new):
        """The scores (n,), of which nothing is learned."""
        return as_new[:, 0]

    def total(self, X, views):
        """Return the outlier scores (n,) of X (n, d)."""
        return self.by_feature(X, views).sum(1)

    def by_feature(self, X, views):
        """Return the summands (n, d) of the outlier scores of X (n, d)."""
        parts = [view**2 / size for view, size in zip(views, self._sizes)]
        return np.mean(parts, axis=0) / X.shape[1]


@storable
class LikelihoodScore:
    """Minus the log likelihood of rows by the transformers, its mean over these.

    Parameters
    ----------
    n_neighbors, trim
        Ignored.
    """

    n_ranges = _FENCE

    def __init__(self, n_neighbors, trim):
        pass

    @staticmethod
    def view(transformer, X, rows):
        """Minus `score_samples` (n, 1) of the rows."""
        return -np.asarray(transformer.score_samples(rows), np.float64)[:, None]

    def fit(self, X, views, unseen, random_state):
        """Nothing is left to learn."""
        return self

    def terms(self, X, views):
        """The scores (n, 1)."""
        return np.mean(views, axis=0)

    def calibrate(self, X, views, as_new):
        """The scores (n,), of which nothing is learned."""
        return as_new[:, 0]

    def total(self, X, views):
        """Return the outlier scores (n,) of X (n, d)."""
        return self.terms(X, views)[:, 0]


SCORES = {
    "distances": DistanceScore,
    "reconstruction": ReconstructionScore,
    "likelihood": LikelihoodScore,
}


def _reconstructed(transformer, rows):
    """Rows as they are decoded from their codes, (n, d)."""
    return np.asarray(transformer.inverse_transform(transformer.transform(rows)))


def _residual_factors(X, unseen):
    """Factors (d,) of the residuals in each view beside the rows X (n, d).

    A residual counts by its feature's deviation for each usual size of the residuals of
    rows that the transformer had not seen, so that units cancel.
    """
    deviations, d = X.std(0), X.shape[1]
    found = []
    for view in unseen:
        usual = np.sqrt((view[:, d:] ** 2).mean(0))
        usual = _positive(np.maximum(usual, _SMALLEST * deviations))
        found.append(_RESIDUAL * deviations / usual / np.sqrt(len(unseen)))
    return found


def _by_feature(parts, d):
    """Sums (n, d) of the m columns (n, m * d) of each feature."""
    return parts.reshape(len(parts), -1, d).sum(1)


def _positive(sizes):
    """Sizes, with ones in place of zeros, where nothing varies."""
    return np.where(sizes > 0, sizes, 1)


def _fractions(parts):
    """Fractions (n, d) of the sums of rows; of a sum of zero, zeros."""
    return parts / _positive(parts.sum(1, keepdims=True))


def _usual_size(parts, X):
    """Mean over rows of distances, whose summands are `parts` (n, d)."""
    # Where all distances are zero, the variance of X (n, d); where that is zero, one.
    return parts.sum(1).mean() or X.var(0).sum() or 1.0
