"""ONNX models: what onnxruntime makes of rows is what Python makes of them."""

import os
import pickle
import sys
from functools import partial

import numpy as np
import pytest
import torch
from scipy import special
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.semi_supervised import LabelSpreading

from skae import (
    AutoencoderDetector,
    AutoencoderTransformer,
    SemiSupervisedClassifier,
    VAETransformer,
)
from skae.nn.architectures import Attention, Convolutional, Recurrent

for package in ("onnx", "onnxscript", "onnxruntime", "skl2onnx"):
    pytest.importorskip(package, reason=f'{package} of the extra "onnx" is missing')

import onnxruntime  # noqa: E402  # the tests are skipped without it
from skl2onnx import to_onnx  # noqa: E402

import skae.onnx  # noqa: E402, F401  # makes the estimators known to skl2onnx
from skae.onnx import _special  # noqa: E402

# From random weights and without validation rows: networks that are not PCA.
SMALL = {
    "hidden_layer_sizes": (8,),
    "max_iter": 4,
    "init": "random",
    "early_stopping": False,
    "random_state": 0,
}
AE = partial(AutoencoderTransformer, n_components=3, **SMALL)
VAE = partial(VAETransformer, n_components=3, **SMALL)

# Largest differences: of values in standard deviations of the data, of scores in nats a
# feature, of probabilities.
_ERROR, _NATS, _PROBABILITY = 1e-5, 1e-4, 1e-5


