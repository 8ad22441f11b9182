"""Imputation: the conditional distribution of missing entries under a model.

It is a mixture of the model's own and of the multivariate normal that completes rows
for the encoder. The model's weight is learned on entries that are masked after
training, so that a code too small for the rows costs nothing, and so is one factor that
calibrates the deviations of draws. A variational model's own component is
importance-weighted (Mattei and Frellsen, 2019), with truncated weights (Ionides, 2008).

References
----------
Mattei, P.-A. and Frellsen, J. (2019). MIWAE: deep generative modelling and imputation
of incomplete data sets. ICML.

Ionides, E. L. (2008). Truncated importance sampling. Journal of Computational and
Graphical Statistics, 17(2), 295-311.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from skae.nn._missing_normal import LowRankNormal, n_masks
from skae.nn._posteriors import DiagonalNormal, Point
from skae.nn._random import uniform_like
from skae.nn._sizes import rows_of_draws
from skae.nn.likelihoods import Categorical, Likelihood

if TYPE_CHECKING:  # it imports this module
    from skae.nn._model import LatentModel

# Fraction of the observed entries that are masked to learn the model's weight.
_MASKED_FRACTION = 0.2

# Fraction of the squared error below which a gain is none.
_MIN_GAIN = 1e-4

# Draws of codes, and of entries, that estimate how wide they are.
_N_CODE_DRAWS, _N_ENTRY_DRAWS = 100, 10

# Probability of the central interval whose width is calibrated.
_COVERAGE = 0.9


class Imputer(nn.Module):
    """Completion of rows, and the learned numbers of imputations.

    Parameters
    ----------
    n_features, n_components : int
    n_sizes : int
        Sizes of the code that have a weight of their own: all of an ordered one.

    Attributes
    ----------
    normal : LowRankNormal
        Of the rows; completes them for the encoder.
    information : Tensor of shape (d, k)
        Fisher information that an entry has of a latent of the initial model.
    weight : Tensor of shape (k,) or (1,)
        Of the model's own conditional in the mixture, by the size of the code.
    calibration : Tensor of shape ()
        Factor of the deviations of draws from their means.
    """

    information: Tensor
    weight: Tensor
    calibration: Tensor

    def __init__(self, n_features: int, n_components: int, n_sizes: int = 1):
        super().__init__()
        self.normal = LowRankNormal.standard(n_features)
        # Until they are learned the model has all of the weight. In float64: they
        # multiply values in the data's units.
        for name, value in (
            ("information", torch.zeros(n_features, n_components, dtype=torch.float32)),
            ("weight", torch.ones(n_sizes, dtype=torch.float64)),
            ("calibration", torch.ones((), dtype=torch.float64)),
        ):
            self.register_buffer(name, value)

    def complete(self, x: Tensor) -> Tensor:
        """Standardized rows with missing entries at their conditional means."""
        return self.normal.complete(x)

    def adjusted(self, q: Point | DiagonalNormal, x: Tensor) -> Point | DiagonalNormal:
        """The posterior given fewer entries: wider, as much as in the initial model."""
        if not isinstance(q, DiagonalNormal):
            return q
        # In a linear model the precision of a code is one, from the prior, plus the
        # information of each observed entry, (n, d) @ (d, k); its variance is the
        # inverse.
        is_observed = (~x.isnan()).to(self.information)
        all_of_it = 1 + self.information.sum(0)
        return q.inflated(all_of_it / (1 + is_observed @ self.information))

    def first(self, k: int) -> "Imputer":
        """That of the first `k` latents."""
        short = Imputer(len(self.information), k, min(k, len(self.weight)))
        short = short.to(self.weight.device)
        short.normal.load_state_dict(self.normal.state_dict())
        short.information.copy_(self.information[:, :k])
        short.weight.copy_(self.weight[: len(short.weight)])
        short.calibration.copy_(self.calibration)
        return short


def missing_groups(likelihood: Likelihood) -> Tensor:
    """Number (d,) of each feature's group of those that are missing together: the
    columns of a category."""
    groups = torch.arange(likelihood.n_features)
    for part, columns in likelihood.by_columns():
        if isinstance(part, Categorical):
            groups[columns.cpu()] = int(columns[0])
    return groups


def _imputer(model: "LatentModel") -> Imputer:
    assert model.imputer is not None  # the model was made for incomplete rows
    return model.imputer


def filled(
    model: "LatentModel",
    X: Tensor,
    conditional: Callable[..., Tensor],
    base_samples: Tensor,
    n_steps: int,
    n_values: int,
) -> Tensor:
    """Rows in data units whose missing entries have the values, `n_values` of them,
    of ``conditional(model, x, base_samples, n_steps)``."""
    # All draws of a row lie in memory at once, so that many draws mean few rows.
    size = rows_of_draws(model, max(len(base_samples), n_values))
    draws = base_samples.to(X.device, X.dtype)
    # Most of the time goes into rows, and complete ones need none.
    is_complete = ~X.isnan().any(1)
    incomplete = (~is_complete).nonzero().flatten()
    # One row at least, which shows how many values there are of an entry.
    at = incomplete if len(incomplete) else torch.zeros_like(is_complete[:1]).long()
    chunks = model.units.to_net(X[at]).split(size)
    found = torch.cat([conditional(model, x, draws, n_steps) for x in chunks])
    # (n, m, d) where there are several values of an entry
    if found.ndim > X.ndim:
        X = X[:, None].expand(-1, *found.shape[1:])
    filled = X.clone()
    filled[at] = torch.where(X[at].isnan(), found, X[at])
    return filled


def conditional_mean(
    model: "LatentModel", x: Tensor, base_samples: Tensor, n_steps: int
) -> Tensor:
    """Means (n, d) of the entries of standardized rows, in data units; those of missing
    entries count.

    `base_samples` (s, k) make the draws of a variational model; a point code is refined
    by `n_steps`.
    """
    return model.units.to_data(_means(model, x, base_samples, n_steps))


def _means(
    model: "LatentModel", x: Tensor, base_samples: Tensor, n_steps: int
) -> Tensor:
    """`conditional_mean` of standardized entries."""
    of_normal = model.target(model.complete(x))
    if not _imputer(model).weight[-1] and model.likelihood.is_scaled:
        return of_normal
    if model.posterior is Point:
        own = model.likelihood.mean(model.decode(model.best_code(x, n_steps)))
    else:
        weights, params = _weighted_draws(model, x, base_samples)
        # (s, n, d), weighted over the draws
        means = model.likelihood.mean(params.flatten(0, 1)).view(*params.shape[:2], -1)
        own = (weights[..., None] * means).sum(0)
    return _mixed(model, of_normal, own)


def _mixed(model: "LatentModel", of_normal: Tensor, own: Tensor) -> Tensor:
    """Means of the mixture from those of its components; a constant feature has that of
    the normal, and one that the likelihood does not scale its own."""
    # Written as a shift: a weight of zero then leaves the normal's mean bit by bit.
    shift = (own - of_normal).where(_imputer(model).normal.scale > 0, 0.0)
    mixed = of_normal + _imputer(model).weight[-1].to(shift.dtype) * shift
    if model.likelihood.is_scaled:
        return mixed
    return mixed.where(_is_scaled(model), own)


def _is_scaled(model: "LatentModel") -> Tensor:
    """Mask (d,) of the features that the likelihood centres and scales: measures, of
    which the normal is a distribution too."""
    return model.likelihood.scaled_features.to(model.units.loc.device)


def conditional_moments(
    model: "LatentModel", x: Tensor, base_samples: Tensor, n_steps: int
) -> Tensor:
    """Means of the entries, and one standard deviation above them, (n, 2, d), in data
    units; features that the likelihood does not scale have deviations of no meaning."""
    # It draws as well, which is not looked at.
    generator = torch.Generator(x.device).manual_seed(0)
    mean, std, *_ = _around_means(model, x, base_samples, n_steps, 1, generator)
    above = mean + std * _imputer(model).calibration.to(std.dtype)
    return torch.stack([model.units.to_data(mean), model.units.to_data(above)], 1)


def conditional_draws(
    model: "LatentModel",
    x: Tensor,
    base_samples: Tensor,
    n_steps: int,
    n_imputations: int,
    generator: torch.Generator,
) -> Tensor:
    """Draws (n, m, d) in the place of the means."""
    is_scaled = _is_scaled(model)
    is_point = model.posterior is Point
    if model.likelihood.is_scaled or (is_scaled.any() and not is_point):
        mean, std, deviations, drawn = _around_means(
            model, x, base_samples, n_steps, n_imputations, generator
        )
        # One factor for all entries: separate ones overfit the masked entries.
        std = std * _imputer(model).calibration.to(std.dtype)
        values = mean[:, None] + std[:, None] * deviations
        if not model.likelihood.is_scaled:
            # Counts and categories have no scale to calibrate: draws are those of the
            # likelihood.
            values = values.where(is_scaled, drawn)
    elif is_point:
        # A point code has no uncertainty: the normal has, that completes the row.
        drawn = _imputer(model).normal.draw(x, n_imputations, generator)
        params = model.decode(model.best_code(drawn.flatten(0, 1), n_steps))
        values = model.likelihood.sample(params, generator).view_as(drawn)
    else:
        weights, params = _weighted_draws(model, x, base_samples)
        values = _mixture_draws(model, x, weights, params, n_imputations, generator)
    return model.units.to_data(values)


def _around_means(
    model: "LatentModel",
    x: Tensor,
    base_samples: Tensor,
    n_steps: int,
    n_draws: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Means and standard deviations (n, d) of standardized entries, how many of these
    draws lie from the means, and the draws, both (n, m, d). A point code moves the
    means of the normal alone, a weight of zero not even these."""
    normal, of_normal = _imputer(model).normal, model.complete(x)
    weight = _imputer(model).weight[-1].to(x.dtype)
    if model.posterior is Point or not (weight or not model.likelihood.is_scaled):
        mean, centre = _means(model, x, base_samples, n_steps), of_normal
        variance, drawn = normal.variance(x), normal.draw(x, n_draws, generator)
    else:
        weights, params = _weighted_draws(model, x, base_samples)
        # Variance of the mixture over draws: between their means, plus the noise of
        # each.
        # (s, n, d)
        means = model.likelihood.mean(params.flatten(0, 1)).view(*params.shape[:2], -1)
        own = (weights[..., None] * means).sum(0)
        variance = (weights[..., None] * (means - own).square()).sum(0)
        variance = weight * (variance + _noise_variance(model.likelihood).to(x))
        if weight < 1:
            # The same for the mixture of the model with the normal.
            between = weight * (own - of_normal).square()
            variance += (1 - weight) * (normal.variance(x) + between)
        drawn = _mixture_draws(model, x, weights, params, n_draws, generator)
        mean = centre = _mixed(model, of_normal, own)
    # A constant feature has no deviation: its standardized value would be 0 / 0.
    varies = normal.scale > 0
    std = variance.sqrt().where(varies, 0.0)
    deviations = (drawn - centre[:, None]) / std[:, None]
    return mean, std, deviations.where(varies, 0.0), drawn


