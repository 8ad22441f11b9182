"""The two transformers as scikit-learn users meet them."""

import copy
import math
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import parallel_config
from sklearn import config_context, set_config
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer
from skae.data._rows import ResidentRows
from skae.nn._units import Units
from skae.transformers._weights import in_order

BOTH = [AutoencoderTransformer, VAETransformer]
SMALL = {"hidden_layer_sizes": (16,), "random_state": 0, "max_iter": 5}

# Enough to leave PCA on the curved surface.
LEARNS = {
    "hidden_layer_sizes": (64, 32),
    "learning_rate_init": 0.01,
    "max_iter": 25,
    "random_state": 0,
}

both = pytest.mark.parametrize("estimator", BOTH)


def initial(estimator, k, X):
    return estimator(k, max_iter=0, random_state=0).fit(X)


@pytest.fixture(scope="module")
def fitted(curved):
    """Trained models that have left PCA; tests must not change them."""
    return {e: e(2, **LEARNS).fit(curved) for e in BOTH}


# Randomness.


@both
def test_one_seed_gives_equal_bits(estimator, curved, fitted):
    again = estimator(2, **LEARNS).fit(curved)
    truth = fitted[estimator]
    weights = truth.net_.module_.state_dict()
    for name, mine in again.net_.module_.state_dict().items():
        assert torch.equal(mine, weights[name])
    assert again.loss_curve_ == truth.loss_curve_
    assert np.array_equal(again.score_samples(curved), truth.score_samples(curved))
    other = estimator(2, **{**LEARNS, "random_state": 1}).fit(curved)
    assert not np.array_equal(other.transform(curved), truth.transform(curved))


@both
def test_equal_random_states_give_equal_bits(estimator, iris):
    fits = []
    for _ in range(2):
        random_state = np.random.RandomState(3)
        model = estimator(2, **{**SMALL, "random_state": random_state})
        fits += [model.fit(iris).transform(iris)]
    assert np.array_equal(*fits)


@both
def test_global_generators_are_untouched(estimator, iris):
    np.random.seed(5)
    torch.manual_seed(5)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    position = np.random.get_state()[2]
    model = estimator(2, **SMALL)
    model.fit(iris).partial_fit(iris)
    model.transform(iris)
    model.score_samples(iris)
    model.sample(3, random_state=0)
    model.sample(3, random_state=0, density="mixture")
    state = np.random.get_state()
    assert np.array_equal(state[1], before[0]) and state[2] == position
    assert torch.equal(torch.get_rng_state(), before[1])


@both
@pytest.mark.parametrize(
    "surroundings",
    [torch.no_grad, torch.inference_mode, torch.autograd.detect_anomaly, "float64"],
)
def test_the_state_of_torch_does_not_matter(estimator, surroundings, iris):
    def fit():
        model = estimator(2, **SMALL).fit(iris)
        return model.transform(iris), model.score_samples(iris), model.sample(3, 0)

    truth = fit()
    if surroundings == "float64":
        torch.set_default_dtype(torch.float64)
        try:
            found = fit()
        finally:
            torch.set_default_dtype(torch.float32)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # anomaly detection says that it is slow
            with surroundings():
                found = fit()
    assert all(map(np.array_equal, found, truth))


@both
def test_fits_in_threads_are_those_one_after_another(estimator, curved):
    model = estimator(max_iter=20, hidden_layer_sizes=(16,), random_state=0)
    options = {"param_grid": {"n_components": [1, 2]}, "cv": 2, "refit": False}
    alone = GridSearchCV(model, **options).fit(curved)
    state = torch.get_rng_state()
    with parallel_config(backend="threading"):
        search = GridSearchCV(model, n_jobs=3, **options).fit(curved)
    assert torch.equal(torch.get_rng_state(), state)
    scores = (s.cv_results_["mean_test_score"] for s in (alone, search))
    assert np.array_equal(*scores)


@both
def test_the_order_of_global_draws_does_not_matter(estimator, iris):
    torch.manual_seed(1)
    one = estimator(2, **SMALL).fit(iris)
    torch.manual_seed(2)
    two = estimator(2, **SMALL).fit(iris)
    assert np.array_equal(one.transform(iris), two.transform(iris))


