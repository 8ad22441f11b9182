"""Shorter codes of transformers with ordered latents."""

import copy

from skae._sklearn import check_is_fitted
from skae.nn._ordered import truncated
from skae.nn._params import is_count
from skae.training._determinism import ordinary_torch


class OrderedMixin:
    """`truncate` of a transformer that was fitted with ``ordered=True``."""

    @ordinary_torch()
    def truncate(self, n_components):
        """Return a smaller transformer with the first latents; nothing is trained.

        Parameters
        ----------
        n_components : int
            Number of latents to keep.

        Returns
        -------
        transformer : object
            A fitted copy. This one stays as it is.

        Raises
        ------
        ValueError
            If the latents are not ordered, or not so many.
        """
        check_is_fitted(self)
        if self.net_.module_.ordered is None:
            raise ValueError(
                "truncate needs a model that was fitted with ordered=True."
            )
        if not is_count(n_components) or n_components > self.n_components_:
            raise ValueError(
                f"n_components must be an integer within 1 and {self.n_components_}; "
                f"got {n_components!r}."
            )
        k = int(n_components)
        short = copy.deepcopy(self).set_params(n_components=k, ordered=True)
        short._truncate(k)
        return short

    def _truncate(self, k):
        """Keep the first `k` latents of this estimator, a copy of another."""
        self.net_.set_model(truncated(self.net_.module_, k))
        self.n_components_ = k
        self.explained_variance_ratio_ = self.explained_variance_ratio_[:k]
        self._code_mixture = self._code_mixture.first(k)
        if hasattr(self, "_missing_pattern"):
            self._missing_pattern = self._missing_pattern.first(k)
        # That of the longer code's draws.
        self._density_ratio = None
        # The optimiser's momentum is of the longer code's weights.
        self._is_incremental = False