def _mixture_draws(
    model: "LatentModel",
    x: Tensor,
    weights: Tensor,
    params: Tensor,
    n_draws: int,
    generator: torch.Generator,
) -> Tensor:
    """Draws (n, m, d) of a variational model, a fraction of them of the normal."""
    # (n, m): for each imputation a draw of the code, by importance
    chosen = torch.multinomial(
        weights.T, n_draws, replacement=True, generator=generator
    )
    # (n, 1), so that both index (s, n, d * n_params) together
    rows = torch.arange(len(x), device=x.device)[:, None]
    values = model.likelihood.sample(params[chosen, rows].flatten(0, 1), generator)
    values = values.unflatten(0, chosen.shape)
    # One choice for a whole row: its entries come from one joint distribution.
    is_own = uniform_like(values[..., :1], generator) < _imputer(model).weight[-1]
    varies = _imputer(model).normal.scale > 0
    if is_own.all() and varies.all():
        return values
    of_normal = model.target(_imputer(model).normal.draw(x, n_draws, generator))
    # Of measures alone: those of categories are none of their values.
    is_own = is_own | ~_is_scaled(model) if not model.likelihood.is_scaled else is_own
    return values.where(is_own & varies, of_normal)


def _weighted_draws(
    model: "LatentModel", x: Tensor, base_samples: Tensor
) -> tuple[Tensor, Tensor]:
    """Weights (s, n) and the likelihood's parameters (s, n, d * n_params) of draws."""
    q, prior = model.encode_variational(x)
    # (s, n, k), with the same base samples for all rows
    z = q.rsample(base_samples[:, None].to(q.mean))
    params = model.decode(z.flatten(0, 1)).unflatten(0, z.shape[:2])
    # log p(x_observed | z) + log p(z) - log q(z | x), (s, n)
    log_weights = model.log_likelihood(params, x) - q.log_prob(z)
    log_weights = log_weights + prior.log_prob(z.flatten(0, 1)).view_as(log_weights)
    # No weight exceeds the root of their number times their mean.
    log_mean = log_weights.logsumexp(0) - math.log(len(base_samples))
    largest = log_mean + 0.5 * math.log(len(base_samples))
    return torch.minimum(log_weights, largest).softmax(0), params


