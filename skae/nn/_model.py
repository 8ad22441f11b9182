"""The model of every estimator: networks around a linear skip connection.

.. math:: z = A (x - m) + f(x), \\qquad \\hat x = m + B z + g(z)

`A`, `B` and `m` are the skip; an architecture supplies the encoder `f` and the decoder
`g`. All methods work on tensors and return one value per row.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from skae.nn._outputs import Terms, to_float32
from skae.nn._parts import ModelParts
from skae.nn._posteriors import DiagonalNormal, Point
from skae.nn._skip import affine_plus
from skae.nn._sparse_rows import SparseRows, sparse_terms
from skae.nn.priors import Prior


class LatentModel(ModelParts):
    """Encoder, decoder and the distributions between them, as functions of tensors.

    `ModelParts` describes the parts that it is made of.
    """

    def complete(self, x: Tensor) -> Tensor:
        """Standardized rows without missing entries."""
        return x if self.imputer is None else self.imputer.complete(x)

    def encode(self, x: Tensor, seen: Tensor | None = None) -> Point | DiagonalNormal:
        """Posterior of the code given standardized rows; `seen` is what the network is
        given in their place."""
        seen = self.complete(x) if seen is None else seen
        weight, bias = self.skip.encode_weight, self.skip.encode_bias
        params = affine_plus(self.encoder, seen.to(weight.dtype), weight, bias)
        q = self.posterior.from_params(params)
        # Two corrections: for a noise that the encoder was not trained for, and for
        # missing entries.
        for part in (self.ordered, self.imputer):
            q = q if part is None else part.adjusted(q, x)
        return q

    def decode(self, z: Tensor, mask: Tensor | None = None) -> Tensor:
        """Parameters of the likelihood, (n, d * n_params), of the latents for which
        `mask` (n, k) is one; of all without it."""
        z, weight = self.decoder_input(z, mask)
        return affine_plus(self.decoder, z, weight, self.skip.decode_bias)

    def decoder_input(
        self, z: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Inputs of the decoder for latents, and the skip's weight for them."""
        weight = self.skip.decode_weight
        z = z.to(weight.dtype)
        if self.ordered is None:
            return z, weight
        return self.ordered.with_mask(z, mask), self.ordered.padded(weight)

    def log_likelihood(self, params: Tensor, x: Tensor) -> Tensor:
        """Log-likelihood (n,) of standardized rows; missing entries do not count."""
        x = self.target(x)
        if params.ndim > x.ndim:  # several draws, or prefixes
            x = x.expand(*params.shape[:-1], -1)
        if self.imputer is None:
            return self.likelihood.log_prob(params, x)
        # Zeros before the likelihood as well as after it: the gradient of NaN is NaN
        # even where it is masked.
        is_missing = x.isnan()
        log_probs = self.likelihood.log_probs(params, x.masked_fill(is_missing, 0))
        return to_float32(log_probs).masked_fill(is_missing, 0).sum(-1)

    def target(self, x: Tensor) -> Tensor:
        """Standardized rows as the likelihood sees them."""
        return x if self.likelihood.is_scaled else self.units.to_target(x)

    def resample_targets(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Standardized rows as a step of the training sees them."""
        if self.likelihood.is_scaled:
            return x
        target = self.target(x)
        # In the likelihood's units: binarisation, for example, draws from
        # probabilities.
        resampled = self.likelihood.resample(target, generator)
        if self.imputer is not None:
            resampled = resampled.where(~target.isnan(), target)
        return self.units.from_target(resampled)

    def forward(
        self,
        x: Tensor | SparseRows,
        base_samples: Tensor | None = None,
        corrupted: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Terms:
        """The objective's terms of standardized rows.

        `base_samples` (n, k) make a draw of each, (s, n, k) make s. The encoder sees
        `corrupted` rows, where there are any, and the decoder of an ordered code the
        latents for which `mask` (s, 1, k) is one. Sparse rows are for models of which
        `takes_sparse_rows` says so.
        """
        if isinstance(x, SparseRows):
            return sparse_terms(self, x)
        q = self.encode(x, corrupted)
        weights = None
        # A point takes None for base samples.
        z = q.rsample(base_samples)  # type: ignore[arg-type]
        # Networks take (rows, k): draws and prefixes of a row are rows of their own.
        if mask is None or self.ordered is None:
            params = self.decode(z.flatten(0, -2)).unflatten(0, z.shape[:-1])
        else:
            params = self.ordered.decode_prefixes(self, z, mask)
            weights = self.ordered.weights_of(mask)
        log_likelihood = self.log_likelihood(params, x)
        prior = self.current_prior()
        terms = Terms(log_likelihood, params, z, q, prior, mask, weights)
        if self.penalty is None:
            return terms
        return terms._replace(penalty=self.penalty(self, x, terms))

    def current_prior(self) -> Prior | None:
        """The prior under the encoder as it is now."""
        if self.prior is None:
            return None
        # Posteriors of a model with a prior are distributions.
        return self.prior.given(cast(Callable[[Tensor], DiagonalNormal], self.encode))

    def encode_variational(self, x: Tensor) -> tuple[DiagonalNormal, Prior]:
        """Posterior of the code, and the prior, of a variational model."""
        q, prior = self.encode(x), self.current_prior()
        assert isinstance(q, DiagonalNormal) and prior is not None
        return q, prior

    def best_code(self, x: Tensor, n_steps: int = 0) -> Tensor:
        """The encoder's mean code, refined by steps through the decoder."""
        x = self.complete(x)
        if n_steps and self.refiner is not None:
            return self.refiner.refine(self, x, n_steps)
        return self.encode(x).mean

    def reconstruct(self, z: Tensor, mask: Tensor | None = None) -> Tensor:
        """The decoder's mean in data units."""
        return self.units.to_data(self.likelihood.mean(self.decode(z, mask)))
