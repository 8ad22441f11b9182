"""Libraries that take fitted estimators, or make them; one that is absent is skipped.

`make test-clients` installs them in an environment of their own.
"""

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderDetector, AutoencoderTransformer, VAETransformer

# Warnings of other libraries are theirs.
pytestmark = pytest.mark.filterwarnings("default")

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}
ESTIMATORS = [AutoencoderTransformer, VAETransformer]
both = pytest.mark.parametrize("estimator", ESTIMATORS)


@pytest.fixture(scope="module")
def rows():
    return StandardScaler().fit_transform(load_iris().data)


@both
def test_optuna_searches(estimator, rows):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial):
        k = trial.suggest_int("n_components", 1, 3)
        return estimator(k, **SMALL).fit(rows[::2]).score(rows[1::2])

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(objective, n_trials=4)
    assert np.isfinite([t.value for t in study.trials]).all()


@both
def test_mlflow_keeps(estimator, rows, tmp_path):
    mlflow, io = pytest.importorskip("mlflow"), pytest.importorskip("skops.io")
    model = make_pipeline(StandardScaler(), estimator(2, **SMALL)).fit(rows)
    # Its default format trusts the classes that it is told to.
    types = io.get_untrusted_types(data=io.dumps(model))
    mlflow.sklearn.save_model(model, str(tmp_path / "model"), skops_trusted_types=types)
    loaded = mlflow.sklearn.load_model(str(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.transform(rows), model.transform(rows))


@both
def test_skops_keeps(estimator, rows):
    io = pytest.importorskip("skops.io")
    model = estimator(2, **SMALL).fit(rows)
    written = io.dumps(model)
    types = io.get_untrusted_types(data=written)
    # Nothing but skae's own classes has to be trusted.
    assert all(name.startswith(("skae.", "skorch.")) for name in types), types
    loaded = io.loads(written, trusted=types)
    np.testing.assert_array_equal(loaded.transform(rows), model.transform(rows))


@both
def test_caches_find_equal_models(estimator, rows):
    joblib = pytest.importorskip("joblib")
    model, other = (estimator(2, **SMALL).fit(rows) for _ in range(2))
    assert joblib.hash(model) == joblib.hash(other)
    assert joblib.hash(model) == joblib.hash(copy.deepcopy(model))
    base = pytest.importorskip("dask.base")
    assert base.tokenize(model) == base.tokenize(other)
    assert base.tokenize(model) != base.tokenize(clone(model))


def test_shap_explains_outliers(rows):
    shap = pytest.importorskip("shap")
    detector = AutoencoderDetector(random_state=0).fit(rows)
    strange = rows[:1].copy()
    strange[0, 2] = 9.0
    explainer = shap.Explainer(detector.score_samples, rows[:20])
    found = explainer(strange).values[0]
    assert np.abs(found).argmax() == 2


@both
def test_imbalanced_learn_takes_it_in_a_pipeline(estimator):
    pytest.importorskip("imblearn")
    from imblearn.over_sampling import RandomOverSampler
    from imblearn.pipeline import make_pipeline

    X, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(
        RandomOverSampler(random_state=0),
        StandardScaler(),
        estimator(4, **SMALL),
        LogisticRegression(),
    )
    assert model.fit(X[::2], y[::2]).score(X[1::2], y[1::2]) > 0.9


@both
def test_skrub_makes_its_rows(estimator):
    skrub = pytest.importorskip("skrub")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"size": rng.normal(size=60), "colour": rng.choice(["red", "blue"], 60)}
    )
    model = make_pipeline(skrub.TableVectorizer(), estimator(2, **SMALL))
    assert model.fit_transform(frame).shape == (60, 2)


@both
def test_polars_frames_come_back(estimator, rows):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(rows, schema=list("abcd"))
    model = estimator(2, **SMALL).set_output(transform="polars").fit(frame)
    assert list(model.feature_names_in_) == list("abcd")
    codes = model.transform(frame)
    assert isinstance(codes, pl.DataFrame)
    turned = codes.select(codes.columns[::-1])
    np.testing.assert_array_equal(
        model.inverse_transform(turned), model.inverse_transform(codes)
    )
