"""The classifier on features of labelled and unlabelled rows."""

from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits, make_blobs
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedKFold,
    cross_validate,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler
from sklearn.semi_supervised import (
    LabelPropagation,
    LabelSpreading,
    SelfTrainingClassifier,
)
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)

from skae import AutoencoderTransformer, SemiSupervisedClassifier, VAETransformer
from skae.model_selection import LabelledFolds

VARIANTS = [
    SemiSupervisedClassifier(
        AutoencoderTransformer(max_iter=2, random_state=0), LogisticRegression()
    ),
    SemiSupervisedClassifier(StandardScaler(), LogisticRegression(), passthrough=True),
    SemiSupervisedClassifier(PCA(), LabelSpreading()),
    SemiSupervisedClassifier(
        make_pipeline(StandardScaler(), PCA()),
        SelfTrainingClassifier(LogisticRegression()),
    ),
    SemiSupervisedClassifier(MaxAbsScaler(), make_pipeline(MaxAbsScaler(), SVC())),
]

# scikit-learn 1.9 has 55 checks for each; its releases add and drop a few.
FEWEST_CHECKS = 50


@pytest.mark.filterwarnings("ignore:y contains no unlabeled samples:UserWarning")
@parametrize_with_checks(VARIANTS)
def test_variant_check(estimator, check):
    check(estimator)


def test_no_check_of_a_variant_is_missing_and_none_may_fail(collected_checks):
    found = collected_checks("test_variant_check")
    expected = [len(list(estimator_checks_generator(e))) for e in VARIANTS]
    assert len(found) == sum(expected) and min(expected) >= FEWEST_CHECKS


@pytest.fixture(scope="module")
def rows():
    """600 rows of digits, their labels, and the mask of 150 labelled rows."""
    X, labels = load_digits(return_X_y=True)
    is_labelled = np.zeros(600, dtype=bool)
    is_labelled[np.random.default_rng(0).permutation(600)[:150]] = True
    return X[:600] / 16, labels[:600], is_labelled


@pytest.fixture(scope="module")
def partly(rows):
    X, labels, is_labelled = rows
    return X, np.where(is_labelled, labels, -1)


# What the classifier sees.


@pytest.mark.parametrize("passthrough", [False, True])
def test_it_is_pca_on_all_rows_and_a_classifier_on_the_labelled(rows, passthrough):
    X, labels, is_labelled = rows
    y = np.where(is_labelled, labels, -1)
    pca = PCA(8, random_state=0).fit(X)

    def features(X):
        return np.hstack([pca.transform(X), X]) if passthrough else pca.transform(X)

    svc = SVC().fit(features(X[is_labelled]), labels[is_labelled])
    model = SemiSupervisedClassifier(
        PCA(8, random_state=0), SVC(), passthrough=passthrough
    ).fit(X, y)
    assert_array_equal(model.predict(X), svc.predict(features(X)))
    assert_array_equal(model.decision_function(X), svc.decision_function(features(X)))
    assert_array_equal(model.classes_, np.arange(10))
    assert model.n_features_in_ == 64
    assert model.score(X, y) == svc.score(features(X[is_labelled]), labels[is_labelled])


def test_probabilities_are_the_classifiers(partly):
    X, y = partly
    logistic = LogisticRegression(max_iter=500)
    model = SemiSupervisedClassifier(PCA(8, random_state=0), logistic).fit(X, y)
    alone = clone(logistic).fit(
        PCA(8, random_state=0).fit(X).transform(X[y >= 0]), y[y >= 0]
    )
    assert_allclose(
        model.predict_proba(X),
        alone.predict_proba(PCA(8, random_state=0).fit(X).transform(X)),
    )
    assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)))


def test_it_has_what_the_classifier_has(partly):
    svc = SemiSupervisedClassifier(PCA(2), SVC())
    nearest = SemiSupervisedClassifier(PCA(2), KNeighborsClassifier())
    for each in (svc, nearest, svc.fit(*partly), nearest.fit(*partly)):
        is_svc = isinstance(each.classifier, SVC)
        assert hasattr(each, "decision_function") == is_svc
        assert hasattr(each, "predict_proba") != is_svc
        assert hasattr(each, "predict_log_proba") is False


