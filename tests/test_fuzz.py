"""Random estimators on random tables: each is refused clearly, or keeps every law.

A few cases of each law here, the same ones in every run; 10,000 by ``make fuzz``.
"""

import copy
import os
import pickle
import random
import re
import tempfile
import traceback
import uuid
import warnings
from dataclasses import dataclass
from unittest import mock

import numpy as np
import pandas as pd
import torch
from hypothesis import example, given, seed
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier

import skae
from skae import (
    AutoencoderDetector,
    AutoencoderTransformer,
    SemiSupervisedClassifier,
    VAETransformer,
)
from skae.nn._activations import ACTIVATIONS
from skae.nn._build import build_model
from skae.nn._corruption import NOISES
from skae.nn.likelihoods import LIKELIHOODS, LOSSES
from skae.nn.penalties import PENALTIES
from skae.nn.priors import PRIORS
from skae.training import _trainer

# What may be said of a table or of parameters, before anything is trained.
REFUSALS = (
    "Input X contains infinity",
    "X has no observed value",
    "variance of X, .* is out of range",
    "likelihood needs .*; column",
    "A category is missing in all of its columns or in none",
    "Ordered latents need prior='normal'",
    "needs n_draws=1",
    "early_stopping=True, but penalty",
    "a minimum of 2 is required",
    "needs two classes",
    "transform_layers='all' needs fully connected",
    "precision='bfloat16', but architecture",
)
WARNINGS = (
    r"n_neighbors \(\d+\) is greater",
    "Columns without any observed value",
    "partial_fit starts anew",
    "architecture='conv' takes",
    "The posterior has collapsed",
    "y contains no unlabeled samples",
)


def is_refusal(error):
    """Whether an error is known, and came before any training."""
    places = {frame.name for frame in traceback.extract_tb(error.__traceback__)}
    is_known = re.search("|".join(REFUSALS), str(error), re.DOTALL)
    return bool(is_known) and not {"train", "finalise"} & places


@dataclass
class Case:
    """An estimator, the rows that it is fitted to, and how."""

    estimator: object
    rows: np.ndarray  # (n, d)
    container: str = "float64"
    n_passes: int = 0  # of partial_fit; none is fit
    is_recorded: bool = False  # its training steps

    def fit(self):
        """A fitted copy of the estimator; None where it is refused in time."""
        model, X = copy.deepcopy(self.estimator), CONTAINERS[self.container](self.rows)
        smallest = 1 if self.is_recorded else 10**9
        with (
            warnings.catch_warnings(),
            mock.patch.object(_trainer, "_MIN_STEPS_TO_RECORD", smallest),
        ):
            for message in WARNINGS:
                warnings.filterwarnings("ignore", message)
            try:
                for _ in range(self.n_passes):
                    model.partial_fit(X)
                # Two classes, and rows without a label.
                y = np.resize([0, 1, -1], len(self.rows))
                return model if self.n_passes else model.fit(X, y)
            except (TypeError, ValueError) as error:
                if not is_refusal(error):
                    raise
        return None

    def results(self, model, rows):
        """What the methods of a fitted model say of each row, by name."""
        X = CONTAINERS[self.container](rows)
        methods = ["score_samples", "decision_function", "explain", "predict_proba"]
        found = {
            name: getattr(model, name)(X) for name in methods if hasattr(model, name)
        }
        if hasattr(model, "transform"):
            found["codes"] = model.transform(X)
            found["rows"] = model.inverse_transform(found["codes"])
        if hasattr(model, "posterior"):
            found["mean"], found["std"] = model.posterior(X)
        if getattr(model, "allow_nan", False):
            found["filled"] = model.impute(X)
        return {name: np.asarray(values) for name, values in found.items()}

    def samples(self, model):
        """New rows by each density that a fitted model has."""
        return {
            name: np.asarray(model.sample(5, 0, density=name))
            for name in getattr(model, "_densities", ())
        }


# Tables.


def measures(rng, n, d):
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)


TABLES = {
    "measures": measures,
    "fractions": lambda rng, n, d: rng.uniform(size=(n, d)),
    "bits": lambda rng, n, d: rng.integers(2, size=(n, d)),
    "counts": lambda rng, n, d: rng.poisson(3.0, (n, d)),
    "whole numbers": lambda rng, n, d: rng.integers(-9, 9, size=(n, d)),
    "category": lambda rng, n, d: np.eye(d)[rng.integers(d, size=n)],
    "few rows": lambda rng, n, d: measures(rng, 3, d)[rng.integers(3, size=n)],
    "equal rows": lambda rng, n, d: measures(rng, 1, d)[[0] * n],
}

