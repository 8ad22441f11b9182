"""Principal axes of the training rows, by scikit-learn's solvers.

References
----------
Allen, D. M. (1974). The relationship between variable selection and data augmentation
and a method for prediction. Technometrics, 16(1), 125-127.
"""

import torch
from sklearn.decomposition import PCA
from torch import Tensor

from skae.data._rows import ResidentRows
from skae.data._sparse import SparseStream
from skae.data._streamed_rows import StreamedRows
from skae.nn._init_pca import PrincipalAxes
from skae.nn._missing_normal import fit_missing_normal

# Rows or features up to which an exact decomposition takes seconds at most: its time
# grows with the cube.
_EXACT = ResidentRows.most_pairs

# Rows on disk that the axes of more features than a covariance can have are found from.
_N_FOR_AXES = 20_000

# Fraction of the largest variance below which an axis is beyond the span of the rows:
# rounding of float64 sums, 2e-16 each, and a little more.
_BEYOND = 1e-14

# Leverage above which a row is the only one with its direction: one, but for rounding.
_ALONE = 1 - 1e-6


def principal_axes(
    rows: ResidentRows | StreamedRows, factor: Tensor, n_components: int, seed: int
) -> PrincipalAxes:
    """Principal axes of rows times ``factor``.

    Parameters
    ----------
    rows : ResidentRows
        Standardized rows without missing entries.
    factor : Tensor of shape (d,), float64
        Multiplies each feature.
    n_components : int
        Largest number of axes; there are fewer for fewer rows or features. Axes that
        the rows do not span are included, since new rows may need them.
    seed : int
        Seed of the randomized solver, which large data get.
    """
    n_rows, n_features = rows.n_rows, rows.n_features
    # Centred rows span at most n - 1 dimensions.
    rank = min(n_components, n_rows - 1, n_features)
    if rank < 1:
        return _no_axes(n_features)
    # Many rows of few features: their covariance is summed chunk by chunk, without a
    # copy of the rows.
    if n_features <= rows.most_pairs <= n_rows:
        return axes_of(rows.covariance(factor), n_components)
    if isinstance(rows.source, SparseStream):
        # Centred without a dense copy, by ARPACK, which finds fewer than all axes.
        X = rows.source.scaled(factor.to(rows.units.scale) / rows.units.scale)
        rank = min(rank, min(X.shape) - 1)
        pca = PCA(rank, svd_solver="arpack", random_state=seed).fit(X)
        return PrincipalAxes(*_axes_of_pca(pca))
    rows = rows.in_memory(_N_FOR_AXES, seed)
    # (n, d): few rows in float64, many in float32, as they are in memory.
    is_exact = min(n_rows, n_features) <= _EXACT
    X = torch.cat(list(rows.exact_chunks())) if is_exact else rows.gathered()
    X = X * factor.to(X.dtype)
    if bool((X == X[0]).all()):  # scikit-learn would divide by the total variance
        return _no_axes(n_features)
    solver = "full" if is_exact else "auto"
    pca = PCA(rank, svd_solver=solver, random_state=seed).fit(X.numpy(force=True))
    components, variances, noise = _axes_of_pca(pca)
    noise = noise if rank < min(n_rows, n_features) else 0.0
    n_spanned = int((variances > _BEYOND * variances[0]).sum())
    # It takes a decomposition of (d, d), which must be affordable.
    if n_spanned < rank and n_features <= _EXACT:
        _choose_beyond(X.cpu(), components, n_spanned)
    return PrincipalAxes(components, variances, max(noise, 0.0))


def _axes_of_pca(pca: PCA) -> tuple[Tensor, Tensor, float]:
    """Axes (r, d) and their variances (r,), float64, and the variance of the rest."""
    components = torch.from_numpy(pca.components_.copy()).double()
    variances = torch.from_numpy(pca.explained_variance_.copy()).double()
    return components, variances, max(float(pca.noise_variance_), 0.0)


def _no_axes(n_features: int) -> PrincipalAxes:
    """The axes of rows that are all equal, or of one row: none."""
    nothing = torch.zeros(0, dtype=torch.float64)
    return PrincipalAxes(nothing.reshape(0, n_features), nothing, 0.0)


def _choose_beyond(X: Tensor, components: Tensor, n_spanned: int) -> None:
    """Overwrite the axes (k, d) that rows (n, d) do not span, which PCA leaves to
    rounding.

    A row that alone has a direction shows in which features the next row will differ:
    by its predicted residual (Allen, 1974), the difference from what the other rows
    span. The axes are those of the most energy of such residuals outside the span;
    where no row is alone, they stay as they are.
    """
    spanned = components[:n_spanned]
    # (n, n_spanned)
    codes = (X - X.mean(0)) @ spanned.T
    norms = torch.linalg.vector_norm(codes, dim=0)
    # (n,); 1 / n is that of the mean.
    leverages = (codes / norms).square().sum(1) + 1 / len(X)
    alone = codes[leverages > _ALONE] / norms.square()
    if not len(alone):
        return
    # Predicted residuals of the rows alone, (m, d), and their mean squares, (d,).
    residuals = alone @ spanned / alone.square().sum(1, keepdim=True)
    energy = residuals.square().mean(0)
    # (d, d), the projection onto what the rows do not span.
    outside = torch.eye(X.shape[1], dtype=X.dtype) - spanned.T @ spanned
    # A little is added to each feature, so that directions outside the span without any
    # energy come after the others, and before those within it.
    energy = energy + _BEYOND**0.5 * energy.mean()
    _, axes = torch.linalg.eigh(outside * energy @ outside)
    components[n_spanned:] = axes.T.flip(0)[: len(components) - n_spanned]


def axes_of(covariance: Tensor, n_components: int) -> PrincipalAxes:
    """Principal axes of rows with this covariance (d, d), float64."""
    # `eigh` sorts from the smallest; rounding makes some variances negative.
    variances, axes = torch.linalg.eigh(covariance.cpu())
    variances, axes = variances.flip(0).clamp(min=0), axes.flip(1)
    if variances[0] < torch.finfo(variances.dtype).eps:  # rows are all equal
        return _no_axes(len(axes))
    # The maximum likelihood estimate of probabilistic PCA.
    rest = variances[n_components:]
    noise = float(rest.mean()) if len(rest) else 0.0
    return PrincipalAxes(axes[:, :n_components].T, variances[:n_components], noise)


def n_axes_explaining(
    rows: ResidentRows | StreamedRows, ratio: float, seed: int
) -> int:
    """Number of principal axes that explain `ratio` of the variance of rows."""
    # Incomplete rows have a covariance under a multivariate normal alone.
    if rows.has_missing:
        normal = fit_missing_normal(rows.exact_at, rows.n_rows, seed)
        covariance = normal.covariance
    elif rows.n_rows < 2:
        return 1
    else:
        covariance = rows.covariance(torch.ones(rows.n_features))
    # Cumulative, (d,), from the largest on.
    variances = torch.linalg.eigvalsh(covariance.cpu()).flip(0).clamp(min=0).cumsum(0)
    if variances[-1] < torch.finfo(variances.dtype).eps:  # rows are all equal
        return 1
    # As PCA: the first number whose explained ratio is above.
    n_axes = 1 + int((variances <= ratio * variances[-1]).sum())
    return min(n_axes, rows.n_rows, rows.n_features)