def test_parts_are_cloned(partly):
    pca, svc = PCA(2), SVC()
    model = SemiSupervisedClassifier(pca, svc).fit(*partly)
    assert model.transformer_ is not pca and not hasattr(pca, "components_")
    assert model.classifier_ is not svc and not hasattr(svc, "classes_")
    params = clone(model).set_params(transformer__n_components=3, classifier__C=7.0)
    assert params.transformer.n_components == 3 and params.classifier.C == 7.0


def test_all_labelled_is_a_pipeline(rows):
    X, labels, _ = rows
    model = SemiSupervisedClassifier(PCA(8, random_state=0), SVC()).fit(X, labels)
    pipeline = make_pipeline(PCA(8, random_state=0), SVC()).fit(X, labels)
    assert_array_equal(model.predict(X), pipeline.predict(X))
    for mark in (-1, "?"):
        with pytest.warns(UserWarning, match="y contains no unlabeled"):
            model.set_params(unlabeled=mark).fit(X, labels)


def test_a_sparse_matrix_goes_to_the_transformer(partly):
    X, y = partly
    svd = TruncatedSVD(5, random_state=0)
    for passthrough in (False, True):
        model = SemiSupervisedClassifier(svd, SVC(), passthrough=passthrough)
        dense = model.fit(X, y).predict(X)
        X_sparse = sparse.csr_array(X)
        assert np.mean(model.fit(X_sparse, y).predict(X_sparse) == dense) > 0.99


def test_names_of_features(partly):
    X, y = partly
    X = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(64)])
    model = SemiSupervisedClassifier(PCA(3), SVC(), passthrough=True).fit(X, y)
    assert_array_equal(model.feature_names_in_, X.columns)
    assert_array_equal(model.predict(X), model.fit(X.to_numpy(), y).predict(X.values))


@pytest.mark.parametrize("cls", [AutoencoderTransformer, VAETransformer])
def test_all_layers_of_an_autoencoder(cls, partly):
    X, y = partly
    transformer = cls(
        4, max_iter=3, hidden_layer_sizes=(16,), transform_layers="all", random_state=0
    )
    model = SemiSupervisedClassifier(
        make_pipeline(transformer, StandardScaler()), SVC()
    ).fit(X, y)
    assert model.classifier_.n_features_in_ == 4 + 32
    again = clone(model).fit(X, y)
    assert_array_equal(model.decision_function(X), again.decision_function(X))


# Transductive classifiers.


def test_label_spreading_gets_all_rows(rows, partly):
    X, labels, is_labelled = rows
    names = np.array([f"digit {i}" for i in labels], dtype=object)
    y = np.where(is_labelled, names, None)
    spreading = LabelSpreading(kernel="knn", n_neighbors=9)
    model = SemiSupervisedClassifier(PCA(8, random_state=0), spreading).fit(X, y)
    codes = PCA(8, random_state=0).fit(X).transform(X)
    alone = clone(spreading).fit(codes, partly[1])
    assert_array_equal(model.classifier_.transduction_, alone.transduction_)
    assert_array_equal(model.predict(X), model.classes_[alone.predict(codes)])
    assert_array_equal(model.predict_proba(X), alone.predict_proba(codes))
    assert model.score(X, names) > 0.9


@pytest.mark.parametrize("wrap", [lambda c: c, lambda c: make_pipeline(PCA(), c)])
@pytest.mark.parametrize("graph", [LabelSpreading, LabelPropagation])
def test_a_row_that_no_label_reaches_has_equal_probabilities(graph, wrap):
    """They were NaN."""
    X = np.vstack([SMALL[:4], SMALL[:4]])
    names = ["b", "a", "b", "a", None, None, None, None]
    model = SemiSupervisedClassifier(StandardScaler(), wrap(graph(gamma=500)))
    model.fit(X, names)
    near = model.predict_proba(X)
    far = np.vstack([X, [[1e6], [-1e6]]])
    message = f"{graph.__name__} has no probabilities for 2 of 10 rows"
    with pytest.warns(UserWarning, match=message):
        found = model.predict_proba(far)
    assert_array_equal(found, np.vstack([near, np.full((2, 2), 0.5)]))
    with pytest.warns(UserWarning, match="the first is predicted"):
        assert_array_equal(model.predict(far), [*"ba" * 4, "a", "a"])


