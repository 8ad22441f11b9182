"""Any distribution of torch as a prior."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence
from torch.distributions import Normal as TorchNormal

from skae.nn._posteriors import DiagonalNormal
from skae.nn.priors._base import Prior

# Values that a law over all real numbers has, and no common one over fewer of them.
_FAR_AND_NEAR = (-1e6, -0.5, 0.5, 1e6)


class Fixed(Prior):
    """A distribution that does not learn.

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
        self.is_independent = not distribution.event_shape
        if self.is_independent:
            distribution = Independent(distribution.expand((n_components,)), 1)
        if not _is_real(distribution, n_components):
            raise ValueError(
                f"prior={given} must be over all real numbers, as the codes are; its "
                f"support is {given.support}."
            )
        self.distribution = distribution

    def log_prob(self, z: Tensor) -> Tensor:
        return self.distribution.log_prob(z)

    def log_probs(self, z: Tensor) -> Tensor:
        """Of normal marginals with the right moments, where latents depend on one
        another."""
        if self.is_independent:
            return self.distribution.base_dist.log_prob(z)
        return TorchNormal(self.distribution.mean, self.distribution.stddev).log_prob(z)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        if generator is None:
            return self.distribution.sample((n,))
        with torch.random.fork_rng([]):  # distributions draw from torch's own
            torch.manual_seed(generator.initial_seed())
            return self.distribution.sample((n,))

    def divergences(self, posterior: DiagonalNormal, z: Tensor) -> Tensor:
        if self.is_independent:
            q = TorchNormal(posterior.mean, posterior.std, validate_args=False)
            try:
                return kl_divergence(q, self.distribution.base_dist)
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
    return bool(support.check(values).all())
