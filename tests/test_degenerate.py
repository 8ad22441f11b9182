"""Tables without variance somewhere: constant columns, dependent ones, equal rows."""

import numpy as np
import pytest

from skae import AutoencoderDetector, AutoencoderTransformer, VAETransformer
from skae.nn.likelihoods import LIKELIHOODS, LOSSES

# The row of a constant column beside others, and what it differs from.
AT_FIVE, AT_SIX = np.array([[0, 0, 5, 0.0]]), np.array([[0, 0, 6, 0.0]])
# Whatever trains a model beyond what PCA does.
TRAINED = [
    *({"noise": n, "noise_level": 0.2} for n in ("swap", "dropout", "masking")),
    {"noise": "salt_and_pepper", "noise_level": 0.2},
    *({"penalty": name} for name in ("l1", "mmd", "contractive", "orthogonal")),
    {"ordered": True, "noise": "swap"},
    {},
]


@pytest.fixture(scope="module")
def constant():
    """Four columns, the third always 5."""
    X = np.random.default_rng(0).normal(size=(200, 4))
    X[:, 2] = 5.0
    return X


@pytest.mark.parametrize("options", TRAINED, ids=str)
def test_a_column_that_was_constant_moves_nothing_else(constant, options):
    model = AutoencoderTransformer(
        4, hidden_layer_sizes=(32,), max_iter=15, random_state=0, **options
    ).fit(constant)
    five, six = (
        model.inverse_transform(model.transform(row)) for row in (AT_FIVE, AT_SIX)
    )
    # PCA's own answer is one there, and zero elsewhere; a contractive code has less.
    shrunk = 0.5 if options.get("penalty") == "contractive" else 0.0
    np.testing.assert_allclose(six - five, AT_SIX - AT_FIVE, atol=0.2 + shrunk)
    model.set_params(transform_layers="all")
    hidden = (model.transform(AT_SIX) - model.transform(AT_FIVE))[:, 4:]
    np.testing.assert_allclose(hidden, 0, atol=0.2)


@pytest.mark.parametrize("options", TRAINED[:3], ids=str)
def test_columns_that_depend_on_one_another_multiply_nothing(options):
    X = np.random.default_rng(0).normal(size=(200, 3))
    X = np.column_stack([X, X[:, 0] + X[:, 1]])
    model = AutoencoderTransformer(
        4, hidden_layer_sizes=(32,), max_iter=15, random_state=0, **options
    ).fit(X)
    # No row has such a difference; PCA leaves it as it is.
    apart = model.inverse_transform(model.transform(np.diag([0, 0, 0, 1.0])))
    assert np.abs(apart[3] - apart[0]).max() < 1.2


def test_the_detector_blames_a_column_that_was_constant(constant):
    detector = AutoencoderDetector(random_state=0).fit(constant)
    assert detector.explain(AT_SIX).argmax() == 2


KINDS = [
    *((AutoencoderTransformer, {"loss": name}) for name in ("auto", *sorted(LOSSES))),
    *((VAETransformer, {"likelihood": n}) for n in ("auto", *sorted(LIKELIHOODS))),
]
# Rows in the support, of the laws that do not take any numbers.
ROWS = {
    "poisson": [3.0, 0.0, 1.0],
    "negative_binomial": [3.0, 0.0, 1.0],
    "discretized_normal": [3.0, -2.0, 1.0],
    "categorical": [0.0, 1.0, 0.0],
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_components", [1, 3])
@pytest.mark.parametrize("estimator, options", KINDS, ids=str)
def test_equal_rows_are_reconstructed(estimator, options, n_components, dtype):
    name = next(iter(options.values()))
    row = np.array(ROWS.get(name, [0.1] * 3))
    rows = np.repeat(row[None], 20, 0).astype(dtype)
    small = {"hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}
    for method in ("fit", "partial_fit"):
        model = estimator(n_components, **options, **small)
        getattr(model, method)(rows)
        codes = model.transform(rows)
        assert np.isfinite(codes).all()
        assert np.isfinite(model.score_samples(rows)).all()
        assert np.isfinite(model.sample(5, random_state=0)).all()
        # Counts and categories are smoothed by half a count.
        np.testing.assert_allclose(model.inverse_transform(codes), rows, atol=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_copies_of_any_row_are_reconstructed(seed):
    rng = np.random.default_rng(seed)
    row = rng.normal(size=rng.integers(1, 6)) * 10.0 ** rng.integers(-12, 12)
    rows = np.repeat(row[None], rng.integers(2, 60), 0)
    model = VAETransformer(2, hidden_layer_sizes=(8,), max_iter=1, random_state=0)
    found = model.fit(rows).inverse_transform(model.transform(rows))
    np.testing.assert_allclose(found, rows, rtol=1e-12)


def test_the_detector_takes_equal_rows():
    rows = np.repeat(np.random.default_rng(0).normal(size=(1, 4)), 50, 0)
    detector = AutoencoderDetector(random_state=0).fit(rows)
    assert np.isfinite(detector.score_samples(rows)).all()


def test_the_detector_takes_two_rows():
    rows = np.random.default_rng(0).normal(size=(2, 3))
    detector = AutoencoderDetector(n_neighbors=1, random_state=0).fit(rows)
    assert np.isfinite(detector.score_samples(rows)).all()


def test_an_outlier_beside_which_all_rows_are_equal_can_be_sampled():
    rows = np.random.default_rng(0).normal(size=(60, 3))
    rows[0, 0] = 1e150
    model = AutoencoderTransformer(2, max_iter=0, random_state=0).fit(rows)
    assert np.isfinite(model.sample(5, random_state=0)).all()


@pytest.mark.parametrize("options", [{}, {"allow_nan": True}], ids=str)
@pytest.mark.parametrize("estimator", [AutoencoderTransformer, VAETransformer])
def test_a_constant_column_has_any_size(estimator, options):
    rows = np.random.default_rng(0).normal(size=(40, 3))
    small = {"hidden_layer_sizes": (8,), "max_iter": 1, "random_state": 0}
    found = []
    for value in (0.0, 1e20, 1e150):
        rows[:, 0] = value
        model = estimator(2, **small, **options).fit(rows)
        found.append(model.inverse_transform(model.transform(rows)))
        np.testing.assert_array_equal(found[-1][:, 0], value)
    np.testing.assert_allclose(found[1][:, 1:], found[0][:, 1:])
    np.testing.assert_allclose(found[2][:, 1:], found[0][:, 1:])


@pytest.mark.parametrize("size", [1e-50, 1.0, 1e50, 1e150])
def test_rows_that_differ_by_rounding_are_equal(size):
    rows = size * (1 + np.spacing(1.0) * np.eye(4))
    model = AutoencoderTransformer(
        2, hidden_layer_sizes=(8,), max_iter=1, random_state=0
    ).fit(rows)
    found = model.inverse_transform(model.transform(rows))
    np.testing.assert_allclose(found, rows, rtol=1e-10)


def test_the_detector_takes_rows_any_number_of_deviations_away():
    rows = 1e-92 * np.random.default_rng(0).uniform(size=(8, 2))
    rows[0, 0] = 1e150
    with np.errstate(over="raise"):
        detector = AutoencoderDetector(n_neighbors=3, random_state=0).fit(rows)
        scores = detector.score_samples(rows)
    assert np.isfinite(scores).all() and scores.argmin() == 0
