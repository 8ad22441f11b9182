"""The networks: skip merging, the bound, the linear-Gaussian model."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from models import make_model
from scipy import stats
from torch import nn

from skae.nn._activations import ACTIVATIONS
from skae.nn._log_density import importance_weighted, log_bound, log_loss
from skae.nn._objective import Objective
from skae.nn.architectures import ARCHITECTURES, MLPBody
from skae.nn.likelihoods import Gaussian, SquaredError
from skae.nn.priors import Normal


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        yield


def randn(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def plain_mlp(mlp, x):
    for layer in mlp.hidden:
        x = ACTIVATIONS[mlp.activation](layer(x))
    return mlp.output(x)


# Inputs, hidden layers, outputs, outputs of the skip map.
LAYOUTS = [
    (6, (5, 4), 2, 2),  # narrow outputs
    (6, (5, 4), 4, 2),  # the same, on the first outputs only
    (2, (4, 5), 6, 6),  # wide outputs
    (2, (4, 5), 9, 6),  # the same, on the first outputs only
    (3, (4,), 3, 3),  # one hidden layer, square skip
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mlp_with_a_skip_is_the_plain_sum(layout):
    n_in, hidden, n_out, n_skip = layout
    mlp = MLPBody((n_in, *hidden, n_out), "silu").double()
    x, weight, bias = randn(7, n_in), randn(n_skip, n_in), randn(n_out)
    inputs = [t.requires_grad_() for t in (x, weight, bias)]
    inputs += list(mlp.parameters())
    merged = mlp(x, (weight, bias))
    skip = nn.functional.pad(x @ weight.T, (0, n_out - n_skip)) + bias
    plain = plain_mlp(mlp, x) + skip
    torch.testing.assert_close(merged, plain)
    gradients = (torch.autograd.grad(y.sin().sum(), inputs) for y in (merged, plain))
    for mine, truth in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, truth)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_mlp_without_a_skip_is_the_plain_network(activation):
    mlp = MLPBody((3, 5, 4, 2), activation).double()
    x = randn(7, 3)
    torch.testing.assert_close(mlp(x), plain_mlp(mlp, x))


def test_the_decoder_mirrors_the_encoder():
    encoder, decoder = ARCHITECTURES["mlp"](None, (8, 4), "silu", (6, 2), (2, 6))
    shapes = [tuple(p.shape) for p in encoder.parameters() if p.ndim == 2]
    mirrored = [tuple(p.shape[::-1]) for p in decoder.parameters() if p.ndim == 2]
    assert shapes == mirrored[::-1] == [(8, 6), (4, 8), (2, 4)]


D, K = 5, 2


def random_model(likelihood=None, hidden=(6,), prior=Normal):
    """Of float64, its skip random too; without a prior codes are points."""
    likelihood = likelihood or Gaussian(D, 0.5)
    prior = prior and prior(K)
    model = make_model(likelihood, K, prior, hidden_layer_sizes=hidden).double()
    with torch.no_grad():
        for p in model.skip.parameters():
            p.normal_(std=0.5)
    return model


class Plain(nn.Module):
    """A body that knows nothing of skips."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return self.body(x)


@pytest.mark.parametrize("prior", [None, Normal])
def test_a_body_that_carries_no_skip_gives_the_same_model(prior):
    model, x, base_samples = random_model(prior=prior), randn(7, D), randn(7, K)
    merged = model(x, base_samples)
    model.encoder, model.decoder = Plain(model.encoder), Plain(model.decoder)
    plain = model(x, base_samples)
    for name in ("log_likelihood", "params", "z"):
        torch.testing.assert_close(getattr(plain, name), getattr(merged, name))


def test_the_model_is_a_linear_skip_plus_bodies():
    model, x = random_model(SquaredError(D), prior=None), randn(7, D)
    skip = model.skip
    z = x @ skip.encode_weight.T + skip.encode_bias + plain_mlp(model.encoder, x)
    back = z @ skip.decode_weight.T + skip.decode_bias + plain_mlp(model.decoder, z)
    torch.testing.assert_close(model.best_code(x), z)
    torch.testing.assert_close(model.reconstruct(z), back)
    terms = model(x)
    torch.testing.assert_close(terms.log_likelihood, -(x - back).square().sum(1))
    assert torch.equal(terms.params, model.decode(model.best_code(x)))
    torch.testing.assert_close(Objective()(terms), -terms.log_likelihood)


def test_units_lead_to_the_network_and_back():
    X = 3 * randn(100, D) + 1000
    is_scaled = torch.tensor([True, True, True, False, False])
    units = random_model().units
    units.set(X.mean(0), X.std(0), is_scaled)
    x = units.to_net(X)
    torch.testing.assert_close(x, (X - X.mean(0)) / X.std(0))
    target = units.to_target(x)
    torch.testing.assert_close(target, X.where(~is_scaled, x))
    torch.testing.assert_close(units.from_target(target), x)
    torch.testing.assert_close(units.to_data(target), X)


