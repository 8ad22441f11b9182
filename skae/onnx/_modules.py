"""Torch modules of a fitted transformer, whole ones from its data to each answer.

For rows in float64 the networks compute in float32, all around them in float64: the
runtime has most layers in float32 alone, and rows far from zero lose no digit.
"""

import copy
import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from skae.nn._log_density import is_normal, of_data, rows_log_density, weighted
from skae.nn._missing_normal import LowRankNormal
from skae.nn._model import LatentModel
from skae.nn._modules import Decoder, Encoder
from skae.nn._posteriors import DiagonalNormal
from skae.nn.priors import TorchPrior


def for_export(model: LatentModel, dtype: torch.dtype) -> LatentModel:
    """A copy on the processor, for rows of `dtype`, without branches on values."""
    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    for part in (model, model.initial):
        for name in ("likelihood", "prior"):
            module = getattr(part, name, None)
            # What is float64 already stays so.
            if module is not None and dtype == torch.float64:
                module.double()
    if isinstance(model.prior, TorchPrior):
        _without_checks(model.prior.distribution)
    if model.imputer is not None:
        normal = model.imputer.normal
        model.imputer.normal = AnyRows(
            normal.mean, normal.loadings, normal.noise, normal.scale
        )
    return model


def _without_checks(distribution: Distribution) -> None:
    distribution._validate_args = False
    for part in vars(distribution).values():
        if isinstance(part, Distribution):
            _without_checks(part)


