"""What `SemiSupervisedClassifier` chooses where transformer or classifier are None."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, kneighbors_graph
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)

from skae import SemiSupervisedClassifier
from skae.semi_supervised import _candidates, _choice
from skae.semi_supervised._candidates import RowScaler
from skae.semi_supervised._choice import Choice
from skae.semi_supervised._neighbours import NeighbourAxes
from skae.semi_supervised._softmax_svc import SoftmaxSVC


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Autoencoders of one epoch: what they learn is the business of the benchmark."""
    brief = {"hidden_layer_sizes": (8,), "max_iter": 1}
    for name in ("_SWAP", "_DROPOUT"):
        monkeypatch.setattr(_candidates, name, getattr(_candidates, name) | brief)


@pytest.fixture
def few_classifiers(monkeypatch):
    """Three of the default's, and folds that are drawn once."""
    few = [LogisticRegression(), LogisticRegression(C=10.0), SoftmaxSVC()]
    name = "skae.semi_supervised._classifier.default_classifiers"
    monkeypatch.setattr(name, lambda n_labelled: few)
    monkeypatch.setattr(_choice, "_N_REPEATS", 1)


def partly(X, labels, n_labelled):
    """X, and labels of so many random rows; the others are -1."""
    y = np.full(len(X), -1)
    rows = np.random.default_rng(0).permutation(len(X))[:n_labelled]
    y[rows] = labels[rows]
    return X, y


@pytest.fixture(scope="module")
def digits():
    X, labels = load_digits(return_X_y=True)
    return X[:800], labels[:800]


@pytest.fixture(scope="module")
def iris():
    X, labels = load_iris(return_X_y=True)
    return partly(X, labels, 24)


@pytest.mark.filterwarnings("ignore:y contains no unlabeled samples:UserWarning")
@parametrize_with_checks([SemiSupervisedClassifier()])
def test_default_check(estimator, check, few_classifiers):
    check(estimator)


def test_no_check_of_the_default_is_missing_and_none_may_fail(collected_checks):
    expected = len(list(estimator_checks_generator(SemiSupervisedClassifier())))
    assert len(collected_checks("test_default_check")) == expected >= 50


# What is chosen.


def test_the_default_beats_raw_rows_on_digits(digits, few_classifiers):
    X, labels = digits
    X, y = partly(X, labels, 80)
    is_new = y < 0
    model = SemiSupervisedClassifier(random_state=0).fit(X, y)
    raw = SVC().fit(X[~is_new], y[~is_new])
    assert model.features_ == "rows+neighbours"
    error, error_raw = (
        np.mean(m.predict(X[is_new]) != labels[is_new]) for m in (model, raw)
    )
    assert error < 0.75 * error_raw
    assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert_array_equal(model.predict_proba(X).argmax(axis=1), model.predict(X))


def test_labels_that_rows_do_not_tell_leave_the_rows():
    generator = np.random.default_rng(1)
    X, labels = generator.normal(size=(200, 5)), generator.integers(0, 2, 200)
    X, y = partly(X, labels, 60)
    model = SemiSupervisedClassifier(unlabeled=-1, random_state=0).fit(X, y)
    assert model.features_ == "rows"
    assert model.cv_results_["mean_test_accuracy"].max() < 0.7


def test_a_tie_goes_to_the_rows_and_more_errors_ask_for_more(iris):
    X, y = iris
    rows, labels = X[y >= 0], y[y >= 0]
    better = np.column_stack([rows, labels])

    def leader(n_errors, features):
        choice = Choice([LogisticRegression()], labels, {}, 0)
        choice.compare(0.0, [("rows", None, rows)])
        choice.compare(n_errors, [("others", None, features)])
        return choice.leader.features

    assert leader(0.0, rows) == "rows"
    assert leader(1.0, better) == "others"
    assert leader(1e3, better) == "rows"


def compared(name, losses, is_right):
    arrays = np.array(losses, dtype=float), np.array(is_right, dtype=float)
    return _choice.Compared(name, None, None, *arrays)


def test_a_lower_loss_with_more_errors_is_not_better():
    old = compared("rows", [0.5, 0.6, 0.5, 0.6], [1, 1, 1, 0])
    sure = compared("others", [0.1, 0.2, 0.1, 0.3], [1, 1, 1, 0])
    wrong = compared("others", [0.1, 0.2, 0.1, 0.3], [1, 0, 1, 0])
    assert _choice._is_better(sure, old, 1.0)
    assert not _choice._is_better(wrong, old, 1.0)


