"""Files of estimators: the same bits, or a clear refusal. (The transformers' options:
test_state.py.)"""

import hashlib
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from hypothesis import given
from hypothesis import strategies as st
from make_reference_files import FOLDER, results
from numpy.testing import assert_array_equal
from packaging.version import parse
from safetensors.numpy import save as to_safetensors
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.semi_supervised import LabelSpreading
from sklearn.svm import SVC
from skorch.callbacks import EpochTimer

import skae
from skae import (
    AutoencoderDetector,
    AutoencoderTransformer,
    SemiSupervisedClassifier,
    VAETransformer,
)
from skae.io._codec import CannotBeWrittenError, Reader, Writer
from skae.io._file import FORMAT, read, write
from skae.nn.likelihoods import Gaussian, Poisson

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}


@pytest.fixture(scope="module")
def model(iris):
    return AutoencoderTransformer(**SMALL).fit(iris)


@pytest.fixture(scope="module")
def content(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "model"
    model.save(path)
    return path.read_bytes()


def through_file(estimator, tmp_path, **given):
    path = tmp_path / "estimator"
    estimator.save(path)
    return skae.load(path, **given)


# Estimators over others.


@pytest.mark.parametrize("outlier_score", ["distances", "reconstruction", "likelihood"])
@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame])
def test_a_detector(outlier_score, kind, iris, tmp_path):
    X = kind(iris)
    if kind is pd.DataFrame:
        X.columns = list("abcd")
    transformer = VAETransformer(2, **SMALL)
    detector = AutoencoderDetector(
        transformer, outlier_score=outlier_score, n_estimators=2, random_state=0
    ).fit(X)
    loaded = through_file(detector, tmp_path)
    assert_array_equal(loaded.score_samples(X), detector.score_samples(X))
    assert_array_equal(loaded.predict(X), detector.predict(X))
    if outlier_score != "likelihood":
        assert_array_equal(loaded.explain(X), detector.explain(X))


def few_labels(labels):
    return np.where(np.arange(len(labels)) % 5 == 0, labels, -1)


CLASSIFIERS = {
    "default": LogisticRegression(),
    "svc": SVC(),
    "neighbours": KNeighborsClassifier(),
    "graph": LabelSpreading(kernel="knn"),
    "bayes": make_pipeline(StandardScaler(), GaussianNB()),
    "chosen": None,
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier(name, iris, tmp_path):
    labels = np.repeat(["a", "b", "c"], 50).astype(object)
    y = np.where(np.arange(150) % 5 == 0, labels, None)
    classifier = CLASSIFIERS[name]
    transformer = classifier and make_pipeline(
        ColumnTransformer(
            [
                ("few", OneHotEncoder(sparse_output=False), [3]),
                ("all", StandardScaler(), slice(0, 4)),
            ]
        ),
        AutoencoderTransformer(**SMALL),
    )
    model = SemiSupervisedClassifier(transformer, classifier, random_state=0)
    model.fit(iris, y)
    loaded = through_file(model, tmp_path)
    assert_array_equal(loaded.predict(iris), model.predict(iris))
    assert_array_equal(loaded.classes_, model.classes_)
    if hasattr(model, "predict_proba"):
        assert_array_equal(loaded.predict_proba(iris), model.predict_proba(iris))


def test_chosen_features(tmp_path):
    # Two rings, for a graph whose neighbours a tree finds.
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, 2 * np.pi, 400)
    labels = np.arange(400) % 2
    X = np.c_[np.cos(angles), np.sin(angles)] * (1 + labels[:, None])
    X = X @ rng.normal(size=(2, 2)) + 0.02 * rng.normal(size=(400, 2))
    y = np.where(np.arange(400) < 20, labels, -1)
    model = SemiSupervisedClassifier(unlabeled=-1, random_state=0).fit(X, y)
    assert model.features_ != "rows"
    loaded = through_file(model, tmp_path)
    assert loaded.features_ == model.features_
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.cv_results_.keys() == model.cv_results_.keys()


