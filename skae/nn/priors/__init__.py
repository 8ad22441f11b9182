"""Priors over the latents.

A prior is an `nn.Module` made from the number of latents, with ``log_prob(z) -> (n,)``,
``sample(n, generator) -> (n, k)`` and ``divergence(posterior, z) -> (n,)``, the
Kullback-Leibler divergence in nats: in closed form where there is one, otherwise
``posterior.log_prob(z) - log_prob(z)``.
"""

from skae.nn.priors._normal import Normal

PRIORS = {"normal": Normal}

__all__ = ["PRIORS", "Normal"]