def test_self_training_at_the_end_of_a_pipeline_gets_all_rows(partly):
    steps = StandardScaler(), SelfTrainingClassifier(LogisticRegression(max_iter=500))
    model = SemiSupervisedClassifier(PCA(8, random_state=0), make_pipeline(*steps))
    # Classes that are not their own ranks.
    X, y = partly
    model.fit(X, np.where(y >= 0, 10 * y, -1))
    codes = PCA(8, random_state=0).fit(X).transform(X)
    alone = make_pipeline(*map(clone, steps)).fit(codes, y)
    assert alone[-1].n_iter_ > 0
    assert_array_equal(model.predict(X), 10 * alone.predict(codes))


# Which rows are labelled.

MARKED = [
    [0, 2, 0, 2, -1, -1],
    np.array([0.0, 1.0, 0.0, 1.0, np.nan, np.nan]),
    np.array([0.0, 2.0, 0.0, 2.0, -1.0, -1.0]),
    [0, 1, 0, 1, None, None],
    [0, 1, 0, 1, None, float("nan")],
    pd.Series([0, 1, 0, 1, pd.NA, pd.NA], dtype="Int64"),
    pd.Series([0, 1, 0, 1, pd.NA, None], dtype=object),
    pd.Series([False, True, False, True, None, None], dtype="boolean"),
    ["cat", "dog", "cat", "dog", None, np.nan],
    ["cat", "dog", "cat", "dog", -1, -1],
    np.array(["cat", "dog", "cat", "dog", -1, -1], dtype=object),
    pd.Series(["cat", "dog", "cat", "dog", None, None], dtype="category"),
    np.array(["2026", "2027", "2026", "2027", "NaT", "NaT"], dtype="datetime64[Y]"),
    [*np.array(["2026", "2027", "2026", "2027", "NaT", "NaT"], dtype="datetime64[D]")],
    # Beside 1 alone -1 is a class.
    [-1, 1, -1, 1, None, None],
    [-1.0, 1.0, -1.0, 1.0, np.nan, np.nan],
]
SMALL = np.array([[0.0], [1.0], [0.1], [0.9], [0.05], [5.0]])


@pytest.mark.parametrize("y", MARKED, ids=repr)
def test_marks_of_unlabelled_rows(y):
    model = SemiSupervisedClassifier(StandardScaler(), SVC()).fit(SMALL, y)
    expected = np.unique(np.asarray(list(y)[:2]))
    assert_array_equal(model.classes_, expected)
    assert type(model.classes_.tolist()[0]) is type(expected.tolist()[0])
    assert_array_equal(model.predict(SMALL[:4]), np.tile(expected, 2))
    assert model.score(SMALL, y) == 1.0
    assert list(next(LabelledFolds(2).split(SMALL, y))[1]) in ([0, 1], [0, 3])


def test_minus_one_and_one_alone_are_two_classes():
    y = np.array([-1, 1, -1, 1, -1, 1])
    model = SemiSupervisedClassifier(StandardScaler(), SVC())
    with pytest.warns(UserWarning, match="two classes"):
        model.fit(SMALL, y)
    assert_array_equal(model.classes_, [-1, 1])
    assert model.score(SMALL, [-1, 1, -1, 1, -1, 1]) == model.score(SMALL, y)
    # Of a classifier of other classes they are an unlabelled row and one more.
    model.fit(SMALL, [0, 1, 0, 1, None, None])
    assert model.score(SMALL[:2], [-1, 1]) == 1.0
    assert model.score(SMALL[:3], [-1, 1, None]) == 1.0


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, np.float32])
@pytest.mark.parametrize(
    "others", [[0, 1], [-2, 1], [-2, 2, 1]], ids=["signs", "two", "grades"]
)
def test_a_minus_one_that_may_be_a_class_is_warned_of_and_settled(others, kind):
    """The class -1 beside 0 and 1 was dropped, and the score was 1.0."""
    y = kind([-1, *others, -1, *others])
    X = np.arange(float(len(y)))[:, None]

    def classes(**options):
        model = SemiSupervisedClassifier(StandardScaler(), SVC(), **options)
        return model.fit(X, y).classes_.tolist()

    for fit in (classes, lambda: next(LabelledFolds(2).split(X, y))):
        with pytest.warns(UserWarning, match="Set unlabeled=-1 if .* unlabeled=None"):
            fit()
    assert classes(unlabeled=-1) == sorted(others)
    assert classes(unlabeled=None) == sorted([-1, *others])
    for mark, n_tested in ((-1, len(others)), (None, len(others) + 1)):
        test = next(LabelledFolds(2, unlabeled=mark).split(X, y))[1]
        assert len(test) == n_tested


