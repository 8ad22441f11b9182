"""Loadings: how each latent moves each feature."""

import numpy as np
import torch

from skae.data._arrays import like
from skae.nn._modules import Decoder
from skae.transformers._apply import map_rows

# Codes over which the decoder's derivatives are averaged: the standard error of a mean
# over them is 6 % of the standard deviation.
_N_CODES = 256

# Half the distance between the two codes of a difference, in standard deviations of a
# latent: in float64 rounding and curvature both are below 1e-7 of the derivative.
_STEP = 1e-4


class ComponentsMixin:
    """`components_` of a fitted transformer."""

    @property
    def components_(self):
        """Mean derivative of each feature by each latent, (n_components, n_features),
        in units of the data for one of the latent.

        The mean is over 256 draws of the fitted mixture of codes, the same in each
        call. It is computed when it is asked for. Of a linear autoencoder it is
        `components_` of PCA.
        """
        # As scikit-learn's fitted attributes: absent before a fit, by `hasattr` too.
        if not hasattr(self, "net_"):
            raise AttributeError(f"{type(self).__name__} is not fitted yet.")
        draws = self._code_mixture.sample(_N_CODES, np.random.RandomState(self._seed))
        return like(mean_jacobian(self.net_.module_, draws).T, self.mean_)


def mean_jacobian(model, codes):
    """Mean derivatives (d, k) of decoded rows at codes (n, k), in float64.

    Central differences, since operations of recurrent layers and of attention have no
    forward derivatives, and backward ones take a pass for each feature.
    """
    steps = _STEP * codes.std(0, correction=0)
    # A latent that is the same for all rows has a derivative, too.
    steps = torch.diag(steps.where(steps > 0, _STEP))
    columns = [
        (decoded(model, codes + step) - decoded(model, codes - step)).mean(0)
        / (2 * step.sum())
        for step in steps
    ]
    return torch.stack(columns, 1)


def decoded(model, codes):
    """Rows (n, d), float64, of codes."""
    return map_rows(model, codes, lambda model, code: Decoder(model)(code))
