"""From what users write for a penalty to the module."""

import copy

from torch import nn

from skae.nn._params import is_number, to_python
from skae.nn.penalties._base import CallablePenalty, Penalty, PenaltySum


def make_penalty(
    registry: dict, penalty, weight, *, has_posterior: bool
) -> PenaltySum | None:
    """Return a new module of a name, an object, a callable or a list of them, each
    with its weight; None for none.

    Raises
    ------
    ValueError
        If weights and penalties do not pair, or a penalty is none of this model.
    """
    if penalty is None:
        return None
    given = list(penalty) if isinstance(penalty, list | tuple) else [penalty]
    weights = _weights(weight, len(given))
    if not given:
        return None
    combined = PenaltySum([_penalty(registry, one) for one in given], weights)
    if combined.needs_posterior and not has_posterior:
        raise ValueError(
            f"penalty={penalty!r} needs a posterior; use it with VAETransformer."
        )
    return combined


def _weights(weight, n_penalties):
    weight = to_python(weight)
    weights = [weight] * n_penalties if is_number(weight) else list(weight)
    if len(weights) != n_penalties:
        raise ValueError(
            f"penalty_weight has {len(weights)} values for {n_penalties} penalties."
        )
    for value in map(to_python, weights):
        if not is_number(value) or not value >= 0:
            raise ValueError(f"penalty_weight must be >= 0; got {value!r}.")
    return [float(value) for value in weights]


def _penalty(registry: dict, penalty) -> Penalty:
    if isinstance(penalty, str):
        if penalty not in registry:
            known = ", ".join(map(repr, registry))
            raise ValueError(f"penalty={penalty!r} is none of {known}.")
        return registry[penalty]()
    if isinstance(penalty, Penalty):
        return copy.deepcopy(penalty)
    if callable(penalty) and not isinstance(penalty, nn.Module | type):
        return CallablePenalty(penalty)
    raise TypeError(
        "penalty must be a name, a skae.nn.penalties.Penalty or a callable (model, x, "
        f"terms) -> value; got {penalty!r}."
    )
