"""Ordered latents: prefixes of codes, their sizes, and what is cut from them."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer
from skae.nn._ordered import OrderedCode, random_prefixes
from skae.nn._sizes import n_macs, rows_at_once

ESTIMATORS = [AutoencoderTransformer, VAETransformer]
SMALL = {"hidden_layer_sizes": (32, 16), "random_state": 0}

both = pytest.mark.parametrize("estimator", ESTIMATORS)


def error(model, X):
    return ((model.inverse_transform(model.transform(X)) - X) ** 2).sum()


@pytest.fixture(scope="module")
def fitted(curved):
    """The two models, four ordered latents, on 300 rows."""
    params = {"ordered": True, "max_iter": 40, **SMALL}
    return {e: e(4, **params).fit(curved[:300]) for e in ESTIMATORS}


@pytest.mark.parametrize("k", [1, 2, 3, 8, 13])
def test_a_prefix_of_each_octave_and_the_whole(k):
    generator = torch.Generator().manual_seed(0)
    masks = torch.stack([random_prefixes(k, generator) for _ in range(400)])
    sizes = masks.sum(-1).squeeze(-1).long()  # (400, s)
    assert (masks == (torch.arange(k) < sizes[..., None, None])).all()
    tops = [min(2**i, k) for i in range((k - 1).bit_length() + 1)]
    for column, bottom, top in zip(sizes.T, [1, *(t + 1 for t in tops)], tops):
        assert set(column.tolist()) == set(range(bottom, top + 1))
    assert (sizes[:, -1] == k).all()


@pytest.mark.parametrize("k", [1, 2, 4])
def test_before_training_each_prefix_is_pca(k, curved):
    X = curved.astype(np.float64)
    model = AutoencoderTransformer(4, ordered=True, max_iter=0, random_state=0).fit(X)
    pca = PCA(k).fit(X)
    truth = pca.inverse_transform(pca.transform(X))
    short = model.truncate(k)
    np.testing.assert_allclose(
        short.inverse_transform(short.transform(X)), truth, rtol=1e-5, atol=1e-6
    )
    variance = PCA(4).fit(X).explained_variance_ratio_
    assert model.explained_variance_ratio_.shape == (4,)
    held_out = np.cumsum(model.explained_variance_ratio_)
    assert held_out == pytest.approx(np.cumsum(variance), abs=0.1)


@pytest.mark.parametrize(
    "left, first",
    [
        ([0.9, 0.3, 0.01], (0.01 / 0.9) ** 0.4),  # errors fall fast
        ([0.8, 0.4, 0.2], 1 / 3.5),
        ([0.9, 0.8, 0.6], 0.6 / 0.9),  # slowly
    ],
)
def test_sizes_are_weighted_by_a_power_of_what_pca_leaves(left, first):
    ordered = OrderedCode(3, n_noises=0)
    explained = -np.diff([1.0, *left])
    for is_error in (False, True):
        assert (ordered.loss_weights == 1).all()  # a likelihood weights by its noise
        mean = ordered.weight_sizes(
            torch.tensor(explained), left[-1], is_error=is_error
        )
        assert mean == pytest.approx(np.prod(left) ** (1 / 3))
    weights = ordered.loss_weights.numpy()
    assert weights[[0, 2]] == pytest.approx([first, 1.0])
    powers = np.log(weights[:2]) / np.log(np.divide(left[-1], left[:2]))
    assert powers[0] == pytest.approx(powers[1])


@pytest.mark.parametrize("k", [1, 2, 4])
def test_before_training_a_truncated_density_is_that_of_ppca(k, curved):
    X = curved.astype(np.float64)
    model = VAETransformer(4, ordered=True, max_iter=0, random_state=0).fit(X)
    # Loadings and axes of the posterior are those of the larger model, noise and widths
    # what suits them; with the larger model's noise the score would be below -30.
    mine, truth = (m.score(X) for m in (model.truncate(k), PCA(k).fit(X)))
    assert truth - 1.5 < mine < truth + 1e-6


@pytest.mark.parametrize("likelihood", ["gaussian", "diagonal_gaussian"])
def test_before_training_the_whole_density_is_that_without_an_order(likelihood, curved):
    params = {"max_iter": 0, "random_state": 0, "likelihood": likelihood}
    ordered, plain = (
        VAETransformer(3, ordered=o, **params).fit(curved[::10]) for o in (True, False)
    )
    np.testing.assert_allclose(ordered.noise_variance_, plain.noise_variance_)
    np.testing.assert_allclose(
        ordered.score_samples(curved), plain.score_samples(curved)
    )


def test_each_prefix_is_better_than_pca(fitted, curved):
    test = curved[300:]
    for k in (1, 2, 3):
        pca = PCA(k).fit(curved[:300])
        assert error(fitted[AutoencoderTransformer].truncate(k), test) < error(
            pca, test
        )


def test_longer_codes_are_better(fitted, curved):
    for model in fitted.values():
        errors = [error(model.truncate(k), curved[300:]) for k in (1, 2, 4)]
        assert errors == sorted(errors, reverse=True)


@both
def test_a_truncated_model_stands_alone(estimator, fitted, curved):
    model = fitted[estimator]
    before = model.transform(curved)
    short = model.truncate(2)
    assert short.get_params()["n_components"] == short.n_components_ == 2
    assert short.transform(curved).shape == (len(curved), 2)
    assert short.sample(3, random_state=0).shape == (3, curved.shape[1])
    assert short.sample(3, random_state=0, density="mixture").shape[0] == 3
    assert np.isfinite(short.score_samples(curved)).all()
    assert list(short.get_feature_names_out())[-1].endswith("1")
    assert len(short.explained_variance_ratio_) == 2
    again = short.truncate(1).transform(curved)
    direct = model.truncate(1).transform(curved)
    np.testing.assert_allclose(again, direct, rtol=1e-4, atol=1e-4)
    assert np.array_equal(model.transform(curved), before)
    clone(short)


def test_the_encoders_prefix_is_the_short_code(fitted, curved):
    """A code that ends in zeros is decoded as a prefix."""
    model = fitted[AutoencoderTransformer]
    short = model.truncate(2)
    codes = model.transform(curved)
    np.testing.assert_allclose(
        short.transform(curved), codes[:, :2], rtol=1e-4, atol=1e-5
    )
    codes[:, 2:] = 0
    np.testing.assert_allclose(
        model.inverse_transform(codes),
        short.inverse_transform(codes[:, :2]),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_short_density_has_the_noise_that_suits_it(fitted, curved):
    """A longer code leaves less; a score that kept its noise would be far below."""
    model = fitted[VAETransformer]
    noises = [model.truncate(k).noise_variance_ for k in (1, 2, 4)]
    assert noises == sorted(noises, reverse=True)
    for k in (1, 2):
        pca = PCA(k).fit(curved[:300])
        assert model.truncate(k).score(curved[300:]) > pca.score(curved[300:]) - 0.5


@both
def test_a_truncated_model_can_be_trained_on(estimator, fitted, curved):
    short = fitted[estimator].truncate(2)
    for _ in range(2):
        short.partial_fit(curved[:300])
    assert np.isfinite(short.transform(curved)).all()
    warm = fitted[estimator].truncate(2).set_params(warm_start=True, max_iter=3)
    assert np.isfinite(warm.fit(curved[:300]).score(curved))


def test_explained_variance_is_that_of_held_out_rows(curved):
    model = AutoencoderTransformer(3, ordered=True, max_iter=10, **SMALL).fit(curved)
    generator = torch.Generator().manual_seed(model._seed)
    n_valid = round(len(curved) * 0.1)
    held_out = curved[torch.randperm(len(curved), generator=generator)[:n_valid]]
    total = ((held_out - model.mean_) ** 2).sum()
    left = [error(model.truncate(k), held_out) / total for k in (1, 2, 3)]
    explained = np.cumsum(model.explained_variance_ratio_)
    assert explained == pytest.approx(1 - np.array(left), rel=1e-3)


@both
def test_a_ratio_of_the_variance_picks_the_size(estimator, curved):
    params = {"max_iter": 30, **SMALL}
    model = estimator(0.9, **params).fit(curved)
    explained = np.cumsum(model.explained_variance_ratio_)
    assert explained[-1] >= 0.9
    assert model.n_components_ == 1 or explained[-2] < 0.9
    assert model.n_components_ <= PCA(0.9).fit(curved).n_components_
    assert model.transform(curved).shape == (len(curved), model.n_components_)
    pipeline = make_pipeline(StandardScaler(), estimator(0.5, **params))
    assert pipeline.fit_transform(curved).shape[0] == len(curved)


def test_a_ratio_of_constant_rows_is_one_latent():
    model = AutoencoderTransformer(0.9, max_iter=1, **SMALL).fit(np.ones((20, 3)))
    assert model.n_components_ == 1


@pytest.mark.parametrize("k", [0, 5, 1.5])
def test_sizes_that_are_none_are_named(k, fitted):
    with pytest.raises(ValueError, match="must be an integer within 1 and 4"):
        fitted[VAETransformer].truncate(k)


def test_only_ordered_latents_are_cut(iris):
    model = AutoencoderTransformer(2, max_iter=0).fit(iris)
    with pytest.raises(ValueError, match="needs a model that was fitted with ordered"):
        model.truncate(1)
    assert not hasattr(model, "explained_variance_ratio_")


@pytest.mark.parametrize("params", [{"prior": "mixture"}, {"n_draws": 2}])
def test_what_an_order_needs_is_said_before_training(params, iris):
    with pytest.raises(ValueError, match="need prior='normal' and n_draws=1"):
        VAETransformer(2, ordered=True, **params).fit(iris)


@pytest.mark.parametrize("loss", ["gaussian", "laplace", "diagonal_gaussian"])
def test_losses_with_a_noise_are_cut_as_well(loss, curved):
    params = {"loss": loss, "max_iter": 2, **SMALL}
    model = AutoencoderTransformer(3, ordered=True, **params).fit(curved)
    assert np.isfinite(model.truncate(2).score(curved))
    assert AutoencoderTransformer(0.8, **params).fit(curved).n_components_ >= 1


CONSTANT = np.hstack([np.ones((40, 1)), np.random.default_rng(0).normal(size=(40, 4))])


@pytest.mark.parametrize("X", [CONSTANT, np.ones((20, 5)), CONSTANT[:1]])
@pytest.mark.parametrize("n_components", [2, 0.9])
@pytest.mark.parametrize("likelihood", ["gaussian", "diagonal_gaussian"])
def test_constant_features_leave_finite_densities(X, n_components, likelihood):
    params = {"ordered": True, "likelihood": likelihood, "max_iter": 2, **SMALL}
    model = VAETransformer(n_components, **params).fit(X)
    short = model.truncate(1)
    assert np.isfinite(model.score(X)) and np.isfinite(short.score(X))
    assert np.isfinite(short.transform(X)).all()
    assert np.isfinite(model.explained_variance_ratio_).all()


def test_a_truncated_model_takes_as_many_rows_at_once(curved):
    """What its bodies keep of a row, and compute for it, is the same."""
    model = AutoencoderTransformer(
        4, ordered=True, architecture="attention", max_iter=0, **SMALL
    ).fit(curved)
    long, short = (m.net_.module_ for m in (model, model.truncate(2)))
    assert rows_at_once(short, 10**9) == rows_at_once(long, 10**9)
    assert n_macs(short) > 0.9 * n_macs(long)


def test_true_is_no_size(fitted):
    with pytest.raises(ValueError, match="got True"):
        fitted[AutoencoderTransformer].truncate(True)
    size = fitted[AutoencoderTransformer].truncate(np.int64(2)).n_components
    assert type(size) is int
