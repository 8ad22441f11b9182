"""Likelihoods against scipy.stats; every entry of the registries is covered."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit

from skae.nn.likelihoods import LIKELIHOODS, LOSSES

REGISTERED = {**LIKELIHOODS, **LOSSES}
NOISE = 0.3  # variance


def make(name):
    likelihood = REGISTERED[name]().double()
    if hasattr(likelihood, "set_noise_variance"):
        likelihood.set_noise_variance(NOISE)
    return likelihood


def gaussian(x, params):
    return stats.norm.logpdf(x, params, NOISE**0.5).sum(-1)


def bernoulli(x, params):
    # The outcomes' log-probabilities, mixed: defined for shares between them, too.
    p = expit(params)
    one, zero = stats.bernoulli.logpmf(1, p), stats.bernoulli.logpmf(0, p)
    return (x * one + (1 - x) * zero).sum(-1)


def squared_error(x, params):
    """A normal log-density of variance 1/2, less its constant."""
    constant = 0.5 * math.log(math.pi)
    return (stats.norm.logpdf(x, params, 0.5**0.5) + constant).sum(-1)


def bernoulli_variance(params):
    return expit(params) * (1 - expit(params))


# name: log-density, mean of a feature, variance of a sampled feature
TRUTHS = {
    "gaussian": (gaussian, lambda p: p, lambda p: np.full_like(p, NOISE)),
    "bernoulli": (bernoulli, expit, bernoulli_variance),
    "squared_error": (squared_error, lambda p: p, lambda p: np.full_like(p, 0.5)),
    "binary_cross_entropy": (bernoulli, expit, bernoulli_variance),
}

each = pytest.mark.parametrize("name", sorted(REGISTERED))


def draw(name, n=20, d=3):
    """Parameters, and rows in the support."""
    rng = np.random.default_rng(0)
    params = rng.normal(size=(n, d)) * 2
    x = rng.normal(size=(n, d)) if REGISTERED[name].is_scaled else rng.random((n, d))
    return torch.from_numpy(params), torch.from_numpy(x)


def test_every_registered_likelihood_has_a_truth():
    assert set(TRUTHS) == set(REGISTERED)


@each
def test_log_prob_is_the_log_density(name):
    params, x = draw(name)
    with torch.no_grad():
        values = make(name).log_prob(params, x)
    assert values.shape == (len(x),)
    np.testing.assert_allclose(values, TRUTHS[name][0](x.numpy(), params.numpy()))


def test_bernoulli_log_prob_of_binary_rows_and_sure_logits():
    params = torch.tensor([[200.0, -200.0, 0.0]], dtype=torch.float64)
    x = torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)
    value = make("bernoulli").log_prob(params, x)
    assert value.item() == pytest.approx(-math.log(2))
    assert make("bernoulli").log_prob(params, 1 - x).item() == pytest.approx(
        -400 - math.log(2)
    )


@each
def test_log_prob_has_the_right_gradient(name):
    likelihood, (params, x) = make(name), draw(name, n=4)
    parameters = list(likelihood.parameters())

    def log_prob(params, *_):
        return likelihood.log_prob(params, x)

    assert torch.autograd.gradcheck(log_prob, (params.requires_grad_(), *parameters))


@each
def test_half_precision_is_summed_in_single(name):
    params, x = draw(name, n=8, d=4000)
    likelihood = make(name).float()
    with torch.no_grad():
        half = likelihood.log_prob(params.bfloat16(), x.bfloat16())
        whole = likelihood.log_prob(params.bfloat16().float(), x.bfloat16().float())
    assert half.dtype == torch.float32
    # A bfloat16 keeps 8 bits: single terms may be off by 2^-8, their sum by far less.
    np.testing.assert_allclose(half, whole, rtol=2e-3)


@each
def test_sample_has_the_moments_of_the_law(name):
    n, d = 100_000, 3
    _, mean, variance = TRUTHS[name]
    row = np.array([[-1.0, 0.2, 1.5]])
    params = torch.from_numpy(row).expand(n, d)
    with torch.no_grad():
        values = make(name).sample(params, torch.Generator().manual_seed(0)).numpy()
    truth, error = mean(row)[0], np.sqrt(variance(row)[0] / n)
    assert (np.abs(values.mean(0) - truth) <= 3 * error + 1e-9).all()
    np.testing.assert_allclose(values.var(0), variance(row)[0], rtol=0.03, atol=1e-12)


@each
def test_sample_depends_on_its_generator_alone(name):
    likelihood, (params, _) = make(name), draw(name)
    before = torch.get_rng_state()
    with torch.no_grad():
        one = likelihood.sample(params, torch.Generator().manual_seed(1))
        torch.rand(3)
        two = likelihood.sample(params, torch.Generator().manual_seed(1))
    torch.set_rng_state(before)
    assert torch.equal(one, two)


@each
def test_mean_is_the_mean_of_the_law(name):
    params, _ = draw(name)
    with torch.no_grad():
        values = make(name).mean(params)
    np.testing.assert_allclose(values, TRUTHS[name][1](params.numpy()))


@each
def test_log_prob_in_data_units(name):
    """A density of x / s is one of x, less log s for each feature."""
    likelihood, (params, x) = make(name), draw(name)
    scale = torch.tensor(2.5, dtype=torch.float64)
    with torch.no_grad():
        value = likelihood.in_data_units(likelihood.log_prob(params, x), scale, 3)
    params, x = params.numpy(), x.numpy()
    truth = {
        "gaussian": lambda: stats.norm.logpdf(
            2.5 * x, 2.5 * params, 2.5 * NOISE**0.5
        ).sum(-1),
        "squared_error": lambda: -((2.5 * x - 2.5 * params) ** 2).sum(-1),
    }.get(name, lambda: bernoulli(x, params))
    np.testing.assert_allclose(value, truth())


@each
def test_check_accepts_the_support(name):
    _, x = draw(name)
    REGISTERED[name].check(x.numpy())


@each
def test_one_parameter_count_fits_all(name):
    likelihood, (params, x) = make(name), draw(name)
    assert likelihood.n_params * x.shape[1] == params.shape[1]
    assert likelihood.mean(params).shape == x.shape


def test_gaussian_variance_is_the_one_that_was_set():
    assert make("gaussian").log_variance.exp().item() == pytest.approx(NOISE)
