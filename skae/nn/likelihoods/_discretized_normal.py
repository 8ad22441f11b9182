"""Whole numbers within a range, by a normal distribution over unit intervals."""

import math

import torch
from torch import Tensor, nn

from skae.nn._outputs import to_float32
from skae.nn._random import uniform_like
from skae.nn.likelihoods._base import LARGEST_WHOLE, Likelihood, is_whole

# Smallest standard deviation, in units of the data: all but 1e-6 of the mass is then on
# one whole number, and less would leave no gradient.
_MIN_STD = 0.1

# Width of an interval, in standard deviations, times its distance from the mean, below
# which its mass is by the density in its middle: a difference of the distribution
# function would be rounding in float32.
_NARROW = 0.01

# Standard deviations from the range beyond which probabilities underflow in float64.
_MAX_DISTANCE = 30.0


class DiscretizedNormal(Likelihood):
    """Independent whole numbers: a normal distribution integrated over unit intervals.

    .. math:: p(x | \\mu) = \\frac{\\Phi(b_x) - \\Phi(a_x)}{\\Phi(B) - \\Phi(A)},
              \\quad a_x, b_x = \\frac{x \\mp 1/2 - \\mu}{s}

    Each feature has a learned scale :math:`s` and lies in the range of its training
    rows, from `l` to `h`. The normal distribution ends at `A` and `B`: learned margins
    beyond :math:`l - 1/2` and :math:`h + 1/2`, whose mass belongs to `l` and `h`. So it
    may be truncated, and as flat as a uniform one, or censored, with a heap at an end.
    A number beyond the range has the weight of one row among those of the training, and
    is never drawn.

    Attributes
    ----------
    loc, scale : Tensor of shape (d,)
        Mean and standard deviation of the features, the units of the parameters.
    lowest, highest : Tensor of shape (d,)
        The range.
    weight_outside : Tensor of shape ()
        Of numbers beyond the range.
    """

    support = "whole numbers, up to 2**53"

    loc: Tensor
    scale: Tensor
    lowest: Tensor
    highest: Tensor
    weight_outside: Tensor

    def __init__(self, n_features: int):
        super().__init__(n_features)
        self.log_std = nn.Parameter(torch.zeros(n_features))  # in units of the scale
        # (2, d), below and above. One standard deviation is between the two extremes.
        self.log_margins = nn.Parameter(torch.zeros(2, n_features))
        # In float64: numbers of nine digits are exact.
        for name, value in (
            ("loc", 0.0),
            ("scale", 1.0),
            ("lowest", -LARGEST_WHOLE),
            ("highest", LARGEST_WHOLE),
        ):
            values = torch.full((n_features,), value, dtype=torch.float64)
            self.register_buffer(name, values)
        self.register_buffer("weight_outside", torch.tensor(0.5, dtype=torch.float64))

    @property
    def std(self) -> Tensor:
        """Standard deviation (d,) of the normal distribution, in units of the scale."""
        smallest = (_MIN_STD / self.scale).to(self.log_std.dtype)
        return ((2 * self.log_std).exp() + smallest.square()).sqrt()

    def log_probs(self, params: Tensor, x: Tensor) -> Tensor:
        params, std = to_float32(params), self.std
        start, end = self._ends()
        # Ends of each number's interval, in units of the scale around its middle.
        lowest, highest, half = self._scaled(x.dtype)
        middle = (x - self.loc.to(x.dtype)) / self.scale.to(x.dtype)
        below, above = middle < lowest - half, middle > highest + half
        is_first = (middle < lowest + half) & ~below
        is_last = (middle > highest - half) & ~above
        # The width is given, as that of many numbers is rounding beside the middle.
        width = 2 * half + (lowest - half - start) * is_first
        width = width + (end - highest - half) * is_last
        middle = torch.where(is_first, start + width / 2, middle)
        middle = torch.where(is_last, end - width / 2, middle)
        log_mass = _log_mass((middle - params) / std, width / std)
        log_total = self._log_mass_between(start, end, params, std)
        weight = self.weight_outside.to(x.dtype)
        log_inside = (-weight).log1p() - log_total
        return log_mass + torch.where(below | above, weight.log(), log_inside)

    def mean(self, params: Tensor) -> Tensor:
        """Means before numbers are rounded: within 0.05 of the exact ones, unless
        nearly all of the mass is on one number."""
        values, std, start, end = self._exact(params)
        lowest, highest, _ = self._scaled(values.dtype)
        log_total = self._log_mass_between(start, end, values, std)

        def fraction(a, b):
            return (self._log_mass_between(a, b, values, std) - log_total).exp()

        def density(end):
            log_density = -0.5 * ((end - values) / std).square()
            return (log_density - 0.5 * math.log(2 * math.pi) - log_total).exp()

        # Of a normal distribution cut off at both ends, and of what lies beyond.
        inner = values * fraction(lowest, highest)
        inner = inner + std * (density(lowest) - density(highest))
        mean = (
            inner + lowest * fraction(start, lowest) + highest * fraction(highest, end)
        )
        mean = torch.minimum(torch.maximum(mean, lowest), highest)
        return (mean * self.scale + self.loc).to(params.dtype)

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        # By the inverse distribution function.
        values, std, start, end = self._exact(params)
        a, b = (start - values) / std, (end - values) / std
        # Intervals above the mean are mirrored: probabilities near one lose digits.
        is_above = a + b > 0
        low, high = (torch.where(is_above, -y, x) for x, y in ((a, b), (b, a)))
        # By the logarithm: `ndtr` itself is zero from 9 standard deviations on.
        low, high = (torch.special.log_ndtr(x).exp() for x in (low, high))
        uniform = uniform_like(values, generator)
        z = torch.special.ndtri(low + uniform * (high - low))
        z = torch.where(is_above, -z, z)
        drawn = ((values + std * z) * self.scale + self.loc).round()
        drawn = torch.minimum(torch.maximum(drawn, self.lowest), self.highest)
        return drawn.to(params.dtype)

    def _exact(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Parameters (n, d), which are no farther from the range than probabilities
        can be computed, standard deviations and ends (d,), in float64."""
        std, (start, end) = self.std.double(), (x.double() for x in self._ends())
        reach = _MAX_DISTANCE * std
        values = torch.minimum(
            torch.maximum(params.double(), start - reach), end + reach
        )
        return values, std, start, end

    def contains(self, X: Tensor) -> Tensor:
        return is_whole(X)

    @torch.no_grad()
    def set_range(self, lowest: Tensor, highest: Tensor) -> None:
        self.lowest.copy_(lowest)
        self.highest.copy_(highest)

    @torch.no_grad()
    def set_noise_variance(self, variance: Tensor | float) -> None:
        variance = torch.as_tensor(variance, dtype=torch.float64)
        self.log_std.copy_(0.5 * variance.log())

    @torch.no_grad()
    def init_params(
        self, mean: Tensor, variance: Tensor, n_rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Standardized deviations, which are the parameters themselves."""
        scale = variance.sqrt().clamp(min=_MIN_STD)
        self.loc.copy_(mean)
        self.scale.copy_(scale)
        self.weight_outside.fill_(1 / (n_rows + 1))
        return torch.zeros_like(mean), 1 / scale, torch.ones_like(mean)

    def _scaled(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Range, and half the width of an interval, in units of the scale, (d,)."""
        lowest, highest = (
            (x - self.loc) / self.scale for x in (self.lowest, self.highest)
        )
        return lowest.to(dtype), highest.to(dtype), (0.5 / self.scale).to(dtype)

    def _ends(self) -> tuple[Tensor, Tensor]:
        """Where the normal distribution ends, in units of the scale, (d,)."""
        margins = self.log_margins.exp()
        lowest, highest, half = self._scaled(margins.dtype)
        return lowest - half - margins[0], highest + half + margins[1]

    @staticmethod
    def _log_mass_between(start: Tensor, end: Tensor, mean: Tensor, std: Tensor):
        return _log_mass(((start + end) / 2 - mean) / std, (end - start) / std)


def _log_mass(middle: Tensor, width: Tensor) -> Tensor:
    """Logarithm of the standard normal mass of intervals, however far out."""
    # On the left, where the distribution function keeps its digits.
    middle = -middle.abs()
    is_narrow = width * (1 - middle) < _NARROW
    # Values in place of those of branches that are not taken: gradients must be finite
    # there as well.
    narrow, wide = width.where(is_narrow, _NARROW), width.where(~is_narrow, 1.0)
    square, upper = middle.square(), middle + wide / 2
    # The density's expansion to second order, integrated.
    by_density = narrow.log() - 0.5 * (math.log(2 * math.pi) + square)
    by_density = by_density + narrow.square() * (square - 1) / 24
    # Over zero: a sum of two positive terms.
    is_over_zero, root = upper > 0, 2**-0.5
    end = upper.where(is_over_zero, 1.0)
    over_zero = ((end * root).erf() - ((middle - wide / 2) * root).erf()).log()
    # In the tail: scaled by the density at the end, exp(-end^2 / 2).
    end = upper.clamp(max=0)
    tail = torch.special.erfcx(-end * root)
    beyond = torch.special.erfcx((wide - end) * root)
    tail = tail - beyond * (wide * (end - wide / 2)).exp()
    in_tail = tail.log() - 0.5 * end.square()
    by_difference = torch.where(is_over_zero, over_zero, in_tail) - math.log(2)
    return torch.where(is_narrow, by_density, by_difference)
