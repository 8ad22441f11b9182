"""Codes that decode best: rows projected onto what the decoder can make.

An encoder has learned its codes on other rows and errs on new ones. From its estimate
a few quasi-Newton steps on the row's own loss lead to the code that decodes best, which
PCA's projection is by itself. The metric of the steps is the Fisher information of a
code (Amari, 1998), averaged over training rows; their length is the minimum of the
parabola through two losses and a slope.

References
----------
Amari, S. (1998). Natural gradient works efficiently in learning. Neural Computation,
10(2), 251-276.
"""

import torch
from torch import Tensor

# Training rows, and scores drawn for a component, that the metric is averaged over.
_N_METRIC_ROWS = 512
_SCORES_A_COMPONENT = 16

# Share of the mean information that is added to each direction.
_RIDGE = 1e-3

# Steps longer than so many natural ones are not trusted.
_LONGEST = 4.0

# A smaller gain, as a share of the loss, may be rounding: the row stays.
_SMALLEST_GAIN = 1e-4


def code_metric(
    model: torch.nn.Module, x: Tensor, generator: torch.Generator
) -> Tensor:
    """Inverse (k, k) of the mean Fisher information of the codes of rows."""
    x = x[:_N_METRIC_ROWS]
    k = model.n_components
    with torch.enable_grad():
        z = model.encode(x).mean.detach().requires_grad_()
        params = model.decode(z)
        scores = []
        for _ in range(max(1, -(-_SCORES_A_COMPONENT * k // len(x)))):
            drawn = model.likelihood.sample(params.detach(), generator)
            log_prob = model.likelihood.log_prob(params, drawn).sum()
            scores += torch.autograd.grad(log_prob, z, retain_graph=True)
    scores = torch.cat(scores).double()
    information = scores.T @ scores / len(scores)
    ridge = _RIDGE * information.diagonal().mean()
    if not 0 < ridge < float("inf"):
        return torch.zeros_like(information)
    information.diagonal().add_(ridge)
    return torch.linalg.inv(information)


def project(model: torch.nn.Module, x: Tensor, n_steps: int) -> Tensor:
    """Codes (n, k) of standardized rows, `n_steps` steps from the encoder's.

    A step that does not lower the loss of its row is not taken. Rows do not depend on
    one another.
    """
    z = model.encode(x).mean
    metric = model.metric.to(z.dtype)

    def loss(z):  # (n,)
        return -model.log_likelihood(model.decode(z), x)

    value, gradient = _with_gradient(loss, z)
    size = torch.ones_like(value)
    for _ in range(n_steps):
        step = -size[:, None] * (gradient @ metric)
        slope = (gradient * step).sum(1)
        excess = loss(z + step) - value - slope
        length = (-slope / (2 * excess)).where(excess > 0, _LONGEST).clamp(0, _LONGEST)
        trial = z + length.nan_to_num()[:, None] * step
        trial_value, trial_gradient = _with_gradient(loss, trial)
        is_better = value - trial_value > _SMALLEST_GAIN * value.abs()
        value = trial_value.where(is_better, value)
        z = trial.where(is_better[:, None], z)
        gradient = trial_gradient.where(is_better[:, None], gradient)
        size = size.where(is_better, size / 4)
    return z


def _with_gradient(loss, z: Tensor) -> tuple[Tensor, Tensor]:
    """Losses (n,) and their gradients (n, k)."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = loss(z)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient
