"""The objective's parts, each against what its paper says of it."""

import math

import pytest
import torch
from models import make_model

from skae.nn._objective import Objective
from skae.nn.likelihoods import Gaussian
from skae.nn.priors import Normal

N, D, K = 6, 5, 3


def randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def model():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = make_model(Gaussian(D, 0.5), K, Normal(K), hidden_layer_sizes=(6,))
        model = model.double()
        for p in model.skip.parameters():
            torch.nn.init.normal_(p, std=0.5)
    return model


@pytest.fixture
def terms(model):
    return model(randn(N, D), randn(N, K, seed=1))


def elbo(terms, beta=1.0):
    return terms.log_likelihood - beta * terms.divergence


def test_it_is_minus_the_bound(terms):
    torch.testing.assert_close(Objective()(terms), -elbo(terms))
    torch.testing.assert_close(Objective(beta=0.5)(terms), -elbo(terms, 0.5))
    torch.testing.assert_close(Objective(beta=0.0)(terms), -terms.log_likelihood)


def test_beta_grows_in_the_warmup(terms):
    objective = Objective(beta=2.0, kl_warmup=0.4)
    for progress, beta in [(0.0, 0.0), (0.1, 0.5), (0.4, 2.0), (0.9, 2.0)]:
        objective.set_progress(progress)
        torch.testing.assert_close(objective(terms), -elbo(terms, beta))


def test_the_divergence_is_held_to_the_capacity(terms):
    objective = Objective(beta=3.0, capacity=4.0)
    for progress, capacity in [(0.0, 0.0), (0.25, 2.0), (0.5, 4.0), (1.0, 4.0)]:
        objective.set_progress(progress)
        truth = 3 * (terms.divergence - capacity).abs() - terms.log_likelihood
        torch.testing.assert_close(objective(terms), truth)


def test_free_bits_cost_nothing(terms):
    means = terms.prior.divergences(terms.q, terms.z).mean(0)
    assert means.min() < 0.9 < means.max()
    objective = Objective(beta=2.0, free_bits=0.9)
    truth = 2 * means.clamp(min=0.9).sum() - terms.log_likelihood
    torch.testing.assert_close(objective(terms), truth)


def gradients(model, objective, base_samples):
    values = objective(model(randn(N, D), base_samples)).mean()
    parameters = [model.skip.encode_weight, model.skip.decode_weight]
    return torch.autograd.grad(values, parameters)


def mean_gradient(model, objective, n, n_draws=1):
    """Over n draws for each row, as one large batch; and the spread of one."""
    shape = (n, N, K) if n_draws == 1 else (n, n_draws, N, K)
    every = [gradients(model, objective, e) for e in randn(*shape, seed=2)]
    stacked = [torch.stack(g) for g in zip(*every)]
    return [g.mean(0) for g in stacked], [g.std(0) / n**0.5 for g in stacked]


def test_the_path_derivative_has_the_same_mean(model):
    plain, error = mean_gradient(model, Objective(), 1000)
    path, path_error = mean_gradient(model, Objective(path_derivative=True), 1000)
    for a, b, s, t in zip(plain, path, error, path_error):
        assert ((a - b).abs() < 4.5 * (s.square() + t.square()).sqrt()).all()


def test_the_path_derivative_is_silent_at_the_exact_posterior():
    """Roeder et al. (2017): without the score, no noise is left at the optimum."""
    model = make_model(Gaussian(D, 0.3), K, Normal(K)).double()
    loading = torch.linalg.qr(randn(D, K))[0] * torch.tensor([2.0, 1.0, 0.5])
    precision = loading.square().sum(0) / 0.3 + 1
    with torch.no_grad():
        model.skip.decode_weight.copy_(loading)
        model.skip.encode_weight.copy_(loading.T / 0.3 / precision[:, None])
        model.skip.encode_bias[K:] = -0.5 * precision.log()
    for base_samples in randn(3, N, K, seed=3):
        path, _ = gradients(model, Objective(path_derivative=True), base_samples)
        plain, _ = gradients(model, Objective(), base_samples)
        # The noise variance is a float32.
        assert path.abs().max() < 1e-6 < 1e-2 < plain.abs().max()


def test_several_draws_are_the_importance_weighted_bound(model):
    terms = model(randn(N, D), randn(4, N, K, seed=1))
    weights = terms.log_likelihood + terms.prior.log_prob(terms.z)
    weights = weights - terms.q.log_prob(terms.z)
    truth = math.log(4) - weights.logsumexp(0)
    torch.testing.assert_close(Objective()(terms), truth)


def test_the_doubly_reparameterised_gradient_has_the_same_mean(model):
    """That of the encoder, against the plain gradient of the same bound."""

    class Plain(Objective):
        def _importance_weighted(self, terms):
            weights = terms.log_likelihood + terms.prior.log_prob(terms.z)
            weights = weights - terms.q.log_prob(terms.z)
            return math.log(len(weights)) - weights.logsumexp(0)

    plain, error = mean_gradient(model, Plain(), 1500, n_draws=3)
    double, double_error = mean_gradient(model, Objective(), 1500, n_draws=3)
    for a, b, s, t in zip(plain, double, error, double_error):
        assert ((a - b).abs() < 4.5 * (s.square() + t.square()).sqrt()).all()
