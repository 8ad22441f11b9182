"""Statistics of a trained model, estimated from some rows.

Rows (n, d) are standardized; n_noises is the number of noise scales of the likelihood.
"""

import warnings

import torch
from sklearn.exceptions import ConvergenceWarning

from skae.data._arrays import like
from skae.nn._ordered import truncated

# Variance over rows of a posterior mean, above which its latent is active (Burda et
# al., 2016). Of a posterior that follows a standard normal prior it is at most one.
_ACTIVE = 0.01

# Training rows whose posteriors are described: the standard error of a mean over them
# is 3 % of the standard deviation.
_N_DESCRIBED = 1000

# Validation rows that the sizes of an ordered code are evaluated on: each size decodes
# all of them.
_N_ROWS = 1000

# Smallest noise of a size, as a fraction of that learned in training: a constant
# feature has no residual, and a density needs some noise.
_MIN_NOISE = 1e-3


def describe_posterior(model, rows, seed, like_X):
    """Fitted attributes of a variational model, from training rows; arrays are of the
    kind and dtype of `like_X`."""
    x = rows.first(_N_DESCRIBED).gathered()
    active = is_active(model, x)
    warn_of_collapse(model, x, int(active.sum()))
    return {
        "kl_per_component_": like(kl_per_component(model, x, seed), like_X),
        "n_active_components_": int(active.sum()),
        "_is_active": active.tolist(),
    } | describe_noise(model, like_X)


def describe_noise(model, like_X):
    """Dict with `noise_variance_`, where the likelihood has one, or nothing."""
    variance = noise_variance(model)
    if variance is None:
        return {}
    # One variance for all features is a number, as of PCA.
    if len(variance) == 1:
        return {"noise_variance_": float(variance)}
    # The variance of float32 rows may be out of their range.
    return {"noise_variance_": like(variance.double(), like_X, "float64")}


def kl_per_component(model, x, seed):
    """Mean divergence (k,) of each latent's posterior from its prior, in nats.

    In closed form where the prior has one, otherwise estimated with one draw for each
    row of `x` (n, d), from the marginals of the prior.
    """
    q, prior = model.encode(x), model.current_prior()
    z = q.rsample(_base_samples(q.mean.shape, seed).to(x.device))
    # (n, k), or (n, 1) where the prior is not independent over latents.
    divergences = q.kl(prior, z)
    if divergences.shape[1] != model.n_components:
        divergences = q.log_probs(z) - prior.log_probs(z)
    return divergences.mean(0)


def is_active(model, x):
    """Mask (k,) of the latents whose posterior means vary over rows `x` (n, d)."""
    return model.encode(x).mean.var(0, correction=0) > _ACTIVE


def warn_of_collapse(model, x, n_active):
    """Warn where no latent is active, though some were in the initial model."""
    if n_active or model.initial is None:
        return
    # Rows of pure noise have no active latent to begin with: nothing has collapsed.
    if not is_active(model.initial.beside(model), x).any():
        return
    warnings.warn(
        "The posterior has collapsed: all rows have the same code. Lower beta, or set "
        "kl_warmup or free_bits.",
        ConvergenceWarning,
        stacklevel=2,
    )


def noise_variance(model):
    """Variance of the features around their reconstruction, (1,) or (d,), in squared
    units of the data; None where the likelihood has none."""
    variance = getattr(model.likelihood, "variance", None)
    if variance is None:
        return None
    # One variance belongs to features of one scale.
    scale = model.units.scale[: 1 if variance.numel() == 1 else None]
    return variance.detach().reshape(-1) * scale.square()


def explained_variance_ratio(model, rows, n_steps):
    """Fraction (k,) of the variance of rows, in data units, that each latent explains
    beyond those before it; codes are refined by `n_steps`."""
    x = rows.first(_N_ROWS).gathered()
    # (n, d), in float64: the ratios are differences of sums that are nearly equal.
    X = model.units.to_data(model.target(x)).double()
    sizes = range(1, model.n_components + 1)
    left = [_squared_error(truncated(model, k), x, X, n_steps) for k in sizes]
    # (k + 1,), the error of no latent, of one, of two, ...
    left = torch.stack([(X - model.units.loc).square().nansum(), *left])
    # The clamp makes zeros, not NaN, of rows that are all equal.
    return (left[:-1] - left[1:]) / left[0].clamp(min=torch.finfo(left.dtype).tiny)


def smallest_size(ratios, ratio):
    """Size of the shortest code that explains `ratio`, from the ratios (k,) of its
    latents; k, if none does."""
    # The first, since a latent may explain less than nothing of validation rows.
    enough = (ratios.cumsum(0) >= ratio).nonzero()
    return int(enough[0]) + 1 if len(enough) else len(ratios)


def set_noises_of_sizes(model, rows, seed, *, is_initial):
    """Set the noise scales of each size of an ordered code, (k, n_noises), to what
    suits rows best, and the likelihood's to those of the whole code.

    The same for the initial model beside it. `is_initial` says whether training has
    kept that one, whose noise of the whole code is known.
    """
    if not model.likelihood.n_noises:
        return
    x = rows.first(_N_ROWS).gathered()
    model.ordered.noises.copy_(_noises_of_sizes(model, x, seed))
    # Probabilistic PCA has its noise in closed form, which draws would only blur.
    if is_initial:
        model.ordered.noises[-1] = model.likelihood.noise.double()
    model.likelihood.set_noise(model.ordered.noises[-1])
    if model.initial is not None:
        initial = model.initial.beside(model)
        model.initial.noises.copy_(_noises_of_sizes(initial, x, seed))
        model.initial.noises[-1] = initial.likelihood.noise.double()


def _noises_of_sizes(model, x, seed):
    """Noise scales (k, n_noises) that suit rows `x` (n, d), a line for each size."""
    target = model.target(x)
    shape = len(x), model.n_components
    z = model.encode(x).rsample(_base_samples(shape, seed).to(x.device))
    ranks = torch.arange(model.n_components, device=x.device)
    # k tensors (n, n_noises), for codes of the first 1, 2, ... latents.
    deviations = [
        model.likelihood.deviations(model.decode(z, (ranks <= k).expand_as(z)), target)
        for k in ranks
    ]
    observed = model.likelihood.observed_fractions(target).double().sum(0)
    total = torch.stack([values.double().sum(0) for values in deviations])
    # A noise without any observed entry is zero here, and at its minimum below.
    noises = total / observed.clamp(min=1e-30)
    return noises.maximum(_MIN_NOISE * model.likelihood.noise.double())


def _base_samples(shape, seed):
    """Standard normal draws of this shape, on the processor, the same on any device."""
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32
    )


def _squared_error(model, x, X, n_steps):
    """Sum of squared errors over the observed entries of X (n, d), in data units."""
    back = model.reconstruct(model.best_code(x, n_steps))
    return (back.double() - X).square().nansum()
