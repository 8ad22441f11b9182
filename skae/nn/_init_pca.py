"""Initial models: PCA for point codes, probabilistic PCA for posteriors.

Principal axes set the skip, and the last layer of each network is zeroed, so that at
epoch 0 the model *is* the linear solution.

References
----------
Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis.
Journal of the Royal Statistical Society B, 61(3), 611-622.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from skae.nn._model import LatentModel
from skae.nn._posteriors import DiagonalNormal

# Smallest noise variance of the initial model, as a fraction of the largest variance:
# what single precision resolves, and a little more.
_MIN_NOISE = 1e-10


@dataclass(frozen=True)
class PrincipalAxes:
    """Principal component analysis of rows, float64 on the processor."""

    components: Tensor  # (r, d), orthonormal rows
    variances: Tensor  # (r,), decreasing
    noise_variance: float  # mean variance of the discarded axes

    def unexplained(self, n_axes: int) -> float:
        """Fraction of the variance on the discarded ones of `n_axes` axes."""
        discarded = self.noise_variance * max(n_axes - len(self.variances), 0)
        total = discarded + float(self.variances.sum())
        return discarded / total if total else 0.0


class LinearInit(NamedTuple):
    """A likelihood's linear model around the mean row, in the network's units."""

    bias: Tensor  # (d * n_params,), the parameters of that row
    encode: Tensor  # (d,), makes standardized rows locally normal with equal noise
    decode: Tensor  # (d,), turns those into deviations of the parameters
    varies: Tensor  # (d,), whether rows differ in a feature

    @classmethod
    def of(
        cls, model: LatentModel, mean: Tensor, variance: Tensor, n_rows: int
    ) -> "LinearInit":
        """From the moments (d,) of standardized rows, float64."""
        units = model.units
        varies = variance > 0
        mean, variance = units.to_target(mean), variance * units.target_scale.square()
        bias, encode, decode = model.likelihood.init_params(mean, variance, n_rows)
        return cls(bias, encode * units.target_scale, decode, varies)


@torch.no_grad()
def init_from_axes(
    model: LatentModel, axes: PrincipalAxes, linear: LinearInit, n_rows: int
) -> float:
    """Set the skip of `model` to the linear solution and zero its networks; return the
    fraction of the variance that this leaves unexplained.

    `axes` belong to the standardized rows times ``linear.encode``.
    """
    skip, units, r = model.skip, model.units, len(axes.variances)
    largest = float(axes.variances.max()) if r else 1.0
    floor = _MIN_NOISE * largest
    is_seen = axes.variances > floor
    components = _exact_components(axes.components, is_seen, linear.varies.cpu())
    # Rows on a subspace leave no variance over: the noise must stay positive.
    noise = max(axes.noise_variance, floor)
    is_scaled = model.likelihood.is_scaled
    # Probabilistic PCA shrinks codes towards the prior; PCA does not, and has latents
    # of unit variance inside the network, so that weight decay and rates mean the same
    # for every table.
    if model.posterior is DiagonalNormal:
        loading, shrinkage = _probabilistic(model, axes.variances, noise)
    else:
        # An axis without variance has none that could be made one, and a small loading
        # would multiply what training does to it.
        loading = axes.variances.where(is_seen, largest).sqrt()
        shrinkage = 1 / loading
        # Users see the codes of PCA in the data's units, where all features have one
        # unit.
        one_scale = is_scaled and bool((units.scale == units.scale[0]).all())
        unit = float(units.scale[0]) if one_scale else 1.0
        if model.penalty is None:  # it is of the codes that users see
            units.code_scale[:r] = loading * unit
    model.likelihood.set_noise_variance(noise)
    # (r, d), from standardized rows: the axes are those of rows times `linear.encode`.
    encode = components * linear.encode.cpu()
    decode = components * linear.decode.cpu()
    # Latents beyond the rank r of the rows stay as they were.
    skip.encode_weight[:r] = (shrinkage[:, None] * encode).to(skip.encode_weight)
    skip.decode_weight[:, :r] = (loading * decode.T).to(skip.decode_weight)
    skip.decode_bias.copy_(linear.bias)
    # No more axes than rows carry variance.
    unexplained = axes.unexplained(min(n_rows, model.n_features))
    if model.ordered is not None and is_scaled:
        unexplained = model.ordered.weight_sizes(
            axes.variances, unexplained, is_error=model.prior is None
        )
    if model.imputer is not None:
        local = noise if is_scaled else 1.0
        # (d, r): squared loading over noise, of each entry for each latent.
        information = (loading * components.T).square() / local
        model.imputer.information[:, :r] = information.to(model.imputer.information)
    zero_outputs(model)
    _ignore_unseen(model, components[is_seen], linear, ~is_seen)
    if model.initial is not None:
        # The weight of one row in n + 1: it costs the other component
        # log(n + 1) - log(n) nats a row.
        model.initial.set(model, weight=1 / (n_rows + 1))
    return unexplained if is_scaled else 1.0


def _exact_components(components: Tensor, is_seen: Tensor, varies: Tensor) -> Tensor:
    """Axes (r, d) of which those with variance leave features that do not vary alone,
    to the last digit.

    Rounding would not stay small: Adam makes steps of one size of any gradient.
    """
    if varies.all():
        return components
    components = components * varies
    if is_seen.all():  # nothing (d, d) is made of many features
        return components
    # Orthonormal axes beyond the span: of features that vary, then the others.
    _, sizes, beyond = torch.linalg.svd(components[~is_seen], full_matrices=False)
    constant = torch.eye(len(varies), dtype=components.dtype)[~varies]
    beyond = torch.cat([beyond[sizes > 0.5], constant])
    components[~is_seen] = beyond[: int((~is_seen).sum())]
    return components


def _ignore_unseen(
    model: LatentModel, seen: Tensor, linear: LinearInit, is_unseen: Tensor
) -> None:
    """Let the networks ignore directions in which rows do not differ, whose random
    weights no row would train.

    `is_unseen` (r,) are the latents without variance; where there are any, `seen`
    (m, d) are all axes that have some.
    """
    encoder = getattr(model.encoder, "input_weight", None)
    decoder = getattr(model.decoder, "input_weight", None)
    if encoder is not None:
        encoder[:, ~linear.varies.to(encoder.device)] = 0.0
        if is_unseen.any():
            # Axes are those of rows times a factor of each feature.
            factor = linear.encode.cpu()
            projection = (seen.T @ seen) * factor / factor[:, None]
            encoder.copy_(encoder.double().cpu() @ projection)
    if decoder is not None:
        decoder[:, is_unseen.nonzero().squeeze(1).to(decoder.device)] = 0.0


def _probabilistic(
    model: LatentModel, variances: Tensor, noise: float
) -> tuple[Tensor, Tensor]:
    """Standard deviation along each axis, and the factor of the posterior mean, (r,).

    The rows decide how much of each axis is noise, but a posterior must answer to the
    noise of its likelihood: the same where that is learned, one for Pearson residuals.
    """
    # Maximum likelihood (Tipping and Bishop, 1999, eq. 7).
    signal = (variances - noise).clamp(min=0)
    local = noise if model.likelihood.is_scaled else 1.0
    # The second block of the biases: log standard deviations of the posterior, which do
    # not depend on the row in a linear model.
    log_std = model.skip.encode_bias[model.n_components :]
    log_std[: len(variances)] = 0.5 * (local / (signal + local)).log()
    loading = signal.sqrt()
    return loading, loading / (signal + local)


@torch.no_grad()
def zero_outputs(model: LatentModel) -> None:
    """Zero the output layers of the networks: the skip alone is left."""
    for body in model.bodies:
        for value in (body.output.weight, body.output.bias):
            if isinstance(value, Tensor):  # some layers have no bias
                value.zero_()
