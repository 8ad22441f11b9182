"""What the posteriors of a variational model carry."""

import warnings

import torch
from sklearn.exceptions import ConvergenceWarning

# Variance over rows of a posterior mean, above which its latent is active (Burda et
# al., 2016).
_ACTIVE = 0.01


def kl_per_component(model, x, seed):
    """Mean divergence (k,) of each latent's posterior from its prior, in nats.

    In closed form where the prior has one, otherwise at one draw for each row of `x`,
    standardized, from the marginals of the prior.
    """
    q, prior = model.encode(x), model.current_prior()
    noise = torch.randn(q.mean.shape, generator=torch.Generator().manual_seed(seed))
    z = q.rsample(noise.to(x.device))
    divergences = prior.divergences(q, z)
    if divergences.shape[1] != model.n_components:
        divergences = q.log_probs(z) - prior.log_probs(z)
    return divergences.mean(0)


def is_active(model, x):
    """Mask (k,) of the latents whose posterior means vary over rows."""
    return model.encode(x).mean.var(0, correction=0) > _ACTIVE


def warn_of_collapse(model, x, n_active):
    """Warn where no latent is active, though some were at the start."""
    if n_active or model.start is None or not is_active(model.start, x).any():
        return
    warnings.warn(
        "The posterior has collapsed: codes say nothing of the rows. Lower beta, or "
        "set kl_warmup or free_bits.",
        ConvergenceWarning,
        stacklevel=2,
    )


def noise_variance(model):
    """Variance of the features, (1,) or (d,), in squared units of the data; None where
    the likelihood has none."""
    variance = getattr(model.likelihood, "variance", None)
    if variance is None:
        return None
    scale = model.scale[: 1 if variance.numel() == 1 else None]
    return variance.detach().reshape(-1) * scale.square()
