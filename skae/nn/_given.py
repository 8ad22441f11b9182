"""Parts of a user's own, made again from what the user passes for them."""

from skae.nn._build import CLASSES
from skae.nn._params import from_description, is_given, make_own
from skae.nn.likelihoods import Columns, Likelihood
from skae.nn.penalties import PENALTIES, make_penalty
from skae.nn.priors import PRIORS, make_prior


def make_given(name: str, choice, config: dict):
    """The part `name` that a description only names.

    Parameters
    ----------
    name : {"architecture", "likelihood", "prior", "penalty"}
    choice : object
        As the estimator takes it.
    config : dict
        ``LatentModel.config()``.
    """
    d, k = config["n_features"], config["n_built_components"]
    description = config[name]
    if name == "likelihood":
        return _likelihood(choice, description, d)
    if name == "prior":
        return make_prior(PRIORS, choice, k, d)
    if name == "penalty":
        weights, has_posterior = description["params"]["weights"], config["prior"]
        return make_penalty(
            PENALTIES, choice, weights, has_posterior=has_posterior is not None
        )
    return choice


def _likelihood(choice, description: dict, n_features: int) -> Likelihood:
    if description.get("class") != "Columns":
        return make_own("likelihood", choice, Likelihood, n_features)
    # Pairs of a likelihood and its columns, which the description has as numbers.
    parts, columns = description["params"]["parts"], description["params"]["columns"]
    made = [
        _likelihood(own, part, len(indices))
        if is_given(part)
        else from_description(part, CLASSES["likelihood"])
        for (own, _), part, indices in zip(choice, parts, columns)
    ]
    return Columns(made, columns)