# Likelihoods that suit only some tables.
SUIT = {
    "bits": ["bernoulli", "binary_cross_entropy", "binarized_bernoulli"],
    "fractions": ["bernoulli", "binary_cross_entropy", "binarized_bernoulli"],
    "counts": ["poisson", "negative_binomial", "discretized_normal"],
    "whole numbers": ["discretized_normal"],
    "category": ["categorical"],
}


def constant_column(rng, X, factor):
    X[:, rng.integers(X.shape[1])] = 0.1 * factor


def equal_columns(rng, X, factor):
    X[:, 0] = X[:, -1]


def outlier(rng, X, factor):
    X[0, 0] = 1e150


def offset(rng, X, factor):
    X += 1e9 * factor


DEFECTS = [constant_column, equal_columns, outlier, offset]


def single(X):
    return X.clip(-1e30, 1e30).astype(np.float32)


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


CONTAINERS = {
    "float64": np.array,
    "float32": single,
    "Fortran": np.asfortranarray,
    "list": np.ndarray.tolist,
    "frame": lambda X: pd.DataFrame(X).add_prefix("column "),
    "read-only": read_only,
    "tensor": lambda X: torch.from_numpy(X.copy()),
}


@st.composite
def tables(draw, kind):
    """Rows (n, d) of a kind, at any scale, with some defects."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    n, d = draw(st.integers(1, 60)), draw(st.integers(1, 8))
    X = TABLES[kind](rng, n, d).astype(np.float64)
    if draw(st.booleans()):
        factor = 10.0 ** draw(st.integers(-300, 290))
        X *= factor
        for defect in draw(st.lists(st.sampled_from(DEFECTS), max_size=2)):
            defect(rng, X, factor)
    # Sums stay finite, those of scikit-learn's checks too.
    return X.clip(-1e300, 1e300)


# Estimators.

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}
rarely = st.sampled_from([False, False, True])


def mostly(usual, *others):
    """A strategy of an option that often has its usual value."""
    return st.sampled_from([usual] * max(1, len(others)) + list(others))


COMMON = {
    "n_components": st.sampled_from([1, 2, 3, 5, 12, None, 0.5, 0.9]),
    "hidden_layer_sizes": st.sampled_from([(), (4,), 5, (8, 4)]),
    "activation": mostly("silu", *ACTIVATIONS),
    "penalty_weight": mostly(1.0, 0.0, 1e-3, 100.0),
    "transform_layers": mostly(None, "all"),
    "noise": mostly(None, *NOISES),
    "noise_level": mostly(0.1, 0.0, 0.9),
    "ordered": rarely,
    "init": mostly("pca", "random"),
    "alpha": mostly(30.0, 0.0, 1e6),
    "learning_rate_init": mostly(4e-3, 1e-6, 1.0),
    "batch_size": mostly("auto", 1, 7, 1000),
    "max_iter": st.integers(0, 2),
    "early_stopping": mostly("auto", True, False),
    "validation_fraction": mostly(0.1, 0.5),
    "precision": mostly("auto", "bfloat16"),
    "random_state": st.integers(0, 9),
}
OWN = {
    AutoencoderTransformer: {
        "penalty": mostly(None, *(n for n in PENALTIES if n != "total_correlation")),
        "transform_max_iter": mostly(0, 2),
    },
    VAETransformer: {
        "penalty": mostly(None, *PENALTIES),
        "prior": mostly("normal", *PRIORS),
        "beta": mostly(1.0, 0.0, 4.0),
        "kl_warmup": mostly(0.0, 1.0),
        "capacity": mostly(0.0, 1.0),
        "free_bits": mostly(0.0, 0.1),
        "n_draws": mostly(1, 3),
        "path_derivative": rarely,
        "n_score_draws": st.integers(1, 4),
    },
}


@st.composite
def transformers(draw, kind, n_features, max_options=6):
    """A transformer whose likelihood suits a kind of table, with some options."""
    cls = draw(st.sampled_from(list(OWN)))
    options = COMMON | OWN[cls]
    names = draw(st.lists(st.sampled_from(sorted(options)), max_size=max_options))
    params = {name: draw(options[name]) for name in names}
    name, known = {
        AutoencoderTransformer: ("loss", LOSSES),
        VAETransformer: ("likelihood", LIKELIHOODS),
    }[cls]
    special = {n for names in SUIT.values() for n in names}
    fit = [n for n in known if n not in special or n in SUIT.get(kind, ())]
    if draw(st.booleans()):
        params[name] = draw(st.sampled_from(["auto", *fit]))
    if draw(rarely):
        params["architecture"] = draw(
            st.sampled_from(["conv", "recurrent", "attention"])
        )
        is_sequence = params["architecture"] != "conv"
        params["sample_shape"] = (n_features, 1) if is_sequence else (1, n_features)
    return cls(**{"n_components": 2} | SMALL | params)


@st.composite
def cases(draw):
    """Any estimator, and rows for it."""
    kind = draw(st.sampled_from(sorted(TABLES)))
    around = draw(mostly(None, "detector", "classifier"))
    X = draw(tables(kind))
    estimator = draw(transformers(kind, X.shape[1]))
    n_passes = 0
    if around == "detector":
        estimator = AutoencoderDetector(
            draw(st.sampled_from([None, estimator])),
            outlier_score=draw(mostly("distances", "reconstruction", "likelihood")),
            n_neighbors=draw(mostly(5, 1, 100)),
            trim=draw(mostly(0.2, 0.0, 0.49)),
            contamination=draw(mostly("auto", 0.1)),
            random_state=0,
        )
        if estimator.transformer is None:
            estimator.transformer = AutoencoderTransformer(
                8, hidden_layer_sizes=(4,), noise="swap", max_iter=1
            )
    elif around == "classifier":
        X = X.clip(-1e30, 1e30)  # trees compute in single precision
        tree = DecisionTreeClassifier(max_depth=2, random_state=0)
        estimator = SemiSupervisedClassifier(
            estimator, tree, passthrough=draw(rarely), unlabeled=-1
        )
    else:
        n_passes = draw(mostly(0, 1, 2))
        if draw(rarely):
            estimator.allow_nan = True
            is_missing = np.random.default_rng(len(X)).random(X.shape) < 0.3
            if kind == "category":  # it is missing as a whole
                is_missing[:] = is_missing[:, :1]
            X[is_missing] = np.nan
    container = draw(mostly("float64", *CONTAINERS))
    # Recording takes a tenth of a second.
    is_recorded = draw(st.sampled_from([False] * 5 + [True]))
    return Case(estimator, X, container, n_passes, is_recorded)


def with_outlier(X):
    outlier(None, X, 1.0)
    return X


def incomplete(rng, X):
    return np.where(rng.random(X.shape) < 0.3, np.nan, X)


RNG = np.random.default_rng(0)
SEED = os.environ.get("SKAE_SEED", "0")

# What was found so far: each is refused clearly, or keeps all laws, ever since.
FOUND = [
    # A detector of two rows: a warning of scikit-learn.
    Case(
        AutoencoderDetector(AutoencoderTransformer(2, **SMALL), random_state=0),
        measures(RNG, 2, 3),
    ),
    # A transposed buffer: copies imputed other bits.
    Case(
        VAETransformer(2, allow_nan=True, n_draws=3, **SMALL),
        incomplete(RNG, measures(RNG, 35, 4)),
        n_passes=2,
    ),
    # Numbers that float64 cannot count: NaN.
    Case(
        VAETransformer(2, likelihood="discretized_normal", **SMALL),
        with_outlier(1e98 * TABLES["counts"](RNG, 20, 3)),
    ),
    # A scale of one beside a huge constant: NaN.
    Case(
        AutoencoderTransformer(2, allow_nan=True, **SMALL),
        np.array([[1e150, 1e61], [1e150, 0.0], [1e150, np.nan]]),
    ),
    # Training rows that are equal, beside validation rows: a warning of PCA.
    Case(
        AutoencoderTransformer(8, **SMALL),
        np.eye(15, 1) * 1e60 + np.resize([0, 0, 1], (15, 1)),
    ),
    # A row that is far away for layer normalisation: NaN.
    Case(
        AutoencoderTransformer(2, architecture="attention", **SMALL),
        np.array([[1e151]]),
    ),
    # A small error times a scale whose square float32 has not: minus infinity.
    Case(
        AutoencoderTransformer(2, **SMALL),
        np.array([[1e20, 1e20], [1e20, 0]]),
        "float32",
    ),
    # Scores beyond the range of float32 rows: a warning of the cast.
    Case(
        AutoencoderDetector(
            AutoencoderTransformer(8, noise="swap", **SMALL),
            outlier_score="likelihood",
            random_state=0,
        ),
        np.array([[1e24, 1e24, 1e24], [0, 0, 0]]),
        "float32",
    ),
    # Variances beyond the range of float32 rows.
    Case(
        VAETransformer(2, likelihood="diagonal_gaussian", **SMALL),
        np.array([[1e25, 1e25], [1e25, 0]]),
        "float32",
    ),
    # Distances that are out of range in units of others.
    Case(
        AutoencoderDetector(AutoencoderTransformer(8, **SMALL), random_state=0),
        np.array([[1e150, 1e-95], [1e-95, 0], [0, 0]]),
    ),
    # Codes that an outlier leaves equal: a warning of k-means.
    Case(
        AutoencoderTransformer(2, loss="absolute_error", **SMALL),
        with_outlier(measures(RNG, 58, 6)),
    ),
]


def law(test):
    """The test of a law: of what was found, and of random cases of its own."""
    for case in FOUND:
        test = example(case=case)(test)
    return seed(f"{test.__name__} {SEED}")(given(case=cases())(test))


def everything(case, model):
    return case.results(model, case.rows) | case.samples(model)


def assert_equal_bits(found, truth):
    for name, values in truth.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name, strict=True)


SCORES = "score_samples", "decision_function"


def within_float32(model, rows, name, values):
    """Values without those of scores, such as squared errors, of float32 rows that
    float32 has not."""
    if name not in SCORES or values.dtype != np.float32:
        return values
    with np.errstate(over="ignore"):
        exact = np.float32(getattr(model, name)(np.float64(rows)))
    return values[np.isfinite(exact)]


@law
def test_what_is_not_refused_is_finite(case):
    model = case.fit()
    if model is not None:
        for name, values in everything(case, model).items():
            values = within_float32(model, case.rows, name, values)
            assert np.isfinite(values).all(), name


@law
def test_far_rows_have_codes_and_low_scores(case):
    model, rows = case.fit(), 1e6 * case.rows
    if model is None:
        return
    try:
        found = case.results(model, rows)
    except ValueError as error:  # they are out of the support, or not even finite
        assert is_refusal(error)
        return
    for name, values in found.items():
        lowest = -np.inf if name in SCORES else np.finfo(np.float64).min
        values = within_float32(model, rows, name, values)
        assert ((lowest <= values) & (values < np.inf)).all(), name


@law
def test_equal_seeds_give_equal_bits(case):
    model, again = case.fit(), case.fit()
    if model is not None:
        assert_equal_bits(everything(case, again), everything(case, model))


def reloaded(model):
    """A copy whose torch model is made anew of its structure and its state."""
    model = copy.deepcopy(model)
    parts = getattr(model, "transformers_", [getattr(model, "transformer_", model)])
    for part in parts:
        inner = part.net_.module_
        fresh = build_model(inner.config(), inner.given)
        fresh.load_state_dict(inner.state_dict(), strict=True)
        part.net_.set_model(fresh.eval())
    return model


def through_file(model):
    """What a file has of it, in a list; nothing where it holds a tree."""
    path = os.path.join(tempfile.gettempdir(), f"skae-{uuid.uuid4().hex}")
    try:
        model.save(path)
        return [skae.load(path)]
    except TypeError as error:
        assert "is a Tree of sklearn" in str(error)
        return []
    finally:
        if os.path.exists(path):
            os.remove(path)


@law
def test_copies_and_pickles_give_the_same_bits(case):
    model = case.fit()
    if model is not None:
        truth = everything(case, model)
        for other in (
            copy.deepcopy(model),
            pickle.loads(pickle.dumps(model)),
            *through_file(model),
            reloaded(model),
        ):
            assert_equal_bits(everything(case, other), truth)


@law
def test_some_rows_are_as_among_all_rows(case):
    model = case.fit()
    if model is None:
        return
    rng, n = np.random.default_rng(0), len(case.rows)
    some = rng.choice(n, rng.integers(1, n + 1))
    found, truth = case.results(model, case.rows[some]), case.results(model, case.rows)
    for name, values in truth.items():
        exact = 1e-4 if values.dtype == np.float32 else 1e-9
        size = np.abs(values).max()
        # Errors are differences of numbers that may be nearly equal.
        if name == "score_samples" and isinstance(model, AutoencoderTransformer):
            with np.errstate(over="ignore"):
                size = max(size, np.nanmax(np.square(case.rows)))
        size = min(size, np.finfo(np.float64).max)
        np.testing.assert_allclose(
            found[name], values[some], rtol=exact, atol=exact * size, err_msg=name
        )


def process_state():
    """What all of a process shares, and no fit may change."""
    return {
        "NumPy": repr(np.random.get_state()),
        "Python": random.getstate(),
        "torch": torch.get_rng_state().tolist(),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "errors": np.geterr(),
        "filters": list(warnings.filters),
    }


@law
def test_nothing_of_the_process_or_the_caller_changes(case):
    before, rows = process_state(), case.rows.copy()
    params = repr(case.estimator.get_params())
    model = case.fit()
    if model is not None:
        fitted = pickle.dumps(model)
        everything(case, model)
        assert pickle.dumps(model) == fitted
    assert process_state() == before
    np.testing.assert_array_equal(case.rows, rows)
    assert repr(case.estimator.get_params()) == params
