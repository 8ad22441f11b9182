"""Sparse rows: small ones are dense, of large ones a batch at a time is."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skae import AutoencoderTransformer, SemiSupervisedClassifier, VAETransformer
from skae.data import _sparse, _streams
from skae.data._sparse import SparseStream
from skae.data._streamed_rows import StreamedRows

AE, VAE = AutoencoderTransformer, VAETransformer
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}

both = pytest.mark.parametrize("estimator", [AE, VAE])
KINDS = [sparse.csr_matrix, sparse.csc_array, sparse.coo_array, sparse.lil_array]


@pytest.fixture(scope="module")
def counts():
    """400 x 60 counts of words of four topics, dense; mostly zeros."""
    rng = np.random.default_rng(0)
    topics = rng.gamma(0.2, size=(4, 60))
    mixed = rng.dirichlet(np.full(4, 0.3), 400) @ (topics / topics.sum(1)[:, None])
    return rng.poisson(15 * mixed).astype(float)


@pytest.fixture
def all_stream(monkeypatch):
    """Sparse rows of any number are dense in parts alone."""
    monkeypatch.setattr(_streams, "_LEAST_BYTES", 0)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "?"])
def test_a_stream_is_the_dense_rows(kind, dtype, counts):
    X = counts.astype(dtype)
    stream = SparseStream(kind(X))
    assert_array_equal(stream.read(5, 20), X[5:20])
    lowest, highest, mean, covariance = stream.summary
    truth = X.astype(float)
    assert_array_equal(lowest, truth.min(0))
    assert_array_equal(highest, truth.max(0))
    assert_allclose(mean, truth.mean(0), rtol=1e-6)
    assert_allclose(covariance, np.cov(truth.T, bias=True), rtol=1e-6, atol=1e-9)


def test_many_features_have_variances_alone(counts, monkeypatch):
    monkeypatch.setattr(_sparse, "MANY_FEATURES", 10)
    stream = SparseStream(sparse.csr_array(counts))
    assert_allclose(stream.summary.covariance, counts.var(0), rtol=1e-9)


@both
@pytest.mark.parametrize("kind", KINDS)
def test_small_tables_are_fitted_as_dense_ones(estimator, kind, counts):
    X = kind(counts)
    found, truth = (estimator(2, **SMALL).fit(rows) for rows in (X, counts))
    assert_array_equal(found.transform(X), truth.transform(counts))
    assert_array_equal(found.score_samples(X), truth.score_samples(counts))
    assert isinstance(found.inverse_transform(found.transform(X)), np.ndarray)


@both
def test_sparse_columns_of_pandas_are_sparse_rows(estimator, counts, all_stream):
    pd = pytest.importorskip("pandas")
    names = [f"word {j}" for j in range(60)]
    frame = pd.DataFrame.sparse.from_spmatrix(sparse.csr_array(counts), columns=names)
    model = estimator(2, **SMALL)
    assert isinstance(model._validate(frame, reset=True), SparseStream)
    found = model.fit(frame)
    truth = clone(model).fit(sparse.csr_array(counts))
    assert_array_equal(found.transform(frame), truth.transform(counts))
    assert list(found.feature_names_in_) == names


@both
def test_the_start_is_that_of_dense_rows(estimator, counts, all_stream):
    params = SMALL | {"max_iter": 0}
    found = estimator(3, **params).fit(sparse.csr_array(counts))
    truth = estimator(3, **params).fit(counts)
    assert_allclose(found.transform(counts), truth.transform(counts), atol=1e-4)
    assert_allclose(found.score(counts), truth.score(counts), rtol=1e-6)


@both
def test_the_start_of_many_features_is_that_of_few(
    estimator, counts, all_stream, monkeypatch
):
    params = SMALL | {"max_iter": 0}
    truth = estimator(3, **params).fit(counts)
    for module in (_streams, _sparse):
        monkeypatch.setattr(module, "MANY_FEATURES", 10)
    monkeypatch.setattr(StreamedRows, "most_pairs", 10)
    found = estimator(3, **params).fit(sparse.csr_array(counts))
    assert_allclose(found.transform(counts), truth.transform(counts), atol=1e-4)
    assert_allclose(found.score(counts), truth.score(counts), rtol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        AE(2, **SMALL),
        AE(2, noise="masking", noise_level=0.3, **SMALL),
        VAE(2, likelihood="poisson", **SMALL),
        VAE(2, likelihood="auto", **SMALL),
        VAE(0.5, ordered=True, **SMALL),
    ],
    ids=repr,
)
def test_a_fit_in_parts_is_as_good(model, counts, all_stream):
    X = sparse.csr_array(np.tile(counts, (4, 1)))
    model = clone(model).set_params(max_iter=15, hidden_layer_sizes=(32,))
    found, truth = clone(model).fit(X), clone(model).fit(X.toarray())
    initial = clone(model).set_params(max_iter=0).fit(X.toarray())
    gains = [m.score(counts) - initial.score(counts) for m in (found, truth)]
    assert gains[0] > 0.75 * gains[1] > 0
    assert_array_equal(found.transform(X), found.transform(X.toarray()))
    assert_array_equal(found.score_samples(X), found.score_samples(X.toarray()))


@both
def test_other_methods_take_sparse_rows(estimator, counts, all_stream):
    X = sparse.csr_array(counts)
    model = estimator(2, **SMALL).fit(counts)
    if estimator is VAE:
        assert_array_equal(model.posterior(X)[1], model.posterior(counts)[1])
    passed = estimator(2, **SMALL).partial_fit(X)
    truth = estimator(2, **SMALL).partial_fit(counts)
    assert_array_equal(passed.transform(X), truth.transform(counts))


def test_incomplete_sparse_rows_are_dense(counts, all_stream):
    X = counts.copy()
    X[::9, 3] = np.nan
    found = AE(2, allow_nan=True, **SMALL).fit(sparse.csr_array(X))
    truth = AE(2, allow_nan=True, **SMALL).fit(X)
    assert_array_equal(found.impute(sparse.csr_array(X)), truth.impute(X))


def test_what_is_not_finite_is_refused(counts, all_stream):
    X = sparse.csr_array(counts)
    X.data[3] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        AE(2, **SMALL).fit(X)


def test_rows_of_another_width_are_refused(counts, all_stream):
    model = AE(2, **SMALL).fit(sparse.csr_array(counts))
    with pytest.raises(ValueError, match="X has 59 features"):
        model.transform(sparse.csr_array(counts[:, 1:]))


def test_the_support_of_a_likelihood_is_checked(counts, all_stream):
    X = sparse.csr_array(counts)
    X.data[-1] = -1
    with pytest.raises(ValueError, match="Poisson likelihood needs"):
        VAE(2, likelihood="poisson", **SMALL).fit(X)


def test_the_default_output_of_one_hot_encoder(counts):
    rng = np.random.default_rng(0)
    cities, kinds = rng.integers(200, size=400), rng.integers(3, size=400)
    X = np.c_[cities, kinds, counts[:, :2]]
    y = kinds > 0
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), [0, 1]), remainder="passthrough"
    )
    model = make_pipeline(encoder, AE(8, **SMALL), LogisticRegression())
    assert sparse.issparse(encoder.fit_transform(X))
    assert model.fit(X, y).score(X, y) > 0.9


def test_a_classifier_of_few_labels_over_sparse_rows(counts):
    y = np.where(np.arange(400) < 100, counts[:, 0] > counts[:, 1], -1)
    X = sparse.csr_array(counts)
    model = SemiSupervisedClassifier(AE(4, **SMALL), LogisticRegression(), unlabeled=-1)
    dense = clone(model).fit(counts, y).predict(counts)
    assert_array_equal(model.fit(X, y).predict(X), dense)
