"""Distance between the codes of a batch and draws from the prior."""

from functools import reduce

import torch
from torch import Tensor

from skae.nn._model import LatentModel
from skae.nn._outputs import Terms
from skae.nn.penalties._base import Penalty, prior_draws

# Of the kernel, times the mean squared distance of standard normal codes.
_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class MMD(Penalty):
    """Squared maximum mean discrepancy, by inverse multiquadratic kernels.

    As in Wasserstein autoencoders (Tolstikhin et al., 2018), whose kernels these are,
    and in InfoVAE (Zhao, Song and Ermon, 2019). For codes that follow the prior,
    without a second network.
    """

    strength = 10.0  # that of Wasserstein autoencoders
    matches_prior = True

    def forward(self, model: LatentModel, x: Tensor, terms: Terms) -> Tensor:
        z, drawn = terms.z, prior_draws(terms)
        # Without the pairs of a code with itself: the unbiased estimate, which may be
        # negative.
        n, off_diagonal = len(z), 1 - torch.eye(len(z), dtype=z.dtype, device=z.device)
        within = (_kernel(z, z) + _kernel(drawn, drawn)) * off_diagonal
        across = _kernel(z, drawn)
        return within.sum() / max(n * (n - 1), 1) - 2 * across.mean()


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    # By differences: distances by products of matrices lose small values.
    squares = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()
    # 2 k is the mean squared distance of two standard normal codes.
    sizes = [2 * a.shape[1] * scale for scale in _SCALES]
    return reduce(torch.add, (size / (size + squares) for size in sizes))
