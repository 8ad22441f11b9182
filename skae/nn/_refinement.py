"""Codes that decode best: rows projected onto what the decoder can make.

An encoder has learned its codes on other rows and errs on new ones. From its estimate
a few quasi-Newton steps on the row's own loss lead to the code that decodes best, which
PCA's projection is by itself. The steps are preconditioned by the Fisher information of
a code (Amari, 1998), averaged over training rows; their length is the minimum of the
parabola through two losses and a slope.

References
----------
Amari, S. (1998). Natural gradient works efficiently in learning. Neural Computation,
10(2), 251-276.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:  # it imports this module
    from skae.nn._model import LatentModel

# Training rows, and scores drawn for a component, that the information is averaged
# over: enough that it is well-conditioned.
_N_ROWS = 512
_SCORES_PER_COMPONENT = 16

# Fraction of the mean information that is added to each direction, so that the inverse
# exists where rows say nothing of one.
_RIDGE = 1e-3

# Natural steps beyond which the parabola is not trusted.
_MAX_LENGTH = 4.0

# A smaller gain, as a fraction of the loss, may be rounding: the code stays.
_MIN_GAIN = 1e-4


class CodeRefiner(nn.Module):
    """Quasi-Newton steps from the encoder's code towards the one that decodes best.

    Parameters
    ----------
    n_components : int

    Attributes
    ----------
    preconditioner : Tensor of shape (k, k)
        Inverse of the mean Fisher information; zeros, before it is learned or where
        nothing is known, leave codes as they are.
    """

    preconditioner: Tensor

    def __init__(self, n_components: int):
        super().__init__()
        self.register_buffer(
            "preconditioner",
            torch.zeros(n_components, n_components, dtype=torch.float32),
        )

    def fit(self, model: "LatentModel", x: Tensor, generator: torch.Generator) -> None:
        """Learn the preconditioner on standardized rows (n, d)."""
        x = x[:_N_ROWS]
        k = model.n_components
        with torch.enable_grad():
            # Gradients of the log-likelihood of rows drawn at the codes: their mean
            # outer product estimates the Fisher information, and is positive
            # semidefinite.
            z = model.encode(x).mean.detach().requires_grad_()
            params = model.decode(z)
            information = torch.zeros(k, k, dtype=torch.float64, device=z.device)
            # Few rows are drawn more than once, so that the matrix has full rank.
            n_draws = max(1, -(-_SCORES_PER_COMPONENT * k // len(x)))
            for _ in range(n_draws):
                drawn = model.likelihood.sample(params.detach(), generator)
                log_prob = model.likelihood.log_prob(params, drawn).sum()
                (scores,) = torch.autograd.grad(log_prob, z, retain_graph=True)
                information += scores.double().T @ scores.double()
        information /= n_draws * len(x)
        ridge = _RIDGE * information.diagonal().mean()
        # Zeros where the decoder is constant or overflows: there is nothing to invert.
        self.preconditioner.zero_()
        if 0 < ridge < float("inf"):
            information.diagonal().add_(ridge)
            self.preconditioner.copy_(torch.linalg.inv(information))

    def refine(self, model: "LatentModel", x: Tensor, n_steps: int) -> Tensor:
        """Codes (n, k) of standardized rows, `n_steps` steps from the encoder's.

        A step that does not lower the loss of its row is not taken. Rows do not depend
        on one another.
        """
        z = model.encode(x).mean
        preconditioner = self.preconditioner.to(z.dtype)

        def loss(z):  # (n,)
            return -model.log_likelihood(model.decode(z), x)

        # Losses (n,) and gradients (n, k); a row's loss depends on its code alone.
        value, gradient = _with_gradient(loss, z)
        size = torch.ones_like(value)
        for _ in range(n_steps):
            # (n, k), scaled for the rows whose last step failed
            step = -size[:, None] * (gradient @ preconditioner)
            slope = (gradient * step).sum(1)
            # Along t step the loss is about value + slope t + excess t^2, with its
            # minimum at -slope / (2 excess).
            excess = loss(z + step) - value - slope
            length = (-slope / (2 * excess)).where(excess > 0, _MAX_LENGTH)
            length = length.clamp(0, _MAX_LENGTH).nan_to_num()
            trial = z + length[:, None] * step
            trial_value, trial_gradient = _with_gradient(loss, trial)
            # Decided for each row: the others keep their code and try a quarter of the
            # step.
            is_better = value - trial_value > _MIN_GAIN * value.abs()
            value = trial_value.where(is_better, value)
            z = trial.where(is_better[:, None], z)
            gradient = trial_gradient.where(is_better[:, None], gradient)
            size = size.where(is_better, size / 4)
        return z

    def first(self, k: int) -> "CodeRefiner":
        """That of the first `k` latents: their block of the information."""
        short = CodeRefiner(k).to(self.preconditioner)
        # A block of the information, not of its inverse: the other latents are gone,
        # not marginalised.
        if self.preconditioner.any():
            information = torch.linalg.inv(self.preconditioner.double())
            short.preconditioner.copy_(torch.linalg.inv(information[:k, :k]))
        return short


def _with_gradient(loss, z: Tensor) -> tuple[Tensor, Tensor]:
    """Losses (n,) and their gradients (n, k)."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = loss(z)
        # The gradient of the sum is that of each row: rows do not depend on one
        # another.
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient
