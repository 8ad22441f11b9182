"""From what users say of a noise, a penalty or a prior to what the net takes."""

import copy
from functools import partial
from numbers import Real

from torch import Tensor, nn
from torch.distributions import Distribution

from skae.nn._corruption import BELOW, NOISES, UP_TO
from skae.nn._params import plain
from skae.nn.penalties import PENALTIES, Given, Penalty, Weighted
from skae.nn.priors import PRIORS, Fixed, Prior


def make_corruption(noise, level):
    """Return ``(x, generator) -> x`` of a name or a callable, or None for no noise.

    Raises
    ------
    ValueError
        If `level` is none of that noise.
    """
    if noise is None or level == 0:
        return None
    if not isinstance(noise, str):
        return partial(_corrupt, noise, float(level))
    if noise in BELOW and not level < BELOW[noise]:
        raise ValueError(
            f"noise_level={level!r} is out of range: {noise!r} takes a share of the "
            f"cells within [0, {BELOW[noise]:g})."
        )
    if noise in UP_TO and not level <= UP_TO[noise]:
        raise ValueError(
            f"noise_level={level!r} is out of range: {noise!r} takes a share of the "
            f"cells within [0, {UP_TO[noise]:g}]."
        )
    return partial(_corrupt, NOISES[noise], float(level))


def make_penalty(penalty, weight, *, has_posterior):
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
    combined = Weighted([_penalty(one) for one in given], weights)
    if combined.needs_posterior and not has_posterior:
        raise ValueError(
            f"penalty={penalty!r} needs a posterior; use it with VAETransformer."
        )
    return combined


def make_prior(prior, n_components, n_features):
    """Return a new module of a name, a distribution, an object or a callable.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If it is over other codes.
    """
    if isinstance(prior, str):
        return PRIORS[prior](n_components, n_features)
    if isinstance(prior, Distribution):
        return Fixed(n_components, prior)
    made = make_own("prior", prior, Prior, n_components, n_features)
    if made.n_components != n_components:
        raise ValueError(
            f"prior={prior!r} is over {made.n_components} components; codes have "
            f"{n_components}."
        )
    if made.n_features not in (None, n_features):
        raise ValueError(
            f"prior={prior!r} is for {made.n_features} features; X has {n_features}."
        )
    return made


def make_own(name, choice, kind, *sizes):
    """Return a copy of the user's module, or what a callable makes of `sizes`.

    Raises
    ------
    TypeError
        If that is no `kind`.
    """
    if isinstance(choice, nn.Module):
        made = copy.deepcopy(choice)
    else:
        made = choice(*sizes) if callable(choice) else choice
    if not isinstance(made, kind):
        raise TypeError(
            f"{name}={choice!r} must be a name, or be or make a {kind.__name__}; got "
            f"{made!r}."
        )
    return made


def _weights(weight, n_penalties):
    weight = plain(weight)
    weights = [weight] * n_penalties if isinstance(weight, Real) else list(weight)
    if len(weights) != n_penalties:
        raise ValueError(
            f"penalty_weight has {len(weights)} values for {n_penalties} penalties."
        )
    for value in map(plain, weights):
        if not isinstance(value, Real) or not value >= 0:
            raise ValueError(f"penalty_weight must be >= 0; got {value!r}.")
    return [float(value) for value in weights]


def _penalty(penalty):
    if isinstance(penalty, str):
        if penalty not in PENALTIES:
            known = ", ".join(map(repr, PENALTIES))
            raise ValueError(f"penalty={penalty!r} is none of {known}.")
        return PENALTIES[penalty]()
    if isinstance(penalty, Penalty):
        return copy.deepcopy(penalty)
    if callable(penalty) and not isinstance(penalty, nn.Module | type):
        return Given(penalty)
    raise TypeError(
        "penalty must be a name, a skae.nn.penalties.Penalty or a callable (model, x, "
        f"terms) -> value; got {penalty!r}."
    )


def _corrupt(noise, level, x, generator):
    seen = noise(x, level, generator)
    if not isinstance(seen, Tensor):
        raise TypeError(
            f"noise={noise!r} must return a tensor of shape {tuple(x.shape)}; got "
            f"{seen!r}."
        )
    if seen.shape != x.shape:
        raise ValueError(
            f"noise={noise!r} must return rows of shape {tuple(x.shape)}; got "
            f"{tuple(seen.shape)}."
        )
    return seen