def test_a_class_of_minus_one_counts_in_the_score():
    y = [-1, 0, 1] * 2
    model = SemiSupervisedClassifier(
        StandardScaler(), DummyClassifier(strategy="constant", constant=1)
    )
    model.set_params(unlabeled=None).fit(SMALL, y)
    assert model.score(SMALL, y) == 1 / 3
    model.set_params(unlabeled=-1).fit(SMALL, y)
    assert model.score(SMALL, y) == 1 / 2


@pytest.mark.parametrize(
    "mark, others",
    [
        (-1, [1, 2]),
        (0, [1, 2]),
        (-9.0, [1, -1]),
        (None, [-1, 1]),
        (np.nan, [-1, 0, 1]),
        ("?", ["cat", "dog"]),
        ("nan", ["cat", "dog"]),
        ("-1", ["0", "1"]),
    ],
)
def test_a_mark_that_is_said(mark, others):
    """The mark and missing labels are unlabelled, whatever else the labels are."""
    y = np.array([*others, *others, mark, mark], dtype=object)
    X = np.arange(float(len(y)))[:, None]
    folds = LabelledFolds(2, unlabeled=mark)
    for each in (y, list(y), pd.Series(y), np.append(y[:-1], None)):
        model = SemiSupervisedClassifier(StandardScaler(), SVC(), unlabeled=mark)
        assert clone(model).fit(X, each).classes_.tolist() == sorted(others)
        assert clone(model).fit(X, each).score(X[-2:-1], each[:1]) in (0.0, 1.0)
        assert max(np.max(test) for _, test in folds.split(X, each)) < len(y) - 2


def same_text(values):
    """The same strings in each container."""
    objects = np.array(values, dtype=object)
    series = [
        pd.Series(objects),
        pd.Series(values),
        pd.Series(values, dtype="category"),
    ]
    found = [values, tuple(values), objects, np.array(values), *series]
    if hasattr(np.dtypes, "StringDType"):
        found.append(np.array(values, dtype=np.dtypes.StringDType()))
    return found


@pytest.mark.parametrize("text", ["None", "nan", "NaN", "<NA>", "-1"])
def test_text_has_one_meaning_in_each_container(text):
    """A list took "nan" for a class, an array of strings was refused, a "None" not."""
    is_minus = text == "-1"
    for y in same_text(["cat", "dog", "cat", "dog", text, text]):
        for told in ("auto", -1 if is_minus else None):
            with pytest.raises(ValueError, match=f"unlabeled='{text}', .* dtype=obj"):
                SemiSupervisedClassifier(Untouched(), SVC(), unlabeled=told).fit(
                    SMALL, y
                )
        model = SemiSupervisedClassifier(StandardScaler(), SVC(), unlabeled=text)
        assert model.fit(SMALL, y).classes_.tolist() == ["cat", "dog"]
        model.set_params(unlabeled=None if is_minus else "?")
        with nullcontext() if is_minus else pytest.warns(UserWarning, match="no unlab"):
            model.fit(SMALL, y)
        assert model.classes_.tolist() == sorted(["cat", "dog", text])


ENCODERS = [
    lambda model: VotingClassifier([("a", model)]),
    lambda model: VotingClassifier([("a", make_pipeline(model))], n_jobs=2),
    lambda model: StackingClassifier([("a", model)]),
    lambda model: StackingClassifier([("a", model)], n_jobs=2),
    lambda model: BaggingClassifier(model, n_estimators=2),
    OneVsRestClassifier,
    OneVsOneClassifier,
]


@pytest.mark.parametrize("mark", [-1, "?"])
@pytest.mark.parametrize("wrap", ENCODERS)
def test_an_ensemble_that_would_predict_the_mark_is_refused(wrap, mark):
    names = np.array(["a", "b", "c"], object) if mark == "?" else np.array([0, 1, 2])
    X, labels = make_blobs(90, 2, random_state=0)
    y = np.where(np.arange(90) % 3 > 0, mark, names[labels])
    model = SemiSupervisedClassifier(PCA(), LogisticRegression(), unlabeled=mark)
    with pytest.raises(
        ValueError, match=r"class of the unlabelled rows.*Put it inside"
    ):
        wrap(model).fit(X, y)
    ensemble = wrap(SVC())
    if getattr(ensemble, "n_jobs", None) is None:  # other processes take seconds
        inside = clone(model).set_params(classifier=ensemble).fit(X, y)
        assert set(inside.predict(X)) == set(names)