@both
def test_scores_and_codes_draw_nothing(estimator, curved, fitted):
    model = fitted[estimator]
    for method in (model.transform, model.score_samples):
        assert np.array_equal(method(curved), method(curved))


# Rows are independent of one another.

# Products of other shapes are summed in another order.
ROUNDING = {"rtol": 1e-9, "atol": 1e-9}


@both
@pytest.mark.parametrize("method", ["transform", "score_samples"])
def test_permuted_and_split_rows_give_the_same(estimator, method, curved, fitted):
    function = getattr(fitted[estimator], method)
    whole = function(curved)
    order = np.random.default_rng(0).permutation(len(curved))
    np.testing.assert_allclose(function(curved[order]), whole[order], **ROUNDING)
    parts = [function(curved[:1]), function(curved[1:130]), function(curved[130:])]
    np.testing.assert_allclose(np.concatenate(parts), whole, **ROUNDING)


@both
@pytest.mark.parametrize("method", ["transform", "score_samples"])
def test_large_tables_are_mapped_in_chunks(estimator, method, curved, fitted):
    function = getattr(fitted[estimator], method)
    many = np.tile(curved, (25, 1))  # 10,000 rows: three chunks
    expected = np.concatenate([function(curved)] * 25)
    np.testing.assert_allclose(function(many), expected, **ROUNDING)


@both
def test_batch_size_leaves_transform_alone(estimator, curved, fitted):
    model = fitted[estimator]
    other = pickle.loads(pickle.dumps(model)).set_params(batch_size=3)
    assert np.array_equal(other.transform(curved), model.transform(curved))


@both
def test_numbers_of_numpy_are_numbers(estimator, iris):
    truth = estimator(3, batch_size=16, **{**SMALL, "hidden_layer_sizes": 8}).fit(iris)
    sizes = {"batch_size": np.int64(16), "hidden_layer_sizes": np.array(8)}
    model = estimator(np.int64(3), **{**SMALL, **sizes}).fit(iris)
    assert np.array_equal(model.transform(iris), truth.transform(iris))
    ordered = estimator(np.int64(3), ordered=True, **SMALL).fit(iris)
    assert ordered.truncate(np.int64(2)).transform(iris).shape == (150, 2)


@both
def test_batch_size_may_exceed_the_rows(estimator, iris):
    model = estimator(2, batch_size=10_000, **SMALL).fit(iris)
    whole = estimator(2, batch_size=135, **SMALL).fit(iris)
    assert np.array_equal(model.transform(iris), whole.transform(iris))


@both
@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda X: np.flip(np.flip(X).copy())]
)
def test_memory_layout_does_not_matter(estimator, layout, curved, fitted):
    model = fitted[estimator]
    np.testing.assert_allclose(
        model.transform(layout(curved)), model.transform(curved), **ROUNDING
    )


@both
def test_read_only_rows_are_taken_and_left(estimator, iris):
    X = iris.copy()
    X.flags.writeable = False
    model = estimator(2, **SMALL).fit(X)
    assert np.array_equal(model.transform(X), model.transform(iris))
    writeable = iris.copy()
    estimator(2, **SMALL).fit(writeable).score_samples(writeable)
    assert np.array_equal(writeable, iris)


# scikit-learn's tools.


@both
def test_a_pickle_is_the_same_model(estimator, curved, fitted):
    model = fitted[estimator]
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.transform(curved), model.transform(curved))
    assert np.array_equal(copy.score_samples(curved), model.score_samples(curved))
    for density in (None, "mixture"):
        mine, theirs = (
            m.sample(5, random_state=0, density=density) for m in (copy, model)
        )
        assert np.array_equal(mine, theirs)


@both
def test_a_pickle_trains_on(estimator, iris):
    model = estimator(2, **SMALL).partial_fit(iris)
    copy = pickle.loads(pickle.dumps(model))
    assert copy.net_.n_rows_ == len(iris)
    # Momentum is not pickled: only the weights go on as they were.
    np.testing.assert_allclose(
        copy.partial_fit(iris).transform(iris),
        model.partial_fit(iris).transform(iris),
        atol=0.05,
    )
    assert copy.n_iter_ == model.n_iter_ == 2
    assert copy.loss_curve_[0] == model.loss_curve_[0]