def test_steps_of_other_packages_are_refused_by_name(iris, tmp_path):
    y = few_labels(np.arange(150) // 50)
    forest = RandomForestClassifier(2, random_state=0)
    model = SemiSupervisedClassifier(PCA(2), forest).fit(iris, y)
    with pytest.raises(TypeError, match=r"classifier_.*is a Tree of sklearn.*pickle"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_fitted_is_refused(tmp_path):
    with pytest.raises(NotFittedError):
        VAETransformer().save(tmp_path / "model")


# Going on.


@pytest.mark.parametrize("estimator", [AutoencoderTransformer, VAETransformer])
def test_training_goes_on_from_a_file(estimator, iris, tmp_path):
    model = estimator(**SMALL, warm_start=True).fit(iris)
    loaded = through_file(model, tmp_path)
    assert_array_equal(
        loaded.fit(iris).transform(iris), model.fit(iris).transform(iris)
    )
    # Before the model has started, the file has the rows that are kept.
    model = estimator(**SMALL).partial_fit(iris[::10])
    loaded = through_file(model, tmp_path)
    for m in (model, loaded):
        m.partial_fit(iris[1::5]).partial_fit(iris[2::5])
    assert_array_equal(loaded.transform(iris), model.transform(iris))
    assert loaded.loss_curve_ == model.loss_curve_


def test_a_generator_goes_on_from_a_file(iris, tmp_path):
    model = AutoencoderTransformer(**SMALL | {"random_state": np.random.RandomState(3)})
    loaded = through_file(model.fit(iris), tmp_path)
    assert_array_equal(
        loaded.fit(iris).transform(iris), model.fit(iris).transform(iris)
    )


def test_in_a_fresh_process(model, iris, tmp_path):
    model.save(tmp_path / "model")
    np.save(tmp_path / "X.npy", iris)
    program = (
        "import numpy, skae; model = skae.load('model'); X = numpy.load('X.npy');"
        "numpy.save('codes.npy', model.transform(X))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment)
    assert_array_equal(np.load(tmp_path / "codes.npy"), model.transform(iris))


# Parts of a user's own.


def own_penalty(model, x, terms):
    return terms.z.abs().sum(-1)


class OwnLikelihood(Gaussian):
    pass


def test_own_parts_are_named_and_passed_again(iris, tmp_path):
    columns = [(OwnLikelihood, [0, 1]), ("gaussian", [2, 3])]
    own = {"likelihood": columns, "penalty": [own_penalty, "mmd"]}
    model = VAETransformer(2, **own, callbacks=[EpochTimer()], **SMALL).fit(iris)
    path = tmp_path / "model"
    model.save(path)
    with pytest.raises(ValueError, match=r"pass likelihood .*, penalty .*callbacks"):
        skae.load(path)
    with pytest.raises(TypeError, match="needs no architecture"):
        skae.load(path, **own, callbacks=None, architecture=None)
    loaded = skae.load(path, **own, callbacks=None)
    assert loaded.callbacks is None and loaded.penalty == own["penalty"]
    assert_array_equal(loaded.score_samples(iris), model.score_samples(iris))


def test_own_parts_within_others(iris, tmp_path):
    def noise(x, level, generator):
        return x

    detector = AutoencoderDetector(AutoencoderTransformer(noise=noise, **SMALL))
    loaded = through_file(detector.fit(iris), tmp_path, noise=noise)
    assert loaded.transformer.noise is noise
    assert_array_equal(loaded.score_samples(iris), detector.score_samples(iris))


def test_a_penalty_that_is_gone_from_the_parameters(iris, tmp_path):
    model = AutoencoderTransformer(2, penalty=own_penalty, **SMALL).fit(iris)
    model.set_params(penalty=None)
    loaded = through_file(model, tmp_path, penalty=own_penalty)
    assert loaded.penalty is None
    assert_array_equal(loaded.transform(iris), model.transform(iris))


# The values.

VALUES = [
    [None, True, 0, -1, 2**80, 0.1, "text"],
    [float("inf"), float("-inf")],
    {"a": 1, 2: ("b", {3}, frozenset("c"), slice(None, 3))},
    [np.float32(0.1), np.int64(3), np.datetime64("2020-01-01", "D")],
    [np.dtype("<f4"), np.float64, Poisson],
    np.array([["a", "bc"]]),
    np.array([None, 1.5, "x"], dtype=object),
    np.array(["2020-01-01", "NaT"], dtype="datetime64[s]"),
    np.zeros((0, 3)),
    np.array(3.0),
    np.arange(6.0).reshape(2, 3).T,
    np.arange(6, dtype=">i4"),
    np.array([True, False]),
    torch.arange(3),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: str(value)[:20])
def test_values_come_back(value, tmp_path):
    writer = Writer()
    encoded = writer.encode(value, "value")
    write(tmp_path / "file", {"value": encoded}, writer.arrays)
    values, arrays = read(tmp_path / "file")
    found = Reader(arrays, {}).decode(values["value"])
    assert type(found) is type(value)
    if isinstance(value, np.ndarray):
        assert_array_equal(found, value)
        assert found.dtype == value.dtype.newbyteorder("=")
        assert found.flags.f_contiguous == value.flags.f_contiguous
    elif isinstance(value, torch.Tensor):
        assert torch.equal(found, value)
    else:
        assert found == value


def test_not_a_number_comes_back():
    for value in (float("nan"), np.nan, np.float32("nan")):
        writer = Writer()
        found = Reader(writer.arrays, {}).decode(writer.encode(value, ""))
        assert found != found


@pytest.mark.parametrize(
    "value", [1j, b"x", len, object(), np.longdouble(1), np.zeros(2, "c16"), st]
)
def test_other_values_are_refused(value):
    with pytest.raises(CannotBeWrittenError):
        Writer().encode([value], "value")


# Damage and malice.


def is_refused(content, folder):
    path = folder / "damaged"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged|no file of skae"):
        skae.load(path)


@given(st.data())
def test_a_changed_bit_is_refused(content, tmp_path_factory, data):
    place = data.draw(st.integers(0, 8 * len(content) - 1))
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    is_refused(bytes(changed), tmp_path_factory.getbasetemp())


@given(st.data())
def test_a_shorter_file_is_refused(content, tmp_path_factory, data):
    size = data.draw(st.integers(0, len(content) - 1))
    is_refused(content[:size], tmp_path_factory.getbasetemp())


def signed(values, arrays=None):
    """A file with a right checksum, whatever is in it."""
    text = values if isinstance(values, str) else json.dumps(values)
    metadata = {"skae": text, "sha256": "0" * 64}
    content = to_safetensors(arrays or {"a": np.zeros(1)}, metadata)
    return with_checksum(content)


def with_checksum(content):
    zeros = b'"sha256":"' + b"0" * 64
    digest = hashlib.sha256(content).hexdigest().encode()
    return content.replace(zeros, b'"sha256":"' + digest, 1)


def of(estimator):
    return {"format": FORMAT, "given": {}, "estimator": estimator}


V = sklearn.__version__
MALICIOUS = {
    "a header of a gigabyte": (2**30).to_bytes(8, "little") + b"{}",
    "a header beyond the end": (2**62).to_bytes(8, "little") + b"{}",
    "no header": b"",
    "deep lists": signed("[" * 100_000 + "]" * 100_000),
    "deep objects": signed(of(None)).replace(b"null", b"[" * 5000 + b"]" * 5000),
    "no object": signed(of(3)),
    "no values": signed({"format": FORMAT}),
    "a list": signed([1]),
    "no text": signed("nonsense"),
    "a class of another package": signed(of({"object": "os.system", "state": "ls"})),
    "a function of scikit-learn": signed(
        of({"object": "sklearn.datasets.fetch_openml", "state": {"dict": []}})
    ),
    "a private class": signed(of({"object": "sklearn.utils.Bunch", "state": []})),
    "a name": signed(of({"getattr": "x"})),
    "an attribute of the reader": signed(of({"__class__": "x"})),
    "an array that is not there": signed(of({"array": "../../etc/passwd"})),
    "a type of Python": signed(of({"list": ["x"], "dtype": "V3", "shape": [1]})),
    "another estimator": signed(
        of({"object": "sklearn.svm.SVC", "state": {"dict": [["_sklearn_version", V]]}})
    ),
    "an estimator without a state": signed(
        of({"object": "AutoencoderTransformer", "state": 3})
    ),
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_malicious_files_are_refused(name, tmp_path):
    is_refused(MALICIOUS[name], tmp_path)


def with_header(content, **arrays):
    """A file with other entries of arrays in its header, and a right checksum."""
    n = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + n])
    for name, changed in arrays.items():
        header[name] |= changed
    header["__metadata__"]["sha256"] = "0" * 64
    text = json.dumps(header, separators=(",", ":")).encode()
    return with_checksum(len(text).to_bytes(8, "little") + text + content[8 + n :])


WEIGHT = "estimator.net_.state.encoder.hidden.0.weight"  # 8 x 4, F32


@pytest.mark.parametrize(
    "changed",
    [
        {"dtype": "I32"},
        {"dtype": "F16"},
        {"dtype": "F128"},
        {"dtype": 3},
        {"shape": [4, 8]},
        {"shape": [8, 5]},
        {"shape": [2**40, 2**40]},
        {"data_offsets": [0, 2**60]},
        {"data_offsets": [-8, 120]},
        {"data_offsets": [128, 0]},
    ],
    ids=str,
)
def test_wrong_dtypes_shapes_and_offsets_are_refused(changed, content, tmp_path):
    is_refused(with_header(content, **{WEIGHT: changed}), tmp_path)


def test_overlapping_arrays_are_refused(content, tmp_path):
    name = "estimator.net_.state.decoder.hidden.0.bias"
    n = int.from_bytes(content[:8], "little")
    start, _ = json.loads(content[8 : 8 + n])[WEIGHT]["data_offsets"]
    overlapping = {"data_offsets": [start, start + 32]}
    is_refused(with_header(content, **{name: overlapping}), tmp_path)


def test_the_file_without_these_changes_is_read(content, tmp_path):
    path = tmp_path / "same"
    path.write_bytes(with_header(content))
    assert skae.load(path).n_components == 2


def test_a_later_format_is_refused(tmp_path):
    path = tmp_path / "later"
    path.write_bytes(signed({"format": FORMAT + 1}))
    with pytest.raises(ValueError, match=f"format {FORMAT + 1} of a later version"):
        skae.load(path)


def test_a_file_that_is_not_there_is_said_as_ever(tmp_path):
    with pytest.raises(FileNotFoundError):
        skae.load(tmp_path / "nothing")


# Writing.


def test_a_failure_leaves_the_old_file(model, iris, tmp_path, monkeypatch):
    path = tmp_path / "model"
    model.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda number: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        AutoencoderTransformer(3, **SMALL).fit(iris).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_header_says_what_is_in_a_file(model, content):
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    values = json.loads(header["__metadata__"]["skae"])
    assert values["format"] == FORMAT
    assert values["versions"]["skae"] == skae.__version__
    assert values["estimator"]["object"] == "AutoencoderTransformer"
    # Readable by anything that reads safetensors.
    assert "estimator.net_.state.encoder.hidden.0.weight" in header


# Versions.


def test_pickles_of_another_version_are_warned_of(model):
    state = model.__getstate__() | {"_skae_version": "0.0.1"}
    other = AutoencoderTransformer.__new__(AutoencoderTransformer)
    with pytest.warns(InconsistentVersionWarning, match=r"0\.0\.1.*using version"):
        other.__setstate__(state)
    assert "_skae_version" not in vars(other)
    assert state["_skae_version"] == "0.0.1"  # the caller's


# Files of earlier versions.

REFERENCES = sorted(FOLDER.glob("format_*/*.safetensors"))


@pytest.mark.parametrize("path", REFERENCES, ids=lambda p: f"{p.parent.name} {p.stem}")
def test_files_of_earlier_versions_are_read(path):
    written = read(path)[0]["versions"]["scikit-learn"]
    if path.stem == "classifier" and parse(sklearn.__version__) < parse(written):
        pytest.skip(f"it has a classifier of scikit-learn {written}, which is later")
    with warnings.catch_warnings():
        # A classifier of scikit-learn, by the version that wrote it.
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        estimator = skae.load(path)
    truth = np.load(path.with_suffix(".npz"))
    found = results(path.stem, estimator)
    assert found.keys() == {*truth}
    for name, values in found.items():
        # Products of other processors round otherwise.
        np.testing.assert_allclose(values, truth[name], rtol=1e-5, atol=1e-6)


def test_each_format_has_reference_files():
    assert [p.parent.name for p in REFERENCES] == [
        f"format_{n}" for n in range(1, FORMAT + 1) for _ in range(4)
    ]