@pytest.mark.filterwarnings("ignore:y contains no unlabeled samples:UserWarning")
def test_an_ensemble_of_labelled_rows_is_not_refused():
    X, y = make_blobs(30, 2, random_state=0)
    model = SemiSupervisedClassifier(PCA(), LogisticRegression(), unlabeled=-1)
    for classes in ([0, 1, 2], ["a", "b", "c"]):
        outside = clone(VotingClassifier([("a", model)]))
        outside = outside.fit(X, np.array(classes)[y])
        assert outside.score(X, np.array(classes)[y]) > 0.9
    signs = BaggingClassifier(clone(model).set_params(unlabeled=None), n_estimators=2)
    assert set(signs.fit(X, y - 1).predict(X)) == {-1, 0, 1}


@pytest.mark.parametrize("third", [0, 7.0, "cat"])
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_minus_one_that_would_change_its_meaning_with_the_fold_is_refused(
    third, missing
):
    y = np.array([-1, third, -1, third, -1, 2 if third != "cat" else "dog"], object)
    model = SemiSupervisedClassifier(StandardScaler(), SVC())
    assert -1 not in model.fit(SMALL, y).classes_
    whole, X = np.append(y, [missing]), np.append(SMALL, [[0.0]], axis=0)
    with pytest.raises(ValueError, match="-1 as well as missing"):
        SemiSupervisedClassifier(Untouched(), SVC()).fit(X, whole)
    with pytest.raises(ValueError, match="-1 as well as missing"):
        next(LabelledFolds(2).split(X, whole))


class Untouched(BaseEstimator):
    """A transformer that must not be trained."""

    def fit(self, X, y=None):
        raise AssertionError("trained in spite of the fault")

    def transform(self, X):
        return X


FAULTS = [
    ([-1] * 6, "y has no label"),
    ([None] * 6, "y has no label"),
    ([np.nan] * 6, "y has no label"),
    ([2, 2, 2, -1, -1, -1], "one class alone: .*2"),
    ([1, 1, 1, None, None, None], "one class alone: .*1"),
    (["cat", "cat", None, None, None, None], "one class alone: 'cat'"),
    ([0.3, 0.1, 0.7, 0.2, np.nan, np.nan], "continuous"),
    ([0, 1, np.inf, 1, 0, 1.0], "infinity"),
    ([1, "cat", 1, "cat", None, None], r"mixes labels of the types \['int', 'str'\]"),
    ([1, "cat", 1, "cat", -1, -1], "mixes labels"),
    (np.array(["cat", "dog", "cat", "dog", "nan", "nan"]), "dtype=object"),
    (np.array(["cat", "dog", "cat", "dog", -1, -1]), "dtype=object"),
    ([0, 1, 0, 1, -1], "inconsistent numbers"),
    (None, "target y is None"),
]


@pytest.mark.parametrize("y, message", FAULTS, ids=repr)
def test_a_fault_of_y_is_named_before_training(y, message):
    with pytest.raises(ValueError, match=message):
        SemiSupervisedClassifier(Untouched(), SVC()).fit(SMALL, y)


def test_faults_of_parameters_are_named_before_training():
    y, weight = [0, 1, 0, 1, None, None], [1, 0, 1, 0, 1, 1]
    with pytest.raises(ValueError, match="positive sample_weight"):
        SemiSupervisedClassifier(Untouched(), SVC()).fit(SMALL, y, sample_weight=weight)
    with pytest.raises(TypeError, match="fit takes no sample_weight"):
        SemiSupervisedClassifier(Untouched(), KNeighborsClassifier()).fit(
            SMALL, y, sample_weight=weight
        )
    for wrong in (
        {"transformer": SVC()},
        {"classifier": PCA()},
        {"passthrough": 2},
        {"unlabeled": []},
    ):
        parts = {"transformer": Untouched(), "classifier": SVC()} | wrong
        with pytest.raises(ValueError, match=f"The '{next(iter(wrong))}' parameter"):
            SemiSupervisedClassifier(**parts).fit(SMALL, y)
    model = SemiSupervisedClassifier(StandardScaler(), SVC()).fit(SMALL, y)
    with pytest.raises(ValueError, match="no label to score"):
        model.score(SMALL, [-1] * 6)