@both
def test_a_clone_is_unfitted_and_fits_the_same(estimator, iris):
    model = estimator(2, **SMALL).fit(iris)
    copy = clone(model)
    assert not hasattr(copy, "net_")
    assert np.array_equal(copy.fit(iris).transform(iris), model.transform(iris))


@both
def test_fit_transform_is_fit_and_transform(estimator, iris):
    model = estimator(2, **SMALL)
    assert np.array_equal(model.fit_transform(iris), model.transform(iris))


@both
def test_pandas_in_and_out(estimator):
    X = load_iris(as_frame=True).data
    model = estimator(2, **SMALL).set_output(transform="pandas").fit(X)
    names = [f"{estimator.__name__.lower()}{i}" for i in range(2)]
    assert list(model.get_feature_names_out()) == names
    assert list(model.feature_names_in_) == list(X.columns)
    codes = model.transform(X[::-1])
    assert list(codes.columns) == names
    assert codes.index.equals(X[::-1].index)
    plain = estimator(2, **SMALL).fit(X.to_numpy()).transform(X.to_numpy())
    np.testing.assert_allclose(codes[::-1].to_numpy(), plain, **ROUNDING)


def test_the_global_output_setting(iris):
    try:
        set_config(transform_output="pandas")
        codes = AutoencoderTransformer(2, **SMALL).fit_transform(iris)
        assert isinstance(codes, pd.DataFrame)
        model = AutoencoderTransformer(2, **SMALL).fit(iris)
        assert isinstance(model.inverse_transform(codes), np.ndarray)
    finally:
        set_config(transform_output="default")


def test_a_step_among_columns():
    X = load_iris(as_frame=True).data
    model = ColumnTransformer(
        [("codes", AutoencoderTransformer(1, **SMALL), X.columns[:2].tolist())],
        remainder="passthrough",
    )
    codes = model.fit_transform(X)
    alone = AutoencoderTransformer(1, **SMALL).fit_transform(X.iloc[:, :2])
    assert np.array_equal(codes[:, :1], alone)
    assert model.get_feature_names_out()[0] == "codes__autoencodertransformer0"


def test_a_pipeline_can_be_searched_in_two_processes():
    X, y = load_iris(return_X_y=True)
    pipeline = Pipeline(
        [
            ("scaler", StandardScaler()),
            (
                "vae",
                VAETransformer(hidden_layer_sizes=(16,), max_iter=3, random_state=0),
            ),
            ("classifier", LogisticRegression()),
        ]
    )
    grid = {"vae__n_components": [1, 2, 3]}
    search = GridSearchCV(pipeline, grid, n_jobs=2, cv=3, error_score="raise").fit(X, y)
    alone = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(X, y)
    assert search.best_score_ > 0.85  # a third by chance
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )


