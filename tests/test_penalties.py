"""Penalties, each against what its paper says of it."""

import math

import numpy as np
import pytest
import torch
from models import make_model
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch.nn import functional as F

from skae import AutoencoderTransformer, VAETransformer
from skae.nn._model import LatentModel
from skae.nn._outputs import Terms
from skae.nn._posteriors import DiagonalNormal, Point
from skae.nn.likelihoods import Gaussian
from skae.nn.penalties import (
    L1,
    MMD,
    PENALTIES,
    Adversarial,
    Contractive,
    KLSparsity,
    Orthogonal,
    TotalCorrelation,
    make_penalty,
)
from skae.nn.priors import Normal

SMALL = {"hidden_layer_sizes": (32,), "random_state": 0}


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


def of_codes(penalty, z):
    """Value of a penalty that asks codes alone."""
    return float(penalty(None, None, Terms(None, None, z, Point(z), None)))


def test_l1_is_the_mean_one_norm_and_vanishes_at_its_target():
    z = randn(50, 4)
    assert of_codes(L1(), z) == pytest.approx(float(z.abs().sum(1).mean()))
    at_target = z / z.abs().mean(0) * 0.3
    assert of_codes(L1(target=0.3), at_target) == pytest.approx(0, abs=1e-12)
    assert of_codes(L1(target=0.3), 2 * at_target) == pytest.approx(4 * 0.3)


def test_kl_sparsity_is_that_of_bernoulli_laws():
    z, rho = randn(50, 4), 0.2
    active = (1 / (1 + np.exp(-z.numpy()))).mean(0)
    truth = stats.entropy([[rho] * 4, [1 - rho] * 4], [active, 1 - active]).sum()
    assert of_codes(KLSparsity(rho), z) == pytest.approx(truth)
    off = torch.full((5, 2), -200.0, dtype=torch.float64)
    assert math.isfinite(of_codes(KLSparsity(rho), off))


def test_orthogonal_is_the_sum_of_squared_correlations():
    z = randn(50, 4) @ randn(4, 4, seed=1)
    correlations = np.corrcoef(z.T)
    truth = (correlations**2).sum() - 4
    assert of_codes(Orthogonal(), z) == pytest.approx(truth)
    constant = torch.cat([z, torch.ones(50, 1, dtype=torch.float64)], 1)
    assert of_codes(Orthogonal(), constant) == pytest.approx(truth)


# The contractive penalty.


def random_model(prior=None):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = make_model(Gaussian(5), 3, prior, hidden_layer_sizes=(6,)).double()
        for p in model.skip.parameters():
            torch.nn.init.normal_(p, std=0.5)
    return model


def squared_jacobian_norms(model, x):
    def code(row):
        return model.encode(row[None]).mean[0]

    jacobians = [torch.autograd.functional.jacobian(code, row) for row in x]
    return torch.stack([j.square().sum() for j in jacobians])


@pytest.mark.parametrize("prior", [None, Normal(3)])
def test_contractive_is_the_squared_norm_of_the_jacobian(prior):
    model, x = random_model(prior), randn(7, 5)
    truth = squared_jacobian_norms(model, x)
    torch.testing.assert_close(Contractive()(model, x, None), truth)
    with torch.no_grad():  # validation rows are evaluated so
        torch.testing.assert_close(Contractive()(model, x, None), truth)


def test_contractive_reaches_the_weights():
    model, x = random_model(), randn(7, 5)
    weight = model.skip.encode_weight

    def value(shift=0.0):
        with torch.no_grad():
            weight[0, 0] += shift
        total = Contractive()(model, x, None).sum()
        with torch.no_grad():
            weight[0, 0] -= shift
        return total

    (gradient,) = torch.autograd.grad(value(), weight)
    step = 1e-5
    slope = (value(step) - value(-step)) / (2 * step)
    assert float(gradient[0, 0]) == pytest.approx(slope.item(), rel=1e-6)


def test_hutchinsons_estimate_is_unbiased():
    torch.manual_seed(0)
    model, x = random_model(), randn(2, 5)
    draws = torch.stack([Contractive(n_exact=2)(model, x, None) for _ in range(2000)])
    draws, truth = draws.detach(), squared_jacobian_norms(model, x)
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - truth).abs() < 4.5 * error).all()
    assert (error > 0).all()


# The adversarial penalty.


def test_each_side_of_the_game_gets_its_own_gradient():
    torch.manual_seed(0)
    penalty = Adversarial((8,))
    penalty.build(2)
    z = torch.randn(30, 2, requires_grad=True)
    torch.manual_seed(1)
    value = penalty(None, None, Terms(None, None, z, Point(z), None))
    weights = list(penalty.discriminator.parameters())
    to_codes, *to_weights = torch.autograd.grad(value, [z, *weights])
    torch.manual_seed(1)
    drawn = torch.randn_like(z)
    deceived = F.softplus(-penalty.discriminator(z)).mean()
    assert torch.equal(to_codes, torch.autograd.grad(deceived, z)[0])
    loss = F.softplus(-penalty.discriminator(drawn)).mean()
    loss = loss + F.softplus(penalty.discriminator(z)).mean()
    for mine, truth in zip(to_weights, torch.autograd.grad(loss, weights)):
        torch.testing.assert_close(mine, truth)