def test_users_codes_have_units_of_their_own():
    units, z = random_model().units, randn(7, K)
    units.code_scale.copy_(torch.tensor([2.0, 5.0]))
    code = units.to_users_code(z)
    torch.testing.assert_close(code, z * torch.tensor([2.0, 5.0], dtype=z.dtype))
    torch.testing.assert_close(units.from_users_code(code), z)


def test_the_bound_rises_with_the_number_of_draws():
    """The mean bound over groups of draws is at most that of their union, row by row:
    Burda et al. (2016), theorem 1, by Jensen's inequality."""
    model, x, draws = random_model(), randn(20, D), randn(64, K, seed=2)
    means = []
    with torch.no_grad():
        for size in (1, 4, 16, 64):
            groups = [log_bound(model, x, g) for g in draws.split(size)]
            means.append(torch.stack(groups).mean(0))
    for fewer, more in pairwise(means):
        assert (fewer < more).all()


def test_one_draw_is_the_evidence_bound_on_average():
    model, x, draws = random_model(), randn(3, D), randn(8000, K, seed=2)
    with torch.no_grad():
        bounds = torch.stack([log_bound(model, x, e[None]) for e in draws[:4000]])
        terms = [model(x, e.expand(3, 2)) for e in draws[4000:]]
        elbos = torch.stack([t.log_likelihood - t.divergence for t in terms])
    error = (bounds.var(0) / 4000 + elbos.var(0) / 4000).sqrt()
    assert ((bounds.mean(0) - elbos.mean(0)).abs() < 3 * error).all()


def linear_gaussian(noise=0.3):
    """A model with orthogonal loadings and its exact posterior, and its density."""
    model = random_model(Gaussian(D, noise), hidden=())
    loading = torch.linalg.qr(randn(D, K))[0] * torch.tensor([2.0, 1.0])
    offset = randn(D, seed=3)
    precision = loading.square().sum(0) / noise + 1  # of the posterior
    with torch.no_grad():
        model.skip.decode_weight.copy_(loading)
        model.skip.decode_bias.copy_(offset)
        weight = loading.T / noise / precision[:, None]
        model.skip.encode_weight.copy_(weight)
        log_std = -0.5 * precision.log()
        model.skip.encode_bias.copy_(torch.cat([-weight @ offset, log_std]))
    covariance = loading @ loading.T + noise * torch.eye(D)
    return model, stats.multivariate_normal(offset.numpy(), covariance.numpy())


@pytest.mark.parametrize("n_draws", [1, 2, 64])
def test_the_bound_of_a_linear_gaussian_model_is_exact(n_draws):
    model, marginal = linear_gaussian()
    x = randn(10, 5)
    with torch.no_grad():
        bound = importance_weighted(model, x, randn(n_draws, 2, seed=4))
        exact = log_bound(model, x, randn(n_draws, 2, seed=4))
    np.testing.assert_allclose(bound, marginal.logpdf(x))
    np.testing.assert_allclose(exact, marginal.logpdf(x))


def test_the_bound_is_exact_in_data_units():
    model, marginal = linear_gaussian()
    loc, scale = torch.arange(5.0), torch.full((D,), 3.0)
    model.units.set(loc, scale, torch.ones(D, dtype=torch.bool))
    X = randn(10, D)
    with torch.no_grad():
        bound = log_bound(model, model.units.to_net(X), randn(4, K, seed=4))
    truth = stats.multivariate_normal(
        3 * marginal.mean + np.arange(5), 9 * marginal.cov_object.covariance
    )
    np.testing.assert_allclose(bound, truth.logpdf(X))


def test_a_wrong_posterior_loosens_the_bound_and_draws_mend_it():
    model, marginal = linear_gaussian()
    with torch.no_grad():
        model.skip.encode_bias[2:] += 0.5
        x = randn(10, 5)
        truth = marginal.logpdf(x)
        bound = partial(importance_weighted, model)
        one = [bound(x, e[None]) for e in randn(400, 2, seed=4)]
        many = bound(x, randn(4000, 2, seed=4)).numpy()
        np.testing.assert_allclose(log_bound(model, x, randn(1, 2)), truth)
    # Of both latents: log of the inflation less half of its square plus a half.
    gap = 2 * (0.5 * (np.exp(1.0) - 1) - 0.5)
    assert (truth - torch.stack(one).mean(0).numpy()).mean() == pytest.approx(
        gap, rel=0.1
    )
    assert np.abs(many - truth).max() < 0.1


def test_log_loss_is_minus_the_squared_error_of_the_data():
    model, X = random_model(SquaredError(D), prior=None), 4 * randn(7, D) + 10
    model.units.set(X.mean(0), torch.full((D,), 4.0), torch.ones(D, dtype=torch.bool))
    x = model.units.to_net(X)
    back = model.reconstruct(model.best_code(x))
    torch.testing.assert_close(log_loss(model, x), -(X - back).square().sum(1))
