"""Posteriors and priors against scipy.stats and Monte-Carlo."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from torch import distributions

from skae.nn._posteriors import POSTERIORS, DiagonalNormal, Point
from skae.nn.priors import PRIORS, Mixture, Normal, TorchPrior, Vamp, make_prior

K, D = 3, 4
FIXED = torch.distributions.Laplace(torch.zeros(K), torch.ones(K))


def make(name):
    """A prior away from its initial values, in double precision."""
    if name == "fixed":
        return TorchPrior(K, FIXED)
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
        prior.init_params(normal(20, D), torch.Generator().manual_seed(0))
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


def normal(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@each
def test_prior_log_prob_is_the_log_density(name):
    z = normal(20, K) * 2
    with torch.no_grad():
        np.testing.assert_allclose(given(name).log_prob(z), truth(name, z))


@each
def test_prior_density_integrates_to_one(name):
    """Importance sampling from a wide distribution, within three standard errors."""
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
        cdf = lambda x, c=cumulative: np.interp(x, grid.numpy(), c)  # noqa: E731
        assert stats.kstest(column, cdf).pvalue > 0.005


def test_normal_samples_are_normal():
    z = PRIORS["normal"](K).sample(20_000, torch.Generator().manual_seed(0)).numpy()
    assert min(stats.kstest(column, "norm").pvalue for column in z.T) > 0.01
    assert np.abs(np.corrcoef(z.T) - np.eye(K)).max() < 3 / 20_000**0.5


@each
def test_divergence_is_the_monte_carlo_mean(name):
    q, n = posterior(), 100_000
    prior = given(name)
    with torch.no_grad():
        z = q.rsample(normal(n, 1, K))  # (n, 5, k)
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
        return prior.divergences(q, q.rsample(normal(5, K)))

    assert torch.autograd.gradcheck(divergence, parts)


def test_a_mixture_begins_near_the_normal():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        mixture = PRIORS["mixture"](20)
    z = torch.randn(5000, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        gap = PRIORS["normal"](20).log_prob(z) - mixture.log_prob(z)
    assert 0 <= gap.mean() < 0.2


def test_pseudo_inputs_begin_at_training_rows():
    x, prior = normal(3, D), make("vamp")
    prior.init_params(x, torch.Generator().manual_seed(0))
    assert {tuple(u) for u in prior.pseudo_inputs.tolist()} == {
        tuple(row) for row in x.tolist()
    }


def test_a_distribution_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match=r"shape.*3.*2 components"):
        TorchPrior(2, FIXED)


NOT_REAL = {
    "LogNormal": distributions.LogNormal(0.0, 1.0),
    "Gamma": distributions.Gamma(1.0, 1.0),
    "Uniform": distributions.Uniform(-3.0, 3.0),
    "Dirichlet": distributions.Dirichlet(torch.ones(K)),
    "Bernoulli": distributions.Bernoulli(0.5),
    "Poisson": distributions.Poisson(torch.ones(K)),
    "Independent": distributions.Independent(
        distributions.Exponential(torch.ones(K)), 1
    ),
}


@pytest.mark.parametrize("name", NOT_REAL)
def test_a_distribution_over_fewer_than_all_reals_is_refused(name):
    with pytest.raises(ValueError, match=f"prior={name}.*all real numbers.*support is"):
        TorchPrior(K, NOT_REAL[name])


REAL = {
    "student_t": distributions.StudentT(3.0),
    "gumbel": distributions.Gumbel(0.0, 1.0),
    "vectors": distributions.MultivariateNormal(torch.zeros(K), torch.eye(K)),
    "mixture": distributions.MixtureSameFamily(
        distributions.Categorical(torch.ones(2)),
        distributions.Normal(torch.zeros(2), torch.ones(2)),
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_a_distribution_over_all_reals_is_a_prior(name):
    assert TorchPrior(K, REAL[name]).log_prob(normal(5, K)).isfinite().all()


def test_a_users_distribution_need_not_name_its_support():
    class Users(distributions.Distribution):
        def __init__(self):
            super().__init__(event_shape=(K,), validate_args=False)

    assert not TorchPrior(K, Users()).is_independent


BAD_PRIORS = [
    (Mixture(K + 1), ValueError, r"prior=Mixture\(\) is over 4 components; codes .* 3"),
    (Vamp(K, D + 1), ValueError, r"prior=Vamp\(\) is for 5 features; X has 4"),
    (lambda k, d: Mixture(2), ValueError, "is over 2 components; codes have 3"),
    (lambda k, d: None, TypeError, "prior=<function.*make a Prior; got None"),
    (distributions.Normal, TypeError, r"prior=<class.*make a Prior; got Normal\("),
    (torch.nn.Linear(2, 2), TypeError, r"prior=Linear\(.*make a Prior"),
    (5, TypeError, "prior=5 must be a name, or be or make a Prior; got 5"),
]


@pytest.mark.parametrize("prior, error, match", BAD_PRIORS)
def test_what_is_no_prior_of_such_codes_is_refused(prior, error, match):
    with pytest.raises(error, match=match):
        make_prior(PRIORS, prior, K, D)


@pytest.mark.parametrize("prior", ["mixture", FIXED, Mixture, Mixture(K), Vamp(K, D)])
def test_a_prior_is_made_anew(prior):
    made = make_prior(PRIORS, prior, K, D)
    assert made.n_components == K and made is not prior


def test_draws_of_the_normal_do_not_depend_on_the_default_dtype():
    def drawn():
        return Normal(K).sample(5, torch.Generator().manual_seed(0))

    expected = drawn()
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(drawn(), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_posterior_log_prob_is_the_log_density():
    q, z = posterior(), normal(5, K)
    truth = stats.norm.logpdf(z, q.mean, q.std).sum(-1)
    np.testing.assert_allclose(q.log_prob(z), truth)


def test_posterior_draws_have_its_moments():
    q, n = posterior(), 100_000
    z = q.rsample(normal(n, 5, K))
    assert ((z.mean(0) - q.mean).abs() < 4 * q.std / n**0.5).all()  # 15 comparisons
    np.testing.assert_allclose(z.std(0), q.std, rtol=0.02)


def test_posterior_reads_mean_and_log_std():
    params = torch.tensor([[1.0, 2.0, 0.5, 100.0]])
    q = DiagonalNormal.from_params(params)
    torch.testing.assert_close(q.mean, torch.tensor([[1.0, 2.0]]))
    torch.testing.assert_close(q.log_std, torch.tensor([[0.5, 10.0]]))  # stopped at 10


def test_a_point_is_its_own_draw():
    params = normal(4, K)
    assert torch.equal(Point.from_params(params).rsample(None), params)


def test_a_point_has_no_divergence():
    z = normal(2, 4, K)
    assert torch.equal(Point(z[0]).kl(None, z), torch.zeros(2, 4, 1).double())


def test_posteriors_are_mapped_over():
    """They are pytrees: what `torch.func` and `torch.export` take and return."""

    def one(params):
        return POSTERIORS[name].from_params(params[None])

    for name, n_params in (("point", K), ("normal", 2 * K)):
        params = normal(5, n_params)
        mapped, truth = torch.vmap(one)(params), POSTERIORS[name].from_params(params)
        assert type(mapped) is type(truth)
        for value, expected in zip(mapped, truth, strict=True):
            assert torch.equal(value[:, 0], expected)