@pytest.fixture(scope="module")
def five_latents():
    """300 rows in ten dimensions from five latents that act through sines."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 5))
    mix = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    X = np.hstack([z, 0.5 * np.sin(2 * z)]) @ mix
    return X + 0.1 * rng.normal(size=X.shape)


def test_the_default_score_finds_the_number_of_latents(five_latents):
    sizes = [2, 3, 5, 8]
    search = GridSearchCV(
        VAETransformer(max_iter=8, random_state=0), {"n_components": sizes}, cv=3
    ).fit(five_latents)
    results = search.cv_results_
    means = results["mean_test_score"]
    assert search.best_params_["n_components"] >= 5
    assert means[0] < means[1] < means[2]
    best = means.argmax()
    # Of the difference, fold by fold: the folds' own level is common to both sizes.
    folds = [results[f"split{i}_test_score"] for i in range(3)]
    difference = np.array([f[best] - f[sizes.index(5)] for f in folds])
    error = results["std_test_score"][best] / 3**0.5
    assert difference.mean() <= error


@both
def test_tensors_in_and_out_without_a_copy_to_numpy(
    estimator, curved, fitted, monkeypatch
):
    plain, X = fitted[estimator], torch.from_numpy(curved)

    def refuse(*args, **kwargs):
        pytest.fail("a tensor was copied to NumPy")

    with config_context(array_api_dispatch=True):
        model = estimator(2, **LEARNS).fit(X)
        with monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, "__array__", refuse)
            patch.setattr(torch.Tensor, "numpy", refuse)
            codes, scores = model.transform(X), model.score_samples(X)
            back, score = model.inverse_transform(codes), model.score(X)
    assert isinstance(codes, torch.Tensor) and isinstance(back, torch.Tensor)
    np.testing.assert_array_equal(codes, plain.transform(curved))
    np.testing.assert_array_equal(scores, plain.score_samples(curved))
    np.testing.assert_array_equal(back, plain.inverse_transform(codes.numpy()))
    assert float(score) == pytest.approx(plain.score(curved))


@both
def test_a_fit_on_tensors_is_the_fit_on_their_values(estimator, iris):
    plain = estimator(2, **SMALL).fit(iris)
    with config_context(array_api_dispatch=True):
        model = estimator(2, **SMALL).fit(torch.from_numpy(iris))
        codes = model.transform(torch.from_numpy(iris))
    np.testing.assert_array_equal(codes, plain.transform(iris))


# partial_fit and warm_start.


@both
def test_the_first_partial_fit_sets_the_initial_model(estimator, curved):
    model = estimator(2, **LEARNS).partial_fit(curved)
    assert model.n_features_in_ == 8 and model.n_iter_ == 1
    assert model.score(curved) > initial(estimator, 2, curved).score(curved) - 0.5
    assert model.transform(curved).shape == (400, 2)


@both
def test_passes_of_partial_fit_add_up(estimator, curved):
    model = estimator(2, **LEARNS)
    scores = []
    for i in range(12):
        model.partial_fit(curved)
        scores.append(model.score(curved))
        assert model.n_iter_ == len(model.loss_curve_) == i + 1
    assert scores[-1] > initial(estimator, 2, curved).score(curved)
    assert np.mean(scores[-3:]) > np.mean(scores[:3])


@both
def test_partial_fit_on_batches_of_other_sizes(estimator, curved):
    model = estimator(2, **LEARNS)
    for _ in range(12):
        for batch in (curved[:200], curved[200:230], curved[230:231], curved[231:]):
            model.partial_fit(batch)
    assert model.n_iter_ == 48
    # The initial model knows the first batch alone, and still the whole is learned.
    assert model.score(curved) > initial(estimator, 2, curved).score(curved)


@both
def test_partial_fit_goes_on_from_fit(estimator, curved, fitted):
    model = pickle.loads(pickle.dumps(fitted[estimator]))
    before = model.score(curved)
    model.set_params(learning_rate_init=1e-4).partial_fit(curved)
    first = estimator(2, **LEARNS).partial_fit(curved)
    assert model.score(curved) > first.score(curved)
    assert model.score(curved) == pytest.approx(before, rel=0.5)


@both
def test_partial_fit_after_a_fit_of_one_epoch_sees_all_rows(estimator, curved):
    model = estimator(2, **{**LEARNS, "max_iter": 1, "batch_size": 40}).fit(curved)
    model.partial_fit(curved)
    # Without held-out rows there is nothing to choose an epoch by.
    assert "valid_loss" not in model.net_.history[-1]


@both
@pytest.mark.parametrize(
    "changed",
    [
        {"penalty": "l1", "penalty_weight": 100.0},
        {"noise": "gaussian", "noise_level": 3.0},
        {"learning_rate_init": 0.05},
        {"batch_size": 7},
        {"alpha": 1e5},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_partial_fit_takes_changed_parameters(estimator, changed, curved):
    plain, other = (estimator(2, **SMALL).partial_fit(curved) for _ in range(2))
    plain.partial_fit(curved)
    other.set_params(**changed).partial_fit(curved)
    assert not np.array_equal(plain.transform(curved), other.transform(curved))


@both
def test_each_batch_of_partial_fit_has_its_own_batch_size(estimator, curved):
    model = estimator(2, **SMALL).partial_fit(curved[:20])
    model.partial_fit(np.tile(curved, (20, 1)))
    assert model.net_.batch_size == 256


@both
@pytest.mark.parametrize("goes_on", ["warm_start", "partial_fit"])
@pytest.mark.parametrize(
    "changed",
    [{"hidden_layer_sizes": (8,)}, {"activation": "tanh"}, {"ordered": True}],
    ids=lambda changed: next(iter(changed)),
)
def test_what_a_model_is_made_of_stays(estimator, goes_on, changed, iris):
    model = estimator(2, warm_start=True, **SMALL).fit(iris)
    model.set_params(**changed)
    again = model.fit if goes_on == "warm_start" else model.partial_fit
    with pytest.raises(ValueError, match=next(iter(changed))):
        again(iris)
    model.set_params(warm_start=False).fit(iris)


class Wide:
    """An architecture of the user, which is written with its address."""

    def __call__(self, sample_shape, hidden_layer_sizes, activation, n_in, n_out):
        return tuple(torch.nn.Linear(*sizes) for sizes in zip(n_in, n_out))


@both
def test_a_copy_with_an_own_architecture_goes_on(estimator, iris):
    model = estimator(2, architecture=Wide(), ordered=True, **SMALL).fit(iris)
    for copied in (copy.deepcopy(model), model.truncate(1)):
        assert copied.partial_fit(iris).n_iter_ == 1


@both
def test_fit_after_partial_fit_starts_anew(estimator, iris):
    model = estimator(2, **SMALL).partial_fit(iris * 3 + 1)
    fresh = estimator(2, **SMALL).fit(iris)
    assert np.array_equal(model.fit(iris).transform(iris), fresh.transform(iris))


@both
def test_a_second_fit_starts_anew(estimator, iris, curved):
    model = estimator(2, **SMALL).fit(curved)
    fresh = estimator(2, **SMALL).fit(iris)
    assert np.array_equal(model.fit(iris).transform(iris), fresh.transform(iris))
    assert model.n_features_in_ == 4


@both
def test_warm_start_goes_on(estimator, curved):
    params = {**LEARNS, "warm_start": True, "early_stopping": False}
    model = estimator(2, **params).fit(curved)
    before = model.score(curved)
    model.set_params(max_iter=0).fit(curved)
    assert model.score(curved) == pytest.approx(before)
    model.set_params(max_iter=10).fit(curved)
    assert model.score(curved) > before
    cold = estimator(2, **{**params, "warm_start": False, "max_iter": 0}).fit(curved)
    assert cold.score(curved) < before


@both
def test_warm_start_refuses_another_size(estimator, iris):
    model = estimator(2, warm_start=True, **SMALL).fit(iris)
    with pytest.raises(ValueError, match="features"):
        model.fit(iris[:, :3])
    with pytest.raises(ValueError, match="n_components"):
        model.set_params(n_components=3).fit(iris)


# Sampling.


@both
@pytest.mark.parametrize("density", [None, "mixture"])
def test_samples_are_reproducible_and_look_like_the_rows(
    estimator, density, curved, fitted
):
    model = fitted[estimator]
    one, two, other = (
        model.sample(500, random_state=s, density=density) for s in (0, 0, 1)
    )
    assert one.shape == (500, 8)
    assert np.array_equal(one, two) and not np.array_equal(one, other)
    scale = curved.std(0)
    # Five hundred draws fix a mean to a twentieth of a standard deviation; the
    # densities themselves are approximations.
    assert (np.abs(one.mean(0) - curved.mean(0)) < 0.4 * scale).all()
    assert (np.abs(np.log(one.std(0) / scale)) < np.log(2)).all()


@both
@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1e12])
def test_samples_have_the_scale_of_the_rows(estimator, scale, curved):
    model, other = (estimator(2, **SMALL).fit(X) for X in (curved, scale * curved))
    spread, found = (m.sample(500, random_state=0).std(0) for m in (model, other))
    np.testing.assert_allclose(found, scale * spread, rtol=0.1)


@pytest.mark.parametrize("prior", ["normal", "mixture", "vamp"])
def test_the_density_of_the_codes_is_the_mixture_unless_a_prior_is_learned(prior, iris):
    vae = VAETransformer(2, prior=prior, **SMALL).fit(iris)
    default, of_prior, of_mixture = (
        vae.sample(5, random_state=0, density=d) for d in (None, "prior", "mixture")
    )
    assert not np.array_equal(of_prior, of_mixture)
    truth = of_mixture if prior == "normal" else of_prior
    assert np.array_equal(default, truth)


@pytest.mark.parametrize("observation_noise", [None, False])
def test_prior_samples_of_a_linear_vae_have_the_covariance_of_its_model(
    observation_noise, iris
):
    """Rows have the noise of the likelihood; its means are on the plane."""
    X = initial(VAETransformer, 2, iris).sample(
        20_000, random_state=0, density="prior", observation_noise=observation_noise
    )
    pca = PCA(2).fit(iris)
    truth = pca.get_covariance()
    if observation_noise is False:
        truth -= pca.noise_variance_ * np.eye(4)
        assert np.linalg.matrix_rank(X - X.mean(0), tol=1e-3) == 2
    np.testing.assert_allclose(np.cov(X.T), truth, atol=0.1)
    np.testing.assert_allclose(X.mean(0), iris.mean(0), atol=0.05)


@both
def test_rows_are_drawn_with_noise_wherever_there_is_a_likelihood(
    estimator, curved, fitted
):
    model = fitted[estimator]
    drawn, means = (
        model.sample(500, 0, observation_noise=noise) for noise in (None, False)
    )
    if estimator is AutoencoderTransformer:
        assert np.array_equal(drawn, means)
        with pytest.raises(ValueError, match="observation_noise=True needs"):
            model.sample(3, observation_noise=True)
        return
    assert np.array_equal(drawn, model.sample(500, 0, observation_noise=True))
    residual = drawn - means
    assert residual.var() == pytest.approx(model.noise_variance_, rel=0.1)


@both
def test_random_state_of_sample_may_be_an_object(estimator, fitted):
    random_state = np.random.RandomState(0)
    model = fitted[estimator]
    first, second = (model.sample(4, random_state=random_state) for _ in range(2))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, model.sample(4, np.random.RandomState(0)))


@pytest.fixture(scope="module")
def binary():
    strokes = (load_digits(return_X_y=True)[0][:300] > 8).astype(float)
    ae = AutoencoderTransformer(4, loss="binary_cross_entropy", **SMALL)
    vae = VAETransformer(4, likelihood="bernoulli", **SMALL)
    return strokes, ae.fit(strokes), vae.fit(strokes)


def test_binary_models_stay_between_zero_and_one(binary):
    X, *models = binary
    for model in models:
        for rows in (
            model.sample(100, random_state=0),
            model.sample(100, random_state=0, density="mixture"),
            model.inverse_transform(model.transform(X)),
        ):
            assert 0 <= rows.min() and rows.max() <= 1
            assert rows.std() > 0.1


def test_the_binary_score_is_the_cross_entropy(binary):
    X, ae, _ = binary
    p = ae.inverse_transform(ae.transform(X))
    truth = (X * np.log(p) + (1 - X) * np.log1p(-p)).sum(1)
    np.testing.assert_allclose(ae.score_samples(X), truth, rtol=1e-6, atol=1e-6)


def test_the_noise_of_a_bernoulli_likelihood_is_not_there(binary):
    assert not hasattr(binary[2], "noise_variance_")


# Posterior and scores.


def test_posterior_mean_is_the_code(curved, fitted):
    mean, std = fitted[VAETransformer].posterior(curved)
    assert np.array_equal(mean, fitted[VAETransformer].transform(curved))
    assert std.shape == mean.shape and (std > 0).all()


def test_no_row_scores_far_below_pca(curved, fitted):
    """The initial model is a component of the density, for rows far from all others."""
    model, far = copy.deepcopy(fitted[VAETransformer]), 300 * curved
    weight = float(model.net_.module_.initial.weight)
    assert weight > (1 - 1e-9) / (len(curved) + 1)
    pca = PCA(model.n_components_).fit(curved)
    # Relative to the score: weights are float32.
    floor = pca.score_samples(far) * (1 + 1e-5) - math.log(len(curved) + 1)
    assert (model.score_samples(far) >= floor).all()
    alone = copy.deepcopy(model)
    alone.net_.module_.initial = None
    assert (alone.score_samples(far) < floor).any()


@both
def test_score_is_the_mean_of_score_samples(estimator, curved, fitted):
    scores = fitted[estimator].score_samples(curved)
    assert scores.shape == (400,)
    assert fitted[estimator].score(curved) == pytest.approx(scores.mean())


def test_the_autoencoders_score_is_minus_its_squared_error(curved, fitted):
    model = fitted[AutoencoderTransformer]
    back = model.inverse_transform(model.transform(curved))
    truth = -((curved - back) ** 2).sum(1)
    np.testing.assert_allclose(model.score_samples(curved), truth, rtol=1e-6)


def test_the_vaes_score_is_a_bound_that_an_importance_sampler_confirms(curved, fitted):
    """Two thousand draws of scipy's laws from the fitted posterior, by hand."""
    model, X = fitted[VAETransformer], curved[:5]
    mean, std = model.posterior(X)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2000, 1, 2))
    z = mean + std * noise  # (2000, 5, 2)
    back = model.inverse_transform(z.reshape(-1, 2)).reshape(2000, 5, 8)
    variance = model.noise_variance_
    log_x = -0.5 * ((X - back) ** 2 / variance + np.log(2 * np.pi * variance)).sum(-1)
    log_z = -0.5 * (z**2 + np.log(2 * np.pi)).sum(-1)
    log_q = -0.5 * (noise**2 + np.log(2 * np.pi)).sum(-1) - np.log(std).sum(-1)
    weights = np.exp(log_x + log_z - log_q)  # (2000, 5)
    log_mean = np.log(weights.mean(0))
    # Relative error of a mean of 64, the draws of the score.
    error = weights.std(0) / weights.mean(0) / 64**0.5
    assert (np.abs(model.score_samples(X) - log_mean) < 4 * error + 0.01).all()


