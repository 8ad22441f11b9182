"""Principal axes of the training rows, by scikit-learn's solvers."""

import torch
from sklearn.decomposition import PCA

from skae.nn._normal_law import normal_law
from skae.nn._start import PrincipalAxes

# Rows or features up to which an exact decomposition takes seconds at most.
_EXACT = 2000


def principal_axes(X: torch.Tensor, n_components: int, seed: int) -> PrincipalAxes:
    """Principal axes of centred rows.

    Parameters
    ----------
    X : Tensor of shape (n, d), float64
    n_components : int
        Wanted; fewer come back where there are fewer rows or features. Axes that the
        rows do not span come back too, as from PCA: new rows may need them.
    seed : int
        Of the randomized solver, which large data get.
    """
    n_rows, n_features = X.shape
    rank = min(n_components, n_rows - 1, n_features)
    if rank < 1 or not X.any():
        return PrincipalAxes(torch.zeros(0, n_features), torch.zeros(0), 0.0)
    pca = PCA(rank, svd_solver=_solver(*X.shape), random_state=seed).fit(
        X.numpy(force=True)
    )
    noise = float(pca.noise_variance_) if rank < min(n_rows, n_features) else 0.0
    return PrincipalAxes(
        torch.from_numpy(pca.components_.copy()),
        torch.from_numpy(pca.explained_variance_.copy()),
        max(noise, 0.0),
    )


def axes_of(covariance: torch.Tensor, n_components: int) -> PrincipalAxes:
    """Principal axes of rows of which this covariance (d, d), float64, is known."""
    variances, axes = torch.linalg.eigh(covariance.cpu())
    variances, axes = variances.flip(0).clamp(min=0), axes.flip(1)
    if variances[0] < torch.finfo(variances.dtype).eps:  # rows are all equal
        return PrincipalAxes(torch.zeros(0, len(axes)), torch.zeros(0), 0.0)
    rest = variances[n_components:]
    noise = float(rest.mean()) if len(rest) else 0.0
    return PrincipalAxes(axes[:, :n_components].T, variances[:n_components], noise)


def n_axes_explaining(X: torch.Tensor, share: float, seed: int) -> int:
    """Number of principal axes that explain a share of the variance of rows."""
    if X.isnan().any():
        law = normal_law(X, seed)
        variances = torch.linalg.eigvalsh(law.covariance).flip(0).cumsum(0)
        return 1 + int((variances < share * variances[-1]).sum())
    if len(X) < 2 or not X.var(0).any():
        return 1
    pca = PCA(share, svd_solver="full").fit(X.numpy(force=True))
    return int(pca.n_components_)


def _solver(n_rows: int, n_features: int) -> str:
    """An exact solver unless both sides are large, then scikit-learn's choice."""
    if n_features <= _EXACT <= n_rows:
        return "covariance_eigh"
    return "full" if min(n_rows, n_features) <= _EXACT else "auto"
