"""What penalties share."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from skae.nn._params import Options
from skae.nn._precision import single


class Penalty(Options, nn.Module):
    """What the objective adds to the loss; the contract.

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
    # Whether it asks what only a posterior can say.
    needs_posterior = False

    def start(self, n_components: int) -> None:
        """Make own parameters, where there are any, for codes of this size."""

    def forward(self, model: nn.Module, x: Tensor, terms) -> Tensor:
        raise NotImplementedError


class Given(Penalty):
    """A callable of the user's as a penalty."""

    def __init__(self, function: Callable):
        super().__init__()
        self.function = function

    def forward(self, model: nn.Module, x: Tensor, terms) -> Tensor:
        return self.function(model, x, terms)


class Weighted(Penalty):
    """Sum of penalties, each with its weight."""

    def __init__(self, penalties: list[Penalty], weights: list[float]):
        super().__init__()
        self.penalties, self.weights = nn.ModuleList(penalties), weights

    @property
    def is_comparable(self) -> bool:
        return all(penalty.is_comparable for penalty in self.penalties)

    @property
    def matches_prior(self) -> bool:
        return any(penalty.matches_prior for penalty in self.penalties)

    @property
    def needs_posterior(self) -> bool:
        return any(penalty.needs_posterior for penalty in self.penalties)

    def start(self, n_components: int) -> None:
        for penalty in self.penalties:
            penalty.start(n_components)

    def forward(self, model: nn.Module, x: Tensor, terms) -> Tensor:
        terms = terms._replace(z=single(terms.z))
        values = [_checked(penalty, model, x, terms) for penalty in self.penalties]
        weights = [w * p.strength for w, p in zip(self.weights, self.penalties)]
        return sum(weight * value for weight, value in zip(weights, values))


def _checked(penalty: Penalty, model: nn.Module, x: Tensor, terms) -> Tensor:
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


def prior_draws(terms) -> Tensor:
    """As many draws from the prior as there are codes (n, k); the prior is standard
    normal where the model has none."""
    if terms.prior is None:
        return torch.randn_like(terms.z)
    return terms.prior.sample(len(terms.z)).to(terms.z.dtype)
