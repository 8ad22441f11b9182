"""Where training starts: PCA for point codes, probabilistic PCA for posteriors.

Principal axes set the spine, and the last layer of each body is zeroed, so that at
epoch 0 the model *is* the linear solution.

References
----------
Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis.
Journal of the Royal Statistical Society B, 61(3), 611-622.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skae.nn._latents import DiagonalNormal
from skae.nn._model import LatentModel

# Smallest noise variance of the start, as a share of the largest variance.
_SMALLEST_NOISE = 1e-10

# Smallest share of the variance that counts as unexplained by the start.
_SMALLEST_SHARE = 1e-4


@dataclass(frozen=True)
class PrincipalAxes:
    """Principal component analysis of the working data, float64 on the processor."""

    components: Tensor  # (r, d), orthonormal rows
    variances: Tensor  # (r,), decreasing
    noise_variance: float  # mean variance of the discarded axes


def working_data(
    likelihood: nn.Module, X: Tensor, mean: Tensor
) -> tuple[Tensor, Tensor]:
    """Data whose principal axes start the spine, and the factor (d,) that made them.

    A Bernoulli likelihood is locally normal with variance p (1 - p), so its axes are
    those of Pearson residuals (x - p) / sqrt(p (1 - p)); the others' are the data's.
    """
    if likelihood.is_scaled:
        return X - mean, torch.ones_like(mean)
    p = smoothed_share(mean, len(X))
    factor = (p * (1 - p)).rsqrt()
    return (X - mean) * factor, factor


def smoothed_share(mean: Tensor, n_rows: int) -> Tensor:
    """Shares kept off zero and one by half a count each (Krichevsky and Trofimov)."""
    return (mean * n_rows + 0.5) / (n_rows + 1)


@torch.no_grad()
def start_at(
    model: LatentModel, axes: PrincipalAxes, factor: Tensor, n_rows: int
) -> None:
    """Set the spine of `model`, whose shift and scale are set, to the linear start."""
    scale = model.scale.double().cpu()
    r = len(axes.variances)
    variances = axes.variances / scale**2  # (r,) of the standardized working data
    floor = _SMALLEST_NOISE * max(float(variances.max()) if r else 1.0, 1e-300)
    noise = max(axes.noise_variance / float(scale) ** 2, floor)
    if model.latent is DiagonalNormal:
        signal = (variances - noise).clamp(min=0)
        # A unit-variance working likelihood, unless the noise itself is learned.
        local = noise if model.likelihood.is_scaled else 1.0
        loading = signal.sqrt()  # (r,) standard deviation along each axis
        shrinkage = loading / (signal + local)
        log_std = model.spine.encode_bias[model.n_components :]
        log_std[:r] = (local / (signal + local)).sqrt().log()
        if hasattr(model.likelihood, "set_noise_variance"):
            model.likelihood.set_noise_variance(noise)
    else:
        loading = variances.clamp(min=floor).sqrt()
        shrinkage = 1 / loading
        model.code_scale[:r] = (loading * scale).to(model.code_scale)
    spine, components = model.spine, axes.components
    spine.encode_weight[:r] = (shrinkage[:, None] * components * factor).to(
        spine.encode_weight
    )
    # A logit moves by factor^2 for each unit of probability, and one factor is in the
    # working data already.
    spine.decode_weight[:, :r] = ((loading[:, None] * components * factor).T).to(
        spine.decode_weight
    )
    if not model.likelihood.is_scaled:
        share = smoothed_share(model.shift.double(), n_rows)
        spine.decode_bias.copy_(share.logit())
    else:
        share = 1 - float(variances.sum()) / model.n_features
        model.unexplained = min(max(share, _SMALLEST_SHARE), 1.0) ** 0.5
    silence(model)


@torch.no_grad()
def start_at_random(model: LatentModel) -> None:
    """A random spine that keeps the size of a row; the bodies stay as they are made."""
    d, k = model.n_features, model.n_components
    model.spine.encode_weight.normal_(std=d**-0.5)
    model.spine.decode_weight.normal_(std=k**-0.5)


@torch.no_grad()
def silence(model: LatentModel) -> None:
    """Zero the output layers of the bodies: the spine speaks alone."""
    for layer in output_layers(model):
        layer.weight.zero_()
        if layer.bias is not None:
            layer.bias.zero_()


def output_layers(model: LatentModel) -> list[nn.Linear]:
    """The last linear layer of each body."""
    bodies = [body for body in (model.encoder, model.decoder) if body is not None]
    return [
        [m for m in body.modules() if isinstance(m, nn.Linear)][-1] for body in bodies
    ]
