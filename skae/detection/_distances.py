"""Squared distances from training rows, as sums over features or columns.

Shapes: n rows, d features, k neighbours, c columns.
"""

import numpy as np
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.neighbors import NearestNeighbors

from skae.io import storable

# Iterations of fitting the covariance and finding the farthest rows: as in the first
# stage of the fast minimum covariance determinant, few are enough.
_N_CONCENTRATIONS = 3

# Rows a feature, without which a covariance says too little to leave rows out by: of
# reconstruction and residual side by side, there would be more columns than rows.
_ROWS_A_FEATURE = 2

# Largest number of standard deviations: squares, and sums of them, are finite.
FARTHEST = 1e150

# Variances below this fraction of the largest one are rounding.
_ROUNDING = 1e-12

# Largest number of elements of differences between rows and their neighbours that are
# in memory at a time: 32 MiB in float64.
_CHUNK = 2**22


def most_concentrated(X, trim):
    """Return the indices of all rows but the farthest ones.

    Mahalanobis distances are fitted to the nearest rows and the nearest rows are found
    by these distances, in turn [1]_; the first ones are the half that is nearest to the
    median, by the sum of absolute differences. Where fewer than two rows a feature
    would be left, distances say little, and none is left out.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows, two at least.
    trim : float
        Fraction of the rows to leave out; their number is rounded.

    Returns
    -------
    rest : ndarray of int
        Indices of the rows that are left, sorted; two at least.

    References
    ----------
    .. [1] Rousseeuw, P. J. and Van Driessen, K. (1999). A fast algorithm for the
       minimum covariance determinant estimator. Technometrics, 41(3), 212-223.
    """
    n_kept = len(X) - round(trim * len(X))
    if n_kept == len(X) or n_kept < _ROWS_A_FEATURE * X.shape[1]:
        return np.arange(len(X))
    # The median is robust before any outlier is known. (n,)
    rest = nearest(np.abs(X - np.median(X, axis=0)).sum(1), max(2, len(X) // 2))
    for _ in range(_N_CONCENTRATIONS):
        # (n,), of all rows: one that was left out may come back.
        distances = QuadraticDistance().fit(X[rest]).by_column(X).sum(1)
        rest = nearest(distances, n_kept)
    return rest


def nearest(distances, n):
    """Sorted indices of the `n` smallest distances; of equal ones, the first."""
    return np.sort(np.argsort(distances, kind="stable")[:n])


@storable
class NeighbourDistance:
    """Mean squared distance from the nearest reference rows but the very nearest.

    A training row is its own nearest one. As that of any row is left out, a row next to
    a training row scores like the training row.

    Parameters
    ----------
    n_neighbors : int
        Number of reference rows that a row is compared with; all others, where there
        are fewer.
    """

    def __init__(self, n_neighbors):
        self.n_neighbors = n_neighbors

    def fit(self, X):
        """Keep the reference rows X (n, d)."""
        self.n_neighbors_ = min(self.n_neighbors, len(X) - 1)
        self._rows = X
        # Brute force finds the nearest rows, up to rounding, whatever the dimension.
        index = NearestNeighbors(n_neighbors=self.n_neighbors_ + 1, algorithm="brute")
        self._index = index.fit(X)
        return self

    def find(self, X):
        """Return the summands (n, d) of the distances of X (n, d), and the indices (n,
        k) of the reference rows that they are distances from."""
        size = max(1, _CHUNK // (X.shape[1] * (self.n_neighbors_ + 1)))
        found = [self._find(X[i : i + size]) for i in range(0, len(X), size)]
        return tuple(map(np.concatenate, zip(*found)))

    def _find(self, X):
        """`find` for one chunk of rows."""
        found = self._index.kneighbors(X, return_distance=False)  # (n, k + 1)
        # The search rounds; these squares are exact.
        squares = (X[:, None] - self._rows[found]) ** 2  # (n, k + 1, d)
        # By these exact squares, so that a row itself comes first.
        order = np.argsort(squares.sum(2), axis=1, kind="stable")
        # A single row is the neighbour of all.
        order = order[:, min(1, self.n_neighbors_) :]
        squares = np.take_along_axis(squares, order[:, :, None], 1)
        return squares.mean(1), np.take_along_axis(found, order, 1)


@storable
class QuadraticDistance:
    """Squared Mahalanobis distance, with a shrunk covariance [1]_.

    It is the squared norm of the product of the symmetric root of the precision and the
    centred row; the squared entries of that vector are the contributions of the columns
    [2]_.

    References
    ----------
    .. [1] Ledoit, O. and Wolf, M. (2004). A well-conditioned estimator for
       large-dimensional covariance matrices. Journal of Multivariate Analysis, 88(2),
       365-411.
    .. [2] Garthwaite, P. H. and Koch, I. (2016). Evaluating the contributions of
       individual variables to a quadratic form. Australian & New Zealand Journal of
       Statistics, 58(1), 99-119.
    """

    def fit(self, V):
        """Estimate the centre and the covariance of V (n, c)."""
        self._centre = V.mean(0)
        V = V - self._centre
        # Of one row, which has no covariance to shrink, scikit-learn warns.
        shrinkage = ledoit_wolf_shrinkage(V, assume_centered=True) if len(V) > 1 else 0
        variances, self._axes = _principal_axes(V)
        # The shrunk covariance is (1 - s) S + s tr(S) / c I: on the axes of S, (r,).
        common = shrinkage * variances.sum() / V.shape[1]
        # Of -1 and 1, s is zero. Rows beside the span of the training rows must be far
        # all the same, and rounding must be near.
        common = max(common, _ROUNDING * variances.max(initial=0))
        self._scales = _inverse_root((1 - shrinkage) * variances + common)  # (r,)
        # A scalar, for the directions in which no training row varies.
        self._rest = _inverse_root(common)
        return self

    def by_column(self, V):
        """Return the summands (n, c) of the distances of V (n, c)."""
        V = V - self._centre
        # (n, r): beside the common scale of all directions, that of each axis.
        along = (V @ self._axes.T) * (self._scales - self._rest)
        whitened = along @ self._axes + self._rest * V
        return whitened.clip(-FARTHEST, FARTHEST) ** 2


def _principal_axes(V):
    """Variances (r,) and axes (r, c) of centred rows (n, c), r <= min(n, c)."""
    n, c = V.shape
    # The smaller of the Gram matrix (n, n) and the covariance (c, c) has all axes.
    if n < c:
        variances, scores = np.linalg.eigh(V @ V.T / n)
        # Axes are divided by their standard deviations: those of rounding are left out.
        varies = variances > _ROUNDING * variances[-1]
        variances = variances[varies]
        return variances, (scores[:, varies] / np.sqrt(n * variances)).T @ V
    variances, axes = np.linalg.eigh(V.T @ V / n)
    varies = variances > _ROUNDING * variances[-1]
    return variances[varies], axes.T[varies]


def _inverse_root(variances):
    """1 / sqrt(variances), zero where there is no variance."""
    tiny = np.finfo(float).tiny
    # `maximum` keeps the branch that is not chosen from dividing by zero.
    return np.where(variances > tiny, np.maximum(variances, tiny) ** -0.5, 0.0)
