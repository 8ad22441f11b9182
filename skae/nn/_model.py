"""The model of every estimator: a linear spine and a learned remainder.

.. math:: z = A (x - m) + f(x), \\qquad \\hat x = m + B z + g(z)

`A`, `B` and `m` are the spine; an architecture supplies the bodies `f` and `g`. All
methods work on tensors and return one value per row.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skae.nn._linear import linear
from skae.nn._missing_normal import NormalLaw, mean_of_observed
from skae.nn._outputs import Terms
from skae.nn._posteriors import DiagonalNormal, Point
from skae.nn._precision import single
from skae.nn._refinement import project
from skae.nn._spread import as_drawn
from skae.nn.priors import Normal

# Numbers that the rows of one call may keep, 256 MiB in float32.
_MOST_KEPT = 2**26


class Spine(nn.Module):
    """The linear part of a model: ``z = A x + a`` and ``x^ = B z + b``.

    The weights make the first outputs, means, of each side; the biases all of them.
    """

    def __init__(
        self, n_features: int, n_components: int, n_code_params: int, n_data_params: int
    ):
        super().__init__()
        self.encode_weight = nn.Parameter(torch.zeros(n_components, n_features))
        self.encode_bias = nn.Parameter(torch.zeros(n_components * n_code_params))
        self.decode_weight = nn.Parameter(torch.zeros(n_features, n_components))
        self.decode_bias = nn.Parameter(torch.zeros(n_features * n_data_params))


class LatentModel(nn.Module):
    """Encoder, decoder and the distributions between them.

    Parameters
    ----------
    n_features, n_components : int
        Sizes d of a row and k of its code.
    bodies : pair of nn.Module or None
        `f`, from (n, d) to (n, k * latent.n_params), and `g`, from (n, k) to
        (n, d * likelihood.n_params). None is a zero map. Of an ordered model, `g` is
        from (n, 2 k): latents, and ones for those that are there.
    latent : type
        `Point` or `DiagonalNormal`.
    likelihood, prior : nn.Module
        From their registries.
    is_ordered : bool
        Whether prefixes of a code are codes as well.
    """

    def __init__(
        self,
        n_features: int,
        n_components: int,
        bodies: tuple[nn.Module | None, nn.Module | None],
        latent: type[Point] | type[DiagonalNormal],
        likelihood: nn.Module,
        prior: nn.Module,
        is_ordered: bool = False,
    ):
        super().__init__()
        self.n_features, self.n_components = n_features, n_components
        self.latent, self.likelihood, self.prior = latent, likelihood, prior
        self.spine = Spine(
            n_features, n_components, latent.n_params, likelihood.n_params
        )
        self.encoder, self.decoder = bodies
        self.is_ordered = is_ordered
        # Root of the share of variance that the linear start leaves.
        self.unexplained = 1.0
        # What the objective adds to the loss; whether it, or a noise, asks for more
        # than reconstructions, and for codes that follow the prior.
        self.penalty: nn.Module | None = None
        self.is_plain, self.matches_prior = True, False
        # The start itself, and its share of the density.
        self.start: LatentModel | None = None
        self.start_share = 0.0
        # In float64, so that rows far from zero lose nothing when they are centred.
        zeros = torch.zeros(n_features, dtype=torch.float64)
        self.register_buffer("shift", zeros)
        self.register_buffer("scale", zeros + 1)
        # From the units of the network to those of the likelihood.
        self.register_buffer("target_shift", zeros)
        self.register_buffer("target_scale", zeros + 1)
        self.register_buffer(
            "code_scale", torch.ones(n_components, dtype=torch.float64)
        )
        # Of the steps that refine codes, (k, k); set after training.
        self.register_buffer("metric", None)
        # Of an ordered model: weights (k,) of the losses of each size, and the
        # likelihood's noises (k, m) that suit each, set after training.
        self.register_buffer("size_weights", torch.ones(n_components))
        self.register_buffer("size_noises", None)
        # What completes rows of which cells are missing, and the information (d, k)
        # that a cell has of a latent at the start. After training, the model's own
        # share of what is said of missing cells, and the factors of the spread; of an
        # ordered model those of each size.
        self.law: NormalLaw | None = None
        self.share_of_missing, self.spread_of_missing = 1.0, as_drawn()
        self.size_fills: list[tuple[float, Tensor]] = []
        self.register_buffer("information", torch.zeros(n_features, n_components))
        # Of the variance that the encoder was trained for to that of the likelihood.
        self.noise_ratio = 1.0

    @property
    def n_weights(self) -> int:
        """Number of weights that training moves."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    @property
    def bodies(self) -> list[nn.Module]:
        """Those that are not zero maps."""
        return [body for body in (self.encoder, self.decoder) if body is not None]

    @property
    def is_linear_point(self) -> bool:
        """Whether this is the linear autoencoder: its loss has one minimum, and what
        fits the rows fits others."""
        return self.latent is Point and not self.bodies

    @property
    def n_products(self) -> int:
        """Multiply-adds of a row, about: one for each weight, more where it is used
        again at other positions."""
        return self.n_weights + sum(getattr(b, "n_reused", 0) for b in self.bodies)

    def rows_at_once(self, most: int) -> int:
        """How many rows, at most `most`, leave memory for what bodies keep of them."""
        n_kept = sum(getattr(body, "n_kept", 0) for body in self.bodies)
        return max(1, min(most, _MOST_KEPT // max(n_kept, 1)))

    def train(self, mode: bool = True) -> "LatentModel":
        """Batch normalisation, which would mix rows, keeps its stored statistics, as
        when a pretrained network is fine-tuned."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def keep_start(self, share: float) -> None:
        """Keep a frozen copy of the spine as it is: `share` of the density.

        What the bodies say of a row unlike all that they were trained on has no limit.
        In a mixture with the linear density it has: that of the linear one, less the
        logarithm of the share (Hesterberg, 1995, on defensive mixtures).
        """
        self.start = None
        start = copy.deepcopy(self).requires_grad_(False)
        start.encoder = start.decoder = start.penalty = None
        start.prior = Normal(self.n_components).to(self.shift.device)
        self.start, self.start_share = start, share

    def set_scale(self, X: Tensor) -> None:
        """Take the centre, and one scale for all features that the likelihood treats
        alike, from rows in float64."""
        self.shift = mean_of_observed(X, 0)
        self.scale = torch.ones_like(self.shift)
        for columns in self.likelihood.scale_groups():
            self.scale[columns] = _common_scale(X[:, columns], self.shift[columns])
        is_scaled = self.likelihood.scaled_features.to(X.device)
        self.target_scale = self.scale.where(~is_scaled, 1.0)
        self.target_shift = self.shift.where(~is_scaled, 0.0)

    @property
    def data_scale(self) -> Tensor:
        """From the units of the likelihood to those of the data, (d,)."""
        return self.scale / self.target_scale

    def standardize(self, X: Tensor) -> Tensor:
        """Rows as the network sees them: centred and scaled."""
        x = (X.to(self.shift.dtype) - self.shift) / self.scale
        return x.to(X.dtype)

    def complete(self, x: Tensor) -> Tensor:
        """Standardized rows without missing cells."""
        return x if self.law is None else self.law.complete(x)

    def encode(self, x: Tensor, seen: Tensor | None = None) -> Point | DiagonalNormal:
        """What standardized rows say of their codes; `seen` is what the network is
        given in their place."""
        spine = self.spine
        seen = self.complete(x) if seen is None else seen
        seen = seen.to(spine.encode_weight.dtype)
        params = _sum(self.encoder, seen, spine.encode_weight, spine.encode_bias)
        q = self.latent.from_params(params)
        if self.noise_ratio != 1:
            q = q.under_noise(self.noise_ratio)
        if self.law is None or self.latent is Point:
            return q
        return q.widened(self._lost_precision(x))

    def _lost_precision(self, x: Tensor) -> Tensor:
        """Precision (n, k) of the latents at the start, were rows complete, to that
        given their observed cells."""
        is_observed = (~x.isnan()).to(self.information)
        return (1 + self.information.sum(0)) / (1 + is_observed @ self.information)

    def decode(self, z: Tensor, is_kept: Tensor | None = None) -> Tensor:
        """Parameters of the likelihood, (n, d * n_params), of the latents for which
        `is_kept` (n, k) is one; of all without it."""
        weight, bias = self.spine.decode_weight, self.spine.decode_bias
        z = self._decoder_input(z, is_kept)
        if self.is_ordered:
            weight = F.pad(weight, (0, self.n_components))
        return _sum(self.decoder, z, weight, bias)

    def _decoder_input(self, z: Tensor, is_kept: Tensor | None = None) -> Tensor:
        z = z.to(self.spine.decode_weight.dtype)
        if not self.is_ordered:
            return z
        is_kept = torch.ones_like(z) if is_kept is None else is_kept.to(z.dtype)
        return torch.cat([z * is_kept, is_kept], -1)

    def log_likelihood(self, params: Tensor, x: Tensor) -> Tensor:
        x = self.target(x)
        if params.ndim > x.ndim:  # several draws, or prefixes
            x = x.expand(*params.shape[:-1], -1)
        if self.law is None:
            return self.likelihood.log_prob(params, x)
        is_missing = x.isnan()
        log_probs = self.likelihood.log_probs(params, x.masked_fill(is_missing, 0))
        return single(log_probs).masked_fill(is_missing, 0).sum(-1)

    def target(self, x: Tensor) -> Tensor:
        """Standardized rows as the likelihood sees them."""
        if self.likelihood.is_scaled:
            return x
        return x * self.target_scale.to(x.dtype) + self.target_shift.to(x.dtype)

    def refresh(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Standardized rows as a step of the training sees them."""
        if self.likelihood.is_scaled:
            return x
        target = self.target(x)
        refreshed = self.likelihood.refresh(target, generator)
        if self.law is not None:
            refreshed = refreshed.where(~target.isnan(), target)
        target = refreshed
        return (target - self.target_shift.to(x.dtype)) / self.target_scale.to(x.dtype)

    def forward(
        self,
        x: Tensor,
        noise: Tensor | None = None,
        corrupted: Tensor | None = None,
        is_kept: Tensor | None = None,
    ) -> Terms:
        """The objective's terms of standardized rows.

        `noise` (n, k) makes a draw of each, (s, n, k) makes s. The encoder sees
        `corrupted` rows, where there are any, and the decoder of an ordered model the
        latents for which `is_kept` (s, 1, k) is one.
        """
        q = self.encode(x, corrupted)
        z, weights = q.rsample(noise), None
        if is_kept is None:
            params = self.decode(z.flatten(0, -2)).unflatten(0, z.shape[:-1])
        else:
            params = self._decode_prefixes(z, is_kept)
            weights = self.size_weights[is_kept.sum(-1).long() - 1]
        log_likelihood = self.log_likelihood(params, x)
        prior = self.current_prior()
        terms = Terms(log_likelihood, params, z, q, prior, is_kept, weights)
        if self.penalty is None:
            return terms
        return terms._replace(penalty=self.penalty(self, x, terms))

    def _decode_prefixes(self, z: Tensor, is_kept: Tensor) -> Tensor:
        """(s, n, d * n_params)"""
        is_kept = is_kept.expand(-1, len(z), -1)
        all_z = z.expand_as(is_kept).flatten(0, 1)
        return self.decode(all_z, is_kept.flatten(0, 1)).unflatten(0, is_kept.shape[:2])

    def current_prior(self) -> nn.Module | None:
        return None if self.prior is None else self.prior.given(self.encode)

    def best_code(self, x: Tensor, n_steps: int = 0) -> Tensor:
        """The encoder's mean code, refined by steps through the decoder."""
        x = self.complete(x)
        if n_steps and self.metric is not None:
            return project(self, x, n_steps)
        return self.encode(x).mean

    def code(self, x: Tensor, n_steps: int = 0) -> Tensor:
        """The best code in the units that users see."""
        return (self.best_code(x, n_steps) * self.code_scale).to(x.dtype)

    def check_hidden(self) -> None:
        """Raise if a body has no hidden layers to show."""
        for body in self.bodies:
            if getattr(body, "hidden_widths", None) is None:
                raise ValueError(
                    "transform_layers='all' needs fully connected hidden layers, those "
                    f"of architecture='mlp'; {type(body).__name__} has none to show."
                )

    @property
    def n_hidden(self) -> int:
        """Number of values of the hidden layers of both bodies."""
        self.check_hidden()
        return sum(sum(body.hidden_widths) for body in self.bodies)

    def wide_code(self, x: Tensor, n_steps: int = 0) -> Tensor:
        """The code, and the values of the encoder's and the decoder's hidden layers,
        (n, k + n_hidden); the decoder's are those of the code."""
        x = self.complete(x)
        z = self.best_code(x, n_steps)
        values = [z * self.code_scale]
        if self.encoder is not None:
            rows = x.to(self.spine.encode_weight.dtype)
            values += self.encoder.hidden_values(rows)
        if self.decoder is not None:
            values += self.decoder.hidden_values(self._decoder_input(z))
        return torch.cat(values, -1).to(x.dtype)

    def reconstruct(self, code: Tensor) -> Tensor:
        """The decoder's mean in data units."""
        return self.in_data_units(self.likelihood.mean(self._decode_users(code)))

    def draw(self, code: Tensor, generator: torch.Generator) -> Tensor:
        """Rows drawn from the likelihood, in data units."""
        params = self._decode_users(code)
        return self.in_data_units(self.likelihood.sample(params, generator))

    def _decode_users(self, code: Tensor) -> Tensor:
        """Decode codes in the units that users see; one that ends in zeros is a prefix
        of an ordered code."""
        is_kept = None
        if self.is_ordered:
            is_kept = (code != 0).flip(-1).cummax(-1).values.flip(-1)
        return self.decode((code / self.code_scale).to(code.dtype), is_kept)

    def in_data_units(self, x: Tensor) -> Tensor:
        """What the likelihood sees as the data that it stands for."""
        X = x.to(self.shift.dtype) * self.data_scale + (self.shift - self.target_shift)
        return X.to(x.dtype)

    def loss_in_data_units(self, loss: float) -> float:
        log_likelihood = torch.tensor(-loss, dtype=torch.float64)
        in_data_units = self.likelihood.in_data_units
        return -float(in_data_units(log_likelihood, self.data_scale.cpu()))

    def log_loss(self, x: Tensor, n_steps: int = 0) -> Tensor:
        """Minus the loss of each row's reconstruction, in data units."""
        log_likelihood = self.log_likelihood(self.decode(self.best_code(x, n_steps)), x)
        return self.of_data(log_likelihood, x)

    def of_data(self, log_prob: Tensor, x: Tensor) -> Tensor:
        """Log-densities (n,) of standardized rows as those of the data."""
        scale = self.data_scale
        if self.law is not None and self.likelihood.is_density:
            scale = scale.where(~x.isnan(), 1.0)
        return self.likelihood.in_data_units(log_prob, scale)


def frozen(model: LatentModel) -> LatentModel:
    """A copy whose weights take no gradient."""
    return copy.deepcopy(model).requires_grad_(False)


def _common_scale(X: Tensor, shift: Tensor) -> Tensor:
    """Root mean square of centred rows; one where they have no scale."""
    centred = X - shift
    peak = centred.abs().nan_to_num().max()  # its square may overflow, or vanish
    scale = peak * mean_of_observed((centred / peak).square()).sqrt()
    # Rows that differ by rounding alone have none.
    smallest = torch.finfo(X.dtype).eps * X.abs().nan_to_num().max()
    return torch.where(scale > smallest, scale, torch.ones_like(scale))


def _sum(body: nn.Module | None, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``body(x) + bias``, and ``x @ weight.T`` on the first outputs."""
    if getattr(body, "carries_skip", False):
        return body(x, (weight, bias))
    value = F.pad(linear(x, weight), (0, len(bias) - len(weight))) + bias
    return value if body is None else value + body(x)
