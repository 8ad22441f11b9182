"""The contract of penalties, and their sum."""

import operator
from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor, nn

from skae.nn._model import LatentModel
from skae.nn._outputs import Terms, to_float32
from skae.nn._own_draws import current_generator
from skae.nn._params import Options, module_list
from skae.nn._random import normal_like


class Penalty(Options, nn.Module):
    """A term that the objective adds to the loss; the contract.

    Called with the model, the standardized rows (n, d) and their `Terms`, it returns
    one value per row, or one for all rows. Own parameters train with the model. Options
    of the constructor are searched as ``penalty__target``, say.
    """

    # What the weight is multiplied by, so that a weight of one shows.
    strength = 1.0
    # Whether a smaller value is a better model, so that epochs compare.
    is_comparable = True
    # Whether it asks the codes to follow the prior.
    matches_prior = False
    # Whether it needs a posterior with a density.
    needs_posterior = False

    def build(self, n_components: int) -> None:
        """Make own parameters, where there are any, for codes of this size."""

    def forward(self, model: LatentModel, x: Tensor, terms: Terms) -> Tensor:
        raise NotImplementedError


class CallablePenalty(Penalty):
    """A callable of the user's as a penalty."""

    def __init__(self, function: Callable):
        super().__init__()
        self.function = function

    def forward(self, model: LatentModel, x: Tensor, terms: Terms) -> Tensor:
        return self.function(model, x, terms)


class PenaltySum(Penalty):
    """Sum of penalties, each with its weight."""

    def __init__(self, penalties: list[Penalty], weights: list[float]):
        super().__init__()
        self.penalties, self.weights = module_list(penalties), weights
        self.is_comparable = all(one.is_comparable for one in penalties)
        self.matches_prior = any(one.matches_prior for one in penalties)
        self.needs_posterior = any(one.needs_posterior for one in penalties)

    def build(self, n_components: int) -> None:
        for penalty in self.penalties:
            penalty.build(n_components)

    def forward(self, model: LatentModel, x: Tensor, terms: Terms) -> Tensor:
        # Distances and logarithms of codes need more digits than half precision has.
        terms = terms._replace(z=to_float32(terms.z))
        values = [_checked(penalty, model, x, terms) for penalty in self.penalties]
        weights = [w * p.strength for w, p in zip(self.weights, self.penalties)]
        return reduce(torch.add, map(operator.mul, weights, values))


def _checked(penalty: Penalty, model: LatentModel, x: Tensor, terms: Terms) -> Tensor:
    value = penalty(model, x, terms)
    if not isinstance(value, Tensor):
        raise TypeError(
            f"penalty={penalty!r} must return a tensor, one value or one for each of "
            f"the {len(x)} rows; got {value!r}."
        )
    if value.ndim and value.shape != (len(x),):
        raise ValueError(
            f"penalty={penalty!r} must return one value, or one for each of the "
            f"{len(x)} rows; got the shape {tuple(value.shape)}."
        )
    return value


def prior_draws(terms: Terms) -> Tensor:
    """As many draws from the prior as there are codes (n, k); the prior is standard
    normal where the model has none."""
    if terms.prior is None:
        return normal_like(terms.z, current_generator())
    drawn = terms.prior.sample(len(terms.z), current_generator())
    return drawn.to(terms.z.dtype)
