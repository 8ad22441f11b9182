"""What only the variational model promises."""

import functools
import warnings

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from skae import VAETransformer
from skae.nn._log_density import log_bound
from skae.nn._model import LatentModel
from skae.nn._objective import Objective
from skae.nn._posteriors import DiagonalNormal, Point
from skae.nn._skip import LinearSkip
from skae.nn._units import Units
from skae.nn.architectures import ARCHITECTURES
from skae.nn.likelihoods import SquaredError
from skae.nn.priors import Mixture, Normal

SMALL = {"hidden_layer_sizes": (64,), "max_iter": 30, "random_state": 0}


@pytest.fixture(scope="module")
def linear_rows():
    """3,000 rows of the model of probabilistic PCA: three latents, eight features."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(8, 3)))[0] * [3.0, 2.0, 1.0]
    rows = rng.normal(size=(3000, 3)) @ axes.T + 0.5 * rng.normal(size=(3000, 8))
    return rows + rng.normal(size=8)


@pytest.fixture(scope="module")
def linear_vae(linear_rows):
    return VAETransformer(
        3, hidden_layer_sizes=(), init="random", max_iter=300, random_state=0
    ).fit(linear_rows)


def test_a_linear_vae_learns_probabilistic_pca(linear_vae, linear_rows):
    """From random weights, by gradient descent alone."""
    pca = PCA(3).fit(linear_rows)
    assert abs(linear_vae.score(linear_rows) - pca.score(linear_rows)) < 0.1
    assert linear_vae.noise_variance_ == pytest.approx(pca.noise_variance_, rel=0.02)
    origin = linear_vae.inverse_transform(np.zeros((1, 3)))
    directions = linear_vae.inverse_transform(np.eye(3)) - origin
    angles = subspace_angles(directions.T, pca.components_.T)
    assert np.rad2deg(angles.max()) < 1


def test_the_score_of_a_linear_gaussian_model_takes_no_draws(linear_vae, linear_rows):
    scores = linear_vae.score_samples(linear_rows)
    linear_vae.set_params(n_score_draws=1)
    np.testing.assert_array_equal(linear_vae.score_samples(linear_rows), scores)


def test_the_bound_never_falls_as_draws_rise(curved):
    """Means over groups of the same 1,000 draws, for each row of a fitted model."""
    fitted = VAETransformer(2, likelihood="laplace", **SMALL).fit(curved)
    model = fitted.net_.module_
    x = model.units.to_net(torch.from_numpy(curved[:50]))
    draws = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, ten, hundred = (
            torch.stack([log_bound(model, x.float(), g) for g in groups]).mean(0)
            for groups in map(draws.split, (1, 10, 100))
        )
    assert (one < ten).all() and (ten < hundred).all()


def test_beta_zero_without_noise_is_the_autoencoder():
    """The same weights make the same objective."""
    x = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    widths, likelihood = (5, 2), SquaredError(5)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        bodies = ARCHITECTURES["mlp"](None, (8,), "silu", widths, (4, 5))
    units, skip = Units(*widths), LinearSkip(*widths, 2, 1)
    for p in skip.parameters():
        p.data.normal_()
    variational = LatentModel(
        units, skip, *bodies, DiagonalNormal, likelihood, Normal(2)
    )
    point = LatentModel(units, skip, *bodies, _FirstHalf, likelihood)
    terms = variational(x, torch.zeros(20, 2))
    torch.testing.assert_close(Objective(beta=0.0)(terms), Objective()(point(x)))


class _FirstHalf(Point):
    """The means of a posterior alone."""

    n_params = 2

    @classmethod
    def from_params(cls, params):
        return cls(params[:, :2])


PRIORS = {
    "mixture": "mixture",
    "vamp": "vamp",
    "few clusters": functools.partial(Mixture, n_clusters=3),
    "laplace": torch.distributions.Laplace(0.0, 0.7),
    "vectors": torch.distributions.MultivariateNormal(torch.zeros(4), torch.eye(4)),
}


@pytest.mark.parametrize("prior", PRIORS)
def test_each_prior_fits_scores_and_samples(prior, digits):
    model = VAETransformer(4, prior=PRIORS[prior], **SMALL).fit(digits)
    assert model.score(digits) > PCA(4).fit(digits).score(digits) + 1
    assert model.sample(5, 0).shape == (5, 64)
    np.testing.assert_array_equal(model.sample(5, 0), model.sample(5, 0))
    assert model.kl_per_component_.shape == (4,)
    assert np.isfinite(model.kl_per_component_).all()


def test_a_mixture_prior_learns_clusters():
    rng = np.random.default_rng(0)
    centres = np.array([[-4.0, 0, 0, 0], [4.0, 0, 0, 0], [0, 6.0, 0, 0]])
    X = centres[rng.integers(3, size=600)] + 0.3 * rng.normal(size=(600, 4))
    plain = VAETransformer(2, **{**SMALL, "max_iter": 60}).fit(X)
    mixture = VAETransformer(2, prior="mixture", **{**SMALL, "max_iter": 60}).fit(X)
    assert mixture.score(X) > plain.score(X) + 0.1


OBJECTIVES = [
    {"kl_warmup": 0.5},
    {"beta": 4.0, "capacity": 3.0},
    {"free_bits": 0.5},
    {"n_draws": 4},
    {"path_derivative": True},
    {"penalty": "total_correlation", "penalty_weight": 2.0},
    {"penalty": "mmd", "penalty_weight": 10.0},
]


@pytest.mark.parametrize("options", OBJECTIVES, ids=str)
def test_each_objective_gains_over_pca(options, digits):
    model = VAETransformer(4, **options, **SMALL).fit(digits)
    assert model.score(digits) > PCA(4).fit(digits).score(digits) + 1


@pytest.mark.parametrize("options", OBJECTIVES, ids=str)
def test_each_objective_gives_equal_bits(options, digits):
    codes = [
        VAETransformer(4, **options, **{**SMALL, "max_iter": 4}).fit_transform(digits)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*codes)


def test_single_passes_train_the_final_objective(digits):
    """A warmup within each pass would change what the last passes learn."""
    codes = [
        VAETransformer(4, random_state=0, hidden_layer_sizes=(16,), kl_warmup=warmup)
        .partial_fit(digits)
        .partial_fit(digits)
        .transform(digits)
        for warmup in (0.0, 0.9)
    ]
    np.testing.assert_allclose(*codes, rtol=1e-5, atol=1e-6)


def test_capacity_holds_the_divergence(curved):
    """Heavy enough a weight keeps it at C, where beta alone would press it lower."""

    def divergence(**options):
        model = VAETransformer(2, **options, **{**SMALL, "max_iter": 100})
        return model.fit(curved).kl_per_component_.sum()

    assert divergence(beta=30.0, capacity=4.0) == pytest.approx(4.0, abs=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert divergence(beta=30.0) < 3.0


def test_rate_and_distortion_make_the_loss(curved):
    model = VAETransformer(2, early_stopping=True, **SMALL).fit(curved)
    history = model.net_.history
    total = np.add(history[:, "valid_rate"], history[:, "valid_distortion"])
    # The mixture with the initial model changes a row's loss by log(n / (n + 1)), or
    # lowers it.
    assert (np.array(history[:, "valid_loss"]) <= total + 0.01).all()
    np.testing.assert_allclose(history[:, "valid_loss"], total, rtol=0.05)


def test_the_rate_of_each_latent_is_its_closed_form(curved):
    model = VAETransformer(2, **SMALL).fit(curved)
    mean, std = model.posterior(curved)
    truth = (0.5 * (mean**2 + std**2 - 1) - np.log(std)).mean(0)
    np.testing.assert_allclose(model.kl_per_component_, truth, rtol=1e-4)
    assert model.n_active_components_ == (mean.var(0) > 0.01).sum() == 2


def test_collapse_is_told_and_the_remedy_helps(curved):
    with pytest.warns(ConvergenceWarning, match="collapsed.*beta"):
        collapsed = VAETransformer(2, beta=100.0, **SMALL).fit(curved)
    assert collapsed.n_active_components_ == 0
    remedied = VAETransformer(2, beta=100.0, free_bits=1.0, **SMALL).fit(curved)
    assert remedied.n_active_components_ > 0


@pytest.mark.parametrize("name, value", [("capacity", 2.0), ("free_bits", 0.1)])
def test_several_draws_exclude_what_needs_a_divergence(name, value, curved):
    model = VAETransformer(2, n_draws=3, **{name: value}, **SMALL)
    with pytest.raises(ValueError, match=f"{name} needs n_draws=1"):
        model.fit(curved)


def test_a_prior_of_the_wrong_size_is_refused(curved):
    prior = torch.distributions.Normal(torch.zeros(3), torch.ones(3))
    with pytest.raises(ValueError, match=r"shape \(3,\).*2 components"):
        VAETransformer(2, prior=prior, **SMALL).fit(curved)


def test_per_feature_noise_is_learned(curved):
    rng = np.random.default_rng(0)
    noise = np.linspace(0.1, 1.0, 8)
    X = curved + noise * rng.normal(size=curved.shape)
    model = VAETransformer(
        2, likelihood="diagonal_gaussian", **{**SMALL, "max_iter": 100}
    )
    model.fit(X)
    learned = np.sqrt(model.noise_variance_)
    assert np.corrcoef(learned, noise)[0, 1] > 0.9
    assert model.score(X) > VAETransformer(2, **SMALL).fit(X).score(X)


def test_noise_of_each_feature_makes_units_irrelevant(curved):
    """The log-density of scaled data is that of the data, less log s for a feature."""
    units = np.logspace(-2, 3, 8)
    params = {**SMALL, "max_iter": 5}
    model = VAETransformer(2, likelihood="diagonal_gaussian", **params)
    plain = model.fit(curved).score_samples(curved)
    noise = model.noise_variance_
    scaled = model.fit(curved * units).score_samples(curved * units)
    np.testing.assert_allclose(scaled, plain - np.log(units).sum(), rtol=1e-3)
    np.testing.assert_allclose(model.noise_variance_, noise * units**2, rtol=1e-3)


def test_a_robust_likelihood_bears_gross_errors(curved):
    rng = np.random.default_rng(0)
    X = curved.copy()
    X[rng.random(X.shape) < 0.02] += 15

    def error(likelihood):
        model = VAETransformer(2, likelihood=likelihood, **SMALL)
        back = model.fit(X).inverse_transform(model.transform(curved))
        return np.square(back - curved).sum(1).mean()

    assert error("student_t") < 0.8 * error("gaussian")
    assert error("laplace") < 0.8 * error("gaussian")


def test_binarised_rows_are_drawn_anew(digits):
    """The gap to the likelihood of one draw: grey values leave entropy of their own."""
    bits = (np.random.default_rng(0).random(digits.shape) < digits).astype(float)
    model = VAETransformer(4, likelihood="binarized_bernoulli", **SMALL).fit(digits)
    once = VAETransformer(4, likelihood="bernoulli", **SMALL).fit(bits)
    fresh = (np.random.default_rng(1).random(digits.shape) < digits).astype(float)
    assert model.score(fresh) > once.score(fresh)
