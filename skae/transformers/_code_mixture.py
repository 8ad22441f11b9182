"""Densities of codes behind `sample`: a Gaussian mixture fitted after training, and
the prior."""

import copy
import math

import torch
from numpy.random import RandomState
from sklearn import config_context
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits
from torch.distributions import (
    Categorical,
    MixtureSameFamily,
    MultivariateNormal,
)

from skae.io import storable
from skae.nn.priors import Normal

# As many as in Ghosh et al. (2020).
_N_CLUSTERS = 10

# Codes for each cluster, at least: the mean of a cluster is no training row's code.
_CODES_PER_CLUSTER = 5

# Decimals, in units of the largest deviation, by which codes differ; the mixture adds a
# variance of 1e-6.
_DECIMALS = 6

# Latents up to which each cluster has a covariance of its own: 2,000 codes in ten
# clusters are two for each of its dimensions. Beyond, all clusters have the same one,
# up to as many latents as two codes for each; then variances alone.
_MAX_FULL, _MAX_TIED = 100, 1000


@storable
class CodeMixture:
    """Gaussian mixture over codes.

    Parameters
    ----------
    codes : Tensor of shape (n, k)
        Codes of training rows, in the units that users see; they are not kept.
    seed : int
        Seed of the mixture's initial clusters.
    References
    ----------
    Ghosh, P. et al. (2020). From variational to deterministic autoencoders. ICLR.
    """

    def __init__(self, codes: torch.Tensor, seed: int):
        codes = codes.double().cpu()
        # The mixture adds 1e-6 to variances to keep covariances definite, which is for
        # values of about one. One scale divides all latents: with a scale for each,
        # clusters are found less well.
        self.scale = float(codes.std(0, correction=0).max()) or 1.0
        if len(codes) == 1:  # a mixture needs two rows
            codes = codes.expand(2, -1)
        # Beside an outlier that sets the scale, codes may differ by rounding alone.
        n_different = len((codes / self.scale).round(decimals=_DECIMALS).unique(dim=0))
        mixture = GaussianMixture(
            min(_N_CLUSTERS, max(1, n_different // _CODES_PER_CLUSTER)),
            covariance_type=_covariance_type(codes.shape[1]),
            random_state=seed,
        )
        # The codes are NumPy's here, whatever the rows of users are. Sixteen threads
        # took four seconds for 2,000 of them, one takes less than one.
        with (
            config_context(array_api_dispatch=False),
            threadpool_limits(1, user_api="blas"),
        ):
            self.mixture = mixture.fit((codes / self.scale).numpy())
        # Draws need the covariances alone, and files are a third as long.
        del mixture.precisions_, mixture.precisions_cholesky_

    def sample(self, n_samples: int, random_state: RandomState) -> torch.Tensor:
        """Draw codes (n_samples, k), float64."""
        # `GaussianMixture.sample` takes no generator but its parameter `random_state`.
        mixture = copy.copy(self.mixture).set_params(random_state=random_state)
        return torch.from_numpy(mixture.sample(n_samples)[0]) * self.scale

    def log_density(self, codes: torch.Tensor) -> torch.Tensor:
        """Log-densities (n,) of codes (n, k), float64."""
        mixture = self.mixture
        means, covariances, weights = (
            torch.from_numpy(a)
            for a in (mixture.means_, mixture.covariances_, mixture.weights_)
        )
        if mixture.covariance_type == "diag":  # (c, k)
            covariances = torch.diag_embed(covariances)
        clusters = MixtureSameFamily(
            Categorical(weights), MultivariateNormal(means, covariances)
        )
        log_density = clusters.log_prob(codes.double() / self.scale)
        return log_density - codes.shape[1] * math.log(self.scale)

    def first(self, k: int) -> "CodeMixture":
        """The marginal mixture of the first `k` latents."""
        # Shallow copies: the arrays are replaced, not changed.
        short = copy.copy(self)
        short.mixture = mixture = copy.copy(self.mixture)
        # (c, k), and (c, k, k) or, where all clusters have the same one, (k, k).
        mixture.means_ = mixture.means_[:, :k]
        if mixture.covariance_type == "diag":  # (c, k)
            mixture.covariances_ = mixture.covariances_[:, :k]
        else:
            mixture.covariances_ = mixture.covariances_[..., :k, :k]
        return short


def _covariance_type(n_latents: int) -> str:
    if n_latents <= _MAX_FULL:
        return "full"
    return "tied" if n_latents <= _MAX_TIED else "diag"


def sample_prior(model, n_samples: int, generator: torch.Generator) -> torch.Tensor:
    """Draw codes (n_samples, k), float64, from the prior of a model."""
    # A model without one has codes that a penalty makes standard normal.
    prior = model.current_prior() or Normal(model.n_components)
    prior = prior.to(model.units.loc.device)
    return prior.sample(n_samples, generator).detach().double()


def log_prior(model, codes: torch.Tensor) -> torch.Tensor:
    """Log-densities (n,) of codes (n, k) in the units of users under that prior."""
    prior, units = model.current_prior() or Normal(model.n_components), model.units
    z = units.from_users_code(codes.to(units.loc)).float()
    log_density = prior.to(z.device).log_prob(z).detach().double()
    return log_density - units.code_scale.abs().log().sum()
