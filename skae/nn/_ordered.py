"""Latents in the order of their importance: prefixes of a code that are codes.

Each row is decoded from several prefixes of its code in each step: one size of each
octave. So the first latents serve every size, and each further one adds the most to
those before it. The decoder is given the mask of the latents it sees.

References
----------
Rippel, O., Gelbart, M. and Adams, R. (2014). Learning ordered representations with
nested dropout. ICML.
"""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skae.nn._posteriors import DiagonalNormal, Point
from skae.nn.architectures import Body
from skae.nn.likelihoods import Likelihood

if TYPE_CHECKING:  # it imports this module
    from skae.nn._model import LatentModel

# Fraction of the variance that a size is taken to leave at least, when it is weighted:
# a perfect one would have all the weight.
_MIN_UNEXPLAINED = 1e-3

# Smallest power of PCA's errors that weights those of the sizes, and how far apart the
# weights of the first and the last are where a power of one at most allows it.
_POWER, _SPAN = 0.4, 3.5


class OrderedCode(nn.Module):
    """Learned numbers of an ordered code for each of its sizes 1, 2, ..., k.

    Parameters
    ----------
    n_components : int
    n_noises : int
        Number of noise scales of the likelihood.

    Attributes
    ----------
    loss_weights : Tensor of shape (k,)
        Of the losses of each size in training.
    noises : Tensor of shape (k, n_noises)
        The likelihood's noise scales that suit each size; set after training.
    noise_ratio : Tensor of shape ()
        Noise variance that the encoder was trained for, over the likelihood's.
    """

    loss_weights: Tensor
    noises: Tensor
    noise_ratio: Tensor

    def __init__(self, n_components: int, n_noises: int):
        super().__init__()
        self.register_buffer(
            "loss_weights", torch.ones(n_components, dtype=torch.float32)
        )
        noises = torch.ones(n_components, n_noises, dtype=torch.float64)
        self.register_buffer("noises", noises)
        self.register_buffer("noise_ratio", torch.ones((), dtype=torch.float64))

    def with_mask(self, z: Tensor, mask: Tensor | None) -> Tensor:
        """Input (n, 2 k) of the decoder: latents, and ones for those that are there."""
        # With the mask a latent of value zero differs from one that is missing.
        mask = torch.ones_like(z) if mask is None else mask.to(z.dtype)
        return torch.cat([z * mask, mask], -1)

    def padded(self, weight: Tensor) -> Tensor:
        """The skip's weight (d, 2 k) for such an input."""
        return F.pad(weight, (0, weight.shape[1]))

    def adjusted(self, q: Point | DiagonalNormal, x: Tensor) -> Point | DiagonalNormal:
        """The posterior under the noise of this size."""
        if not isinstance(q, DiagonalNormal):
            return q
        return q.with_likelihood_variance(self.noise_ratio.to(q.mean.dtype))

    def weights_of(self, mask: Tensor) -> Tensor:
        """Weights (s, 1) of the losses of prefixes (s, 1, k)."""
        # The number of ones is the size of the prefix.
        return self.loss_weights[mask.sum(-1).long() - 1]

    def decode_prefixes(self, model: "LatentModel", z: Tensor, mask: Tensor) -> Tensor:
        """Parameters (s, n, d * n_params) of the likelihood, for each prefix."""
        # (s, n, k), then (s * n, k): each prefix of a row is a row of the decoder
        mask = mask.expand(-1, len(z), -1)
        all_z = z.expand_as(mask).flatten(0, 1)
        return model.decode(all_z, mask.flatten(0, 1)).unflatten(0, mask.shape[:2])

    @torch.no_grad()
    def weight_sizes(
        self, variances: Tensor, unexplained: float, *, is_error: bool
    ) -> float:
        """Set the weights of the sizes from what PCA of these leaves, and return the
        geometric mean of that.

        `variances` lie on the axes of the initial model, and `unexplained` is the
        fraction that all of them leave. Errors are weighted by a power of PCA's, so
        that neither the small codes, whose errors are large, decide alone, nor the
        large ones. Where PCA's errors fall slowly, those of the trained codes fall
        faster, and the power is larger. A likelihood, no `is_error`, weights errors by
        its noise.
        """
        left = torch.zeros(len(self.loss_weights), dtype=torch.float64)
        # The variance of the rows, on these axes and beyond them.
        total = variances.sum() / max(1 - unexplained, _MIN_UNEXPLAINED)
        # Fraction of the variance that the first j axes leave, j = 1, ..., k.
        left[: len(variances)] = (variances.sum() - variances.cumsum(0)) / total
        left = (left + unexplained).clamp(min=_MIN_UNEXPLAINED)
        if is_error:
            self._set_weights(left)
        return float(left.log().mean().exp())

    def _set_weights(self, left: Tensor) -> None:
        # The power with which the weights of the first and the last size differ by the
        # factor `_SPAN`; the last one has the weight one.
        ratio = left[0] / left[-1]
        power = (math.log(_SPAN) / ratio.log()).clamp(_POWER, 1.0)
        self.loss_weights.copy_((left[-1] / left) ** power)

    def first(self, k: int) -> "OrderedCode":
        """The numbers of the sizes up to `k`; its encoder was trained for the noise of
        all sizes together."""
        short = OrderedCode(k, self.noises.shape[1]).to(self.noises.device)
        short.loss_weights.copy_(self.loss_weights[:k])
        short.noises.copy_(self.noises[:k])
        ratio = self.noise_ratio
        if self.noises.shape[1]:
            # Fewer latents leave more noise; the encoder's posterior is then too
            # narrow.
            change = (self.noises[-1] / self.noises[k - 1]).log().mean().exp()
            ratio = ratio * change.clamp(max=1.0)
        short.noise_ratio.copy_(ratio)
        return short


