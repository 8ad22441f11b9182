"""What users pass: shapes, names, missing entries, and numbers of latents."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer, VAETransformer
from skae.transformers._code_mixture import CodeMixture

both = pytest.mark.parametrize("estimator", [AutoencoderTransformer, VAETransformer])
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 1, "random_state": 0}


@both
def test_missing_values_are_led_to_the_parameter(estimator, iris):
    bad = iris.copy()
    bad[3, 1] = np.nan
    name = estimator.__name__
    message = rf"contains NaN. {name} takes missing values .* allow_nan=True"
    with pytest.raises(ValueError, match=message):
        estimator(2).fit(bad)
    with pytest.raises(ValueError, match=message):
        estimator(2, **SMALL).fit(iris).transform(bad)


@both
@pytest.mark.parametrize("shape", [(20, 1, 4, 4), (20, 4, 4)])
def test_images_are_taken_as_they_are(estimator, shape):
    rows = np.random.default_rng(0).normal(size=(20, 16))
    options = {"architecture": "conv", "sample_shape": (1, 4, 4), **SMALL}
    flat = estimator(2, **options).fit(rows)
    model = estimator(2, **options).fit(rows.reshape(shape))
    expected = flat.transform(rows)
    np.testing.assert_array_equal(model.transform(rows.reshape(shape)), expected)
    np.testing.assert_array_equal(model.transform(rows), expected)


SHAPES = [
    ((20, 4, 4, 3), (3, 4, 4), r"\(4, 4, 3\), but sample_shape=\(3, 4, 4\).*moveaxis"),
    ((20, 3, 4, 5), (3, 4, 4), r"\(3, 4, 5\), but sample_shape=\(3, 4, 4\)\.$"),
    ((20, 3, 4, 4), None, r"rows of shape \(3, 4, 4\); set sample_shape=\(3, 4, 4\)"),
]


@pytest.mark.parametrize("shape, sample_shape, message", SHAPES)
def test_other_shapes_are_refused(shape, sample_shape, message):
    model = AutoencoderTransformer(2, architecture="conv", sample_shape=sample_shape)
    with pytest.raises(ValueError, match=message):
        model.fit(np.zeros(shape))


@pytest.mark.parametrize(
    "sample_shape, message",
    [(None, r"64 columns as a sequence; set .*\(1, 8, 8\)"), ((8, 8, 1), "8 channels")],
)
def test_shapes_that_are_hardly_meant_are_warned_of(sample_shape, message):
    rows = np.random.default_rng(0).normal(size=(20, 64))
    model = AutoencoderTransformer(
        2, architecture="conv", sample_shape=sample_shape, **SMALL
    )
    with pytest.warns(UserWarning, match=message):
        model.fit(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.set_params(sample_shape=(1, 64)).fit(rows)


@both
def test_codes_of_a_frame_follow_their_names(estimator, iris):
    model = estimator(3, **SMALL).set_output(transform="pandas").fit(iris)
    codes = model.transform(iris)
    turned = codes[codes.columns[[2, 0, 1]]]
    np.testing.assert_array_equal(
        model.inverse_transform(turned), model.inverse_transform(codes)
    )
    # Other names mean nothing.
    other = pd.DataFrame(codes.to_numpy(), columns=list("cab"))
    np.testing.assert_array_equal(
        model.inverse_transform(other), model.inverse_transform(codes)
    )


@both
def test_a_fitted_model_follows_its_device(estimator, iris):
    model = estimator(2, device="auto", **SMALL).fit(iris)
    codes = model.transform(iris)
    model.set_params(device="cuda:99")
    with pytest.raises(ValueError, match="device='cuda:99' is not available here"):
        model.transform(iris)
    model.set_params(device="cpu")
    np.testing.assert_allclose(model.transform(iris), codes, rtol=1e-4, atol=1e-5)
    assert model.net_.device == "cpu"


@both
@pytest.mark.parametrize("n_components", [None, 0.95, 0.99])
def test_the_number_of_latents_is_that_of_pca(estimator, n_components, iris):
    expected = PCA(n_components).fit(iris).n_components_
    options = {**SMALL, "max_iter": 0}
    assert estimator(n_components, **options).fit(iris).n_components_ == expected
    if n_components is None:
        for n_rows in (2, 3):
            model = estimator(None, **SMALL).fit(iris[:n_rows])
            assert model.n_components_ == n_rows


@both
def test_more_latents_than_incomplete_rows(estimator):
    X = np.random.default_rng(0).normal(size=(12, 30))
    X[::3, ::4] = np.nan
    model = estimator(20, allow_nan=True, **SMALL).fit(X)
    assert np.isfinite(model.transform(X)).all()
    assert np.isfinite(model.impute(X)).all()


def test_many_latents_do_not_take_their_square():
    codes = np.random.default_rng(0).normal(size=(100, 1200))
    mixture = CodeMixture(torch.from_numpy(codes), 0)
    assert mixture.mixture.covariances_.size < 20 * 1200
    drawn = mixture.first(1100).sample(50, np.random.RandomState(0))
    assert drawn.shape == (50, 1100)


@both
@pytest.mark.parametrize("size", [1e-150, 1e-46, 1e39, 1e150])
def test_draws_have_the_size_of_the_data(estimator, size):
    X = size * np.random.default_rng(0).normal(size=(200, 3))
    model = estimator(2, **SMALL).fit(X)
    for density in model._densities:
        drawn = model.sample(500, random_state=0, density=density)
        assert 0.5 < drawn.std() / size < 2


@pytest.mark.parametrize(
    "warn",
    [
        lambda X: AutoencoderTransformer(
            2, architecture="conv", sample_shape=(4, 4), max_iter=0
        ).fit(X),
        lambda X: AutoencoderTransformer(2, allow_nan=True, max_iter=0).fit(
            np.column_stack([X, np.full(len(X), np.nan)])
        ),
        lambda X: (
            AutoencoderTransformer(2, max_iter=1).partial_fit(1000 * X).partial_fit(X)
        ),
        lambda X: (
            VAETransformer(2, max_iter=0)
            .fit(
                pd.DataFrame(X, columns=list("abcdefghijklmnop")).assign(
                    q=["x", "y"] * 30
                )
            )
            .score_samples(
                pd.DataFrame(X, columns=list("abcdefghijklmnop")).assign(q="z")
            )
        ),
    ],
    ids=["images", "empty column", "start", "unknown category"],
)
def test_warnings_point_to_the_line_of_the_user(warn):
    X = np.random.default_rng(0).normal(size=(60, 16))
    with pytest.warns(UserWarning) as found:
        warn(X)
    assert found[0].filename == __file__
