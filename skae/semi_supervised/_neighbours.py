"""Features of a graph of neighbours: what label spreading knows, without labels."""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import ArpackNoConvergence, eigsh
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.neighbors import NearestNeighbors

from skae._sklearn import check_is_fitted, validate_data
from skae.io import storable

_ALPHA = 0.99  # as near to one as in Zhou et al.: labels go far
_MOST_RESTARTS = 200  # graphs of many parts converge slowly, and some axes will do
_LEAST_EIGENVALUE = 0.05  # of the axes that are kept; new rows are divided by it


@storable
class NeighbourAxes(TransformerMixin, BaseEstimator):
    """Smooth axes of the graph of nearest neighbours.

    A linear classifier on them is label spreading [1]_ of low rank: its kernel
    ``(I - alpha S)^-1`` of the symmetrically normalised graph `S` is the product of
    these features, as far as its largest eigenvalues go. A new row has the mean of its
    neighbours (Nyström).

    Parameters
    ----------
    n_components : int, default=64
        Number of axes; at most half of the rows.
    n_neighbors : int, default=10
        Neighbours of a row; fewer than there are rows.

    References
    ----------
    .. [1] Zhou, D. et al. (2004). Learning with local and global consistency. NeurIPS.
    """

    def __init__(self, n_components=64, n_neighbors=10):
        self.n_components = n_components
        self.n_neighbors = n_neighbors

    def fit(self, X, y=None):
        """Fit the graph and its axes to rows X (n_samples, n_features)."""
        self.fit_transform(X)
        return self

    def fit_transform(self, X, y=None):
        """Return the features (n_samples, n_components) of the rows of the graph."""
        X = validate_data(self, X, ensure_min_samples=4)
        n = len(X)
        self.neighbours_ = NearestNeighbors(
            n_neighbors=min(self.n_neighbors, n - 1)
        ).fit(X)
        # Without arguments no row is its own neighbour.
        graph = self.neighbours_.kneighbors_graph()
        graph = graph.maximum(graph.T)
        degrees = np.asarray(graph.sum(axis=1)).ravel()
        roots = sparse.diags_array(degrees**-0.5)
        eigenvalues, vectors = _largest(
            roots @ graph @ roots, min(self.n_components, n // 2)
        )
        is_kept = eigenvalues > _LEAST_EIGENVALUE
        self.eigenvalues_ = np.minimum(eigenvalues[is_kept], 1.0)
        # Axes of the random walk, of which each row's is the mean of its neighbours'
        # times the eigenvalue; mean square one, weighted by the degrees.
        axes = vectors[:, is_kept] * np.sqrt(degrees.sum() / degrees)[:, None]
        weights = (1 - _ALPHA * self.eigenvalues_) ** -0.5
        self.axes_ = axes * (weights / np.sqrt((weights**2).sum()))
        return self.axes_

    def transform(self, X):
        """Return the features (n_samples, n_components) of new rows."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        nearest = self.neighbours_.kneighbors(X, return_distance=False)
        return self.axes_[nearest].mean(axis=1) / self.eigenvalues_

    def get_feature_names_out(self, input_features=None):
        """Return the names of the features."""
        return np.array([f"neighbouraxes{i}" for i in range(len(self.eigenvalues_))])


def _largest(matrix, k):
    """The k largest eigenvalues of a symmetric matrix, or fewer, and their vectors."""
    # A start of our own: eigsh would draw from NumPy's global generator.
    start = np.random.default_rng(0).standard_normal(matrix.shape[0])
    try:
        return eigsh(matrix, k, which="LA", v0=start, tol=1e-3, maxiter=_MOST_RESTARTS)
    except ArpackNoConvergence as found:
        return found.eigenvalues, found.eigenvectors
