"""Outlier scores from squared distances that are sums over features.

Shapes: n rows, d features, k neighbours, and c = m * d columns, m of each feature.
"""

import numpy as np
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.model_selection import KFold
from sklearn.neighbors import NearestNeighbors

# Largest number of reference rows, among which neighbours are searched: the time of a
# search by brute force is proportional to it.
_N_REFERENCES = 10_000

# Iterations of fitting the covariance and finding the farthest rows: as in the first
# stage of the fast minimum covariance determinant, few are enough.
_N_CONCENTRATIONS = 3

# Rows a feature, without which a covariance says too little to leave rows out by: of
# reconstruction and residual side by side, there would be more columns than rows.
_ROWS_A_FEATURE = 2

# Folds of the rows, each of which is scored by what is fitted to the others; of few
# rows each is a fold: a fifth of them may be what the others hang on.
_N_FOLDS = 5
_FEW_ROWS = 20

# Largest number of standard deviations: squares, and sums of them, are finite.
_FARTHEST = 1e150

# Variances below this fraction of the largest one are rounding.
_ROUNDING = 1e-12

# Largest number of elements of differences between rows and their neighbours that are
# in memory at a time: 32 MiB in float64.
_CHUNK = 2**22

# Fraction of the rows that count as far. It must exceed that of outliers: otherwise a
# dense group of them makes its own neighbours look informative.
_FAR = 0.2


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
    rest = _smallest(np.abs(X - np.median(X, axis=0)).sum(1), max(2, len(X) // 2))
    for _ in range(_N_CONCENTRATIONS):
        # (n,), of all rows: one that was left out may come back.
        distances = QuadraticDistance().fit(X[rest]).by_column(X).sum(1)
        rest = _smallest(distances, n_kept)
    return rest


def _smallest(values, n):
    """Sorted indices of the `n` smallest values; of equal ones, the first."""
    return np.sort(np.argsort(values, kind="stable")[:n])


class OutlierScore:
    """Weighted mean of log2(1 + distance) of two squared distances in usual sizes.

    The weight of the neighbours is the fraction of rows that are far in the Mahalanobis
    distance among the neighbours of rows that are far in both. Where many features are
    noise, the neighbours of all rows are the central ones, and it is low.

    Parameters
    ----------
    n_neighbors : int
        Number of neighbours in `NeighbourDistance`; `n_neighbors_` is the one in use.
    """

    def __init__(self, n_neighbors):
        self.n_neighbors = n_neighbors

    def fit(self, X, views, rest, random_state):
        """Fit both distances, and return the scores of the training rows.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Rows.
        views : list of ndarray of shape (n, m * d)
            Representations of the rows, m columns of each feature; the Mahalanobis
            distances in them are averaged.
        rest : ndarray of int
            Indices of rows that the Mahalanobis distances are fitted to, two at least.
        random_state : RandomState
            Generator of references, where there are too many rows, and of folds.

        Returns
        -------
        scores : ndarray of shape (n,)
            Outlier scores.
        scores_as_new : ndarray of shape (n,)
            The same with Mahalanobis distances that are fitted without the row, as if
            it were new.
        """
        references = np.arange(len(X))
        if len(X) > _N_REFERENCES:
            references = random_state.choice(len(X), _N_REFERENCES, replace=False)
        self._near = NeighbourDistance(self.n_neighbors).fit(X[references])
        self.n_neighbors_ = self._near.n_neighbors_
        self._quadratic = [QuadraticDistance().fit(view[rest]) for view in views]
        # (n, d), (n, k) and (n, k)
        near, neighbours, is_copy = self._near.find(X)
        squares = self._squares(views)  # (n, d)
        # Indices of references are turned into those of rows.
        weight = _neighbour_weight(
            near.sum(1), squares.sum(1), references[neighbours], is_copy
        )
        self._weights = weight, 1 - weight
        # In units of their usual sizes, both distances may be added.
        self._sizes = _usual_size(near, X), _usual_size(squares[rest], X)
        # Rows outside `rest` are new to the Mahalanobis distances already; neighbours
        # need no folds, as no row is its own.
        as_new = squares.copy()
        as_new[rest] = self._squares_as_new([v[rest] for v in views], random_state)
        return tuple(self._summands(near, s).sum(1) for s in (squares, as_new))

    def by_feature(self, X, views):
        """Return the summands (n, d) of the outlier scores of X (n, d).

        A logarithm is divided among the features like its distance.
        """
        return self._summands(self._near.find(X)[0], self._squares(views))

    def _squares_as_new(self, views, random_state):
        """`_squares` (n, d) of rows, each fitted to the rows of the other folds."""
        found = np.empty((len(views[0]), self._near.n_features))
        n_folds = len(found) if len(found) <= _FEW_ROWS else _N_FOLDS
        for kept, others in KFold(
            n_folds, shuffle=True, random_state=random_state
        ).split(found):
            learned = [QuadraticDistance().fit(view[kept]) for view in views]
            found[others] = self._squares([view[others] for view in views], learned)
        return found

    def _squares(self, views, learned=None):
        """Summands (n, d) of the mean squared Mahalanobis distance over views."""
        learned = learned or self._quadratic
        # (n, c), c = m d
        squares = sum(q.by_column(v) for q, v in zip(learned, views))
        # (n, m, d): the m columns of a feature are added.
        squares = squares.reshape(len(squares), -1, self._near.n_features)
        return squares.sum(1) / len(views)

    def _summands(self, *distances):
        """Summands (n, d) of the scores, from those of both distances."""
        found = 0
        for parts, size, weight in zip(distances, self._sizes, self._weights):
            total = parts.sum(1, keepdims=True)  # (n, 1)
            # A distance of zero has no parts: none of its features contributes.
            ratio = parts / np.where(total > 0, total, 1)
            found = found + weight * ratio * np.log2(1 + total / size)
        return found


def _neighbour_weight(near, squares, neighbours, is_copy):
    """Weight of the neighbours' distance in the score, within [0, 1].

    Among the neighbours (n, k) of the rows that are far by both distances, `near` (n,)
    and `squares` (n,), it is the fraction of rows far by `squares`; a half where there
    is none. Copies (n, k) of a row are as far as the row itself, and do not count.
    """
    is_far = _is_far(squares)
    # Far by both: the rows of a dense group of outliers are near their neighbours.
    is_farthest = is_far & _is_far(near)
    found = is_far[neighbours[is_farthest]][~is_copy[is_farthest]]
    return found.mean() if len(found) else 0.5


def _is_far(distances):
    """Mask (n,) of the farthest rows."""
    return distances > np.quantile(distances, 1 - _FAR)


class NeighbourDistance:
    """Mean squared distance from the nearest reference rows.

    One reference row that equals the row itself is left out: a training row is not its
    own neighbour, and has the distance that it would have as a new row.

    Parameters
    ----------
    n_neighbors : int
        Number of reference rows that a row is compared with; all of them, where there
        are fewer.
    """

    def __init__(self, n_neighbors):
        self.n_neighbors = n_neighbors

    def fit(self, X):
        """Keep the reference rows X (n, d), two at least."""
        self.n_features = X.shape[1]
        # A row itself may be among its neighbours: one more is searched than used.
        self.n_neighbors_ = min(self.n_neighbors, len(X) - 1)
        self._rows = X
        # Brute force finds a row itself first, up to rounding, whatever the dimension.
        index = NearestNeighbors(n_neighbors=self.n_neighbors_ + 1, algorithm="brute")
        self._index = index.fit(X)
        return self

    def find(self, X):
        """Return the summands (n, d) of the distances of X (n, d), the indices (n, k)
        of the nearest reference rows, and the mask (n, k) of copies among them."""
        size = max(1, _CHUNK // (X.shape[1] * (self.n_neighbors_ + 1)))
        found = [self._find(X[i : i + size]) for i in range(0, len(X), size)]
        return tuple(map(np.concatenate, zip(*found)))

    def _find(self, X):
        """`find` for one chunk of rows."""
        found = self._index.kneighbors(X, return_distance=False)  # (n, k + 1)
        # The search rounds; these squares are exact, and zero where rows are equal.
        squares = (X[:, None] - self._rows[found]) ** 2  # (n, k + 1, d)
        # By these exact squares, so that a copy comes first.
        order = np.argsort(squares.sum(2), axis=1, kind="stable")
        found = np.take_along_axis(found, order, 1)
        squares = np.take_along_axis(squares, order[:, :, None], 1)
        is_copy = ~squares.any(2)
        # The first copy, which may be the row itself, or else the farthest neighbour.
        left_out = np.where(is_copy[:, 0], 0, self.n_neighbors_)
        rows, n = np.arange(len(X)), self.n_neighbors_
        is_kept = np.arange(n + 1) != left_out[:, None]
        parts = (squares.sum(1) - squares[rows, left_out]) / n
        return parts, *(values[is_kept].reshape(-1, n) for values in (found, is_copy))


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
        return whitened.clip(-_FARTHEST, _FARTHEST) ** 2


def _usual_size(parts, X):
    """Mean over rows of distances, whose summands are `parts` (n, d)."""
    # Where all distances are zero, the variance of X (n, d); where that is zero, one.
    return parts.sum(1).mean() or X.var(0).sum() or 1.0


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