@torch.no_grad()
def learn_from_masked_entries(
    model: "LatentModel",
    x: Tensor,
    base_samples: Tensor,
    n_steps: int,
    generator: torch.Generator,
) -> tuple[float, float]:
    """Weight and calibration that suit entries best which are masked in standardized
    rows (n, d).

    A feature that the likelihood sees as it is has all the weight: its entries are not
    normal.
    """
    imputer = _imputer(model)
    # Few rows are repeated, each time under another mask.
    x = x.repeat(n_masks(x, _MASKED_FRACTION), 1)
    uniform = uniform_like(x, generator)
    uniform = uniform[:, missing_groups(model.likelihood).to(x.device)]
    is_masked = (uniform < _MASKED_FRACTION) & ~x.isnan()
    seen = x.masked_fill(is_masked, math.nan)
    # A constant feature is always completed exactly, and not informative of the weight.
    is_masked &= (imputer.normal.scale > 0) & _is_scaled(model)
    if not is_masked.any():
        return 1.0, 1.0
    of_normal = model.target(model.complete(seen))
    own = model.likelihood.mean(model.decode(model.best_code(seen, n_steps)))
    # Least squares for the weight: the error is linear in it.
    shift = (own - of_normal)[is_masked].double()
    rest = (model.target(x) - of_normal)[is_masked].double()
    imputer.weight[-1] = _best_weight(shift, rest)
    drawn, found = [], []
    draws, size = base_samples[:_N_CODE_DRAWS], rows_of_draws(model, _N_CODE_DRAWS)
    for rows, given, masked in zip(*(t.split(size) for t in (x, seen, is_masked))):
        mean, std, deviations, _ = _around_means(
            model, given, draws, n_steps, _N_ENTRY_DRAWS, generator
        )
        # (n, m, d) to (n, d, m): the draws of each masked entry
        drawn.append(deviations.mT[masked].double())
        found.append(((model.target(rows) - mean) / std)[masked].double())
    return float(imputer.weight[-1]), _calibration(torch.cat(drawn), torch.cat(found))


