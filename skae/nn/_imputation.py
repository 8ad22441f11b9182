"""What a model says of the cells that rows do not show.

The conditional law of the missing cells is a mixture: a share from the model, the rest
from the normal law that completes rows for the encoder. The share is learned on cells
that are hidden after training, so that a code too small for the rows costs nothing, and
so is the spread: how far from their means such cells lie, beside draws of the mixture.
A variational model's part is importance-weighted (Mattei and Frellsen, 2019), by draws
from a widened posterior and weights that are truncated (Ionides, 2008).

References
----------
Mattei, P.-A. and Frellsen, J. (2019). MIWAE: deep generative modelling and imputation
of incomplete data sets. ICML.

Ionides, E. L. (2008). Truncated importance sampling. Journal of Computational and
Graphical Statistics, 17(2), 295-311.
"""

import math

import torch
from torch import Tensor

from skae.nn._missing_normal import times_to_hide
from skae.nn._model import LatentModel
from skae.nn._posteriors import DiagonalNormal, Point
from skae.nn._random import uniform_like
from skae.nn._spread import as_drawn, learned_factors, stretched
from skae.nn.likelihoods import Likelihood

# Of the standard deviations of a posterior, which knows the observed cells alone.
_WIDER = 1.3

# Share of the observed cells that are hidden to learn the model's share.
_HIDDEN_SHARE = 0.2

# Share of the squared error below which a gain is none.
_LEAST_GAIN = 1e-4

# Draws of codes, and of cells, that tell how wide they are.
_N_DRAWS_OF_SPREAD, _N_DRAWN = 100, 10

# Numbers that the draws of one call may keep.
_MOST_KEPT = 2**24