def test_the_discriminator_trains_with_the_one_optimiser(digits):
    sizes = []

    class Sizes(Callback):
        def on_epoch_end(self, net, **kwargs):
            assert isinstance(net.optimizer_, torch.optim.AdamW)
            groups = net.optimizer_.param_groups
            sizes.append(sum(len(group["params"][0]) for group in groups))

    params = {"penalty": "adversarial", "max_iter": 2, "callbacks": [Sizes()], **SMALL}
    model = AutoencoderTransformer(2, **params).fit(digits)
    n_weights = sum(p.numel() for p in model.net_.module_.parameters())
    assert sizes == [n_weights] * 2
    assert not hasattr(model, "validation_loss_curve_")


# In a fit.


def energy_distance(Z):
    """Of codes and as many standard normal draws (Szekely and Rizzo, 2013)."""
    drawn = np.random.default_rng(0).normal(size=Z.shape)

    def mean_within(A):
        return cdist(A, A).sum() / (len(A) * (len(A) - 1))

    return 2 * cdist(Z, drawn).mean() - mean_within(Z) - mean_within(drawn)


def codes(X, estimator=AutoencoderTransformer, **params):
    model = estimator(6, max_iter=60, **SMALL, **params).fit(X)
    return model.transform(X)


@pytest.fixture(scope="module")
def unpenalized(digits):
    return codes(digits, penalty=lambda model, x, terms: 0 * terms.z.sum())


@pytest.mark.parametrize("name", ["mmd", "adversarial"])
def test_codes_are_brought_to_the_prior(name, digits, unpenalized):
    mine = codes(digits, penalty=name)
    assert energy_distance(mine) < energy_distance(unpenalized) / 3


def test_the_mean_activation_reaches_its_target(digits):
    for target in (0.1, 0.3):
        sizes = np.abs(codes(digits, penalty=L1(target), penalty_weight=10.0))
        assert sizes.mean() == pytest.approx(target, rel=0.2)
        logits = codes(digits, penalty=KLSparsity(target))
        active = 1 / (1 + np.exp(-logits))
        assert active.mean(0) == pytest.approx(np.full(6, target), rel=0.2)


def test_latents_are_decorrelated(digits, unpenalized):
    def dependence(Z):
        return (np.corrcoef(Z.T) ** 2).sum() - Z.shape[1]

    mine = codes(digits, penalty="orthogonal", penalty_weight=10.0)
    assert dependence(mine) < dependence(unpenalized) / 3


def test_a_contractive_encoder_reacts_less(digits, unpenalized):
    def reaction(**params):
        model = AutoencoderTransformer(6, max_iter=60, **SMALL, **params).fit(digits)
        module = model.net_.module_
        x = module.units.to_net(torch.from_numpy(digits[:50])).float()
        return float(squared_jacobian_norms(module, x).detach().mean())

    plain = reaction(penalty=lambda model, x, terms: 0 * terms.z.sum())
    assert reaction(penalty="contractive", penalty_weight=1.0) < plain / 2


def test_with_a_penalty_codes_start_with_unit_variance(digits):
    model = AutoencoderTransformer(4, penalty="l1", max_iter=0).fit(digits)
    assert model.transform(digits).std(0, ddof=1) == pytest.approx(np.ones(4))


def test_a_list_is_a_weighted_sum(digits):
    def curve(penalty, weight):
        params = {"penalty": penalty, "penalty_weight": weight, "max_iter": 2, **SMALL}
        return AutoencoderTransformer(3, **params).fit(digits).loss_curve_

    both = curve(["l1", Orthogonal()], [0.5, 2.0])
    halves = curve([L1(), L1(), "orthogonal"], [0.25, 0.25, 2.0])
    assert both == pytest.approx(halves, rel=1e-6)
    assert both != pytest.approx(curve("l1", 0.5), rel=1e-3)


def test_a_callable_is_given_model_rows_and_terms(digits):
    def shrink(model, x, terms):
        assert isinstance(model, LatentModel) and len(x) == len(terms.z)
        return terms.z.square().sum(1)

    small = codes(digits, penalty=shrink, penalty_weight=10.0)
    assert (small.std(0) < 0.5).all()


def test_the_users_object_stays_as_it_is(digits):
    penalty = Adversarial()
    AutoencoderTransformer(2, penalty=penalty, max_iter=1, **SMALL).fit(digits)
    assert not list(penalty.parameters())