def _best_weight(shift: Tensor, rest: Tensor) -> float:
    """Weight of `shift` that leaves least of `rest`; none where that gains nothing:
    both then have one mean, and the normal's draws are exact."""
    # The minimum of |rest - w shift|^2 within [0, 1]; both components are means, so a
    # weight beyond them would extrapolate.
    product, square = float(shift @ rest), float(shift.square().sum())
    weight = min(max(product / square, 0.0), 1.0) if square else 0.0
    gain = weight * (2 * product - weight * square)
    return weight if gain > _MIN_GAIN * float(rest.square().sum()) else 0.0


def _calibration(drawn: Tensor, found: Tensor) -> float:
    """Factor that brings the quantile of the sizes that are drawn to that of those that
    are found.

    Entries that a model was trained on are predicted too well: no variance is made
    smaller.
    """
    # A ratio below one means that training entries are predicted too well. It is
    # divided out, so that the factor corrects the shape of the tails alone.
    ratio = (found.square().mean() / drawn.square().mean()).sqrt()
    if not ratio > 0:
        return 1.0
    sizes = [_quantile(values.abs(), _COVERAGE) for values in (found, drawn)]
    return float(sizes[0] / sizes[1] / ratio.clamp(max=1))


def _quantile(values: Tensor, probability: float) -> Tensor:
    """As `torch.quantile`, of any number of values."""
    # `torch.quantile` refuses more than 2**24 values.
    rank = max(1, math.ceil(probability * values.numel()))
    return values.flatten().kthvalue(rank).values


def _noise_variance(likelihood: Likelihood) -> Tensor:
    """Noise variance of each feature, (d,); zero where the likelihood has none."""
    variance = torch.zeros(likelihood.n_features, dtype=torch.float64)
    for part, columns in likelihood.by_columns():
        variance[columns.cpu()] = torch.as_tensor(
            getattr(part, "variance", 0.0), dtype=torch.float64, device="cpu"
        )
    return variance
