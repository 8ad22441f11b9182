"""How far rows lie from training rows: squared distances that add up over features."""

import numpy as np
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.model_selection import KFold
from sklearn.neighbors import NearestNeighbors

# Rows that others are compared with, drawn from all.
_N_REFERENCES = 10_000

# Times that the covariance is learned and the farthest rows are found anew.
_N_CONCENTRATIONS = 3

# Rows a feature, without which a covariance says too little to leave rows out by: of
# reconstruction and residual side by side, there would be more columns than rows.
_ROWS_A_FEATURE = 2

# Parts of the rows, each of which is scored by what the others teach.
_N_FOLDS = 5

# Share of the largest variance that counts as none.
_ROUNDING = 1e-12

# Numbers of a chunk of differences between rows and their neighbours.
_CHUNK = 2**22

# Share of the rows that are far ones.
_FAR = 0.2


def most_concentrated(X, share):
    """Return the numbers of the rows that are left without the farthest ones.

    Mahalanobis distances are learned from the nearest rows and the nearest rows are
    found by these distances, in turn [1]_; the first ones are the half that is nearest
    to the median, by the sum of absolute differences. Where fewer than two rows a
    feature would be left, distances say little, and none is left out.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows, two at least.
    share : float
        Of the rows to leave out, rounded down.

    Returns
    -------
    rest : ndarray of int
        Sorted; two rows at least.

    References
    ----------
    .. [1] Rousseeuw, P. J. and Van Driessen, K. (1999). A fast algorithm for the
       minimum covariance determinant estimator. Technometrics, 41(3), 212-223.
    """
    n_kept = len(X) - int(share * len(X))
    if n_kept == len(X) or n_kept < _ROWS_A_FEATURE * X.shape[1]:
        return np.arange(len(X))
    rest = _smallest(np.abs(X - np.median(X, axis=0)).sum(1), max(2, len(X) // 2))
    for _ in range(_N_CONCENTRATIONS):
        distances = QuadraticDistance().fit(X[rest]).by_column(X).sum(1)
        rest = _smallest(distances, n_kept)
    return rest


def _smallest(values, n):
    return np.sort(np.argsort(values, kind="stable")[:n])


class Outlyingness:
    """Weighted mean of log2(1 + distance) of two squared distances in usual sizes.

    Neighbours weigh as much as they can be trusted: by the share of rows that are far
    in the Mahalanobis distance among the neighbours of rows that are far in both. Where
    many features are noise, the neighbours of all rows are the central ones, and say
    little.

    Parameters
    ----------
    n_neighbors : int
        Of `NeighbourDistance`.
    """

    def __init__(self, n_neighbors):
        self.n_neighbors = n_neighbors

    def fit(self, X, views, rest, random_state):
        """Learn both distances, and return the scores of the training rows.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Rows.
        views : list of ndarray of shape (n, m * d)
            What stands for the rows in the Mahalanobis distances, which are averaged:
            m columns of each feature.
        rest : ndarray of int
            Rows that the Mahalanobis distances are learned from, two at least.
        random_state : RandomState
            Of the references, where there are too many rows, and of the folds.

        Returns
        -------
        scores : ndarray of shape (n,)
            Outlyingness.
        scores_as_new : ndarray of shape (n,)
            The same by Mahalanobis distances that were learned without the row: so much
            would a new row score.
        """
        references = np.arange(len(X))
        if len(X) > _N_REFERENCES:
            references = random_state.choice(len(X), _N_REFERENCES, replace=False)
        self._near = NeighbourDistance(self.n_neighbors).fit(X[references])
        self._quadratic = [QuadraticDistance().fit(view[rest]) for view in views]
        near, neighbours, is_copy = self._near.find(X)
        squares = self._squares(views)
        trust = _trust(near.sum(1), squares.sum(1), references[neighbours], is_copy)
        self._weights = trust, 1 - trust
        self._sizes = _usual_size(near, X), _usual_size(squares[rest], X)
        as_new = squares.copy()
        as_new[rest] = self._squares_as_new([v[rest] for v in views], random_state)
        return tuple(self._summands(near, s).sum(1) for s in (squares, as_new))

    def by_feature(self, X, views):
        """Return the summands (n, d) of the outlyingness of X (n, d).

        A logarithm is shared among the features like its distance.
        """
        return self._summands(self._near.find(X)[0], self._squares(views))

    def _squares_as_new(self, views, random_state):
        """`_squares`, each learned from the rows of the other folds."""
        found = np.empty((len(views[0]), self._near.n_features))
        n_folds = min(_N_FOLDS, len(found))
        for kept, others in KFold(
            n_folds, shuffle=True, random_state=random_state
        ).split(found):
            learned = [QuadraticDistance().fit(view[kept]) for view in views]
            found[others] = self._squares([view[others] for view in views], learned)
        return found

    def _squares(self, views, learned=None):
        """What features add (n, d) to the mean Mahalanobis distance."""
        learned = learned or self._quadratic
        squares = sum(q.by_column(v) for q, v in zip(learned, views))
        squares = squares.reshape(len(squares), -1, self._near.n_features)
        return squares.sum(1) / len(views)

    def _summands(self, *distances):
        found = 0
        for parts, size, weight in zip(distances, self._sizes, self._weights):
            total = parts.sum(1, keepdims=True)
            share = parts / np.where(total > 0, total, 1)
            found = found + weight * share * np.log2(1 + total / size)
        return found


def _trust(near, squares, neighbours, is_copy):
    """Share of rows far by `squares` (n,) among the neighbours (n, k) of the rows that
    are far by both distances, but for their copies; a half where there is none."""
    is_far = _is_far(squares)
    is_farthest = is_far & _is_far(near)
    found = is_far[neighbours[is_farthest]][~is_copy[is_farthest]]
    return found.mean() if len(found) else 0.5


def _is_far(distances):
    return distances > np.quantile(distances, 1 - _FAR)


class NeighbourDistance:
    """Mean squared distance from the nearest reference rows.

    One reference row that equals the row itself is left out: a training row is not its
    own neighbour, and scores what it would as a new row.

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
        self._n_used = min(self.n_neighbors, len(X) - 1)
        self._rows = X
        # Brute force rounds least where it is asked for the same rows again.
        index = NearestNeighbors(n_neighbors=self._n_used + 1, algorithm="brute")
        self._index = index.fit(X)
        return self

    def find(self, X):
        """Return the summands (n, d) of the distances of X (n, d), the numbers (n, k)
        of the reference rows, and which of them are copies."""
        size = max(1, _CHUNK // (X.shape[1] * (self._n_used + 1)))
        found = [self._find(X[i : i + size]) for i in range(0, len(X), size)]
        return tuple(map(np.concatenate, zip(*found)))

    def _find(self, X):
        found = self._index.kneighbors(X, return_distance=False)  # (n, k + 1)
        # The search rounds; these squares are exact, and zero where rows are equal.
        squares = (X[:, None] - self._rows[found]) ** 2  # (n, k + 1, d)
        order = np.argsort(squares.sum(2), axis=1, kind="stable")
        found = np.take_along_axis(found, order, 1)
        squares = np.take_along_axis(squares, order[:, :, None], 1)
        is_copy = ~squares.any(2)
        left_out = np.where(is_copy[:, 0], 0, self._n_used)
        rows, n = np.arange(len(X)), self._n_used
        is_kept = np.arange(n + 1) != left_out[:, None]
        parts = (squares.sum(1) - squares[rows, left_out]) / n
        return parts, *(values[is_kept].reshape(-1, n) for values in (found, is_copy))


class QuadraticDistance:
    """Squared Mahalanobis distance, with a shrunk covariance [1]_.

    It is the squared norm of a row's image under the symmetric root of the precision,
    whose squared entries are the contributions of the columns [2]_.

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
        """Learn the centre and the covariance of V (n, c)."""
        self._centre = V.mean(0)
        V = V - self._centre
        share = ledoit_wolf_shrinkage(V, assume_centered=True)
        variances, self._axes = _principal_axes(V)
        common = share * variances.sum() / V.shape[1]
        self._scales = _inverse_root((1 - share) * variances + common)  # (r,)
        # Of directions in which no training row varies.
        self._rest = _inverse_root(common)
        return self

    def by_column(self, V):
        """Return the summands (n, c) of the distances of V (n, c)."""
        V = V - self._centre
        along = (V @ self._axes.T) * (self._scales - self._rest)
        return (along @ self._axes + self._rest * V) ** 2


def _usual_size(parts, X):
    """Mean of the distances; if all rows have equal neighbours, the variance of X."""
    return parts.sum(1).mean() or X.var(0).sum() or 1.0


def _principal_axes(V):
    """Variances (r,) and axes (r, c) of centred rows (n, c), r <= min(n, c)."""
    n, c = V.shape
    if n < c:
        variances, scores = np.linalg.eigh(V @ V.T / n)
        varies = variances > _ROUNDING * variances[-1]
        variances = variances[varies]
        return variances, (scores[:, varies] / np.sqrt(n * variances)).T @ V
    variances, axes = np.linalg.eigh(V.T @ V / n)
    return np.maximum(variances, 0), axes.T


def _inverse_root(variances):
    """1 / sqrt(variances), zero where there is no variance."""
    tiny = np.finfo(float).tiny
    return np.where(variances > tiny, np.maximum(variances, tiny) ** -0.5, 0.0)