@pytest.mark.parametrize(
    "estimator, params, error, match",
    [
        (
            AutoencoderTransformer,
            {"penalty": "total_correlation"},
            ValueError,
            "needs a posterior",
        ),
        (VAETransformer, {"penalty": "l2"}, ValueError, "'penalty' parameter .*'mmd'"),
        (
            AutoencoderTransformer,
            {"penalty": ["l1", "l2"]},
            ValueError,
            "penalty='l2' is none of 'l1', ",
        ),
        (
            AutoencoderTransformer,
            {"penalty": ["l1", "mmd"], "penalty_weight": [1.0]},
            ValueError,
            "1 values for 2 penalties",
        ),
        (
            AutoencoderTransformer,
            {"penalty": "l1", "penalty_weight": -1.0},
            ValueError,
            "'penalty_weight' parameter",
        ),
        (
            AutoencoderTransformer,
            {"penalty": ["l1"], "penalty_weight": [-1.0]},
            ValueError,
            "penalty_weight must be >= 0; got -1.0",
        ),
        (AutoencoderTransformer, {"penalty": L1}, TypeError, "must be a name"),
        (
            VAETransformer,
            {"penalty": "adversarial", "early_stopping": True},
            ValueError,
            "early_stopping=True, but penalty='adversarial'",
        ),
    ],
)
def test_bad_penalties_are_named_before_training(
    estimator, params, error, match, digits
):
    model = estimator(2, **params)
    with pytest.raises(error, match=match):
        model.fit(digits)
    assert not hasattr(model, "net_")


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: L1(-1), "target must be a number >= 0; got -1"),
        (lambda: L1(float("nan")), "target must be a number >= 0; got nan"),
        (lambda: KLSparsity("a"), r"target must lie within \(0, 1\); got 'a'"),
        (lambda: Contractive(1.5), "n_exact must be an integer >= 1; got 1.5"),
        (lambda: Adversarial((0,)), r"must hold integers >= 1; got \(0,\)"),
        (lambda: Adversarial(8), "hidden_layer_sizes must hold integers >= 1; got 8"),
        (lambda: Contractive(True), "n_exact must be an integer >= 1; got True"),
        (lambda: KLSparsity(1.0), r"target must lie within \(0, 1\)"),
        (lambda: Contractive(0), "n_exact must be an integer >= 1"),
    ],
)
def test_bad_options_are_named(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_codes_that_follow_the_prior_are_sampled_from_it(digits):
    model = AutoencoderTransformer(3, penalty="mmd", max_iter=30, **SMALL).fit(digits)
    rows = model.sample(500, random_state=0, density="prior")
    drawn = model.transform(rows)
    # The encoder finds the standard normal codes again, about.
    assert np.abs(drawn.mean(0)).max() < 0.4
    assert 0.6 < drawn.std(0).min() and drawn.std(0).max() < 1.3
    plain = AutoencoderTransformer(3, max_iter=1, **SMALL).fit(digits)
    with pytest.raises(ValueError, match="density='prior' is not one of 'mixture'"):
        plain.sample(1, density="prior")


def test_options_are_searched(iris):
    model = AutoencoderTransformer(1, penalty=KLSparsity(), max_iter=1, **SMALL)
    search = GridSearchCV(model, {"penalty__target": [0.1, 0.2]}, cv=2).fit(iris)
    assert search.best_params_["penalty__target"] in (0.1, 0.2)
    best = search.best_estimator_.penalty
    assert repr(best) == f"KLSparsity(target={best.target})"
    assert model.penalty.target == 0.05


def test_a_penalty_of_another_shape_is_refused(digits):
    model = AutoencoderTransformer(
        3, penalty=lambda model, x, terms: terms.z.abs(), batch_size=3, **SMALL
    )
    with pytest.raises(ValueError, match=r"for each of the \d+ rows; got the shape"):
        model.fit(digits)


@pytest.mark.parametrize("value", [3.0, None])
def test_a_penalty_that_returns_no_tensor_is_refused(value, digits):
    model = AutoencoderTransformer(3, penalty=lambda *_: value, **SMALL)
    with pytest.raises(TypeError, match=rf"penalty=.*return a tensor.*got {value}"):
        model.fit(digits)


@pytest.mark.parametrize(
    "weight", [np.array(0.5), np.float32(0.5), torch.tensor(0.5), [np.array(0.5)]]
)
def test_a_weight_may_be_any_number(weight):
    (found,) = make_penalty(PENALTIES, "l1", weight, has_posterior=False).weights
    assert found == 0.5 and type(found) is float


def test_a_shorter_code_follows_the_prior_too(digits):
    params = {"penalty": "mmd", "ordered": True, "max_iter": 2, **SMALL}
    short = AutoencoderTransformer(6, **params).fit(digits).truncate(3)
    assert short.sample(2, random_state=0, density="prior").shape == (2, 64)


def test_no_penalties_are_none(digits):
    none, empty = (
        AutoencoderTransformer(3, penalty=p, max_iter=5, **SMALL).fit(digits)
        for p in (None, [])
    )
    assert np.array_equal(none.transform(digits), empty.transform(digits))
