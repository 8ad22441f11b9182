"""The one objective of training, in nats per row."""

import math

import torch
from torch import Tensor, nn

from skae.nn._outputs import Terms

# Fraction of the training in which the capacity of the latents grows.
_CAPACITY_GROWS = 0.5


class Objective(nn.Module):
    """Minus the evidence lower bound (ELBO), and its variants.

    .. math:: -\\log p(x | z) + \\beta \\, | KL(q(z|x) \\| p(z)) - C | + penalty

    With several draws of the posterior, minus the importance-weighted bound.

    Parameters
    ----------
    beta : float
        1 is the evidence bound (Higgins et al., 2017, beta-VAE).
    kl_warmup : float
        Fraction of the training in which `beta` grows from zero (Sonderby et al., 2016,
        ladder VAE).
    capacity : float
        C, in nats, to which the divergence is held; it grows from zero in the first
        half of the training (Burgess et al., 2018, understanding disentangling).
    free_bits : float
        Nats of each latent that cost nothing, on average over a batch (Kingma et al.,
        2016, inverse autoregressive flow).
    path_derivative : bool
        Leave out the score of the posterior, whose mean is zero, from the gradient
        (Roeder, Wu and Duvenaud, 2017, sticking the landing). Several draws always do,
        by the doubly reparameterised gradient (Tucker et al., 2018).
    """

    beta_now: Tensor
    capacity_now: Tensor

    def __init__(
        self,
        beta: float = 1.0,
        kl_warmup: float = 0.0,
        capacity: float = 0.0,
        free_bits: float = 0.0,
        path_derivative: bool = False,
    ):
        super().__init__()
        self.beta, self.kl_warmup = beta, kl_warmup
        self.capacity, self.free_bits = capacity, free_bits
        self.path_derivative = path_derivative
        # Tensors, so that a traced step sees them change.
        self.register_buffer("beta_now", torch.tensor(float(beta)))
        self.register_buffer("capacity_now", torch.tensor(float(capacity)))

    @property
    def growing_fraction(self) -> float:
        """Fraction of the training after which the objective is the final one."""
        return max(self.kl_warmup, _CAPACITY_GROWS if self.capacity else 0.0)

    def set_progress(self, progress: float) -> None:
        """Set the weights that grow to their values at a fraction of the training."""
        warmth = min(1.0, progress / self.kl_warmup) if self.kl_warmup else 1.0
        self.beta_now.fill_(self.beta * warmth)
        self.capacity_now.fill_(self.capacity * min(1.0, progress / _CAPACITY_GROWS))

    def forward(self, terms: Terms) -> Tensor:  # (n,)
        loss = self._loss(terms)
        # (s, n) losses of s prefixes to one of each row
        if terms.weights is not None:
            loss = (terms.weights * loss).mean(0)
        return loss if terms.penalty is None else loss + terms.penalty

    def _loss(self, terms: Terms) -> Tensor:
        if terms.prior is None:
            return -terms.log_likelihood
        # Several draws (s, n, k) of a row: the importance-weighted bound.
        if terms.z.ndim == 3:
            return self._importance_weighted(terms)
        return self._cost(terms) - terms.log_likelihood

    def _divergences(self, terms: Terms) -> Tensor:
        # A less precise value than the closed form, which evaluation uses.
        if self.path_derivative and torch.is_grad_enabled():
            return terms.path_divergence().unsqueeze(-1)
        return terms.divergences()

    def _cost(self, terms: Terms) -> Tensor:
        divergences = self._divergences(terms)  # (n, k), or (n, 1) of all latents
        if self.free_bits:
            # One divergence of all latents together has the free bits of all.
            n_latents = terms.z.shape[-1] / divergences.shape[-1]
            free = self.free_bits * n_latents
            # Free on average over the batch (Kingma et al., 2016, appendix C.8): a row
            # may use more of a latent than another.
            divergences = divergences.mean(-2, keepdim=True).clamp(min=free)
        divergence = divergences.sum(-1)
        if self.capacity:
            divergence = (divergence - self.capacity_now).abs()
        return self._weight * divergence

    @property
    def _weight(self) -> float | Tensor:
        # A plain number, where it does not change, is faster in a recorded step.
        return self.beta_now if self.kl_warmup else self.beta

    def _importance_weighted(self, terms: Terms) -> Tensor:
        """Minus the bound over draws (s, n), doubly reparameterised."""
        log_weights = terms.log_likelihood - self._weight * terms.path_divergence()
        # The gradient with respect to a draw is weighted once more by its normalised
        # importance weight: w^2 instead of w (Tucker et al., 2018).
        if terms.z.requires_grad:
            weights = log_weights.detach().softmax(0)
            terms.z.register_hook(lambda gradient: gradient * weights.unsqueeze(-1))
        # log of the mean weight over s draws
        return math.log(len(log_weights)) - log_weights.logsumexp(0)
