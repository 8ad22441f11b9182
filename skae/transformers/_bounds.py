"""Ranges of the values that a model fills in or draws."""

import numpy as np
import torch
from torch import Tensor

from skae.data._arrays import as_tensor, like
from skae.nn._units import Units


def make_bounds(bounds, units: Units) -> tuple[Tensor, Tensor] | None:
    """Lowest and highest values, (d,), float64; None for no bounds.

    Parameters
    ----------
    bounds : None, "observed" or pair of float or array-like of shape (d,)
        As users write them.
    units : Units
        Has the range of the training rows.

    Raises
    ------
    ValueError
        If `bounds` is none of these, or some lowest value is above the highest.
    """
    if bounds is None:
        return None
    if isinstance(bounds, str) and bounds == "observed":
        return units.lowest, units.highest
    try:
        low, high = (_per_feature(bound, units) for bound in bounds)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            'bounds must be None, "observed" or a pair of numbers, or of arrays of '
            f"{units.n_features} of them; got {bounds!r}."
        ) from error
    # Of NaN as well, which is not below anything.
    is_empty = ~(low <= high)
    if is_empty.any():
        column = int(is_empty.nonzero()[0])
        raise ValueError(
            f"bounds are empty in column {column}: from {low[column]:g} to "
            f"{high[column]:g}."
        )
    return low, high


def _per_feature(bound, units: Units) -> Tensor:
    """A number, or one for each feature, as (d,)."""
    if not isinstance(bound, Tensor):
        bound = torch.from_numpy(np.asarray(bound, dtype=float))
    return bound.to(units.lowest).expand(units.n_features)


def clipped(X, bounds: tuple[Tensor, Tensor] | None, keep=None):
    """Rows X (..., d) with values outside the bounds at the nearer end; those of `keep`
    (n, d) that are not missing are not touched."""
    if bounds is None:
        return X
    rows = as_tensor(X)
    low, high = (bound.to(rows) for bound in bounds)
    inside = torch.minimum(torch.maximum(rows, low), high)
    if keep is not None:
        inside = inside.where(as_tensor(keep).isnan(), rows)
    return like(inside, X)
