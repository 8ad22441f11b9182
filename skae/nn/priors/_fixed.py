"""Any distribution of torch as a prior."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence
from torch.distributions import Normal as TorchNormal

from skae.nn._own_draws import drawing_from
from skae.nn._posteriors import DiagonalNormal
from skae.nn.priors._base import Prior

# Values in the support of a distribution over all real numbers, and of no common one
# over fewer of them.
_FAR_AND_NEAR = (-1e6, -0.5, 0.5, 1e6)


class TorchPrior(Prior):
    """A distribution of torch, which does not learn.

    Parameters
    ----------
    n_components : int
    distribution : torch.distributions.Distribution
        Over vectors of `n_components` values, or over that many independent values,
        with a density everywhere.

    Raises
    ------
    ValueError
        If it is over values of another shape, or not over all real numbers.
    """

    is_static = False

    def __init__(self, n_components: int, distribution: Distribution):
        super().__init__(n_components)
        given = distribution
        shape = distribution.batch_shape + distribution.event_shape
        if shape not in ((), (n_components,)):
            raise ValueError(
                f"prior is over values of shape {tuple(shape)}; codes have "
                f"{n_components} components."
            )
        self.marginals: Distribution | None = None
        # Independent values, or one for all latents, become a vector of them.
        if not distribution.event_shape:
            self.marginals = distribution.expand((n_components,))
            distribution = Independent(self.marginals, 1)
        if not _is_real(distribution, n_components):
            raise ValueError(
                f"prior={given} must be over all real numbers, as the codes are; its "
                f"support is {given.support}."
            )
        self.distribution = distribution

    @property
    def is_independent(self) -> bool:
        return self.marginals is not None

    def config(self) -> dict:
        return {"n_components": self.n_components, "distribution": self.distribution}

    def log_prob(self, z: Tensor) -> Tensor:
        return self.distribution.log_prob(z)

    def log_probs(self, z: Tensor) -> Tensor:
        """Marginal log-densities; where latents depend on one another, those of normal
        distributions with the right moments."""
        if self.marginals is not None:
            return self.marginals.log_prob(z)
        return TorchNormal(self.distribution.mean, self.distribution.stddev).log_prob(z)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        if generator is None:
            return self.distribution.sample((n,))
        # Distributions take no generator.
        with drawing_from(generator, all_of_torch=True):
            return self.distribution.sample((n,))

    def divergences(self, posterior: DiagonalNormal, z: Tensor) -> Tensor:
        if self.marginals is not None:
            # (n, k) of both; torch knows a closed form for some pairs of distributions.
            q = TorchNormal(posterior.mean, posterior.std, validate_args=False)
            try:
                return kl_divergence(q, self.marginals)
            except NotImplementedError:
                pass
        return super().divergences(posterior, z)


def _is_real(distribution: Distribution, n_components: int) -> bool:
    """Whether vectors of any real numbers are in the support."""
    try:
        support = distribution.support
    except NotImplementedError:  # a user's own need not say
        return True
    values = torch.tensor(_FAR_AND_NEAR).unsqueeze(1).expand(-1, n_components)
    return support is None or bool(support.check(values).all())
