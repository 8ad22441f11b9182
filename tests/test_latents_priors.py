"""Posteriors and priors against scipy.stats and Monte-Carlo."""

import numpy as np
import pytest
import torch
from scipy import stats

from skae.nn._latents import LATENTS, DiagonalNormal, Point
from skae.nn.priors import PRIORS

K = 3

each = pytest.mark.parametrize("name", sorted(PRIORS))

# name: log-density of rows under a prior over K latents
TRUTHS = {"normal": lambda z: stats.multivariate_normal(np.zeros(K)).logpdf(z)}


def posterior(n=5):
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(n, K, generator=generator, dtype=torch.float64)
    log_std = 0.5 * torch.randn(n, K, generator=generator, dtype=torch.float64)
    return DiagonalNormal(mean, log_std)


def noise(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_every_registered_prior_has_a_truth():
    assert set(TRUTHS) == set(PRIORS)


@each
def test_prior_log_prob_is_the_log_density(name):
    z = noise(20, K) * 2
    np.testing.assert_allclose(PRIORS[name](K).double().log_prob(z), TRUTHS[name](z))


@each
def test_prior_density_integrates_to_one(name):
    """Importance sampling from a wide normal, within three standard errors."""
    proposal = stats.multivariate_normal(np.zeros(K), 4 * np.eye(K))
    z = 2 * noise(50_000, K)
    log_weight = PRIORS[name](K).double().log_prob(z).numpy() - proposal.logpdf(z)
    weights = np.exp(log_weight)
    error = weights.std() / len(weights) ** 0.5
    assert abs(weights.mean() - 1) < 3 * error


@each
def test_prior_samples_follow_its_density(name):
    prior, n = PRIORS[name](K), 50_000
    z = prior.sample(n, torch.Generator().manual_seed(0))
    assert z.shape == (n, K)
    # The entropy estimated from the samples and from independent scipy ones agree.
    mine = TRUTHS[name](z.numpy())
    theirs = TRUTHS[name](noise(n, K).numpy()) if name == "normal" else mine
    error = np.hypot(mine.std(), theirs.std()) / n**0.5
    assert abs(mine.mean() - theirs.mean()) < 3 * error


def test_normal_samples_are_normal():
    z = PRIORS["normal"](K).sample(20_000, torch.Generator().manual_seed(0)).numpy()
    assert min(stats.kstest(column, "norm").pvalue for column in z.T) > 0.01
    assert np.abs(np.corrcoef(z.T) - np.eye(K)).max() < 3 / 20_000**0.5


@each
def test_divergence_is_the_monte_carlo_mean(name):
    q, n = posterior(), 100_000
    prior = PRIORS[name](K).double()
    z = q.rsample(noise(n, 1, K))  # (n, 5, k)
    ratio = q.log_prob(z) - prior.log_prob(z)  # (n, 5)
    error = ratio.std(0) / n**0.5
    closed = prior.divergence(q, z[0])
    assert closed.shape == (5,)
    assert ((ratio.mean(0) - closed).abs() < 3 * error).all()


def test_divergence_of_the_prior_from_itself_is_zero():
    q = DiagonalNormal(torch.zeros(4, K), torch.zeros(4, K))
    assert torch.equal(q.divergence(PRIORS["normal"](K), q.mean), torch.zeros(4))


@each
def test_divergence_has_the_right_gradient(name):
    q, prior = posterior(), PRIORS[name](K).double()
    parts = q.mean.requires_grad_(), q.log_std.requires_grad_()

    def divergence(mean, log_std):
        q = DiagonalNormal(mean, log_std)
        return q.divergence(prior, q.rsample(noise(5, K)))

    assert torch.autograd.gradcheck(divergence, parts)


def test_posterior_log_prob_is_the_log_density():
    q, z = posterior(), noise(5, K)
    truth = stats.norm.logpdf(z, q.mean, q.std).sum(-1)
    np.testing.assert_allclose(q.log_prob(z), truth)


def test_posterior_draws_have_its_moments():
    q, n = posterior(), 100_000
    z = q.rsample(noise(n, 5, K))
    assert ((z.mean(0) - q.mean).abs() < 4 * q.std / n**0.5).all()  # 15 comparisons
    np.testing.assert_allclose(z.std(0), q.std, rtol=0.02)


def test_posterior_reads_mean_and_log_std():
    params = torch.tensor([[1.0, 2.0, 0.5, 100.0]])
    q = DiagonalNormal.from_params(params)
    torch.testing.assert_close(q.mean, torch.tensor([[1.0, 2.0]]))
    torch.testing.assert_close(q.log_std, torch.tensor([[0.5, 10.0]]))  # stopped at 10


def test_a_point_is_its_own_draw_and_costs_nothing():
    params = noise(4, K)
    point = Point.from_params(params)
    assert torch.equal(point.rsample(None), params)
    assert point.divergence(None, params) is None


def test_each_latent_reads_as_many_parameters_as_it_names():
    for latent in LATENTS.values():
        code = latent.from_params(torch.zeros(2, K * latent.n_params))
        assert code.mean.shape == (2, K)
