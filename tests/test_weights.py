"""Weights of rows: 2 is the row twice, 0 its absence."""

import numpy as np
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderDetector, AutoencoderTransformer, VAETransformer
from skae.data import _streams
from skae.transformers._weights import _counts, in_order

AE, VAE = AutoencoderTransformer, VAETransformer
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}

MODELS = {
    "autoencoder": AE(2, **SMALL),
    "start": AE(2, **SMALL | {"max_iter": 0}),
    "variational": VAE(2, **SMALL),
    "missing": VAE(2, allow_nan=True, **SMALL),
    "ordered": AE(0.8, ordered=True, **SMALL),
    "penalty": AE(2, penalty="mmd", **SMALL),
}


@pytest.fixture
def weights():
    return np.random.default_rng(0).integers(4, size=400)


def incomplete(X):
    X = X.copy()
    X[::7, 2] = np.nan
    return X


@pytest.mark.parametrize("name", MODELS)
def test_whole_weights_are_repeated_rows(name, curved, weights):
    X = incomplete(curved) if name == "missing" else curved
    model = MODELS[name]
    found = clone(model).fit(X, sample_weight=weights)
    truth = clone(model).fit(X.repeat(weights, axis=0))
    assert_array_equal(found.transform(X), truth.transform(X))
    assert found.loss_curve_ == truth.loss_curve_
    assert found.score(X) == truth.score(X)
    other = clone(model).fit(X)
    assert not np.array_equal(found.transform(X), other.transform(X))


@pytest.mark.parametrize("container", [sparse.csr_array, torch.from_numpy, np.asarray])
def test_in_each_container(container, curved, weights):
    found = AE(2, **SMALL).fit(container(curved), sample_weight=list(weights))
    truth = AE(2, **SMALL).fit(curved.repeat(weights, axis=0))
    assert_array_equal(found.transform(container(curved)), truth.transform(curved))


def test_of_sparse_rows_that_are_dense_in_parts(curved, weights, monkeypatch):
    monkeypatch.setattr(_streams, "_LEAST_BYTES", 0)
    X = sparse.csr_array(curved)
    found = AE(2, **SMALL).fit(X, sample_weight=weights)
    repeated = sparse.csr_array(curved.repeat(weights, axis=0))
    truth = AE(2, **SMALL).fit(repeated)
    assert_array_equal(found.transform(X), truth.transform(X))


def test_of_rows_on_disk_take_them_to_memory(curved, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(_streams, "_LEAST_BYTES", 0)
    np.save(tmp_path / "X.npy", curved)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    found = AE(2, **SMALL).fit(X, sample_weight=weights)
    truth = AE(2, **SMALL).fit(curved, sample_weight=weights)
    assert_array_equal(found.transform(curved), truth.transform(curved))


def test_of_partial_fit(curved, weights):
    found = AE(2, **SMALL).partial_fit(curved, sample_weight=weights)
    truth = AE(2, **SMALL).partial_fit(curved.repeat(weights, axis=0))
    assert_array_equal(found.transform(curved), truth.transform(curved))


def test_of_a_detector(curved, weights):
    detector = AutoencoderDetector(AE(2, **SMALL), random_state=0)
    found = clone(detector).fit(curved, sample_weight=weights)
    truth = clone(detector).fit(curved.repeat(weights, axis=0))
    assert_array_equal(found.score_samples(curved), truth.score_samples(curved))


def test_of_a_score(curved, weights):
    model = AE(2, **SMALL).fit(curved)
    expected = np.average(model.score_samples(curved), weights=weights)
    assert model.score(curved, sample_weight=weights) == pytest.approx(expected)


def test_of_a_pipeline(curved, weights):
    pipeline = make_pipeline(StandardScaler(), AE(2, **SMALL))
    pipeline.fit(curved, autoencodertransformer__sample_weight=weights)
    scaled = StandardScaler().fit_transform(curved)
    truth = AE(2, **SMALL).fit(scaled, sample_weight=weights)
    assert_array_equal(pipeline.transform(curved), truth.transform(scaled))
    with sklearn.config_context(enable_metadata_routing=True):
        model = AE(2, **SMALL).set_fit_request(sample_weight=True)
        routed = make_pipeline(StandardScaler().set_fit_request(sample_weight=False))
        routed.steps.append(("autoencoder", model))
        routed.fit(curved, sample_weight=weights)
        assert_array_equal(routed.transform(curved), truth.transform(scaled))


@pytest.mark.parametrize("scale", [0.3, 100])
def test_other_weights_are_rounded_to_their_values_on_average(scale):
    weight = scale * np.random.default_rng(0).gamma(1.0, size=50)
    counts = [_counts(weight, np.random.RandomState(seed)) for seed in range(4000)]
    expected = weight / weight.mean()
    assert {c.sum() for c in counts} <= {49, 50, 51}
    assert np.abs(np.array(counts) - expected).max() <= 1
    assert_allclose(np.mean(counts, axis=0), expected, atol=0.04)


def test_weights_in_place_of_rows_shift_the_model(curved):
    # A start from the rows of one half of the plane alone, nearly.
    weight = np.where(curved[:, 0] > 0, 1.0, 1e-9)
    found = AE(2, **SMALL).fit(curved, sample_weight=weight)
    assert_allclose(found.mean_, curved[curved[:, 0] > 0].mean(0), atol=0.1)


@pytest.mark.parametrize("estimator", [AE, VAE, AutoencoderDetector])
def test_the_order_of_few_rows_is_of_no_account(estimator, iris):
    params = {} if estimator is AutoencoderDetector else SMALL
    model = estimator(**{"random_state": 0} | params)
    order = np.random.default_rng(0).permutation(len(iris))
    found, truth = clone(model).fit(iris[order]), clone(model).fit(iris)
    assert_array_equal(found.score_samples(iris), truth.score_samples(iris))


def test_the_order_of_few_rows_is_their_own(iris):
    rows = in_order(np.flip(iris, 0).copy())
    assert_array_equal(rows, in_order(iris))
    assert sorted(rows.tolist()) == sorted(iris.tolist())
    # None of their values, and the same in float32.
    assert np.abs(np.corrcoef(rows.T, np.arange(150))[-1, :-1]).max() < 0.3
    assert_array_equal(in_order(iris.astype(np.float32)), rows.astype(np.float32))
    many = np.repeat(iris, 2, axis=0)
    assert in_order(many) is many


@pytest.mark.parametrize(
    "weight, message",
    [
        (np.zeros(400), "zero"),
        (-np.ones(400), "[Nn]egative"),
        (np.ones(399), "sample_weight"),
        (np.full(400, np.nan), "NaN"),
    ],
)
def test_bad_weights_are_refused(weight, message, curved):
    model = AE(2, **SMALL)
    with pytest.raises(ValueError, match=message):
        model.fit(curved, sample_weight=weight)
    assert not hasattr(model, "net_")