def rows_at_once(model: LatentModel, n_draws: int) -> int:
    """How many rows leave memory for what a decoder makes of so many draws of each."""
    n_kept = model.n_features * model.likelihood.n_params
    n_kept += getattr(model.decoder, "n_kept", 0)
    return max(1, _MOST_KEPT // (n_kept * max(n_draws, 1)))


def conditional_mean(
    model: LatentModel, x: Tensor, noise: Tensor, n_steps: int
) -> Tensor:
    """Means (n, d) of the cells of standardized rows, in data units; those of missing
    cells count.

    `noise` (s, k) holds the draws of a variational model; a point code is refined by
    `n_steps`.
    """
    if model.latent is Point:
        own = model.likelihood.mean(model.decode(model.best_code(x, n_steps)))
    else:
        weights, params = _weighted_draws(model, x, noise)
        means = model.likelihood.mean(params.flatten(0, 1)).view(*params.shape[:2], -1)
        own = (weights[..., None] * means).sum(0)
    return model.in_data_units(_mixed(model, model.target(model.complete(x)), own))


def _mixed(model: LatentModel, of_law: Tensor, own: Tensor) -> Tensor:
    """Means of the mixture from those of its parts; a constant feature is the law's."""
    shift = (own - of_law).where(model.law.scale > 0, 0.0)
    return of_law + model.share_of_missing * shift


def conditional_draws(
    model: LatentModel,
    x: Tensor,
    noise: Tensor,
    n_steps: int,
    n_imputations: int,
    generator: torch.Generator,
) -> Tensor:
    """Draws (n, m, d) in the place of the means."""
    if model.likelihood.is_scaled:
        mean, std, deviations = _around_means(
            model, x, noise, n_steps, n_imputations, generator
        )
        deviations = stretched(deviations, model.spread_of_missing)
        values = mean[:, None] + std[:, None] * deviations
    elif model.latent is Point:
        # A point code says nothing of the spread: the law does, that completes the row.
        drawn = model.law.draw(x, n_imputations, generator)
        params = model.decode(model.best_code(drawn.flatten(0, 1), n_steps))
        values = model.likelihood.sample(params, generator).view_as(drawn)
    else:
        weights, params = _weighted_draws(model, x, noise)
        values = _mixture_draws(model, x, weights, params, n_imputations, generator)
    return model.in_data_units(values)


def _around_means(
    model: LatentModel,
    x: Tensor,
    noise: Tensor,
    n_steps: int,
    n_draws: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Means and standard deviations (n, d) of standardized cells, and how many of these
    draws lie from the means, (n, m, d). A point code moves the means of the law alone.
    """
    share, of_law = model.share_of_missing, model.complete(x)
    if model.latent is Point:
        own = model.likelihood.mean(model.decode(model.best_code(x, n_steps)))
        variance = model.law.variance(x)
        drawn = model.law.draw(x, n_draws, generator)
        mean, centre = _mixed(model, of_law, own), of_law
    else:
        weights, params = _weighted_draws(model, x, noise)
        own = (weights[..., None] * params).sum(0)
        variance = (weights[..., None] * (params - own).square()).sum(0)
        variance = share * (variance + _noise_variance(model.likelihood).to(x))
        if share < 1:
            between = share * (own - of_law).square()
            variance += (1 - share) * (model.law.variance(x) + between)
        drawn = _mixture_draws(model, x, weights, params, n_draws, generator)
        mean = centre = _mixed(model, of_law, own)
    varies = model.law.scale > 0
    std = variance.sqrt().where(varies, 0.0)
    deviations = (drawn - centre[:, None]) / std[:, None]
    return mean, std, deviations.where(varies, 0.0)


def _mixture_draws(
    model: LatentModel,
    x: Tensor,
    weights: Tensor,
    params: Tensor,
    n_draws: int,
    generator: torch.Generator,
) -> Tensor:
    """Draws (n, m, d) of a variational model, a share of them of the normal law."""
    chosen = torch.multinomial(
        weights.T, n_draws, replacement=True, generator=generator
    )
    rows = torch.arange(len(x), device=x.device)[:, None]
    values = model.likelihood.sample(params[chosen, rows].flatten(0, 1), generator)
    values = values.unflatten(0, chosen.shape)
    is_own = uniform_like(values[..., :1], generator) < model.share_of_missing
    varies = model.law.scale > 0
    if is_own.all() and varies.all():
        return values
    of_law = model.target(model.law.draw(x, n_draws, generator))
    return values.where(is_own & varies, of_law)


def _weighted_draws(
    model: LatentModel, x: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Weights (s, n) and the likelihood's parameters (s, n, d * n_params) of draws."""
    narrow, prior = model.encode(x), model.current_prior()
    q = DiagonalNormal(narrow.mean, narrow.log_std + math.log(_WIDER))
    z = q.rsample(noise[:, None].to(narrow.mean))
    params = model.decode(z.flatten(0, 1)).unflatten(0, z.shape[:2])
    log_weights = model.log_likelihood(params, x) - q.log_prob(z)
    log_weights = log_weights + prior.log_prob(z.flatten(0, 1)).view_as(log_weights)
    # No weight exceeds the root of their number times their mean.
    log_mean = log_weights.logsumexp(0) - math.log(len(noise))
    largest = log_mean + 0.5 * math.log(len(noise))
    return torch.minimum(log_weights, largest).softmax(0), params


@torch.no_grad()
def learn_from_hidden_cells(
    model: LatentModel,
    x: Tensor,
    noise: Tensor,
    n_steps: int,
    generator: torch.Generator,
) -> None:
    """Set the model's share, and the factors of its spread, that tell cells best which
    are hidden from standardized rows (n, d).

    A likelihood that sees the data as they are has all: their law is not normal.
    """
    model.share_of_missing, model.spread_of_missing = 1.0, as_drawn()
    x = x.repeat(times_to_hide(x, _HIDDEN_SHARE), 1)
    is_hidden = (uniform_like(x, generator) < _HIDDEN_SHARE) & ~x.isnan()
    is_hidden &= model.law.scale > 0
    if not model.likelihood.is_scaled or not is_hidden.any():
        return
    seen = x.masked_fill(is_hidden, math.nan)
    of_law = model.complete(seen)
    own = model.likelihood.mean(model.decode(model.best_code(seen, n_steps)))
    shift, rest = (own - of_law)[is_hidden].double(), (x - of_law)[is_hidden].double()
    model.share_of_missing = _best_share(shift, rest)
    drawn, found = [], []
    draws, size = noise[:_N_DRAWS_OF_SPREAD], rows_at_once(model, _N_DRAWS_OF_SPREAD)
    for rows, given, hidden in zip(*(t.split(size) for t in (x, seen, is_hidden))):
        mean, std, deviations = _around_means(
            model, given, draws, n_steps, _N_DRAWN, generator
        )
        drawn.append(deviations.mT[hidden].double())
        found.append(((rows - mean) / std)[hidden].double())
    model.spread_of_missing = learned_factors(torch.cat(drawn), torch.cat(found))


def _best_share(shift: Tensor, rest: Tensor) -> float:
    """Share of `shift` that leaves least of `rest`; none where that gains nothing: both
    then say the same, and the law's draws are exact."""
    product, square = float(shift @ rest), float(shift.square().sum())
    share = min(max(product / square, 0.0), 1.0) if square else 0.0
    gain = share * (2 * product - share * square)
    return share if gain > _LEAST_GAIN * float(rest.square().sum()) else 0.0


def _noise_variance(likelihood: Likelihood) -> Tensor:
    """Of each feature, (d,); zero where the likelihood has none."""
    variance = torch.zeros(likelihood.n_features, dtype=torch.float64)
    for part, columns in likelihood.by_columns():
        variance[columns.cpu()] = torch.as_tensor(
            getattr(part, "variance", 0.0), dtype=torch.float64, device="cpu"
        )
    return variance