class AnyRows(LowRankNormal):
    """A normal that takes all rows at once, complete or not."""

    def complete(self, x: Tensor) -> Tensor:
        return self._filled(x)

    def _patterns(self, is_observed: Tensor) -> tuple[Tensor, Tensor]:
        # ONNX knows the shape of each row's own alone.
        return is_observed, torch.arange(is_observed.shape[0])

    def _chunks(self, x: Tensor, size: int) -> list[Tensor]:
        return [x]

    def _solve(
        self, A: Tensor, pattern: Tensor, b: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        # ONNX has no Cholesky factor. Elimination needs no pivots where matrices are
        # positive definite, and in (n, r, r + 1) a step is a product of matrices.
        r = A.shape[-1]
        identity, pivots = torch.eye(r, dtype=A.dtype), []
        rows = torch.cat([A + self.noise * identity, b[..., None]], -1)
        for j in range(r):
            pivots.append(rows[:, j, j])
            row = rows[:, j : j + 1] / rows[:, j : j + 1, j : j + 1]
            rows = rows - (rows[:, :, j : j + 1] - identity[:, j : j + 1]) @ row
        # Nothing is drawn: the factors are not needed.
        half_log_det = 0.5 * sum(pivot.log() for pivot in pivots)
        return A, rows[..., -1], half_log_det


class RowDecoder(Decoder):
    """`Decoder` whose rows have the digits of its codes (n, k), or of codes that
    hidden layers follow."""

    def forward(self, code: Tensor) -> Tensor:
        model = self.model
        params = model.decode(*self.latents(code[:, : model.n_components]))
        # In float32, rows far from zero would lose what the network says.
        return model.units.to_data(model.likelihood.mean(params.to(code.dtype)))


class Reconstruction(nn.Module):
    """Rows (n, d) to their reconstructions."""

    def __init__(self, model: LatentModel):
        super().__init__()
        self.encoder, self.decoder = Encoder(model), RowDecoder(model)

    def forward(self, X: Tensor) -> Tensor:
        return self.decoder(self.encoder(X))


class Score(nn.Module):
    """Rows (n, d) to log-densities (n,), minus infinity outside the support."""

    def __init__(self, model: LatentModel, log_density: nn.Module):
        super().__init__()
        self.model, self.log_density = model, log_density

    def forward(self, X: Tensor) -> Tensor:
        scores = rows_log_density(self.model, X, lambda _, x: self.log_density(x))
        return scores.to(X.dtype)


class Loss(nn.Module):
    """Minus the loss of each standardized row, of point codes."""

    def __init__(self, model: LatentModel):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        model = self.model
        params = model.decode(model.best_code(x)).to(x.dtype)
        return of_data(model, model.log_likelihood(params, x), x)


class Bound(nn.Module):
    """`log_bound` of standardized rows, by draws that are part of the module."""

    def __init__(self, model: LatentModel, base_samples: Tensor):
        super().__init__()
        self.own = _component(model, base_samples)
        self.initial = None
        if model.initial is not None:
            self.initial = _component(model.initial.beside(model), base_samples)
            self.weight = model.initial.weight

    def forward(self, x: Tensor) -> Tensor:
        own = self.own(x)
        if self.initial is None:
            return own
        return torch.logaddexp(*weighted(self.weight, own, self.initial(x)))


def _component(model: LatentModel, base_samples: Tensor) -> nn.Module:
    if not is_normal(model):
        return ImportanceWeighted(model, base_samples)
    return Normal(model) if model.imputer is None else IncompleteNormal(model)


class ImportanceWeighted(nn.Module):
    """The bound by draws: all draws of all rows at once, so that a row takes no more
    calls of the runtime than a decoder has operations."""

    base_samples: Tensor

    def __init__(self, model: LatentModel, base_samples: Tensor):
        super().__init__()
        self.model = model
        # (s, 1, k)
        self.register_buffer("base_samples", base_samples[:, None])

    def forward(self, x: Tensor) -> Tensor:
        model, q = self.model, self._posterior(x)
        prior = model.prior.given(self._posterior)
        z = q.rsample(self.base_samples.to(x.dtype))  # (s, n, k)
        params = model.decode(z.flatten(0, 1)).unflatten(0, z.shape[:-1])
        log_likelihood = model.log_likelihood(params.to(x.dtype), x)
        log_weights = log_likelihood + prior.log_prob(z) - q.log_prob(z)
        return of_data(model, log_weights.logsumexp(0) - math.log(len(z)), x)

    def _posterior(self, x: Tensor) -> DiagonalNormal:
        return DiagonalNormal(*(value.to(x.dtype) for value in self.model.encode(x)))


class Normal(nn.Module):
    """Log-density of the normal that a linear decoder makes of normal latents.

    .. math:: N(x | m, W W^\\top + D), with the inverse covariance
              D^{-1} - B^\\top B, \\quad B = L^{-1} W^\\top D^{-1},
              \\quad L L^\\top = I + W^\\top D^{-1} W
    """

    mean: Tensor
    precision: Tensor
    explained: Tensor

    def __init__(self, model: LatentModel):
        super().__init__()
        self.model = model
        noise, loadings = _noise(model), model.skip.decode_weight.double()
        scaled = loadings.T / noise
        factor = torch.linalg.cholesky(
            torch.eye(len(scaled), dtype=torch.float64) + scaled @ loadings
        )
        self.register_buffer("mean", model.skip.decode_bias.double())
        self.register_buffer("precision", 1 / noise)  # of the noise, (d,)
        # B' of the formula, (d, k)
        explained = torch.linalg.solve_triangular(factor, scaled, upper=False).T
        self.register_buffer("explained", explained.contiguous())
        log_det = noise.log().sum() + 2 * factor.diagonal().log().sum()
        self.constant = float(log_det + len(noise) * math.log(2 * math.pi))

    def forward(self, x: Tensor) -> Tensor:
        residual = x.double() - self.mean
        distance = (residual.square() * self.precision).sum(-1)
        distance = distance - (residual @ self.explained).square().sum(-1)
        log_density = -0.5 * (distance + self.constant)
        return of_data(self.model, log_density.to(x.dtype), x)


class IncompleteNormal(nn.Module):
    """`Normal` of the observed entries of rows."""

    def __init__(self, model: LatentModel):
        super().__init__()
        self.model = model
        std = _noise(model).sqrt()
        loadings = model.skip.decode_weight.double() / std[:, None]
        self.normal = AnyRows(model.skip.decode_bias, loadings, 1.0, std)

    def forward(self, x: Tensor) -> Tensor:
        return of_data(self.model, self.normal.log_prob(x).to(x.dtype), x)


def _noise(model: LatentModel) -> Tensor:
    return model.likelihood.variance.double().expand(model.n_features)
