"""Where training starts: PCA for point codes, probabilistic PCA for posteriors.

Principal axes set the spine, and the last layer of each body is zeroed, so that at
epoch 0 the model *is* the linear solution.

References
----------
Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis.
Journal of the Royal Statistical Society B, 61(3), 611-622.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skae.nn._missing_normal import mean_of_observed
from skae.nn._model import LatentModel
from skae.nn._ordered import set_sizes
from skae.nn._posteriors import DiagonalNormal

# Smallest noise variance of the start, as a share of the largest variance.
_SMALLEST_NOISE = 1e-10


@dataclass(frozen=True)
class PrincipalAxes:
    """Principal component analysis of the working data, float64 on the processor."""

    components: Tensor  # (r, d), orthonormal rows
    variances: Tensor  # (r,), decreasing
    noise_variance: float  # mean variance of the discarded axes

    def unexplained(self, n_axes: int) -> float:
        """Share of the variance on the discarded ones of `n_axes` axes."""
        discarded = self.noise_variance * (n_axes - len(self.variances))
        total = discarded + float(self.variances.sum())
        return discarded / total if total else 0.0


class LinearStart(NamedTuple):
    """A likelihood's linear model around the mean row, in the network's units."""

    bias: Tensor  # (d * n_params,), the parameters of that row
    encode: Tensor  # (d,), makes standardized rows locally normal with equal noise
    decode: Tensor  # (d,), turns those into deviations of the parameters

    @classmethod
    def of(cls, model: LatentModel, rows: Tensor) -> "LinearStart":
        """`rows` are standardized, float64."""
        targets = model.target(rows)
        mean = mean_of_observed(targets, 0)
        variance = targets.var(0, correction=0)
        if targets.isnan().any():
            variance = mean_of_observed((targets - mean).square(), 0)
        moments = mean, variance
        bias, encode, decode = model.likelihood.start(*moments, len(rows))
        return cls(bias, encode * model.target_scale, decode)


@torch.no_grad()
def start_at(
    model: LatentModel, axes: PrincipalAxes, linear: LinearStart, n_rows: int
) -> None:
    """Set the spine of `model` to the linear solution, and silence its bodies.

    `axes` belong to the standardized rows times ``linear.encode``.
    """
    spine, r = model.spine, len(axes.variances)
    largest = float(axes.variances.max()) if r else 1.0
    floor = _SMALLEST_NOISE * largest
    noise = max(axes.noise_variance, floor)
    is_scaled = model.likelihood.is_scaled
    if model.latent is DiagonalNormal:
        loading, shrinkage = _probabilistic_start(model, axes.variances, noise)
    else:
        loading = axes.variances.clamp(min=floor).sqrt()
        shrinkage = 1 / loading
        one_scale = is_scaled and bool((model.scale == model.scale[0]).all())
        unit = float(model.scale[0]) if one_scale else 1.0
        if model.penalty is None:  # it speaks of the codes that users see
            model.code_scale[:r] = loading * unit
    model.likelihood.set_noise_variance(noise)
    encode = axes.components * linear.encode.cpu()
    decode = axes.components * linear.decode.cpu()
    spine.encode_weight[:r] = (shrinkage[:, None] * encode).to(spine.encode_weight)
    spine.decode_weight[:, :r] = (loading * decode.T).to(spine.decode_weight)
    spine.decode_bias.copy_(linear.bias)
    local = noise if is_scaled else 1.0
    model.information[:, :r] = (loading * axes.components.T).square().to(
        model.information
    ) / local
    if is_scaled:
        unexplained = axes.unexplained(min(n_rows, model.n_features))
        model.unexplained = unexplained**0.5
        if model.is_ordered:
            set_sizes(model, axes.variances, unexplained)
    silence(model)
    if model.latent is DiagonalNormal:
        model.keep_start(1 / (n_rows + 1))


def _probabilistic_start(
    model: LatentModel, variances: Tensor, noise: float
) -> tuple[Tensor, Tensor]:
    """Standard deviation along each axis, and the factor of the posterior mean, (r,).

    The rows decide how much of each axis is noise, but a posterior must answer to the
    noise of its likelihood: the same where that is learned, one for Pearson residuals.
    """
    signal = (variances - noise).clamp(min=0)
    local = noise if model.likelihood.is_scaled else 1.0
    log_std = model.spine.encode_bias[model.n_components :]
    log_std[: len(variances)] = 0.5 * (local / (signal + local)).log()
    loading = signal.sqrt()
    return loading, loading / (signal + local)


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


def output_layers(model: LatentModel) -> list[nn.Module]:
    """The last layer of each body."""
    return [body.output for body in model.bodies]
