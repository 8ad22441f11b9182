"""Operations that ONNX or its runtime lacks, written by those that it has.

`DECOMPOSITIONS` is what ``torch.export`` takes: from an operation of torch to a
function that computes it. All compute in float64, and are exact to a few units in its
last place, where the runtime has no other way.
"""

import math
from functools import reduce

import numpy as np
import torch
from numpy.polynomial import Chebyshev, Polynomial
from scipy import special
from torch import Tensor

aten = torch.ops.aten

# Degree of the polynomial in erfcx: a relative error of 1e-12.
_DEGREE = 18

# Steps of the recurrence of the gamma function: Stirling's series is exact beyond.
_SHIFT = 8


def _log_erfcx_over_t(t):
    """Smooth on [0, 1], unlike erfcx itself."""
    t = np.maximum(t, 1e-12)  # its limit is as near
    return np.log(special.erfcx(2 / t - 2) / t)


# Of powers of 2 t - 1, the highest first.
_COEFFICIENTS = (
    Chebyshev.interpolate(_log_erfcx_over_t, _DEGREE, [0, 1])
    .convert(kind=Polynomial, domain=[0, 1], window=[-1, 1])
    .coef[::-1]
    .tolist()
)


def erfcx(x: Tensor) -> Tensor:
    """The scaled complementary error function, ``exp(x^2) erfc(x)``."""
    size = x.double().abs()
    t = 2 / (2 + size)
    value = t * _polynomial(2 * t - 1).exp()
    return torch.where(x < 0, 2 * size.square().exp() - value, value).to(x.dtype)


def _polynomial(t: Tensor) -> Tensor:
    return reduce(lambda value, c: value * t + c, _COEFFICIENTS, torch.zeros_like(t))


def erf(x: Tensor) -> Tensor:
    """The error function; the runtime has it in float32 alone."""
    size = x.double().abs()
    return (x.sign() * (1 - (-size.square()).exp() * erfcx(size))).to(x.dtype)


def lgamma(x: Tensor) -> Tensor:
    """Logarithm of the gamma function of positive numbers."""
    small = x.double()
    shifted = small + _SHIFT
    # Gamma(x) = Gamma(x + 8) / (x (x + 1) ... (x + 7))
    log_factors = reduce(torch.mul, (small + i for i in range(_SHIFT))).log()
    inverse = 1 / shifted
    square = inverse.square()
    # Stirling's series, to rounding from 8 on.
    series = 1 / 1260 + square * (-1 / 1680 + square / 1188)
    series = inverse * (1 / 12 + square * (-1 / 360 + square * series))
    half_log = 0.5 * math.log(2 * math.pi)
    stirling = (shifted - 0.5) * shifted.log() - shifted + half_log + series
    return (stirling - log_factors).to(x.dtype)


def softplus(x: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """``log(1 + exp(x))``; the runtime has it in float32 alone."""
    if x.dtype == torch.float32:
        return NotImplemented
    return (x.clamp(min=0) * beta + log1p((-(x * beta).abs()).exp())) / beta


def log1p(x: Tensor) -> Tensor:
    """``log(1 + x)`` with the digits of a small `x`."""
    # The rounding of 1 + x is known, and cancels to first order (Kahan).
    y = 1 + x
    return y.log() - ((y - 1) - x) / y


def logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """``log(exp(a) + exp(b))`` where both exponentials underflow, too."""
    return torch.maximum(a, b) + log1p((-(a - b).abs()).exp())


def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """``A^-1 B`` of triangular matrices, by substitution."""
    if not left or unitriangular:
        return NotImplemented
    A, n = A.to(B.dtype), A.shape[-1]
    rows: list[Tensor] = []
    for j in reversed(range(n)) if upper else range(n):
        row = B[..., j : j + 1, :] / A[..., j : j + 1, j : j + 1]
        B = B - A[..., :, j : j + 1] @ row
        rows.append(row)
    return torch.cat(rows[::-1] if upper else rows, -2)


DECOMPOSITIONS = {
    aten.erf.default: erf,
    aten.special_erfcx.default: erfcx,
    aten.lgamma.default: lgamma,
    aten.softplus.default: softplus,
    aten.log1p.default: log1p,
    aten.logaddexp.default: logaddexp,
    aten.linalg_solve_triangular.default: solve_triangular,
}
