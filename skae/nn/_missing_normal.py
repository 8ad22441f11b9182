"""A normal law of rows of which cells are missing, and its fit.

.. math:: x \\sim N(m, S (W W^\\top + \\sigma^2 I) S)

With as many columns in `W` as the rank allows this is any covariance; with fewer it is
probabilistic PCA of features in units of their scales, the diagonal `S`. What the
observed cells of a row say of the others is exact.

References
----------
Dempster, A. P., Laird, N. M. and Rubin, D. B. (1977). Maximum likelihood from
incomplete data via the EM algorithm. Journal of the Royal Statistical Society B, 39(1).

Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis.
Journal of the Royal Statistical Society B, 61(3), 611-622.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

# Numbers that one step over rows may keep.
_MOST_KEPT = 2**24

# Smallest noise, as a share of the mean variance.
_SMALLEST_NOISE = 1e-6

# Turns of the fit, at most, and the gain in nats of a cell below which it has settled.
_N_TURNS, _SETTLED = 50, 1e-4

# Rows, and rank, up to which a turn takes a moment; and multiply-adds for what missing
# cells vary together, beyond which the first rows tell it.
_MOST_ROWS, _LARGEST_RANK, _MOST_PRODUCTS = 5000, 32, 2e10

# Rows of uncorrelated features that may be added, and the share of the observed cells
# that choose among them.
_PRIOR_ROWS = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
_HIDDEN_SHARE = 0.1

# Cells that are enough to learn from, and times that others are hidden for it.
_ENOUGH_HIDDEN, _MOST_TIMES = 1000, 10


def mean_of_observed(x: Tensor, dim: int | None = None) -> Tensor:
    """Mean of what is not missing, zero of nothing; in the same bits as `mean` where
    nothing is missing."""
    return x.nanmean(dim).nan_to_num() if x.isnan().any() else x.mean(dim)


class NormalLaw(nn.Module):
    """Normal law of rows (n, d), in which NaN marks a missing cell.

    Parameters
    ----------
    mean : Tensor of shape (d,)
    loadings : Tensor of shape (d, r)
    noise : float or Tensor of shape ()
        Variance.
    scale : Tensor of shape (d,) or None
        Of the features, one by default; zero of a feature that is constant: it says
        nothing, and always has its mean.
    """

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
        self.register_buffer("mean", mean.double())
        self.register_buffer("loadings", loadings.double())
        self.register_buffer("noise", noise)
        self.register_buffer("scale", scale.double())

    def _apply(self, function, recurse=True):
        """Stay in float64: nearly equal features leave few digits to lose."""
        super()._apply(function, recurse)
        for name, value in self.named_buffers(recurse=False):
            setattr(self, name, value.double())
        return self

    @property
    def covariance(self) -> Tensor:
        """(d, d)"""
        loadings = self.scale[:, None] * self.loadings
        return loadings @ loadings.T + self.noise * torch.diag(self.scale.square())

    def complete(self, x: Tensor) -> Tensor:
        """Rows with the missing cells at their conditional means."""
        is_missing = x.isnan()
        if not is_missing.any():
            return x
        with torch.no_grad():
            fitted = torch.cat([part.fitted for part in self._conditionals(x)])
        return torch.where(is_missing, (self.mean + self.scale * fitted).to(x.dtype), x)

    def variance(self, x: Tensor) -> Tensor:
        """Conditional variances (n, d) of the missing cells."""
        found = []
        for part in self._conditionals(x):
            loadings = self.loadings.T.expand(len(part.factor), -1, -1)
            root = torch.linalg.solve_triangular(part.factor, loadings, upper=False)
            found.append(self.noise * (1 + root.square().sum(1)))
        return (self.scale.square() * torch.cat(found)).to(x.dtype)

    def draw(self, x: Tensor, n_draws: int, generator: torch.Generator) -> Tensor:
        """Rows with the missing cells drawn from their conditional law, (n, m, d)."""
        d, rank = self.loadings.shape
        found = []
        for part in self._conditionals(x):
            normal = torch.randn(
                (len(part.fitted), rank + d, n_draws),
                generator=generator,
                device=generator.device,
            ).to(self.mean)
            z = torch.linalg.solve_triangular(
                part.factor.mT, normal[:, :rank], upper=True
            )
            drawn = self.loadings @ z + normal[:, rank:]  # (n, d, m)
            found.append(part.fitted[:, None] + self.noise.sqrt() * drawn.mT)
        values = self.mean + self.scale * torch.cat(found)
        return values.to(x.dtype).where(x.isnan()[:, None], x[:, None])

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density (n,) of the observed cells of features that vary."""
        log_prob = torch.cat([part.log_prob for part in self._conditionals(x)])
        log_scale = self.scale.where(self.scale > 0, 1.0).log()
        return log_prob - (~x.isnan()).to(log_scale) @ log_scale

    def _conditionals(self, x: Tensor) -> Iterator["_Conditional"]:
        d, rank = self.loadings.shape
        size = max(1, _MOST_KEPT // (rank * max(rank, d) + d))
        squares = (self.loadings[:, :, None] * self.loadings[:, None, :]).flatten(1)
        factor = self.scale.reciprocal().where(self.scale > 0, math.nan)
        for rows in x.double().split(size):
            yield _Conditional(self, (rows - self.mean) * factor, squares)


class _Conditional:
    """What the observed cells of centred and scaled rows say under a normal law.

    Attributes
    ----------
    residual, is_observed : Tensor of shape (n, d)
        Rows, zero where they are missing, and ones where they are not.
    factor : Tensor of shape (n, r, r)
        Cholesky factor of ``noise I + W_o' W_o``.
    fitted : Tensor of shape (n, d)
        Conditional means given the latents' posterior means.
    log_prob : Tensor of shape (n,)
    """

    def __init__(self, law: NormalLaw, x: Tensor, squares: Tensor):
        loadings, noise = law.loadings, law.noise
        rank = loadings.shape[1]
        self.is_observed = (~x.isnan()).to(loadings)
        self.residual = x.nan_to_num()
        gram = (self.is_observed @ squares).unflatten(1, (rank, rank))
        gram.diagonal(dim1=1, dim2=2).add_(noise)
        self.factor = torch.linalg.cholesky(gram)
        projected = self.residual @ loadings
        latents = torch.cholesky_solve(projected[..., None], self.factor)[..., 0]
        self.fitted = latents @ loadings.T
        n_observed = self.is_observed.sum(1)
        explained = (projected * latents).sum(1)
        distance = (self.residual.square().sum(1) - explained) / noise
        half_log_det = self.factor.diagonal(dim1=1, dim2=2).log().sum(1)
        log_det = 2 * half_log_det + (n_observed - rank) * noise.log()
        self.log_prob = -0.5 * (distance + log_det + n_observed * math.log(2 * math.pi))


@torch.no_grad()
def normal_law(x: Tensor, seed: int) -> NormalLaw:
    """The normal law that tells hidden cells best, fitted to all rows, whose features
    are divided by their deviations for it.

    Parameters
    ----------
    x : Tensor of shape (n, d), float64
        NaN marks a missing cell; each feature has an observed one.
    seed : int
        Of the rows that are taken of many, and the cells that are hidden.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator)[:_MOST_ROWS]
    x = x[order.to(x.device)]
    centre = mean_of_observed(x, 0)
    scale = mean_of_observed((x - centre).square(), 0).sqrt()
    law = _law_of_scaled((x - centre) / scale.where(scale > 0, 1.0), generator)
    return NormalLaw(centre + scale * law.mean, law.loadings, law.noise, scale)


def _law_of_scaled(x: Tensor, generator: torch.Generator) -> NormalLaw:
    rank = min(x.shape[1] - 1, _LARGEST_RANK)
    n_times = times_to_hide(x, _HIDDEN_SHARE)
    hidden = [_hidden_cells(x, generator) for _ in range(n_times)]
    laws: list[NormalLaw | None] = [None] * n_times
    best, least = (_PRIOR_ROWS[0], None), math.inf
    for prior_rows in _PRIOR_ROWS:
        error = 0.0
        for i, is_hidden in enumerate(hidden):
            seen = x.masked_fill(is_hidden, math.nan)
            laws[i] = fit_normal(seen, rank, prior_rows, laws[i])
            error += float((laws[i].complete(seen) - x)[is_hidden].square().sum())
        if not error < least:
            break
        best, least = (prior_rows, laws[0]), error
    return fit_normal(x, rank, *best)


def times_to_hide(x: Tensor, share: float) -> int:
    """How often a share of the observed cells must be hidden to learn from enough."""
    n_hidden = int(share * (~x.isnan()).sum()) + 1
    return min(_MOST_TIMES, -(-_ENOUGH_HIDDEN // n_hidden))


def _hidden_cells(x: Tensor, generator: torch.Generator) -> Tensor:
    """Mask (n, d) of some observed cells; each feature keeps one."""
    uniform = torch.rand(x.shape, generator=generator).to(x)
    is_hidden = (uniform < _HIDDEN_SHARE) & ~x.isnan()
    return is_hidden & (~is_hidden & ~x.isnan()).any(0)


def fit_normal(
    x: Tensor, rank: int, prior_rows: float, start: NormalLaw | None = None
) -> NormalLaw:
    """Normal law of incomplete rows by expectation maximisation.

    Parameters
    ----------
    x : Tensor of shape (n, d), float64
        NaN marks a missing cell; each feature has an observed one.
    rank : int
        Of the loadings.
    prior_rows : float
        So many rows of uncorrelated features are added: they keep the covariance
        definite where the rows say little of it.
    start : NormalLaw or None
        Where to start; uncorrelated features otherwise.
    """
    mean = mean_of_observed(x, 0)
    variances = mean_of_observed((x - mean).square(), 0)
    law = start or _truncated(mean, torch.diag(variances), rank)
    last = -math.inf
    for _ in range(_N_TURNS):
        mean, covariance, gain = _expected_moments(law, x)
        covariance = (len(x) * covariance + prior_rows * torch.diag(variances)) / (
            len(x) + prior_rows
        )
        law = _truncated(mean, covariance, rank)
        if gain - last < _SETTLED * x.shape[1]:
            break
        last = gain
    return law


def _expected_moments(law: NormalLaw, x: Tensor) -> tuple[Tensor, Tensor, float]:
    """Mean, covariance and mean log-density of rows, by what `law` says of the missing
    cells; these vary together as those of the first rows do."""
    d, rank = law.loadings.shape
    total, square, together = x.new_zeros(d), x.new_zeros(d, d), x.new_zeros(d, d)
    n_told, most_told = 0, max(1, _MOST_PRODUCTS / (d * d * max(rank, 1)))
    log_prob = 0.0
    for part in law._conditionals(x):
        is_missing = 1 - part.is_observed
        row = torch.where(is_missing > 0, part.fitted, part.residual)
        total += row.sum(0)
        square += row.T @ row
        square.diagonal().add_(law.noise * is_missing.sum(0))
        if n_told < most_told:
            together += _covariance_of_fitted(law, part, is_missing)
            n_told += len(row)
        log_prob += float(part.log_prob.sum())
    shift = total / len(x)
    covariance = square / len(x) + together / n_told - torch.outer(shift, shift)
    return law.mean + shift, covariance, log_prob / len(x)


def _covariance_of_fitted(
    law: NormalLaw, part: "_Conditional", is_missing: Tensor
) -> Tensor:
    """Sum over rows of the covariance (d, d) that the latents leave missing cells."""
    identity = torch.eye(part.factor.shape[-1]).to(part.factor).expand_as(part.factor)
    root = torch.linalg.solve_triangular(part.factor, identity, upper=False)
    spread = torch.einsum("ij,jk,ilk->jil", is_missing, law.loadings, root).flatten(1)
    return law.noise * (spread @ spread.T)


def _truncated(mean: Tensor, covariance: Tensor, rank: int) -> NormalLaw:
    """The closest law with so many loadings: probabilistic PCA of the covariance."""
    variances, axes = torch.linalg.eigh(covariance)
    variances, axes = variances.flip(0), axes.flip(1)
    least = torch.finfo(variances.dtype).eps  # of rows that are all equal
    floor = _SMALLEST_NOISE * variances.mean().clamp(min=least)
    rest = variances[rank:]
    noise = (rest.mean() if len(rest) else floor).clamp(min=floor)
    signal = (variances[:rank] - noise).clamp(min=0)
    return NormalLaw(mean, axes[:, :rank] * signal.sqrt(), noise)