@pytest.mark.parametrize("wrap", [lambda c: c, lambda c: make_pipeline(PCA(), c)])
@pytest.mark.parametrize("inner", [LabelSpreading(), SelfTrainingClassifier(SVC())])
def test_a_search_over_what_learns_from_all_rows_is_refused(wrap, inner):
    search = wrap(GridSearchCV(wrap(inner), {}))
    message = f"GridSearchCV would show {type(inner).__name__} the labelled rows alone"
    with pytest.raises(ValueError, match=message):
        SemiSupervisedClassifier(Untouched(), search).fit(
            SMALL, [0, 1, 0, 1, None, None]
        )


def test_a_search_over_what_learns_from_labelled_rows_sees_these(partly):
    X, y = partly
    search = GridSearchCV(SVC(), {"C": [0.1, 10.0]}, cv=3)
    model = SemiSupervisedClassifier(PCA(8, random_state=0), search).fit(X, y)
    codes = PCA(8, random_state=0).fit(X).transform(X[y >= 0])
    alone = clone(search).fit(codes, y[y >= 0])
    assert model.classifier_.best_score_ == alone.best_score_
    # Self-training sees all rows, and its own search the labelled ones.
    outer = SelfTrainingClassifier(GridSearchCV(LogisticRegression(), {}, cv=3))
    assert SemiSupervisedClassifier(PCA(8), outer).fit(X, y).score(X, y) > 0.9


def test_passthrough_wants_numbers():
    X = pd.DataFrame({"length": SMALL[:, 0], "kind": list("abaacc")})
    y = [0, 1, 0, 1, None, None]
    model = SemiSupervisedClassifier(Untouched(), SVC(), passthrough=True)
    with pytest.raises(ValueError, match=r"passthrough=True needs .* numbers.*'a'"):
        model.fit(X, y)
    columns = make_column_transformer((OneHotEncoder(), ["kind"]))
    encoded = SemiSupervisedClassifier(columns, SVC()).fit(X, y)
    assert encoded.classifier_.n_features_in_ == 3
    # Columns of numbers and of truth values are an array of objects together.
    mixed = pd.DataFrame({"length": SMALL[:, 0], "is_a": X["kind"] == "a"})
    for each in (mixed, mixed.astype(object)):
        model = SemiSupervisedClassifier(StandardScaler(), SVC(), passthrough=True)
        assert_array_equal(
            model.fit(each, y).predict(each),
            model.fit(mixed.astype(float), y).predict(mixed.astype(float)),
        )


# Weights and their routes.


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def weighted(rows):
    X, labels, is_labelled = rows
    weight = np.random.default_rng(1).integers(0, 4, len(X))
    y = np.where(is_labelled, labels, -1)
    return X, y, weight


def test_a_weight_is_a_number_of_repetitions(rows):
    X, y, weight = weighted(rows)
    codes = FrozenEstimator(PCA(8, random_state=0).fit(X))
    model = SemiSupervisedClassifier(codes, LogisticRegression(tol=1e-8, max_iter=999))
    by_weight = clone(model).fit(X, y, sample_weight=weight)
    often = np.repeat(np.arange(len(X)), weight)
    repeated = clone(model).fit(X[often], y[often])
    assert_allclose(by_weight.predict_proba(X), repeated.predict_proba(X), atol=1e-5)
    plain = clone(model).fit(X, y)
    assert np.abs(plain.predict_proba(X) - by_weight.predict_proba(X)).max() > 0.01


def test_weights_of_unlabelled_rows_say_nothing(rows):
    X, y, weight = weighted(rows)
    model = SemiSupervisedClassifier(PCA(8, random_state=0), SVC())
    first = clone(model).fit(X, y, sample_weight=weight)
    second = clone(model).fit(X, y, sample_weight=np.where(y < 0, 99, weight))
    assert_array_equal(first.decision_function(X), second.decision_function(X))


def test_a_weight_of_none_is_no_weight(partly):
    X, y = partly
    model = SemiSupervisedClassifier(PCA(8, random_state=0), KNeighborsClassifier())
    expected = model.fit(X, y).predict_proba(X)
    model.fit(X, y, sample_weight=None)
    assert_array_equal(model.predict_proba(X), expected)