def test_of_a_stage_many_rows_right_count_more_than_the_loss(iris, monkeypatch):
    labels = np.repeat([0, 1], 20)
    choice = Choice(["low loss", "right"], labels, {}, 0)
    found = {
        "low loss": compared("rows", np.full(40, 0.3), np.arange(40) % 2),
        "right": compared("rows", np.full(40, 0.4), np.ones(40)),
    }
    monkeypatch.setattr(
        choice, "_cross_validated", lambda name, made, Z, key: found[key]
    )
    choice.compare(0.0, [("rows", None, labels[:, None])])
    assert choice.leader is found["right"]


def test_losses_are_those_of_a_cross_validation_by_hand(iris):
    X, y = iris
    labelled, labels = StandardScaler().fit(X).transform(X[y >= 0]), y[y >= 0]
    model = SemiSupervisedClassifier(StandardScaler(), random_state=0).fit(X, y)
    found = model.cv_results_
    (place,) = (
        i
        for i, c in enumerate(found["classifier"])
        if getattr(c, "C", 0) == 10.0 and isinstance(c, LogisticRegression)
    )
    losses, hits = [], []
    seed = np.random.RandomState(0).randint(2**30)
    n_folds = min(5, np.bincount(labels).min())
    for repeat in range(3):
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed + repeat)
        for train, test in folds.split(labelled, labels):
            fitted = clone(found["classifier"][place]).fit(
                labelled[train], labels[train]
            )
            chances = fitted.predict_proba(labelled[test])
            losses.extend(-np.log(chances[np.arange(len(test)), labels[test]]))
            hits.extend(fitted.predict(labelled[test]) == labels[test])
    assert_allclose(found["mean_test_loss"][place], np.mean(losses))
    assert_allclose(found["mean_test_accuracy"][place], np.mean(hits))
    best = np.argmin(found["mean_test_loss"])
    assert repr(model.classifier_) == repr(found["classifier"][best])
    assert set(found["features"]) == {"transformer"} and not hasattr(model, "features_")


# Parts that are given.


@pytest.mark.parametrize(
    "classifier", [SVC(C=3.0), LinearSVC(), KNeighborsClassifier(2)], ids=repr
)
def test_features_are_chosen_for_a_classifier_that_is_given(iris, classifier):
    model = SemiSupervisedClassifier(classifier=classifier, random_state=0).fit(*iris)
    assert repr(model.classifier_) == repr(classifier)
    found = model.cv_results_
    assert found["features"] == ["rows", "swap", "rows+swap", "rows+neighbours"]
    assert np.isfinite(found["mean_test_loss"]).all()
    assert model.features_ in found["features"] and model.score(*iris) > 0.8


def test_a_graph_gets_features_without_rows_or_neighbours_beside(iris):
    X, y = iris
    model = SemiSupervisedClassifier(None, LabelSpreading(), random_state=0).fit(X, y)
    assert set(model.cv_results_["features"]) == {"rows", "swap"}
    assert len(model.classifier_.transduction_) == len(X)


def test_a_classifier_is_chosen_for_a_transformer_that_is_given(iris):
    X, y = iris
    pca = PCA(2, random_state=0)
    model = SemiSupervisedClassifier(pca, random_state=0, passthrough=True).fit(X, y)
    columns = np.hstack([pca.fit(X).transform(X), X])
    alone = clone(model.classifier_).fit(columns[y >= 0], y[y >= 0])
    assert_array_equal(model.predict_proba(X), alone.predict_proba(columns))


def test_what_is_given_needs_no_choice(iris):
    model = SemiSupervisedClassifier(classifier=SVC(), random_state=0).fit(*iris)
    model.set_params(transformer=PCA(2)).fit(*iris)
    assert not hasattr(model, "cv_results_") and not hasattr(model, "features_")


def test_weights_reach_the_chosen_classifier_through_routing(iris, few_classifiers):
    X, y = iris
    weight = np.random.default_rng(0).integers(1, 5, len(X)).astype(float)
    model = SemiSupervisedClassifier(random_state=0)
    expected = clone(model).fit(X, y, sample_weight=weight).predict_proba(X)
    with sklearn.config_context(enable_metadata_routing=True):
        found = clone(model).fit(X, y, sample_weight=weight).predict_proba(X)
    assert_array_equal(found, expected)
    assert not np.allclose(clone(model).fit(X, y).predict_proba(X), expected)


