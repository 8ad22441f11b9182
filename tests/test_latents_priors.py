"""Posteriors and priors against scipy.stats and Monte-Carlo."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from skae.nn._latents import DiagonalNormal, Point
from skae.nn.priors import PRIORS, Fixed

K, D = 3, 4
FIXED = torch.distributions.Laplace(torch.zeros(K), torch.ones(K))


def make(name):
    """A prior away from its start, in double precision."""
    if name == "fixed":
        return Fixed(K, FIXED)
    if name == "vamp":
        return PRIORS[name](K, D, n_pseudo_inputs=7).double()
    with torch.random.fork_rng([]):
        torch.manual_seed(2)
        prior = PRIORS[name](K, D)
        for p in prior.parameters():
            p.data.add_(0.5 * torch.randn(p.shape))
    return prior.double()


def encode(x):
    """An encoder: the first latents are features, deviations depend on the last."""
    return DiagonalNormal(x[:, :K], 0.3 * x[:, 1:] - 0.5)


def given(name):
    prior = make(name)
    if name == "vamp":
        prior.start(noise(20, D), torch.Generator().manual_seed(0))
    return prior.given(encode)


def mixture_log_density(prior, z):
    log_weights, mean, std = (
        t.detach().numpy()
        for t in (prior.log_weights, prior.clusters.mean, prior.clusters.std)
    )
    log_densities = stats.norm.logpdf(z[:, None], mean, std).sum(-1)
    return logsumexp(log_weights + log_densities, axis=1)


def truth(name, z):
    """Log-density of rows z (n, K)."""
    z = np.asarray(z)
    if name == "normal":
        return stats.multivariate_normal(np.zeros(K)).logpdf(z)
    if name == "fixed":
        return stats.laplace.logpdf(z).sum(-1)
    return mixture_log_density(given(name), z)


each = pytest.mark.parametrize("name", [*sorted(PRIORS), "fixed"])


def posterior(n=5):
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(n, K, generator=generator, dtype=torch.float64)
    log_std = 0.5 * torch.randn(n, K, generator=generator, dtype=torch.float64)
    return DiagonalNormal(mean, log_std)


def noise(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@each
def test_prior_log_prob_is_the_log_density(name):
    z = noise(20, K) * 2
    with torch.no_grad():
        np.testing.assert_allclose(given(name).log_prob(z), truth(name, z))


@each
def test_prior_density_integrates_to_one(name):
    """Importance sampling from a wide law, within three standard errors."""
    proposal = stats.multivariate_t(np.zeros(K), 4 * np.eye(K), df=3)
    z = proposal.rvs(100_000, random_state=0)
    with torch.no_grad():
        log_prob = given(name).log_prob(torch.from_numpy(z)).numpy()
    weights = np.exp(log_prob - proposal.logpdf(z))
    error = weights.std() / len(weights) ** 0.5
    assert abs(weights.mean() - 1) < 3 * error


@each
def test_prior_samples_follow_its_density(name):
    """Their mean log-density is minus the entropy, here by importance weights."""
    n = 50_000
    z = given(name).sample(n, torch.Generator().manual_seed(0)).detach()
    assert z.shape == (n, K)
    mine = truth(name, z)
    proposal = stats.multivariate_t(np.zeros(K), 4 * np.eye(K), df=3)
    other = proposal.rvs(100_000, random_state=0)
    log_density = truth(name, other)
    theirs = np.exp(log_density - proposal.logpdf(other)) * log_density
    error = np.hypot(mine.std() / n**0.5, theirs.std() / len(theirs) ** 0.5)
    assert abs(mine.mean() - theirs.mean()) < 3 * error


@each
def test_prior_marginals_are_those_of_its_samples(name):
    prior = given(name)
    z = prior.sample(20_000, torch.Generator().manual_seed(1)).detach().double()
    grid = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
    with torch.no_grad():
        densities = prior.log_probs(grid[:, None].expand(-1, K)).exp().numpy()
    for column, density in zip(z.T.numpy(), densities.T):
        cumulative = density.cumsum() * 1e-3
        law = lambda x, c=cumulative: np.interp(x, grid.numpy(), c)  # noqa: E731
        assert stats.kstest(column, law).pvalue > 0.005


def test_normal_samples_are_normal():
    z = PRIORS["normal"](K).sample(20_000, torch.Generator().manual_seed(0)).numpy()
    assert min(stats.kstest(column, "norm").pvalue for column in z.T) > 0.01
    assert np.abs(np.corrcoef(z.T) - np.eye(K)).max() < 3 / 20_000**0.5


@each
def test_divergence_is_the_monte_carlo_mean(name):
    q, n = posterior(), 100_000
    prior = given(name)
    with torch.no_grad():
        z = q.rsample(noise(n, 1, K))  # (n, 5, k)
        ratio = q.log_prob(z) - prior.log_prob(z)  # (n, 5)
        error = ratio.std(0) / n**0.5
        divergences = prior.divergences(q, z)
        if divergences.ndim == 3:  # of draws, not in closed form
            divergences = divergences.mean(0)
    value = divergences.sum(-1)
    assert value.shape == (5,)
    assert ((ratio.mean(0) - value).abs() < 3 * error).all()


def test_divergence_of_the_prior_from_itself_is_zero():
    q = DiagonalNormal(torch.zeros(4, K), torch.zeros(4, K))
    assert not PRIORS["normal"](K).divergences(q, q.mean).any()


@each
def test_divergence_has_the_right_gradient(name):
    q, prior = posterior(), given(name)
    parts = q.mean.requires_grad_(), q.log_std.requires_grad_()

    def divergence(mean, log_std):
        q = DiagonalNormal(mean, log_std)
        return prior.divergences(q, q.rsample(noise(5, K)))

    assert torch.autograd.gradcheck(divergence, parts)


def test_a_mixture_begins_near_the_normal_law():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        mixture = PRIORS["mixture"](20)
    z = torch.randn(5000, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        gap = PRIORS["normal"](20).log_prob(z) - mixture.log_prob(z)
    assert 0 <= gap.mean() < 0.2


def test_pseudo_inputs_begin_at_training_rows():
    x, prior = noise(3, D), make("vamp")
    prior.start(x, torch.Generator().manual_seed(0))
    assert {tuple(u) for u in prior.pseudo_inputs.tolist()} == {
        tuple(row) for row in x.tolist()
    }


def test_a_distribution_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match=r"shape.*3.*2 components"):
        Fixed(2, FIXED)


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


def test_a_point_is_its_own_draw():
    params = noise(4, K)
    assert torch.equal(Point.from_params(params).rsample(None), params)