def run(model, *rows):
    """Outputs of an ONNX model, in bytes or a file, by onnxruntime alone."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"]
    )
    names = [given.name for given in session.get_inputs()]
    return session.run(None, dict(zip(names, rows)))


@pytest.fixture(scope="module")
def tables(iris, digits):
    """Rows by their kind."""
    rng = np.random.default_rng(0)
    iris, digits = iris[::3][:50], digits[:60]
    counts = rng.poisson(3, (50, 2)).astype(float)
    kinds = np.eye(3)[rng.integers(0, 3, 50)]
    whole = np.round(10 * iris[:, :2])
    bits = (rng.uniform(size=(50, 2)) < 0.4).astype(float)
    incomplete = np.where(rng.uniform(size=iris.shape) < 0.2, np.nan, iris)
    return {
        "iris": iris,
        "far": iris + 1e6,
        "incomplete": incomplete,
        "incomplete column": incomplete[:, :1],
        "digits": digits,
        "counts": counts,
        "mixed": np.hstack([iris, counts, kinds, whole, bits]),
    }


MIXED = [
    ("gaussian", [0, 1]),
    ("student_t", [2, 3]),
    ("negative_binomial", [4]),
    ("poisson", [5]),
    ("categorical", [6, 7, 8]),
    ("laplace", [9, 10]),
    ("bernoulli", [11, 12]),
]
IMAGE, SEQUENCE = {"sample_shape": (1, 8, 8)}, {"sample_shape": (8, 8)}
GRU, LSTM = (Recurrent(n_units=4, cell=cell) for cell in ("gru", "lstm"))
ATTENTION = Attention(n_layers=1, n_heads=2, n_units=4)
POOLED = Convolutional(
    channels=(4, 6), downsampling="max_pool", upsampling="pixel_shuffle"
)
PRIOR = torch.distributions.MultivariateNormal(torch.zeros(3), 2 * torch.eye(3))


def shorter(**options):
    """An estimator whose fit is a truncated one."""

    class Shorter:
        def fit(self, X):
            return VAE(ordered=True, **options).fit(X).truncate(2)

    return Shorter()


ALL = "encoder", "decoder", "reconstruction", "score"
BOTH_WAYS, SCORE = ("reconstruction",), ("score",)

# estimator, the table that it is fitted to, and the parts that are exported: those that
# differ from other models', since an export takes a second
MODELS = {
    "AE": (AE(), "iris", ALL),
    "VAE": (VAE(), "iris", ALL[2:]),
    "linear": (VAE(hidden_layer_sizes=()), "iris", SCORE),
    "PPCA beside": (VAE(init="pca", max_iter=30, early_stopping=True), "iris", SCORE),
    "absolute error": (AE(loss="absolute_error"), "iris", SCORE),
    "gelu": (AE(activation="gelu"), "iris", BOTH_WAYS),
    "penalty": (AE(penalty=["contractive", "mmd"]), "iris", BOTH_WAYS),
    "hidden layers": (AE(transform_layers="all"), "iris", ALL[:2]),
    "ordered": (AE(ordered=True), "iris", BOTH_WAYS),
    "truncated": (shorter(), "iris", ALL[2:]),
    "mixture": (VAE(prior="mixture"), "iris", SCORE),
    "vamp": (VAE(prior="vamp"), "iris", SCORE),
    "prior of torch": (VAE(prior=PRIOR), "iris", SCORE),
    "whole": (VAE(likelihood="discretized_normal"), "counts", ("decoder",)),
    "mixed": (VAE(likelihood=MIXED), "mixed", ("decoder", "score")),
    "conv": (AE(architecture="conv", **IMAGE), "digits", BOTH_WAYS),
    "pooled": (AE(architecture=POOLED, **IMAGE), "digits", BOTH_WAYS),
    "gru": (AE(architecture=GRU, **SEQUENCE), "digits", BOTH_WAYS),
    "lstm": (AE(architecture=LSTM, **SEQUENCE), "digits", BOTH_WAYS),
    "attention": (AE(architecture=ATTENTION, **SEQUENCE), "digits", BOTH_WAYS),
    "incomplete AE": (AE(allow_nan=True), "incomplete", BOTH_WAYS),
    "incomplete VAE": (VAE(allow_nan=True), "incomplete", SCORE),
    "incomplete column": (AE(allow_nan=True), "incomplete column", BOTH_WAYS),
    "far": (VAE(), "far", ALL[2:]),
}
IN_FLOAT32 = ["AE", "linear", "vamp", "conv", "incomplete VAE"]


def answers(model, X):
    """Part: what it takes, what Python makes of it, and the largest difference."""
    codes, spread = model.transform(X), np.nanstd(X)
    rows, scores = model.inverse_transform(codes), model.score_samples(X)
    # Of an error, whose unit is not the nat, in its own size.
    is_density = model.net_.module_.likelihood.is_density
    size = X.shape[1] if is_density else np.abs(scores).mean()
    return {
        "encoder": (X, codes, _ERROR * codes.std()),
        "decoder": (codes, rows, _ERROR * spread),
        "reconstruction": (X, rows, _ERROR * spread),
        "score": (X, scores, _NATS * size),
    }


@pytest.mark.parametrize(
    "name, dtype",
    [(name, "float64") for name in MODELS] + [(name, "float32") for name in IN_FLOAT32],
)
def test_parts_are_the_methods(name, dtype, tables, tmp_path):
    estimator, table, parts = MODELS[name]
    model = estimator.fit(tables[table])
    path = tmp_path / "model.onnx"
    found_by_python = answers(model, tables[table].astype(dtype))
    for part in parts:
        rows, truth, error = found_by_python[part]
        model.to_onnx(path, part, dtype=dtype)
        (found,) = run(path, rows)
        assert found.dtype == truth.dtype == dtype
        np.testing.assert_allclose(found, truth, rtol=0, atol=error, err_msg=part)
        # A row alone is as among others.
        (alone,) = run(path, rows[:1])
        np.testing.assert_allclose(alone, truth[:1], rtol=0, atol=error)


def test_a_module_of_users_is_exported(tables, tmp_path):
    def architecture(sample_shape, hidden, activation, n_in, n_out):
        def body(i, o):
            layers = torch.nn.Linear(i, 8), torch.nn.Mish(), torch.nn.Linear(8, o)
            return torch.nn.Sequential(*layers)

        return tuple(map(body, n_in, n_out))

    X = tables["iris"]
    model = AE(architecture=architecture).fit(X)
    model.to_onnx(tmp_path / "model.onnx", dtype="float64")
    (found,) = run(tmp_path / "model.onnx", X)
    truth = model.transform(X)
    np.testing.assert_allclose(found, truth, rtol=0, atol=_ERROR * truth.std())


def test_values_outside_the_support_have_no_density(tables, tmp_path):
    X = tables["counts"]
    model = VAE(likelihood="poisson").fit(X)
    model.to_onnx(tmp_path / "model.onnx", "score")
    outside = X[:3].astype(np.float32)
    outside[0, 0], outside[1, 1] = -1, 0.5
    (found,) = run(tmp_path / "model.onnx", outside)
    np.testing.assert_array_equal(np.isneginf(found), [True, True, False])


def test_float32_rows_far_from_zero_are_warned_of(tables, tmp_path):
    model = AE().fit(tables["far"])
    with pytest.warns(UserWarning, match="4 of 4 features have means beyond"):
        model.to_onnx(tmp_path / "model.onnx")


# Refusals.


def test_refusals(tables, tmp_path):
    path, model = tmp_path / "model.onnx", AE()
    with pytest.raises(NotFittedError):
        model.to_onnx(path)
    model.fit(tables["iris"])
    with pytest.raises(ValueError, match="part='codes' is not one of 'encoder', 'dec"):
        model.to_onnx(path, "codes")
    with pytest.raises(ValueError, match="dtype='float16' is not one of 'float32', "):
        model.to_onnx(path, dtype="float16")
    model.set_params(transform_max_iter=2)
    for part in ("encoder", "reconstruction", "score"):
        with pytest.raises(ValueError, match="with transform_max_iter=2: the steps"):
            model.to_onnx(path, part)
    assert not path.exists()
    model.to_onnx(path, "decoder")
    assert path.exists()


def test_what_torch_cannot_export_is_named(tables, tmp_path):
    class Branch(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else -super().forward(x)

    def architecture(sample_shape, hidden, activation, n_in, n_out):
        return tuple(map(Branch, n_in, n_out))

    model = AE(architecture=architecture).fit(tables["iris"])
    with pytest.raises(
        ValueError, match="'encoder' of this AutoencoderTransformer has no"
    ):
        model.to_onnx(tmp_path / "model.onnx")


@pytest.mark.parametrize("missing", ["onnxscript", "skl2onnx"])
def test_missing_packages_are_named(missing, tables, monkeypatch, tmp_path):
    model = AE(max_iter=0).fit(tables["iris"])
    monkeypatch.setitem(sys.modules, missing, None)
    for name in [name for name in sys.modules if name.startswith("skae.onnx")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=rf'{missing}.*pip install "skae\[onnx\]"'):
        model.to_onnx(tmp_path / "model.onnx")


# Files and state.


def test_a_file_is_whole_or_as_it_was(tables, tmp_path, monkeypatch):
    model = AE(max_iter=0).fit(tables["iris"])
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")

    def interrupted(*paths):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", interrupted)
        model.to_onnx(path)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [
        ("model.onnx", b"before")
    ]


def test_an_export_changes_nothing(tables, tmp_path):
    model = VAE(allow_nan=True).fit(tables["incomplete"])
    before = pickle.dumps(vars(model))
    model.to_onnx(tmp_path / "model.onnx", "score", dtype="float64")
    assert pickle.dumps(vars(model)) == before


# Pipelines.


@pytest.fixture(scope="module")
def labels():
    return np.repeat([0, 1, 2], 17)[:50]


@pytest.mark.parametrize(
    "estimator, name, dtype",
    [(AE, "iris", np.float32), (VAE, "iris", np.float64), (AE, "far", np.float64)],
)
def test_a_pipeline(estimator, name, dtype, tables, labels):
    X = tables[name].astype(dtype)
    # Twice, since names in a graph must differ.
    steps = estimator(), StandardScaler(), AE(n_components=2), LogisticRegression()
    pipeline = make_pipeline(StandardScaler(), *steps).fit(X, labels)
    model = to_onnx(pipeline, X[:1], target_opset=20, options={"zipmap": False})
    found, probabilities = run(model.SerializeToString(), X)
    np.testing.assert_array_equal(found, pipeline.predict(X))
    truth = pipeline.predict_proba(X)
    np.testing.assert_allclose(probabilities, truth, rtol=0, atol=_PROBABILITY)


def test_a_table_of_numbers_and_categories(tables, labels):
    pandas = pytest.importorskip("pandas")
    X = tables["iris"].astype(np.float32)
    frame = pandas.DataFrame(X, columns=list("abcd"))
    frame["kind"] = np.array(["u", "v", "w"])[np.arange(50) % 3]
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), list("abcd")),
            ("kinds", OneHotEncoder(sparse_output=False), ["kind"]),
        ]
    )
    likelihood = [("gaussian", slice(0, 4)), ("categorical", slice(4, 7))]
    vae = VAE(likelihood=likelihood)
    pipeline = make_pipeline(columns, vae, LogisticRegression()).fit(frame, labels)
    model = to_onnx(pipeline, frame[:1], target_opset=20, options={"zipmap": False})
    rows = [frame[[name]].to_numpy() for name in frame]
    found, probabilities = run(model.SerializeToString(), *rows)
    np.testing.assert_array_equal(found, pipeline.predict(frame))
    truth = pipeline.predict_proba(frame)
    np.testing.assert_allclose(probabilities, truth, rtol=0, atol=_PROBABILITY)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["distances", "reconstruction", "likelihood"])
def test_a_detector(kind, dtype, tables):
    X = tables["iris"]
    detector = AutoencoderDetector(
        VAE(), outlier_score=kind, n_neighbors=4, n_estimators=2, random_state=0
    ).fit(X)
    noise = np.random.default_rng(0).normal(size=X.shape)
    rows = np.vstack([X, X + 2 * noise]).astype(dtype)
    truth = detector.predict(rows)
    assert set(truth) == {-1, 1}
    options = {id(detector): {"score_samples": True}}
    model = to_onnx(detector, rows[:1], target_opset=20, options=options)
    label, *scores = run(model.SerializeToString(), rows)
    np.testing.assert_array_equal(label[:, 0], truth)
    for found, method in zip(
        scores, (detector.decision_function, detector.score_samples)
    ):
        assert found.shape == (100, 1) and found.dtype == dtype
        np.testing.assert_allclose(found[:, 0], method(rows), rtol=_ERROR, atol=_ERROR)


def test_detectors_without_an_onnx_form(tables):
    X = tables["iris"]
    detector = AutoencoderDetector(PCA(2)).fit(X)
    with pytest.raises(TypeError, match=r"with transformers of skae; got PCA"):
        to_onnx(detector, X[:1], target_opset=20)
    detector = AutoencoderDetector(AE(allow_nan=True), random_state=0).fit(X)
    with pytest.raises(ValueError, match="allow_nan=True: impute"):
        to_onnx(detector, X[:1], target_opset=20)


@pytest.mark.parametrize("passthrough", [False, True])
def test_a_semi_supervised_classifier(passthrough, tables, labels):
    X, y = tables["iris"], np.where(np.arange(50) % 3, labels, -1)
    classifier = SemiSupervisedClassifier(
        AE(), LogisticRegression(), passthrough=passthrough
    ).fit(X, y)
    options = {id(classifier): {"zipmap": False}}
    model = to_onnx(classifier, X[:1], target_opset=20, options=options)
    found, probabilities = run(model.SerializeToString(), X)
    np.testing.assert_array_equal(found, classifier.predict(X))
    truth = classifier.predict_proba(X)
    np.testing.assert_allclose(probabilities, truth, rtol=0, atol=_PROBABILITY)


def test_a_classifier_of_all_rows_has_no_onnx_form(tables, labels):
    X, y = tables["iris"], np.where(np.arange(50) % 3, labels, -1)
    classifier = SemiSupervisedClassifier(AE(), LabelSpreading()).fit(X, y)
    with pytest.raises(ValueError, match="fitted to all rows; got LabelSpreading"):
        to_onnx(classifier, X[:1], target_opset=20)


# Functions that ONNX lacks, or its runtime in float64.

LINE = np.linspace(-30, 30, 10_001)
LARGE = np.logspace(-6, 15, 10_001)


@pytest.mark.parametrize(
    "found, truth, x",
    [
        (_special.erf, special.erf, LINE),
        (_special.erfcx, special.erfcx, np.append(LINE[LINE > -5], [1e3, 1e10])),
        (_special.lgamma, special.gammaln, LARGE),
        (_special.log1p, np.log1p, np.logspace(-20, 5, 1001)),
        (_special.softplus, lambda x: np.logaddexp(0, x), LINE),
    ],
)
def test_functions_are_those_of_scipy(found, truth, x):
    values = found(torch.from_numpy(x)).numpy()
    # The polynomial in erfcx, and so in erf, ends at a relative error of 1e-12.
    np.testing.assert_allclose(values, truth(x), rtol=1e-11, atol=1e-11)


def test_sums_of_exponentials_that_underflow():
    a, b = torch.tensor([-2e3, 0.0, 1e3]), torch.tensor([-2e3 - 1, -1e3, 1e3])
    found = _special.logaddexp(a, b)
    np.testing.assert_allclose(found, np.logaddexp(a.numpy(), b.numpy()), rtol=1e-6)


@pytest.mark.parametrize("upper", [False, True])
def test_triangular_systems(upper):
    generator = torch.Generator().manual_seed(0)
    A, B = (torch.randn(5, 4, k, generator=generator) for k in (4, 2))
    A = A.triu() if upper else A.tril()
    found = _special.solve_triangular(A, B, upper=upper)
    np.testing.assert_allclose(A @ found, B, atol=1e-3)