def test_weights_of_zero_are_labels_that_are_not_there(iris, few_classifiers):
    X, y = iris
    dropped = np.flatnonzero(y >= 0)[::4]
    weight = np.ones(len(X))
    weight[dropped] = 0
    without = y.copy()
    without[dropped] = -1
    model = SemiSupervisedClassifier(random_state=0)
    weighted = clone(model).fit(X, y, sample_weight=weight)
    expected = clone(model).fit(X, without)
    assert weighted.features_ == expected.features_
    found, losses = (m.cv_results_["mean_test_loss"] for m in (weighted, expected))
    assert_allclose(found, losses)


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_frames_and_transformers_that_return_frames(iris, few_classifiers, output):
    X, y = iris
    frame = pd.DataFrame(X, columns=list("abcd"))
    for transformer in (None, StandardScaler()):
        model = SemiSupervisedClassifier(transformer, random_state=0)
        expected = clone(model).fit(X, y).predict_proba(X)
        with sklearn.config_context(transform_output=output):
            found = clone(model).fit(frame, y)
            assert_allclose(found.predict_proba(frame), expected, rtol=1e-6)


# Very few labels.


def test_two_labels_a_class_are_enough(iris):
    X, labels = load_iris(return_X_y=True)
    y = np.full(150, -1)
    y[[0, 20, 60, 80, 110, 140]] = labels[[0, 20, 60, 80, 110, 140]]
    model = SemiSupervisedClassifier(random_state=0).fit(X, y)
    assert np.isfinite(model.cv_results_["mean_test_loss"]).all()
    y[140] = -1  # the only row of a class is in each training set
    model.fit(X, y)
    assert np.isfinite(model.cv_results_["mean_test_loss"]).all()
    assert_array_equal(model.classes_, [0, 1, 2])


def test_one_label_a_class_leaves_rows_and_the_plain_classifier():
    X, labels = load_iris(return_X_y=True)
    y = np.full(150, -1)
    y[[0, 60, 110]] = labels[[0, 60, 110]]
    with pytest.warns(UserWarning, match="no class has two labelled rows"):
        model = SemiSupervisedClassifier(random_state=0).fit(X, y)
    assert model.features_ == "rows" and model.cv_results_["features"] == []
    Z = StandardScaler().fit_transform(X)
    plain = LogisticRegression(max_iter=500, tol=1e-3).fit(Z[y >= 0], y[y >= 0])
    assert_allclose(model.predict_proba(X), plain.predict_proba(Z))


def test_a_classifier_that_folds_are_too_small_for_gets_the_rows(iris):
    X, y = iris
    n_folds = max(np.bincount(y[y >= 0]))
    needy = GridSearchCV(SVC(), {}, cv=StratifiedKFold(n_folds), error_score="raise")
    model = SemiSupervisedClassifier(classifier=needy, random_state=0)
    with pytest.warns(UserWarning, match="n_splits"):
        model.fit(X, y)
    assert model.features_ == "rows"


def test_many_labelled_rows_are_drawn_from_all_classes(monkeypatch):
    monkeypatch.setattr(_choice, "_MOST_ROWS", 50)
    labels = np.repeat([0, 1, 2], [900, 98, 2])
    choice = Choice([SVC()], labels, {}, 0)
    counts = np.bincount(choice.labels)
    assert counts.sum() == 50 and counts.min() >= 1
    assert abs(counts[1] / 50 - 0.1) < 0.05


# Seeds.


def test_seeds_pickles_and_global_generators(iris, few_classifiers):
    X, y = iris
    np.random.seed(5)
    state = np.random.get_state()[1].copy()
    first, second = (SemiSupervisedClassifier(random_state=3).fit(X, y) for _ in "ab")
    assert_array_equal(np.random.get_state()[1], state)
    for other in (second, pickle.loads(pickle.dumps(first))):
        assert other.features_ == first.features_
        assert_array_equal(other.predict_proba(X), first.predict_proba(X))


# Parts.