def test_the_score_is_weighted(rows):
    X, y, weight = weighted(rows)
    model = SemiSupervisedClassifier(PCA(2), SVC()).fit(X, y)
    known = y >= 0
    expected = accuracy_score(
        y[known], model.predict(X[known]), sample_weight=weight[known]
    )
    assert model.score(X, y, sample_weight=weight) == expected


def test_metadata_routing_to_the_classifier(rows, routing):
    X, y, weight = weighted(rows)
    asks = SVC().set_fit_request(sample_weight=True)
    routed = SemiSupervisedClassifier(PCA(8, random_state=0), asks).fit(
        X, y, sample_weight=weight
    )
    codes = PCA(8, random_state=0).fit(X).transform(X)
    alone = SVC().fit(codes[y >= 0], y[y >= 0], sample_weight=weight[y >= 0])
    assert_array_equal(routed.decision_function(X), alone.decision_function(codes))
    plain = SemiSupervisedClassifier(PCA(8, random_state=0), SVC()).fit(X, y)
    assert not np.allclose(plain.decision_function(X), routed.decision_function(X))
    deaf = SVC().set_fit_request(sample_weight=False)
    ignored = SemiSupervisedClassifier(PCA(8, random_state=0), deaf)
    with pytest.raises(TypeError, match="unexpected"):
        ignored.fit(X, y, sample_weight=weight)
    silent = SemiSupervisedClassifier(PCA(8, random_state=0), SVC())
    with pytest.raises(ValueError, match="not explicitly set"):
        silent.fit(X, y, sample_weight=weight)


def test_metadata_routing_to_the_transformer_and_from_a_pipeline(rows, routing):
    X, y, weight = weighted(rows)
    scaler = StandardScaler().set_fit_request(sample_weight=True)
    model = SemiSupervisedClassifier(scaler, SVC().set_fit_request(sample_weight=False))
    mean = np.average(X, axis=0, weights=weight)
    assert_allclose(
        model.fit(X, y, sample_weight=weight).transformer_.mean_, mean, atol=1e-12
    )
    pipeline = make_pipeline(MaxAbsScaler(), clone(model))
    pipeline.fit(X, y, sample_weight=weight)
    mean = np.average(X / np.abs(X).max(0).clip(1e-9), axis=0, weights=weight)
    assert_allclose(pipeline[-1].transformer_.mean_, mean, atol=1e-12)


def test_metadata_routing_through_a_search(rows, routing):
    X, y, weight = weighted(rows)
    asks = SVC().set_fit_request(sample_weight=True)
    model = SemiSupervisedClassifier(PCA(8, random_state=0), asks).set_score_request(
        sample_weight=True
    )
    folds = LabelledFolds(3)
    found = cross_validate(model, X, y, cv=folds, params={"sample_weight": weight})
    for (train, test), score in zip(folds.split(X, y), found["test_score"]):
        pca = PCA(8, random_state=0).fit(X[train])
        known = train[y[train] >= 0]
        svc = SVC().fit(pca.transform(X[known]), y[known], sample_weight=weight[known])
        predicted = svc.predict(pca.transform(X[test]))
        assert score == accuracy_score(y[test], predicted, sample_weight=weight[test])


def test_groups_reach_the_splitter_through_routing(binary, routing):
    X, y = binary
    groups = np.arange(200) // 10
    model = SemiSupervisedClassifier(PCA(3), SVC(), unlabeled=-1)
    folds = LabelledFolds(GroupKFold(3), unlabeled=-1)
    expected = by_hand(X, y, 1.0, accuracy_score, folds.split(X, y, groups))
    found = cross_validate(model, X, y, cv=folds, params={"groups": groups})
    assert_allclose(np.mean(found["test_score"]), expected, rtol=1e-12)
    search = GridSearchCV(model, {"classifier__C": [1.0]}, cv=folds)
    assert_allclose(search.fit(X, y, groups=groups).best_score_, expected, rtol=1e-12)


