"""A model from its description.

A description (``LatentModel.config()``) holds JSON values: sizes, and the class and the
constructor's arguments of each part that comes with the package. A user's own parts are
only named; who builds the model gives them again.
"""

import copy
from collections.abc import Callable

import torch
from torch import nn

from skae.nn import architectures, likelihoods, penalties, priors
from skae.nn._imputation import Imputer
from skae.nn._initial import InitialModel
from skae.nn._model import LatentModel
from skae.nn._ordered import OrderedCode, truncated
from skae.nn._own_draws import drawing_from
from skae.nn._params import describe, from_description, is_given
from skae.nn._posteriors import POSTERIORS
from skae.nn._refinement import CodeRefiner
from skae.nn._skip import LinearSkip
from skae.nn._units import Units
from skae.nn.likelihoods import Likelihood
from skae.nn.penalties import Penalty
from skae.nn.priors import Prior

# Classes that a description may name, by the part they are of.
CLASSES = {
    part: {n: c for n, c in vars(room).items() if isinstance(c, type)}
    for part, room in {
        "architecture": architectures,
        "likelihood": likelihoods,
        "prior": priors,
        "penalty": penalties,
    }.items()
}


def model_config(
    *,
    n_features: int,
    n_components: int,
    posterior: str,
    architecture: Callable[..., tuple],
    sample_shape: tuple[int, ...] | None,
    hidden_layer_sizes: tuple[int, ...],
    activation: str,
    likelihood: Likelihood,
    prior: Prior | None,
    penalty: Penalty | None,
    ordered: bool,
    has_missing: bool,
    has_initial: bool,
) -> tuple[dict, dict]:
    """The description of a model, and the parts in it as they are given.

    Parameters
    ----------
    n_features, n_components : int
    posterior : {"point", "normal"}
    architecture : callable
        As `skae.nn.architectures` describes it.
    sample_shape : tuple of int or None
    hidden_layer_sizes : tuple of int
    activation : str
    likelihood, prior, penalty : nn.Module or None
        The model takes copies of them.
    ordered, has_missing, has_initial : bool
        Whether prefixes of a code are codes, entries of rows may be missing, and the
        initial model stays a component of the density.
    """
    given = {
        "architecture": architecture,
        "likelihood": likelihood,
        "prior": prior,
        "penalty": penalty,
    }
    parts = {
        name: None if part is None else describe(part, CLASSES[name])
        for name, part in given.items()
    }
    sizes = {
        "n_features": n_features,
        "n_components": n_components,
        "n_built_components": n_components,
        "posterior": posterior,
        "sample_shape": None if sample_shape is None else list(sample_shape),
        "hidden_layer_sizes": list(hidden_layer_sizes),
        "activation": activation,
        "ordered": ordered,
        "has_missing": has_missing,
        "has_initial": has_initial,
        "codes_match_prior": penalty is not None and penalty.matches_prior,
    }
    return sizes | parts, given


def build_model(config: dict, given: dict | None = None) -> LatentModel:
    """A new model of that structure, with random networks and no learned number.

    Parameters
    ----------
    config : dict
        From `model_config` or ``LatentModel.config()``.
    given : dict or None
        Parts by their names, in place of what `config` describes; needed for a user's
        own.

    Raises
    ------
    ValueError
        If a user's own part is not given.
    """
    given = given or {}
    part = {name: _part(name, config, given) for name in CLASSES}
    d, k = config["n_features"], config["n_built_components"]
    posterior, likelihood = POSTERIORS[config["posterior"]], part["likelihood"]
    n_code_params = len(posterior._fields)
    has_order = config["ordered"]
    encoder, decoder = architectures.make_bodies(
        part["architecture"],
        config["sample_shape"],
        tuple(config["hidden_layer_sizes"]),
        config["activation"],
        (d, 2 * k if has_order else k),
        (k * n_code_params, d * likelihood.n_params),
    )
    sizes = d, k, n_code_params, likelihood.n_params
    # The initial model and the trained one have skips and likelihoods of their own: the
    # first stays as it is while the other learns.
    has_initial, is_point = config["has_initial"], part["prior"] is None
    initial = InitialModel(LinearSkip(*sizes), likelihood.copy(), k)
    model = LatentModel(
        Units(d, k),
        LinearSkip(*sizes),
        encoder,
        decoder,
        posterior,
        likelihood,
        part["prior"],
        ordered=OrderedCode(k, likelihood.n_noises) if has_order else None,
        imputer=Imputer(d, k, k if has_order else 1) if config["has_missing"] else None,
        initial=initial if has_initial else None,
        refiner=CodeRefiner(k) if is_point else None,
        config=config,
    )
    model.given = {n: given[n] for n in CLASSES if is_given(config[n])}
    # A truncated model keeps the networks of the larger code, so that those are built
    # first and wrapped.
    if config["n_components"] < k:
        model = truncated(model, config["n_components"])
    # Last: a penalty of codes is sized by the latents that are left.
    set_penalty(model, part["penalty"], config, given)
    return model


# Entries of a description that belong to the penalty.
_OF_PENALTY = "penalty", "codes_match_prior"


def set_penalty(
    model: LatentModel, penalty: Penalty | None, config: dict, given: dict
) -> None:
    """Replace the penalty of a model by a copy of `penalty`, which has learned nothing,
    and its description by that in `config`."""
    model.penalty = penalty = copy.deepcopy(penalty)
    if penalty is not None:
        penalty.build(model.n_components)
    model._config = model.config() | {key: config[key] for key in _OF_PENALTY}
    model.given.pop("penalty", None)
    if is_given(config["penalty"]):
        model.given["penalty"] = given["penalty"]


def load_model(config: dict, state: dict, given: dict | None = None) -> LatentModel:
    """The model of a description and a ``state_dict()``, whose tensors it takes over,
    in evaluation mode."""
    # Of the weights that are about to be replaced.
    with drawing_from(torch.Generator(), all_of_torch=True):
        model = build_model(config, given)
    _check_numbers(model, state)
    model.load_state_dict(state, assign=True)  # whatever the default dtype is
    return model.eval()


def _check_numbers(model: LatentModel, state: dict) -> None:
    """Raise where a tensor has integers in the place of floats, or the reverse."""
    for name, value in model.state_dict().items():
        found = state.get(name, value)
        if found.is_floating_point() != value.is_floating_point():
            raise ValueError(f"{name} is of {found.dtype}, not of {value.dtype}.")


def _part(name: str, config: dict, given: dict):
    if config[name] is None:
        return None
    if given.get(name) is not None:
        own = given[name]
        return copy.deepcopy(own) if isinstance(own, nn.Module) else own
    return from_description(config[name], CLASSES[name])
