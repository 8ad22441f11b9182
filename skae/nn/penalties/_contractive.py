"""Encoders that react little to their input."""

from functools import reduce

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from skae.nn._model import LatentModel
from skae.nn._outputs import Terms, to_float32
from skae.nn._own_draws import current_generator
from skae.nn._params import is_count
from skae.nn.penalties._base import Penalty


class Contractive(Penalty):
    r"""Squared Frobenius norm of the encoder's Jacobian, of each row.

    .. math:: \| \partial z / \partial x \|_F^2

    Rifai, S. et al. (2011). Contractive auto-encoders: explicit invariance during
    feature extraction. ICML. For codes that a small change of the row leaves alone. For
    a posterior it is the Jacobian of the mean.

    Up to `n_exact` latents it is exact, by a backward pass for each; above, it is
    Hutchinson's unbiased estimate (1989) over as many random directions.

    Parameters
    ----------
    n_exact : int, default=16
        Most backward passes in a step.
    """

    def __init__(self, n_exact: int = 16):
        super().__init__()
        if not is_count(n_exact):
            raise ValueError(f"n_exact must be an integer >= 1; got {n_exact!r}.")
        self.n_exact = n_exact

    def forward(self, model: LatentModel, x: Tensor, terms: Terms) -> Tensor:
        is_training = torch.is_grad_enabled()
        # Only the plain kernels of attention and of recurrent nets have a second
        # derivative.
        with (
            torch.enable_grad(),
            sdpa_kernel(SDPBackend.MATH),
            torch.backends.cudnn.flags(enabled=False),
        ):
            # A fresh leaf: the gradient is with respect to the rows themselves, also
            # where evaluation has switched gradients off.
            x = x.detach().requires_grad_()
            code = model.encode(x).mean
            slopes = [
                torch.autograd.grad(
                    code,
                    x,
                    direction.expand_as(code),
                    retain_graph=True,
                    # The penalty's own gradient is a second derivative.
                    create_graph=is_training,
                )[0]
                for direction in self._directions(code)
            ]
        return reduce(torch.add, (to_float32(s).square().sum(1) for s in slopes))

    def _directions(self, code: Tensor) -> Tensor:
        """Vectors (m, 1 or n, k) whose products with the Jacobian are squared."""
        n, k = code.shape
        eye = torch.eye(k, dtype=code.dtype, device=code.device)
        if k <= self.n_exact:
            return eye.unsqueeze(1)
        # E |s' J|^2 = |J|^2 for random signs s; the factor makes the sum a mean.
        generator, shape = current_generator(), (self.n_exact, n, k)
        signs = torch.randint(0, 2, shape, generator=generator, device=code.device)
        return (2 * signs - 1).to(code.dtype) * self.n_exact**-0.5