def random_prefixes(k: int, generator: torch.Generator) -> Tensor:
    """Masks (s, 1, k) of the first latents, ones and zeros.

    A size of each octave 1, 2, 3-4, 5-8 and so on up to k: every second time the
    largest, otherwise any. And k itself, the code that most users take.
    """
    device = generator.device
    # The largest sizes of the octaves are 1, 2, 4, ..., k.
    n_octaves = (k - 1).bit_length() + 1
    tops = torch.tensor([min(2**i, k) for i in range(n_octaves)], device=device)
    bottoms = torch.cat([tops.new_ones(1), tops[:-1] + 1])
    # An octave begins one above the largest size of the octave before.
    is_top, position = torch.rand(
        2, n_octaves, generator=generator, device=device, dtype=torch.float32
    )
    sizes = bottoms + (position * (tops - bottoms + 1)).long()
    sizes = torch.where(is_top < 0.5, tops, sizes)
    sizes = torch.cat([sizes, tops[-1:]])
    # (s, 1, 1) against (k,): ones up to the size of each prefix
    ranks = torch.arange(1, k + 1, device=device)
    return (ranks <= sizes[:, None, None]).float()


@torch.no_grad()
def truncated(model: "LatentModel", k: int) -> "LatentModel":
    """`model`, whose code is ordered, with the first `k` latents alone; networks are
    shared.

    The initial model beside it keeps the distribution of each feature: what its further
    latents explained is noise.
    """
    if k == model.n_components:
        return model
    parts: dict[str, nn.Module | None] = {}
    wrappers: dict[str, Any] = {"encoder": FirstParams, "decoder": FirstLatents}
    for name, wrapper in wrappers.items():
        body, n_from = getattr(model, name), model.n_components
        if isinstance(body, wrapper):  # of a model that was truncated before
            body, n_from = body.body, body.n_from
        parts[name] = None if body is None else wrapper(body, n_from, k)
    for name in ("units", "skip", "ordered", "imputer", "initial", "refiner"):
        part = getattr(model, name)
        parts[name] = None if part is None else part.first(k)
    assert model.ordered is not None
    parts["likelihood"] = likelihood_of_size(model.likelihood, model.ordered.noises, k)
    parts["prior"] = None if model.prior is None else model.prior.first(k)
    short = model.replaced(**parts, penalty=None)
    config = model.config() | {"n_components": k, "penalty": None}
    if config.get("prior"):
        params = config["prior"]["params"] | {"n_components": k}
        config["prior"] = config["prior"] | {"params": params}
    short._config = config
    return short


def likelihood_of_size(likelihood: Likelihood, noises: Tensor, k: int) -> Likelihood:
    """A copy of `likelihood` with the noise that suits codes of `k` latents."""
    short = likelihood.copy()
    if likelihood.n_noises:
        short.set_noise(noises[k - 1])
    return short


class FirstParams(Body):
    """An encoder body's outputs for the first latents."""

    def __init__(self, body: Body, n_from: int, n_to: int):
        super().__init__()
        self.body, self.n_from, self.n_to = body, n_from, n_to
        _take_traits(self, body)

    @property  # and no second name: a state holds each parameter once
    def output(self) -> nn.Module:  # type: ignore[override]
        return self.body.output

    def forward(self, x: Tensor) -> Tensor:
        # (n, n_params, n_from): blocks of means, and of log standard deviations
        params = self.body(x).unflatten(-1, (-1, self.n_from))
        return params[..., : self.n_to].flatten(-2)

    def hidden_values(self, x: Tensor) -> list[Tensor]:
        return self.body.hidden_values(x)


class FirstLatents(Body):
    """A decoder body whose further latents are missing."""

    def __init__(self, body: Body, n_from: int, n_to: int):
        super().__init__()
        self.body, self.n_from, self.n_missing = body, n_from, n_from - n_to
        _take_traits(self, body)

    @property  # and no second name: a state holds each parameter once
    def output(self) -> nn.Module:  # type: ignore[override]
        return self.body.output

    def forward(self, z: Tensor) -> Tensor:
        return self.body(self._with_missing(z))

    def hidden_values(self, x: Tensor) -> list[Tensor]:
        return self.body.hidden_values(self._with_missing(x))

    def _with_missing(self, z: Tensor) -> Tensor:
        # Missing latents have zeros for their values and in the mask.
        latents, mask = z.chunk(2, -1)
        missing = z.new_zeros(*latents.shape[:-1], self.n_missing)
        return torch.cat([latents, missing, mask, missing], -1)


def _take_traits(wrapper: Body, body: Body) -> None:
    for name in ("half_precision", "n_reused", "n_kept", "hidden_widths"):
        setattr(wrapper, name, getattr(body, name))
