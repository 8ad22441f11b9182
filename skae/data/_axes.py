"""Principal axes of the training rows, by scikit-learn's solvers.

References
----------
Allen, D. M. (1974). The relationship between variable selection and data augmentation
and a method for prediction. Technometrics, 16(1), 125-127.
"""

import torch
from sklearn.decomposition import PCA

from skae.nn._init_pca import PrincipalAxes
from skae.nn._missing_normal import normal_law

# Rows or features up to which an exact decomposition takes seconds at most.
_EXACT = 2000

# Share of the largest variance below which an axis is beyond the span of the rows.
_BEYOND = 1e-14

# Leverage above which a row is the only one with its direction.
_ALONE = 1 - 1e-6


def principal_axes(X: torch.Tensor, n_components: int, seed: int) -> PrincipalAxes:
    """Principal axes of centred rows.

    Parameters
    ----------
    X : Tensor of shape (n, d), float64
    n_components : int
        Wanted; fewer come back where there are fewer rows or features. Axes that the
        rows do not span come back too, since new rows may need them.
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
    components = torch.from_numpy(pca.components_.copy())
    variances = torch.from_numpy(pca.explained_variance_.copy())
    n_spanned = int((variances > _BEYOND * variances[0]).sum())
    if n_spanned < rank and n_features <= _EXACT:
        _choose_beyond(X.cpu(), components, n_spanned)
    return PrincipalAxes(components, variances, max(noise, 0.0))


def _choose_beyond(X: torch.Tensor, components: torch.Tensor, n_spanned: int) -> None:
    """Overwrite the axes (k, d) that rows (n, d) do not span, which PCA leaves to
    rounding.

    A row that alone has a direction shows, by what the other rows cannot say of it, in
    which features the next row will differ: its predicted residual (Allen, 1974). The
    axes are those of the most such energy outside the span; where no row is alone, they
    stay as they are.
    """
    spanned = components[:n_spanned]
    codes = (X - X.mean(0)) @ spanned.T
    norms = torch.linalg.vector_norm(codes, dim=0)
    leverages = (codes / norms).square().sum(1) + 1 / len(X)
    alone = codes[leverages > _ALONE] / norms.square()
    if not len(alone):
        return
    residuals = alone @ spanned / alone.square().sum(1, keepdim=True)
    energy = residuals.square().mean(0)
    outside = torch.eye(X.shape[1], dtype=X.dtype) - spanned.T @ spanned
    # The little that is added orders directions without any energy after the others.
    energy = energy + _BEYOND**0.5 * energy.mean()
    _, axes = torch.linalg.eigh(outside * energy @ outside)
    components[n_spanned:] = axes.T.flip(0)[: len(components) - n_spanned]


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