@pytest.mark.parametrize("cv", [4, StratifiedKFold(4)])
def test_groups_that_no_splitter_asks_for(cv, binary, routing):
    X, y = binary
    model = SemiSupervisedClassifier(PCA(3), SVC(), unlabeled=-1)
    # scikit-learn 1.6.0 takes no `params=None` with routing.
    found = cross_validate(model, X, y, cv=LabelledFolds(cv, unlabeled=-1), params={})
    expected = by_hand(
        X, y, 1.0, accuracy_score, LabelledFolds(4, unlabeled=-1).split(X, y)
    )
    assert_allclose(np.mean(found["test_score"]), expected, rtol=1e-12)
    with pytest.raises(TypeError, match=r"unexpected.*groups"):
        cross_validate(
            model, X, y, cv=LabelledFolds(cv, unlabeled=-1), params={"groups": y}
        )


# Searches.


@pytest.fixture(scope="module")
def binary():
    X, labels = make_blobs(200, 5, centers=4, cluster_std=4.0, random_state=0)
    is_labelled = np.random.default_rng(0).random(200) < 0.4
    return X, np.where(is_labelled, labels % 2, -1)


def by_hand(X, y, C, metric, folds):
    """Mean over the folds of a metric on their labelled rows."""
    scores = []
    for train, test in folds:
        pca = PCA(3).fit(X[train])
        known, judged = train[y[train] >= 0], test[y[test] >= 0]
        svc = SVC(C=C).fit(pca.transform(X[known]), y[known])
        Z = pca.transform(X[judged])
        is_auc = metric is roc_auc_score
        said = svc.decision_function(Z) if is_auc else svc.predict(Z)
        scores.append(metric(y[judged], said))
    return np.mean(scores)


STRENGTHS = [0.01, 1.0, 100.0]
SEARCHES = [
    (None, StratifiedKFold(4), accuracy_score),
    (None, 4, accuracy_score),
    (None, LabelledFolds(4, unlabeled=-1), accuracy_score),
    ("accuracy", LabelledFolds(4, unlabeled=-1), accuracy_score),
    ("roc_auc", LabelledFolds(4, unlabeled=-1), roc_auc_score),
    ("roc_auc", LabelledFolds(StratifiedKFold(3), unlabeled=-1), roc_auc_score),
]


@pytest.mark.parametrize("scoring, cv, metric", SEARCHES)
def test_a_search_scores_labelled_rows(scoring, cv, metric, binary):
    X, y = binary
    model = SemiSupervisedClassifier(PCA(3), SVC(), unlabeled=-1)
    search = GridSearchCV(model, {"classifier__C": STRENGTHS}, scoring=scoring, cv=cv)
    search.fit(X, y)
    folds = list((StratifiedKFold(cv) if isinstance(cv, int) else cv).split(X, y))
    expected = [by_hand(X, y, C, metric, folds) for C in STRENGTHS]
    assert len(set(expected)) > 1
    assert_allclose(search.cv_results_["mean_test_score"], expected, rtol=1e-12)
    assert search.best_params_["classifier__C"] == STRENGTHS[np.argmax(expected)]


def test_a_search_with_missing_labels_and_a_graph(binary):
    X, y = binary
    names = np.where(y < 0, None, np.array(["a", "b"], dtype=object)[y])
    model = SemiSupervisedClassifier(PCA(3), LabelSpreading())
    grid = {"transformer__n_components": [1, 3], "classifier__gamma": [0.01, 0.1]}
    search = GridSearchCV(
        model, grid, cv=LabelledFolds(4, unlabeled=-1), scoring="roc_auc"
    )
    assert 0.5 < search.fit(X, names).best_score_ <= 1
    assert search.score(X[y >= 0], names[y >= 0]) > 0.5


def test_folds_are_of_the_labelled_rows(binary):
    X, y = binary
    folds = LabelledFolds(4, unlabeled=-1)
    known = np.flatnonzero(y >= 0)
    pairs = list(folds.split(X, y))
    assert folds.get_n_splits(X, y) == folds.get_n_splits() == len(pairs) == 4
    for (train, test), (_, expected) in zip(
        pairs, StratifiedKFold(4).split(known, y[known])
    ):
        assert_array_equal(test, known[expected])
        assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(200))
    with pytest.raises(ValueError, match="y has no label"):
        next(folds.split(X, np.full(200, -1)))


def test_folds_keep_groups_together(binary):
    X, y = binary
    groups = np.arange(200) // 10
    folds = LabelledFolds(GroupKFold(3), unlabeled=-1)
    for train, test in folds.split(X, y, groups):
        known = train[y[train] >= 0]
        assert not set(groups[known]) & set(groups[test])
    assert folds.get_n_splits(X, y, groups) == 3
