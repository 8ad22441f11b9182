"""Sizes of a model that decide on threads, precision and chunks."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it imports this module
    from skae.nn._model import LatentModel

# Numbers that the rows of one call may keep: 64 MiB in float32.
_MAX_ELEMENTS = 2**24

# The same for draws, of which several tensors are alive at a time.
_MAX_DRAWN = 2**24


def n_macs(model: "LatentModel") -> int:
    """Multiply-adds of a row, about: one for each weight, more where it is used again
    at other positions."""
    # A weight is one product of each row; convolutions and sequences add theirs.
    n_weights = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return n_weights + sum(getattr(body, "n_reused", 0) for body in model.bodies)


def rows_at_once(model: "LatentModel", most: int) -> int:
    """Number of rows, at most `most`, of which networks keep `_MAX_ELEMENTS` values."""
    n_kept = sum(getattr(body, "n_kept", 0) for body in model.bodies)
    return max(1, min(most, _MAX_ELEMENTS // max(n_kept, 1)))


def rows_of_draws(model: "LatentModel", n_draws: int) -> int:
    """Number of rows of which a decoder keeps `_MAX_DRAWN` values for so many draws."""
    # Parameters of the likelihood, and the hidden values that lead to them.
    n_kept = model.n_features * model.likelihood.n_params
    n_kept += getattr(model.decoder, "n_kept", 0)
    return max(1, _MAX_DRAWN // (n_kept * max(n_draws, 1)))
