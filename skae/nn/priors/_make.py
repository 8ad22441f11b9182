"""From what users write for a prior to the module."""

from torch.distributions import Distribution

from skae.nn._params import make_own
from skae.nn.priors._base import Prior
from skae.nn.priors._fixed import TorchPrior


def make_prior(registry: dict, prior, n_components: int, n_features: int) -> Prior:
    """Return a new module of a name, a distribution, an object or a callable.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If it is over other codes.
    """
    if isinstance(prior, str):
        return registry[prior](n_components, n_features)
    if isinstance(prior, Distribution):
        return TorchPrior(n_components, prior)
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
