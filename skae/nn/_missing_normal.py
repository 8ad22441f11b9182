"""A multivariate normal of rows of which entries are missing, and its fit.

.. math:: x \\sim N(m, S (W W^\\top + \\sigma^2 I) S)

With as many columns in `W` as the rank allows this is any covariance; with fewer it is
probabilistic PCA of features in units of their scales, the diagonal `S`. Conditional
distributions given the observed entries of a row are exact.

References
----------
Dempster, A. P., Laird, N. M. and Rubin, D. B. (1977). Maximum likelihood from
incomplete data via the EM algorithm. Journal of the Royal Statistical Society B, 39(1).

Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis.
Journal of the Royal Statistical Society B, 61(3), 611-622.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

# Numbers that one step over rows may keep.
_MAX_ELEMENTS = 2**24

# Smallest noise, as a fraction of the mean variance: it keeps the covariance definite.
_MIN_NOISE = 1e-6

# Iterations of the fit, at most, and the gain in nats of an entry below which it has
# converged.
_MAX_ITER, _TOL = 50, 1e-4

# Rows, and rank, up to which an iteration takes a moment; and multiply-adds for the
# joint variation of missing entries, beyond which the first rows estimate it.
_MAX_ROWS, _MAX_RANK, _MAX_MACS = 5000, 32, 2e10

# Rows of uncorrelated features that may be added, and the fraction of the observed
# entries that choose among them.
_PRIOR_ROWS = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
_MASKED_FRACTION = 0.1

# Entries that are enough to learn from, and times that others are masked for it.
_ENOUGH_MASKED, _MAX_TIMES = 1000, 10


def mean_of_observed(x: Tensor, dim: int | None = None) -> Tensor:
    """Mean of what is not missing, zero of nothing; in the same bits as `mean` where
    nothing is missing."""
    return x.nanmean(dim).nan_to_num() if x.isnan().any() else x.mean(dim)


class LowRankNormal(nn.Module):
    """Multivariate normal of rows (n, d), in which NaN marks a missing entry.

    Parameters
    ----------
    mean : Tensor of shape (d,)
    loadings : Tensor of shape (d, r)
    noise : float or Tensor of shape ()
        Variance.
    scale : Tensor of shape (d,) or None
        Of the features, one by default; zero of a feature that is constant: it is not
        informative, and always has its mean.
    """

    mean: Tensor
    loadings: Tensor
    noise: Tensor
    scale: Tensor

    def __init__(
        self,
        mean: Tensor,
        loadings: Tensor,
        noise: float | Tensor,
        scale: Tensor | None = None,
    ):
        super().__init__()
        noise = torch.as_tensor(noise, dtype=torch.float64, device=mean.device)
        scale = torch.ones_like(mean) if scale is None else scale
        # In float64: nearly equal features leave few digits to lose. Not transposed, as
        # loaded ones are not: products round otherwise in another layout.
        self.register_buffer("mean", mean.double())
        self.register_buffer("loadings", loadings.double().contiguous())
        self.register_buffer("noise", noise)
        self.register_buffer("scale", scale.double())

    @classmethod
    def standard(cls, n_features: int) -> "LowRankNormal":
        """The standard normal, of the rank that a fit to so many features has."""
        rank = min(n_features - 1, _MAX_RANK)
        return cls(torch.zeros(n_features), torch.zeros(n_features, rank), 1.0)

    @property
    def covariance(self) -> Tensor:
        """(d, d)"""
        loadings = self.scale[:, None] * self.loadings
        return loadings @ loadings.T + self.noise * torch.diag(self.scale.square())

    def complete(self, x: Tensor) -> Tensor:
        """Rows with the missing entries at their conditional means."""
        return self._filled(x) if x.isnan().any() else x

    @torch.no_grad()
    def _filled(self, x: Tensor) -> Tensor:
        fitted = torch.cat([part.fitted for part in self._conditionals(x)])
        filled = (self.mean + self.scale * fitted).to(x.dtype)
        return torch.where(x.isnan(), filled, x)

    def variance(self, x: Tensor) -> Tensor:
        """Conditional variances (n, d) of the missing entries."""
        found = []
        for part in self._conditionals(x):
            # (u, r, d): W' of each pattern, against its own Cholesky factor
            loadings = self.loadings.T.expand(len(part.factor), -1, -1)
            # L^-1 W', whose squared columns are the latents' part of the variance
            root = torch.linalg.solve_triangular(part.factor, loadings, upper=False)
            found.append((self.noise * (1 + root.square().sum(1)))[part.pattern])
        return (self.scale.square() * torch.cat(found)).to(x.dtype)

    def draw(self, x: Tensor, n_draws: int, generator: torch.Generator) -> Tensor:
        """Rows with the missing entries drawn from their conditional, (n, m, d)."""
        d, rank = self.loadings.shape
        found = []
        for part in self._conditionals(x):
            # r latents and d errors of each draw, at once
            normal = torch.randn(
                (len(part.fitted), rank + d, n_draws),
                generator=generator,
                device=generator.device,
                dtype=torch.float32,
            ).to(self.mean)
            # z = L'^-1 e has covariance (L L')^-1; times the noise, that of the
            # latents.
            z = torch.linalg.solve_triangular(
                part.factor.mT[part.pattern], normal[:, :rank], upper=True
            )
            drawn = self.loadings @ z + normal[:, rank:]  # (n, d, m)
            found.append(part.fitted[:, None] + self.noise.sqrt() * drawn.mT)
        values = self.mean + self.scale * torch.cat(found)
        return values.to(x.dtype).where(x.isnan()[:, None], x[:, None])

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density (n,) of the observed entries of features that vary."""
        log_prob = torch.cat([part.log_prob for part in self._conditionals(x)])
        # The Jacobian of dividing by the scales, of the observed entries.
        log_scale = self.scale.where(self.scale > 0, 1.0).log()
        return log_prob - (~x.isnan()).to(log_scale) @ log_scale

    def _conditionals(self, x: Tensor) -> Iterator["_Conditional"]:
        d, rank = self.loadings.shape
        # Each row has an (r, r) Gram matrix of its own, and d residuals.
        size = max(1, _MAX_ELEMENTS // (rank * max(rank, d) + d))
        # (d, r * r): outer products of the rows of W, so that the Gram matrices of all
        # observed sets are one product of matrices.
        squares = (self.loadings[:, :, None] * self.loadings[:, None, :]).flatten(1)
        # NaN for a constant feature: it then counts as missing everywhere.
        factor = self.scale.reciprocal().where(self.scale > 0, math.nan)
        for rows in self._chunks(x.double(), size):
            yield _Conditional(self, (rows - self.mean) * factor, squares)

    def _chunks(self, x: Tensor, size: int) -> Sequence[Tensor]:
        return x.split(size)

    def _patterns(self, is_observed: Tensor) -> tuple[Tensor, Tensor]:
        """Different rows (u, d) of a mask (n, d), and the number (n,) of each row's:
        all, where most are different."""
        patterns, pattern = is_observed.unique(dim=0, return_inverse=True)
        if 2 * len(patterns) > len(is_observed):
            return is_observed, torch.arange(
                len(is_observed), device=is_observed.device
            )
        return patterns, pattern

    def _solve(
        self, A: Tensor, pattern: Tensor, b: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of ``A + noise I``, whose place A (u, r, r) may take: Cholesky factors, the
        solutions (n, r) for `b`, each by the factor of its `pattern`, and half the
        logarithms of the determinants (n,)."""
        A.diagonal(dim1=1, dim2=2).add_(self.noise)
        factor = torch.linalg.cholesky(A)
        solution = torch.cholesky_solve(b[..., None], factor[pattern])[..., 0]
        half_log_det = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        return factor, solution, half_log_det[pattern]


class _Conditional:
    """The conditional distribution of centred and scaled rows given observed entries.

    Attributes
    ----------
    residual, is_observed : Tensor of shape (n, d)
        Rows, zero where they are missing, and ones where they are not.
    pattern : Tensor of shape (n,)
        Number of each row's set of observed entries.
    factor : Tensor of shape (u, r, r)
        Of each such set, the Cholesky factor of ``noise I + W_o' W_o``.
    fitted : Tensor of shape (n, d)
        Conditional means given the latents' posterior means.
    log_prob : Tensor of shape (n,)
    """

    def __init__(self, normal: LowRankNormal, x: Tensor, squares: Tensor):
        loadings, noise = normal.loadings, normal.noise
        rank = loadings.shape[1]
        self.is_observed = (~x.isnan()).to(loadings)
        self.residual = x.nan_to_num()
        patterns, self.pattern = normal._patterns(self.is_observed)
        # W_o' W_o of each pattern, (u, r, r); by Woodbury's identity noise I + W_o' W_o
        # takes the place of the covariance of the observed entries.
        gram = (patterns @ squares).unflatten(1, (rank, rank))
        # W_o' (x_o - m_o), (n, r), and the posterior means of the latents
        projected = self.residual @ loadings
        self.factor, latents, half_log_det = normal._solve(
            gram, self.pattern, projected
        )
        self.fitted = latents @ loadings.T
        n_observed = self.is_observed.sum(1)
        explained = (projected * latents).sum(1)
        # Mahalanobis distance and log-determinant by the same identity, in r dimensions
        # instead of the number of observed entries.
        distance = (self.residual.square().sum(1) - explained) / noise
        log_det = 2 * half_log_det + (n_observed - rank) * noise.log()
        self.log_prob = -0.5 * (distance + log_det + n_observed * math.log(2 * math.pi))


@torch.no_grad()
def fit_missing_normal(
    rows: Callable[[Tensor], Tensor],
    n_rows: int,
    seed: int,
    groups: Tensor | None = None,
) -> LowRankNormal:
    """Fit the normal that predicts masked entries best; features are divided by their
    deviations for it.

    Parameters
    ----------
    rows : callable
        From indices (m,) to rows (m, d), float64. NaN marks a missing entry; each
        feature has an observed one.
    n_rows : int
        Number of all rows.
    seed : int
        Of the subsample of many rows, and of the masks.
    groups : Tensor of shape (d,) or None
        Number of each feature's group, whose entries are masked together: they
        determine one another. None is each feature by itself.
    """
    generator = torch.Generator().manual_seed(seed)
    # A random part of many rows: the covariance is accurate enough.
    x = rows(torch.randperm(n_rows, generator=generator)[:_MAX_ROWS])
    centre = mean_of_observed(x, 0)
    scale = mean_of_observed((x - centre).square(), 0).sqrt()
    scaled = (x - centre) / scale.where(scale > 0, 1.0)
    normal = _fit_scaled(scaled, generator, groups)
    mean = centre + scale * normal.mean
    return LowRankNormal(mean, normal.loadings, normal.noise, scale)


def _fit_scaled(
    x: Tensor, generator: torch.Generator, groups: Tensor | None
) -> LowRankNormal:
    rank = min(x.shape[1] - 1, _MAX_RANK)
    n_times = n_masks(x, _MASKED_FRACTION)
    masks = [_random_mask(x, generator, groups) for _ in range(n_times)]
    # The fit of each mask, from which that with fewer prior rows goes on.
    fits: list[LowRankNormal | None] = [None] * n_times
    best: tuple[float, LowRankNormal | None] = _PRIOR_ROWS[0], None
    least = math.inf
    for prior_rows in _PRIOR_ROWS:
        error = 0.0
        for i, is_masked in enumerate(masks):
            seen = x.masked_fill(is_masked, math.nan)
            fit = fits[i] = fit_by_em(seen, rank, prior_rows, fits[i])
            error += float((fit.complete(seen) - x)[is_masked].square().sum())
        # From strong to weak regularisation, until it gets worse; NaN ends it as well.
        if not error < least:
            break
        best, least = (prior_rows, fits[0]), error
    return fit_by_em(x, rank, *best)


def n_masks(x: Tensor, fraction: float) -> int:
    """Number of masks, of that fraction of the observed entries, to learn from."""
    # Plus one: a table without observed entries has none to mask.
    n_masked = int(fraction * (~x.isnan()).sum()) + 1
    return min(_MAX_TIMES, -(-_ENOUGH_MASKED // n_masked))


def _random_mask(
    x: Tensor, generator: torch.Generator, groups: Tensor | None
) -> Tensor:
    """Mask (n, d) of some observed entries; each feature keeps one."""
    uniform = torch.rand(x.shape, generator=generator, dtype=torch.float32).to(x)
    uniform = uniform if groups is None else uniform[:, groups]
    is_masked = (uniform < _MASKED_FRACTION) & ~x.isnan()
    # A feature whose observed entries are all masked would have no moments.
    return is_masked & (~is_masked & ~x.isnan()).any(0)


def fit_by_em(
    x: Tensor, rank: int, prior_rows: float, init: LowRankNormal | None = None
) -> LowRankNormal:
    """Fit a normal to incomplete rows by expectation maximisation.

    Parameters
    ----------
    x : Tensor of shape (n, d), float64
        NaN marks a missing entry; each feature has an observed one.
    rank : int
        Of the loadings.
    prior_rows : float
        So many rows of uncorrelated features are added: they keep the covariance
        definite where rows are few.
    init : LowRankNormal or None
        Of the first iteration; uncorrelated features otherwise.
    """
    mean = mean_of_observed(x, 0)
    variances = mean_of_observed((x - mean).square(), 0)
    normal = init or _of_rank(rank, mean, torch.diag(variances))
    last = -math.inf
    for _ in range(_MAX_ITER):
        mean, covariance, log_prob = _expected_moments(normal, x)
        # The posterior mode under an inverse Wishart prior around the diagonal.
        covariance = (len(x) * covariance + prior_rows * torch.diag(variances)) / (
            len(x) + prior_rows
        )
        normal = _of_rank(rank, mean, covariance)
        # Log-densities are in nats of a row, the tolerance in nats of an entry.
        if log_prob - last < _TOL * x.shape[1]:
            break
        last = log_prob
    return normal


def _expected_moments(normal: LowRankNormal, x: Tensor) -> tuple[Tensor, Tensor, float]:
    """Mean, covariance and mean log-density of rows whose missing entries follow
    `normal`; these vary together as those of the first rows do."""
    d, rank = normal.loadings.shape
    total, square, joint = x.new_zeros(d), x.new_zeros(d, d), x.new_zeros(d, d)
    n_joint, max_joint = 0, max(1, _MAX_MACS / (d * d * max(rank, 1)))
    log_prob = 0.0
    for part in normal._conditionals(x):
        is_missing = 1 - part.is_observed
        row = torch.where(is_missing > 0, part.fitted, part.residual)
        total += row.sum(0)
        square += row.T @ row
        # The conditional variance of missing entries has two parts: their own noise,
        # here, and the uncertainty of the latents, below.
        square.diagonal().add_(normal.noise * is_missing.sum(0))
        # The costliest part, of which some rows give a good estimate.
        if n_joint < max_joint:
            joint += _covariance_of_fitted(normal, part)
            n_joint += len(row)
        log_prob += float(part.log_prob.sum())
    shift = total / len(x)
    # Second moment about the old mean, less the outer product of its shift.
    covariance = square / len(x) + joint / n_joint - torch.outer(shift, shift)
    return normal.mean + shift, covariance, log_prob / len(x)


def _covariance_of_fitted(normal: LowRankNormal, part: "_Conditional") -> Tensor:
    """Sum over rows of the covariance (d, d) that the latents leave missing entries."""
    # Of each pattern (u, d), times the root of its number of rows.
    counts = part.pattern.bincount(minlength=len(part.factor)).to(part.factor)
    is_missing = torch.empty_like(part.is_observed[: len(counts)])
    is_missing[part.pattern] = 1 - part.is_observed
    is_missing *= counts.sqrt()[:, None]
    identity = torch.eye(part.factor.shape[-1]).to(part.factor).expand_as(part.factor)
    root = torch.linalg.solve_triangular(part.factor, identity, upper=False)
    # M W L'^-1 of each pattern, (d, u * r), with M zero for observed entries: the sum
    # over rows is one product.
    sides = torch.einsum("ij,jk,ilk->jil", is_missing, normal.loadings, root).flatten(1)
    return normal.noise * (sides @ sides.T)


def _of_rank(rank: int, mean: Tensor, covariance: Tensor) -> LowRankNormal:
    """The closest normal with so many loadings: probabilistic PCA of the covariance."""
    variances, axes = torch.linalg.eigh(covariance)
    # `eigh` sorts upwards.
    variances, axes = variances.flip(0), axes.flip(1)
    least = torch.finfo(variances.dtype).eps  # of rows that are all equal
    floor = _MIN_NOISE * variances.mean().clamp(min=least)
    rest = variances[rank:]
    noise = (rest.mean() if len(rest) else floor).clamp(min=floor)
    # Maximum likelihood (Tipping and Bishop, 1999, eqs. 7 and 8).
    signal = (variances[:rank] - noise).clamp(min=0)
    return LowRankNormal(mean, axes[:, :rank] * signal.sqrt(), noise)
