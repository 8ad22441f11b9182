"""The density of codes behind `sample`, fitted after training."""

import copy

import torch
from numpy.random import RandomState
from sklearn import config_context
from sklearn.mixture import GaussianMixture

# As in Ghosh et al. (2020).
_N_CLUSTERS = 10


class CodeMixture:
    """Gaussian mixture over codes, fitted when it is first drawn from, and kept.

    Parameters
    ----------
    codes : Tensor of shape (n, k)
        Codes of training rows.
    seed : int
        Of the fit.

    References
    ----------
    Ghosh, P. et al. (2020). From variational to deterministic autoencoders. ICLR.
    """

    def __init__(self, codes: torch.Tensor, seed: int):
        self.codes = codes.double().cpu()
        # What keeps the mixture's covariances definite is for values of about one. All
        # latents have one scale: divided by their own, clusters are found less well.
        self.scale = float(self.codes.std(0, correction=0).max()) or 1.0
        self.seed = seed
        self.mixture_ = None

    def sample(self, n_samples: int, random_state: RandomState) -> torch.Tensor:
        """Draw codes (n_samples, k), float64."""
        if len(self.codes) == 1:  # a mixture needs two rows
            return self.codes.expand(n_samples, -1)
        if self.mixture_ is None:
            self._fit()
        # `sample` of a mixture has no generator of its own: lend it ours.
        mixture = copy.copy(self.mixture_).set_params(random_state=random_state)
        return torch.from_numpy(mixture.sample(n_samples)[0]) * self.scale

    def _fit(self) -> None:
        n_clusters = min(_N_CLUSTERS, len(self.codes))
        mixture = GaussianMixture(n_clusters, random_state=self.seed)
        with config_context(array_api_dispatch=False):
            self.mixture_ = mixture.fit((self.codes / self.scale).numpy())