def test_features_of_one_unit_have_one_scale_and_others_their_own(digits):
    X, _ = digits
    pixels = RowScaler().fit(X)
    assert len(np.unique(pixels.scale_)) == 1
    assert_allclose(pixels.transform(X).var(axis=0).mean(), 1)
    table, _ = load_iris(return_X_y=True)
    table = table * [1, 10, 100, 0.1]
    assert_allclose(
        RowScaler().fit_transform(table), StandardScaler().fit_transform(table)
    )
    assert_allclose(RowScaler().fit_transform(np.ones((3, 2))), 0)


def test_narrow_codes_are_for_many_features_of_one_unit(digits, few_classifiers):
    X, labels = digits
    y = np.where(np.arange(800) < 40, labels, -1)
    found = {}
    for name, rows in (("pixels", X), ("table", X * np.arange(64) ** 2)):
        model = SemiSupervisedClassifier(random_state=0).fit(rows[:200], y[:200])
        found[name] = set(model.cv_results_["features"])
    assert found["pixels"] - found["table"] == {"dropout", "rows+dropout"}


@pytest.mark.parametrize("leader", ["rows", "rows+swap", "dropout", "rows+dropout"])
def test_neighbours_are_those_of_what_leads(digits, leader):
    found = _candidates.stages(digits[0][:60], 0)
    seen = [next(found), *(found.send(leader) for _ in range(3))]
    n_errors, (last,) = seen[-1]
    base = "dropout" if "dropout" in leader else "rows"
    assert (last.name, n_errors) == (f"{base}+neighbours", 1 + (base == "rows"))
    assert [n for n, _ in seen[:3]] == [0, 1, 2]


def test_many_labelled_rows_are_not_for_support_vectors():
    kinds = [{type(c) for c in _choice.default_classifiers(n)} for n in (100, 10**6)]
    assert kinds == [{LogisticRegression, SoftmaxSVC}, {LogisticRegression}]


def test_neighbour_axes_are_those_of_the_random_walk(digits):
    X, _ = digits
    axes = NeighbourAxes(20, n_neighbors=7)
    found = axes.fit_transform(X)
    graph = kneighbors_graph(X, 7).toarray()
    graph = np.maximum(graph, graph.T)
    walk = graph / graph.sum(axis=1, keepdims=True)
    assert_allclose(walk @ found, found * axes.eigenvalues_, atol=1e-3)
    assert axes.eigenvalues_.max() == pytest.approx(1)
    # A new row between its neighbours has the mean of theirs, for a walk of one step.
    new = X[:3] + 0.01
    nearest = axes.neighbours_.kneighbors(new, return_distance=False)
    expected = found[nearest].mean(axis=1) / axes.eigenvalues_
    assert_allclose(axes.transform(new), expected)


def test_neighbour_axes_of_a_graph_of_many_parts_and_of_equal_rows(monkeypatch):
    parts = np.repeat(np.arange(30.0) * 100, 8)[:, None]  # no part knows another
    for X in (parts + np.tile(np.arange(8.0), 30)[:, None], parts, np.ones((50, 3))):
        axes = NeighbourAxes(n_neighbors=5).fit(X)
        assert np.isfinite(axes.transform(X + 0.1)).all()
        assert np.isfinite(axes.axes_).all()
    monkeypatch.setattr("skae.semi_supervised._neighbours._MOST_RESTARTS", 1)
    few = NeighbourAxes().fit_transform(np.arange(2000.0)[:, None])
    assert few.shape[1] < 64 and np.isfinite(few).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_of_the_machine_follow_its_decisions(n_classes):
    X, y = load_iris(return_X_y=True)
    X, y = X[y < n_classes], y[y < n_classes]
    model = SoftmaxSVC(C=0.5, slope=2.0).fit(X, y)
    plain = SVC(C=0.5, break_ties=True).fit(X, y)
    assert_array_equal(model.predict(X), plain.predict(X))
    chances = model.predict_proba(X)
    assert_allclose(chances.sum(axis=1), 1)
    assert_array_equal(chances.argmax(axis=1), model.predict(X))
    if n_classes == 2:
        assert_allclose(chances[:, 1], expit(2 * plain.decision_function(X)))
    assert clone(model).get_params() == {"C": 0.5, "slope": 2.0}


def test_the_chosen_transformer_is_a_pipeline_of_scikit_learn(iris):
    X, y = iris
    model = SemiSupervisedClassifier(random_state=0).fit(X, y)
    whole = make_pipeline(model.transformer_, model.classifier_)
    assert_array_equal(whole.predict(X), model.predict(X))