def test_scores_of_a_density_integrate_to_one():
    """A bound of log p(x) gives at most one, and nearly one where it is tight."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 1)) ** 2
    model = VAETransformer(1, **LEARNS).fit(X)
    grid = np.linspace(-30, 60, 9001)[:, None]
    integral = np.exp(model.score_samples(grid)).sum() * 0.01
    assert 0.8 < integral < 1.03  # 64 common draws: a few hundredths either way


# Never worse than PCA.


def test_held_out_error_is_below_that_of_pca_on_a_curved_surface(curved):
    train, test = curved[:300], curved[300:]
    model = AutoencoderTransformer(2, **LEARNS).fit(train)
    pca = PCA(2).fit(train)

    def error(m):
        return ((test - m.inverse_transform(m.transform(test))) ** 2).sum()

    assert error(model) < 0.5 * error(pca)


def test_held_out_likelihood_is_above_that_of_pca_on_a_curved_surface(curved):
    train, test = curved[:300], curved[300:]
    model = VAETransformer(2, **LEARNS).fit(train)
    assert model.score(test) > PCA(2).fit(train).score(test) + 1


@both
def test_rows_without_structure_leave_the_initial_model(estimator):
    """White noise has nothing to learn: the held-out score stays near PCA's."""
    X = np.random.default_rng(0).normal(size=(400, 6))
    train, test = X[:300], X[300:]
    model = estimator(2, **SMALL).fit(train)
    base = initial(estimator, 2, train)
    assert model.score(test) > base.score(test) - 0.02 * abs(base.score(test))


