"""Penalties, each against what its paper says of it."""

import math

import pytest
import torch
from scipy import stats

from skae.nn._latents import DiagonalNormal
from skae.nn._model import Terms
from skae.nn.penalties import MMD, TotalCorrelation
from skae.nn.priors import Normal


def randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def batch(z, q=None):
    q = q or DiagonalNormal(z, torch.full_like(z, -3.0))
    return Terms(None, None, z, q, Normal(z.shape[1]))


def test_total_correlation_of_a_dependent_normal():
    """-log(1 - r^2) / 2 nats for two latents of correlation r."""
    r, n = 0.9, 2000
    z = randn(n, 2)
    z = torch.stack([z[:, 0], r * z[:, 0] + (1 - r**2) ** 0.5 * z[:, 1]], 1)
    std = 0.1
    q = DiagonalNormal(z, torch.full_like(z, math.log(std)))
    value = TotalCorrelation()(None, None, batch(q.rsample(randn(n, 2, seed=1)), q))
    mixed = r / (1 + std**2)  # the posteriors' width is no dependence
    assert value.item() == pytest.approx(-0.5 * math.log(1 - mixed**2), rel=0.1)


def test_total_correlation_of_independent_latents_is_small():
    z = randn(2000, 2)
    q = DiagonalNormal(z, torch.full_like(z, math.log(0.3)))
    assert (
        TotalCorrelation()(None, None, batch(q.rsample(randn(2000, 2, seed=1)), q))
        < 0.05
    )


def test_mmd_tells_laws_apart():
    torch.manual_seed(0)
    n = 1000
    same = [float(MMD()(None, None, batch(randn(n, 2, seed=s)))) for s in range(20)]
    # Unbiased: zero on average, within three standard errors.
    mean, error = sum(same) / 20, stats.sem(same)
    assert abs(mean) < 3 * error
    for other in (randn(n, 2) + 0.5, 0.5 * randn(n, 2)):
        assert MMD()(None, None, batch(other)) > 10 * max(map(abs, same))
