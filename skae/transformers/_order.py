"""What is known of an ordered model's sizes after training."""

import torch

from skae.nn._model import frozen
from skae.nn._ordered import truncated

# Held-out rows that sizes are judged by.
_N_JUDGED = 1000

# Share of the noise that was learned for all sizes, below which none falls.
_LEAST_NOISE = 1e-3


@torch.no_grad()
def explained_by_each(model, X, n_steps):
    """Share (k,) of the variance of rows, float64, that each latent explains beyond
    those before it; codes are refined by `n_steps`."""
    model, X = frozen(model), X[:_N_JUDGED]
    sizes = range(1, model.n_components + 1)
    left = [_squared_error(truncated(model, k), X, n_steps) for k in sizes]
    left = torch.stack([(X - model.shift).square().nansum(), *left])
    return (left[:-1] - left[1:]) / left[0].clamp(min=torch.finfo(left.dtype).tiny)


def smallest_size(shares, share):
    """Size of the shortest code that explains `share`; of the whole, if none does."""
    enough = (shares.cumsum(0) >= share).nonzero()
    return int(enough[0]) + 1 if len(enough) else len(shares)


@torch.no_grad()
def set_size_noises(model, X, seed, *, is_start):
    """Set the likelihood's noise to what suits rows (n, d), float64, and keep that of
    each size; the start's as well, whose noise of all sizes together is exact."""
    if not model.likelihood.n_noises:
        return
    x = model.standardize(X[:_N_JUDGED]).float()
    for part in (model, model.start):
        if part is None:
            continue
        part.size_noises = _size_noises(part, x, seed)
        if is_start or part is model.start:
            part.size_noises[-1] = part.likelihood.noise.double()
    model.likelihood.set_noise(model.size_noises[-1])


def _size_noises(model, x, seed):
    """(k, m)"""
    target = model.target(x)
    noise = torch.randn(
        (len(x), model.n_components), generator=torch.Generator().manual_seed(seed)
    )
    z = model.encode(x).rsample(noise.to(x.device))
    ranks = torch.arange(model.n_components, device=x.device)
    deviations = [
        model.likelihood.deviations(model.decode(z, (ranks <= k).expand_as(z)), target)
        for k in ranks
    ]
    observed = model.likelihood.observed_shares(target).double().sum(0)
    total = torch.stack([values.double().sum(0) for values in deviations])
    noises = total / observed.clamp(min=1e-30)
    # A constant feature does not deviate.
    return noises.maximum(_LEAST_NOISE * model.likelihood.noise.double())


def _squared_error(model, X, n_steps):
    x = model.standardize(X).float()
    return (model.reconstruct(model.code(x, n_steps)) - X).square().nansum()
