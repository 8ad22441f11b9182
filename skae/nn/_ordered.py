"""Latents in the order of their importance: prefixes of a code that are codes.

Each row is decoded from several prefixes of its code in each step: one size of each
octave. So the first latents serve every size, and each further one adds the most to
those before it. The decoder is told which latents it sees.

References
----------
Rippel, O., Gelbart, M. and Adams, R. (2014). Learning ordered representations with
nested dropout. ICML.
"""

import copy
import math

import torch
from torch import Tensor, nn

from skae.nn._model import LatentModel
from skae.nn._posteriors import Point
from skae.nn.architectures import Body

# Least share of the variance that a size is thought to leave, when it is weighed.
_LEAST_LEFT = 1e-3

# Smallest power of PCA's errors that weighs those of the sizes, and how far apart the
# weights of the first and the last are where a power of one at most allows it.
_POWER, _SPAN = 0.4, 3.5


def random_prefixes(k: int, generator: torch.Generator) -> Tensor:
    """Masks (s, 1, k) of the first latents, ones and zeros.

    A size of each octave 1, 2, 3-4, 5-8 and so on up to k: every second time the
    largest, otherwise any. And k itself, the code that most users take.
    """
    device = generator.device
    n_octaves = (k - 1).bit_length() + 1
    tops = torch.tensor([min(2**i, k) for i in range(n_octaves)], device=device)
    bottoms = torch.cat([tops.new_ones(1), tops[:-1] + 1])
    is_top, share = torch.rand(2, n_octaves, generator=generator, device=device)
    sizes = bottoms + (share * (tops - bottoms + 1)).long()
    sizes = torch.where(is_top < 0.5, tops, sizes)
    sizes = torch.cat([sizes, tops[-1:]])
    ranks = torch.arange(1, k + 1, device=device)
    return (ranks <= sizes[:, None, None]).float()


def set_sizes(model: LatentModel, variances: Tensor, unexplained: float) -> None:
    """Set what an ordered model makes of its sizes, from what PCA of these leaves.

    `variances` lie on the axes of the start, and `unexplained` is the share that all of
    them leave. Errors are weighed by a power of PCA's: neither do those of the small
    codes, which are large, speak alone, nor those of the large codes. Where PCA's fall
    slowly, those of the trained codes fall faster, and the power is larger.
    """
    left = torch.zeros(model.n_components, dtype=torch.float64)
    total = variances.sum() / max(1 - unexplained, _LEAST_LEFT)
    left[: len(variances)] = (variances.sum() - variances.cumsum(0)) / total
    left = (left + unexplained).clamp(min=_LEAST_LEFT)
    model.unexplained = float(left.log().mean().exp().sqrt())
    if model.latent is Point:  # a likelihood weighs errors by itself
        spread = left[0] / left[-1]
        power = (math.log(_SPAN) / spread.log()).clamp(_POWER, 1.0)
        weights = (left[-1] / left) ** power
        model.size_weights = weights.to(model.size_weights)


class FirstParams(Body):
    """An encoder body's outputs for the first latents."""

    def __init__(self, body: nn.Module, n_from: int, n_to: int):
        super().__init__()
        self.body, self.n_from, self.n_to = body, n_from, n_to
        _take_traits(self, body)

    @property
    def output(self) -> nn.Module:
        return self.body.output

    def forward(self, x: Tensor) -> Tensor:
        params = self.body(x).unflatten(-1, (-1, self.n_from))
        return params[..., : self.n_to].flatten(-2)

    def hidden_values(self, x: Tensor) -> list[Tensor]:
        return self.body.hidden_values(x)


class FirstLatents(Body):
    """A decoder body whose further latents are missing."""

    def __init__(self, body: nn.Module, n_from: int, n_to: int):
        super().__init__()
        self.body, self.n_missing = body, n_from - n_to
        _take_traits(self, body)

    @property
    def output(self) -> nn.Module:
        return self.body.output

    def forward(self, z: Tensor) -> Tensor:
        return self.body(self._with_missing(z))

    def hidden_values(self, x: Tensor) -> list[Tensor]:
        return self.body.hidden_values(self._with_missing(x))

    def _with_missing(self, z: Tensor) -> Tensor:
        latents, is_kept = z.chunk(2, -1)
        missing = z.new_zeros(*latents.shape[:-1], self.n_missing)
        return torch.cat([latents, missing, is_kept, missing], -1)


def _take_traits(wrapper: Body, body: Body) -> None:
    for name in ("half_precision", "n_reused", "n_kept", "hidden_widths"):
        setattr(wrapper, name, getattr(body, name))


@torch.no_grad()
def truncated(model: LatentModel, k: int) -> LatentModel:
    """`model`, which is ordered, with the first `k` latents alone; bodies are shared.

    The linear start beside it keeps the law of each feature: what its further latents
    explained is noise.
    """
    short = copy.copy(model)
    short._modules, short._buffers = dict(model._modules), dict(model._buffers)
    n_from, short.n_components = model.n_components, k
    short.spine = copy.deepcopy(model.spine)
    spine, n_code_params = short.spine, model.latent.n_params
    spine.encode_weight = _first(spine.encode_weight[:k])
    bias = spine.encode_bias.view(n_code_params, n_from)[:, :k]
    spine.encode_bias = _first(bias.flatten())
    spine.decode_weight = _first(spine.decode_weight[:, :k])
    if model.encoder is not None:
        short.encoder = FirstParams(model.encoder, n_from, k)
    if model.decoder is not None:
        short.decoder = FirstLatents(model.decoder, n_from, k)
    short.code_scale = model.code_scale[:k]
    short.size_weights = model.size_weights[:k]
    short.information = model.information[:, :k]
    if len(model.size_fills) >= k:
        short.share_of_missing, short.spread_of_missing = model.size_fills[k - 1]
    short.penalty = None
    if model.prior is not None:
        short.prior = type(model.prior)(k).to(model.shift)
    if model.metric is not None:
        short.metric = _inverse(_inverse(model.metric)[:k, :k])
    if model.size_noises is not None:
        short.likelihood = copy.deepcopy(model.likelihood)
        short.likelihood.set_noise(model.size_noises[k - 1])
        if model.latent is not Point:
            ratio = (model.size_noises[-1] / model.size_noises[k - 1]).log().mean()
            short.noise_ratio = model.noise_ratio * min(float(ratio.exp()), 1.0)
        short.size_noises = model.size_noises[:k]
    if model.start is not None:
        short.start = truncated(model.start, k)
    return short


def _inverse(metric: Tensor) -> Tensor:
    """Zeros, where nothing is known, stay."""
    return torch.linalg.inv(metric) if metric.any() else metric


def _first(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.clone(), requires_grad=weight.requires_grad)