def test_beta_one_is_the_bound_whatever_the_number_of_features(iris):
    """The initial loss is minus its evidence bound, for few features and for many."""
    noise = 0.1 * np.random.default_rng(0).normal(size=(150, 32))
    for X in (iris, np.hstack([iris] * 8) + noise):
        model = VAETransformer(2, early_stopping=True, **SMALL).fit(X)
        # The same rows are held out of any table of so many rows.
        numbers = torch.arange(len(X), dtype=torch.float64)[:, None]
        rows = ResidentRows(numbers, Units(1, 1), torch.device("cpu"))
        _, valid = model.net_.train_split(rows)
        held_out = in_order(X)[valid.gathered().int().flatten()]
        truth = initial(VAETransformer, 2, X).score(held_out)
        # Four draws of each of 15 rows: an error of some hundredths of a nat a latent.
        assert -model.initial_loss_ == pytest.approx(truth, abs=0.5)


def test_a_larger_beta_buys_a_smaller_divergence(curved):
    def divergence(beta):
        params = {**LEARNS, "early_stopping": False}
        mean, std = VAETransformer(2, beta=beta, **params).fit(curved).posterior(curved)
        return (0.5 * (mean**2 + std**2 - 1) - np.log(std)).sum(1).mean()

    assert divergence(5.0) < divergence(1.0) < divergence(0.05)


