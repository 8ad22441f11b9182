"""What cannot work is refused before training, with the value and the remedy."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import Callback

from skae import (
    AutoencoderDetector,
    AutoencoderTransformer,
    SemiSupervisedClassifier,
    VAETransformer,
)
from skae.nn.priors import Mixture
from skae.training import LatentNet

BOTH = [AutoencoderTransformer, VAETransformer]
SMALL = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 1}

both = pytest.mark.parametrize("estimator", BOTH)


@pytest.fixture
def no_training(monkeypatch):
    """Any step of training fails the test."""

    def fail(*args, **kwargs):
        pytest.fail("training began")

    monkeypatch.setattr(LatentNet, "fit_loop", fail)


@pytest.fixture(scope="module")
def fitted():
    X = np.random.default_rng(0).normal(size=(30, 4))
    return {e: e(2, **SMALL).fit(X) for e in BOTH}


def good(n=20, d=4):
    return np.random.default_rng(0).normal(size=(n, d))


def with_value(value, row=3, column=1):
    X = good()
    X[row, column] = value
    return X


BAD_TABLES = {
    "nan": (with_value(np.nan), ValueError, "NaN"),
    "infinity": (with_value(np.inf), ValueError, "infinity"),
    "minus infinity": (with_value(-np.inf), ValueError, "infinity"),
    "strings": (
        np.full((5, 3), "red"),
        ValueError,
        "could not convert|dtype='numeric'",
    ),
    "objects": (
        np.array([["a", 1.0], ["b", 2.0]], object),
        ValueError,
        "could not conv",
    ),
    "complex": (good() + 1j, ValueError, "Complex data not supported"),
    "no rows": (np.empty((0, 4)), ValueError, "0 sample"),
    "no features": (np.empty((5, 0)), ValueError, r"0 feature\(s\)"),
    "one-dimensional": (np.arange(5.0), ValueError, "Reshape your data"),
    "three-dimensional": (np.zeros((2, 3, 4)), ValueError, "dim 3"),
    "a number": (3.0, ValueError, "2D array"),
    "nothing": (None, ValueError, "."),
}


@both
@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_transform"])
@pytest.mark.parametrize("kind", sorted(BAD_TABLES))
def test_bad_tables_are_refused_by_fit(estimator, method, kind, no_training):
    X, error, match = BAD_TABLES[kind]
    with pytest.raises(error, match=match):
        getattr(estimator(2, **SMALL), method)(X)


@both
@pytest.mark.parametrize("method", ["transform", "score_samples", "score"])
@pytest.mark.parametrize("kind", sorted(BAD_TABLES))
def test_bad_tables_are_refused_after_fit(estimator, method, kind, fitted):
    X, error, match = BAD_TABLES[kind]
    with pytest.raises(error, match=match):
        getattr(fitted[estimator], method)(X)


@pytest.mark.parametrize("kind", sorted(BAD_TABLES))
def test_bad_tables_are_refused_by_posterior(kind, fitted):
    X, error, match = BAD_TABLES[kind]
    with pytest.raises(error, match=match):
        fitted[VAETransformer].posterior(X)


@both
@pytest.mark.parametrize("method", ["transform", "score_samples", "partial_fit"])
def test_the_wrong_number_of_features_is_named(estimator, method, fitted, no_training):
    with pytest.raises(ValueError, match=r"X has 3 features, but .* expecting 4"):
        getattr(fitted[estimator], method)(good(d=3))


@both
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_codes_must_be_finite(estimator, value, fitted):
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        fitted[estimator].inverse_transform([[0.0, value]])


@both
@pytest.mark.parametrize("width", [1, 3])
def test_codes_of_the_wrong_width_are_named(estimator, width, fitted):
    with pytest.raises(ValueError, match=rf"{width} .* 2 components"):
        fitted[estimator].inverse_transform(np.zeros((5, width)))


@both
@pytest.mark.parametrize(
    "method", ["transform", "inverse_transform", "score_samples", "score"]
)
def test_nothing_works_before_fit(estimator, method):
    with pytest.raises(ValueError, match="not fitted yet"):
        getattr(estimator(2), method)(good())
    with pytest.raises(ValueError, match="not fitted yet"):
        estimator(2).sample()


BAD_PARAMETERS = [
    ("n_components", 0),
    ("n_components", -1),
    ("n_components", "two"),
    ("hidden_layer_sizes", (8, 0)),
    ("hidden_layer_sizes", (8, -2)),
    ("hidden_layer_sizes", (8.5,)),
    ("hidden_layer_sizes", ("8",)),
    ("hidden_layer_sizes", ((8, 4), (2, 1))),
    ("hidden_layer_sizes", -3),
    ("hidden_layer_sizes", "wide"),
    ("hidden_layer_sizes", None),
    ("activation", "sine"),
    ("architecture", "transformer"),
    ("init", "zeros"),
    ("alpha", -1e-3),
    ("learning_rate_init", 0.0),
    ("learning_rate_init", np.nan),
    ("batch_size", 0),
    ("batch_size", "all"),
    ("max_iter", -1),
    ("max_iter", 1.5),
    ("early_stopping", "always"),
    ("validation_fraction", 0.0),
    ("validation_fraction", 1.0),
    ("n_iter_no_change", 0),
    ("warm_start", "yes"),
    ("precision", "float8"),
    ("callbacks", "EarlyStopping"),
    ("random_state", "seed"),
    ("verbose", -1),
]


@both
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("name, value", BAD_PARAMETERS, ids=lambda v: str(v))
def test_bad_parameters_are_named(estimator, method, name, value, no_training):
    model = estimator(**{**SMALL, name: value})
    with pytest.raises((ValueError, TypeError), match=name):
        getattr(model, method)(good())


OWN_PARAMETERS = [
    (AutoencoderTransformer, "loss", "absolute"),
    (AutoencoderTransformer, "transform_max_iter", "auto"),
    (AutoencoderTransformer, "transform_max_iter", -1),
    (VAETransformer, "likelihood", "normal"),
    (VAETransformer, "prior", "uniform"),
    (VAETransformer, "beta", -1.0),
]


@pytest.mark.parametrize("estimator, name, value", OWN_PARAMETERS)
def test_own_parameters_are_named(estimator, name, value, no_training):
    with pytest.raises(ValueError, match=rf"'{name}' parameter .*{value}"):
        estimator(**{**SMALL, name: value}).fit(good())


@pytest.mark.parametrize(
    "prior", [Mixture(3), lambda k, d: None, torch.distributions.LogNormal(0.0, 1.0), 5]
)
def test_bad_priors_are_named(prior, no_training):
    with pytest.raises((ValueError, TypeError), match="prior"):
        VAETransformer(2, prior=prior, **SMALL).fit(good())


def test_unknown_names_come_with_the_known_ones(no_training):
    with pytest.raises(ValueError, match=r"('bernoulli'|'gaussian').*'[bg]"):
        VAETransformer(likelihood="normal", **SMALL).fit(good())
    with pytest.raises(TypeError, match="n_latents"):
        VAETransformer(n_latents=3)
    with pytest.raises(ValueError, match="n_latents"):
        VAETransformer().set_params(n_latents=3)


BINARY = [
    (AutoencoderTransformer, {"loss": "binary_cross_entropy"}),
    (VAETransformer, {"likelihood": "bernoulli"}),
]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("value", [-0.25, 1.5])
@pytest.mark.parametrize("estimator, params", BINARY)
def test_binary_models_need_shares(estimator, params, value, method, no_training):
    X = np.full((20, 4), 0.5)
    X[3, 1] = value
    with pytest.raises(ValueError, match=rf"\[0, 1\].*{value}"):
        getattr(estimator(2, **SMALL, **params), method)(X)


@pytest.mark.parametrize("estimator, params", BINARY)
def test_binary_models_need_shares_in_later_batches(estimator, params):
    X = np.random.default_rng(0).random((20, 4))
    model = estimator(2, **SMALL, **params).partial_fit(X)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        model.partial_fit(X + 2)


@pytest.mark.parametrize("estimator, params", BINARY)
def test_binary_models_need_shares_in_a_warm_start(estimator, params):
    X = np.random.default_rng(0).random((20, 4))
    model = estimator(2, warm_start=True, **SMALL, **params).fit(X)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        model.fit(X + 2)


@both
@pytest.mark.parametrize("device", ["cuda:99", "gpu", "xpu:7", ""])
def test_a_missing_device_is_named_with_those_that_exist(
    estimator, device, no_training
):
    with pytest.raises(ValueError, match=rf"device='{device}'.*auto, cpu"):
        estimator(2, device=device, **SMALL).fit(good())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_without_a_gpu_is_named(no_training):
    with pytest.raises(ValueError, match=r"device='cuda'.*cpu"):
        AutoencoderTransformer(2, device="cuda", **SMALL).fit(good())


@both
@pytest.mark.parametrize("n_samples", [0, -1, 2.5, "many", None])
def test_the_number_of_samples_is_named(estimator, n_samples, fitted):
    with pytest.raises((ValueError, TypeError), match="n_samples"):
        fitted[estimator].sample(n_samples)


def test_an_unknown_density_comes_with_the_known_ones(fitted):
    with pytest.raises(ValueError, match=r"density='kernel'.*'mixture', 'prior'"):
        fitted[VAETransformer].sample(density="kernel")
    with pytest.raises(ValueError, match=r"density='prior'.*'mixture'"):
        fitted[AutoencoderTransformer].sample(density="prior")


@both
def test_a_refused_fit_leaves_the_fitted_model(estimator):
    X = good()
    model = estimator(2, **SMALL).fit(X)
    before = model.transform(X)
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(with_value(np.nan))
    assert np.array_equal(model.transform(X), before)


@both
def test_huge_and_tiny_values_train_or_are_refused(estimator):
    """Squares of 1e200 overflow; the model must say so or stay finite."""
    for factor in (1e200, 1e-200):
        try:
            model = estimator(2, **SMALL).fit(good() * factor)
        except ValueError:
            continue
        assert np.isfinite(model.transform(good() * factor)).all()


def detector():
    return AutoencoderDetector(AutoencoderTransformer(2, **SMALL))


def classifier():
    model = AutoencoderTransformer(2, **SMALL)
    return SemiSupervisedClassifier(model, LogisticRegression())


ALL = {
    "autoencoder": lambda: AutoencoderTransformer(2, **SMALL),
    "warm": lambda: AutoencoderTransformer(2, warm_start=True, **SMALL),
    "vae": lambda: VAETransformer(2, **SMALL),
    "detector": detector,
    "classifier": classifier,
}
REFUSED = {
    **{kind: X for kind, (X, *_) in BAD_TABLES.items()},
    "other names": pd.DataFrame(good(d=3), columns=list("abc")).assign(d="red"),
    "too large": good() * 1e200,
}


@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("is_fitted", [False, True])
@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_predict"])
@pytest.mark.parametrize("name", ALL)
def test_a_refused_fit_changes_no_attribute(name, method, is_fitted):
    model, y = ALL[name](), np.arange(20) % 2
    if not hasattr(model, method):
        return
    if is_fitted:
        model.fit(good(), y)
    before, n_refused = dict(vars(model)), 0
    for X in REFUSED.values():
        try:
            getattr(model, method)(X, y[: len(X)])
        except (ValueError, TypeError):
            n_refused += 1
        else:
            vars(model).clear()
            vars(model).update(before)
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[key] is value for key, value in before.items())
    assert n_refused >= len(BAD_TABLES)


class FailLate(Callback):
    """Fail in the third step."""

    def on_batch_end(self, net, **kwargs):
        if net.n_done_ == 3:
            raise OSError


@both
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_fit_that_fails_half_way_leaves_the_trained_model(estimator, method):
    model = estimator(2, batch_size=4, warm_start=True, **SMALL)
    X = good()
    getattr(model, method)(X)
    outputs = model.transform(X), model.score_samples(X), model.sample(3, 0)
    state = {n: v.clone() for n, v in model.net_.module_.state_dict().items()}
    history = [dict(epoch) for epoch in model.net_.history]
    with pytest.raises(OSError):
        getattr(model.set_params(callbacks=[FailLate()]), method)(2 * X)
    found = model.transform(X), model.score_samples(X), model.sample(3, 0)
    assert all(map(np.array_equal, found, outputs))
    now = model.net_.module_.state_dict()
    assert all(torch.equal(now[n], value) for n, value in state.items())
    assert [dict(epoch) for epoch in model.net_.history] == history
