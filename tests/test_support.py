"""Rows that a likelihood rules out: a density of zero, and no code."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer, VAETransformer
from skae.nn.likelihoods import LIKELIHOODS, LOSSES

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}
ESTIMATORS = {"loss": AutoencoderTransformer, "likelihood": VAETransformer}

# Rows of three values in the support, and values that are not.
ROWS = {
    "unit": (lambda rng: rng.random((60, 3)), [1.5, 16.0, 100.0, -0.5]),
    "counts": (lambda rng: rng.poisson(3.0, (60, 3)), [2.5, -1.0, 1e-3]),
    "category": (lambda rng: np.eye(3)[rng.integers(3, size=60)], [7.0, -3.0, 0.5]),
}
KINDS = {
    "bernoulli": "unit",
    "binarized_bernoulli": "unit",
    "binary_cross_entropy": "unit",
    "poisson": "counts",
    "negative_binomial": "counts",
    "categorical": "category",
}
CASES = [
    (parameter, name)
    for parameter, names in (("loss", LOSSES), ("likelihood", LIKELIHOODS))
    for name in KINDS
    if name in names
]


@pytest.fixture(params=CASES, ids="-".join)
def case(request):
    """A fitted model, rows, and values outside the support."""
    parameter, name = request.param
    draw, values = ROWS[KINDS[name]]
    rows = draw(np.random.default_rng(0)).astype(float)
    # Beside a measure, whose support is everything.
    rows = np.column_stack([rows, np.random.default_rng(1).normal(size=len(rows))])
    law = [(name, [0, 1, 2]), ("gaussian", [3])]
    if name == "binary_cross_entropy":  # which cannot stand among others
        rows, law = rows[:, :3], name
    model = ESTIMATORS[parameter](2, **{parameter: law}, **SMALL).fit(rows)
    return model, rows, values


def test_such_rows_have_no_density(case):
    model, rows, values = case
    bad = rows.copy()
    bad[: len(values), 1] = values
    with np.errstate(all="raise"):
        scores = model.score_samples(bad)
    assert (scores[: len(values)] == -np.inf).all()
    expected = model.score_samples(rows)[len(values) :]
    np.testing.assert_array_equal(scores[len(values) :], expected)
    message = f"The density of {len(values)} of 60 rows is zero"
    with pytest.warns(RuntimeWarning, match=message):
        assert model.score(bad) == -np.inf


def test_such_rows_have_no_code(case):
    model, rows, values = case
    for value in values:
        bad = rows.copy()
        bad[7, 1] = value
        for name in {"transform", "posterior"} & set(dir(model)):
            with pytest.raises(ValueError, match=r"likelihood needs .*; column . has"):
                getattr(model, name)(bad)


def test_such_values_are_not_the_base_of_imputations():
    rows = ROWS["counts"][0](np.random.default_rng(0)).astype(float)
    rows[::3, 0] = np.nan
    options = {"likelihood": "poisson", "allow_nan": True}
    model = VAETransformer(2, **options, **SMALL).fit(rows)
    assert np.isfinite(model.score_samples(rows)).all()
    rows[5, 1] = 2.5
    assert np.flatnonzero(np.isinf(model.score_samples(rows))).tolist() == [5]
    with pytest.raises(ValueError, match=r"column 1 has 2\.5"):
        model.impute(rows)


@pytest.mark.parametrize("parameter", ESTIMATORS)
def test_an_unknown_category_is_encoded_and_never_scores_better(parameter):
    rows = ROWS["category"][0](np.random.default_rng(0))
    model = ESTIMATORS[parameter](2, **{parameter: "categorical"}, **SMALL).fit(rows)
    unknown = np.zeros((1, 3))
    assert np.isfinite(model.transform(unknown)).all()
    assert model.score_samples(unknown) <= model.score_samples(np.eye(3)).min()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("parameter", ESTIMATORS)
def test_a_density_that_overflows_is_zero(parameter, dtype):
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(dtype)
    model = ESTIMATORS[parameter](2, **SMALL).fit(rows)
    far = np.full((1, 3), np.finfo(dtype).max / 4, dtype)
    with np.errstate(over="ignore"):
        assert PCA(2).fit(rows).score_samples(far) == -np.inf
    assert model.score_samples(far) == -np.inf


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "discretized_normal"])
@pytest.mark.parametrize("parameter", ESTIMATORS)
def test_numbers_that_float64_cannot_count_are_no_counts(parameter, name):
    rows = np.random.default_rng(0).poisson(3.0, (30, 3)).astype(float)
    rows[0, 0] = 2.0**53
    model = ESTIMATORS[parameter](2, **{parameter: name}, **SMALL).fit(rows)
    assert np.isfinite(model.transform(rows)).all()
    rows[0, 0] *= 2
    assert model.score_samples(rows)[0] == -np.inf
    with pytest.raises(ValueError, match=r"up to 2\*\*53; column 0 has 1\.8.*e\+16"):
        model.fit(rows)


@pytest.mark.parametrize("parameter", ESTIMATORS)
def test_auto_takes_such_numbers_for_measures(parameter):
    rows = 1e20 * np.random.default_rng(0).poisson(3.0, (30, 3))
    model = ESTIMATORS[parameter](2, **{parameter: "auto"}, **SMALL).fit(rows)
    found = model.inverse_transform(model.transform(rows))
    assert np.mean((found - rows) ** 2) < np.mean((rows - rows.mean(0)) ** 2)