def test_hidden_layer_sizes_may_be_one_integer(iris):
    one = AutoencoderTransformer(2, **{**SMALL, "hidden_layer_sizes": 7}).fit(iris)
    two = AutoencoderTransformer(2, **{**SMALL, "hidden_layer_sizes": (7,)}).fit(iris)
    assert np.array_equal(one.transform(iris), two.transform(iris))


@pytest.mark.parametrize("activation", ["silu", "tanh", "relu"])
def test_activations_change_what_is_learned(activation, curved, fitted):
    model = AutoencoderTransformer(2, activation=activation, **LEARNS).fit(curved)
    same = np.array_equal(
        model.transform(curved), fitted[AutoencoderTransformer].transform(curved)
    )
    assert same == (activation == "silu")


@pytest.mark.parametrize("n_rows", [2, 3, 9, 11])
@both
def test_few_rows_are_enough(estimator, n_rows, iris):
    X = iris[:: 150 // n_rows][:n_rows]
    model = estimator(2, **SMALL).fit(X)
    assert np.isfinite(model.transform(X)).all()
    assert np.isfinite(model.score_samples(X)).all()
    assert np.isfinite(model.sample(20, random_state=0, density="mixture")).all()


# Bounds of what is drawn.


@pytest.fixture(scope="module")
def iris_vae(iris):
    return VAETransformer(2, max_iter=2, hidden_layer_sizes=(8,), random_state=0).fit(
        iris
    )


LOW = np.array([5.0, 2.0, -np.inf, 0.5])


@pytest.mark.parametrize("with_noise", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "bounds, low, high",
    [
        ((0, 4.5), 0, 4.5),
        ([LOW.tolist(), 5], LOW, 5),
        ((torch.from_numpy(LOW), np.float32(5)), LOW, 5),
        (np.stack([LOW, LOW + 1]), LOW, LOW + 1),
        ("observed", None, None),
    ],
    ids=["numbers", "list", "tensor", "array", "observed"],
)
def test_draws_beyond_the_bounds_are_at_the_nearer_end(
    iris, bounds, low, high, dtype, with_noise
):
    model = VAETransformer(2, max_iter=0, random_state=0).fit(iris.astype(dtype))
    if isinstance(bounds, str):
        low, high = iris.astype(dtype).min(0), iris.astype(dtype).max(0)
    options = {"observation_noise": with_noise}
    free = model.sample(2000, 0, **options)
    assert ((free < low) | (free > high)).any()
    found = model.sample(2000, 0, bounds=bounds, **options)
    np.testing.assert_array_equal(found, np.clip(free, low, high).astype(dtype))
    assert found.dtype == dtype


def test_the_observed_range_is_that_of_all_rows_and_in_pickles(iris):
    model = AutoencoderTransformer(2, hidden_layer_sizes=(), random_state=0)
    model.partial_fit(iris[:100]).partial_fit(iris[100:])
    for one in (model, pickle.loads(pickle.dumps(model))):
        free, found = (one.sample(3000, 0, bounds=b) for b in (None, "observed"))
        assert (free > iris.max(0)).any()
        truth = np.clip(free, iris.min(0), iris.max(0))
        np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize(
    "bounds, message",
    [
        ("training", "bounds must be None"),
        (3.0, "bounds must be None"),
        ((1,), "bounds must be None"),
        ((1, 2, 3), "bounds must be None"),
        (([1, 2], 3), "arrays of 4 of them"),
        ((None, 3), r"empty in column 0: from nan"),
        ((2, 1), "bounds are empty in column 0: from 2 to 1"),
        (([0, 0, 7, 0], 5), "bounds are empty in column 2: from 7 to 5"),
    ],
    ids=str,
)
def test_bad_bounds_are_refused_before_anything_is_drawn(iris_vae, bounds, message):
    rng = np.random.RandomState(0)
    with pytest.raises(ValueError, match=message):
        iris_vae.sample(2, rng, bounds=bounds)
    assert rng.randint(2**31) == np.random.RandomState(0).randint(2**31)
