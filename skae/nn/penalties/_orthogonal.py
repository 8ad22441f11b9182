"""Latents that do not repeat one another."""

from torch import Tensor

from skae.nn._model import LatentModel
from skae.nn._outputs import Terms
from skae.nn.penalties._base import Penalty

# Variance of a latent below which it has no direction.
_TINY = 1e-12


class Orthogonal(Penalty):
    r"""Squared correlations of the latents over a batch.

    .. math:: \sum_{j \neq l} \mathrm{corr}(z_j, z_l)^2

    Columns of PCA's codes are orthogonal; this keeps those of a nonlinear encoder so,
    whatever their scales (as the decorrelation of Cheung et al., 2015). For codes whose
    coefficients or importances are to be read one by one.
    """

    def forward(self, model: LatentModel, x: Tensor, terms: Terms) -> Tensor:
        z = terms.z - terms.z.mean(0)
        # Columns of length one, so that the products (k, k) are correlations.
        z = z / z.square().sum(0).clamp(min=_TINY).sqrt()
        correlations = z.T @ z
        return correlations.square().sum() - correlations.diagonal().square().sum()
