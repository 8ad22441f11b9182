"""Choice of features and of a classifier by cross-validation on the labelled rows."""

import warnings
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from skae._sklearn import _check_method_params, _safe_indexing
from skae.semi_supervised._softmax_svc import SoftmaxSVC

_MOST_FOLDS = 5
# Folds of few rows differ much: they are drawn several times.
_N_REPEATS, _FEW = 3, 300
# Rows beyond tell no more of what is better, and take long.
_MOST_ROWS = 2_000
_MOST_ROWS_OF_SVC = 20_000  # its time grows with their square
_LEAST_PROBABILITY = 1e-12
_SLOPES = 2.0 ** np.arange(-2, 6)


class Compared(NamedTuple):
    """A classifier on features, and its loss on each labelled row (n,)."""

    features: str
    transformer: Any
    classifier: Any
    loss: np.ndarray
    is_right: np.ndarray


def choose(stages, to_features, choice):
    """Compare the candidates of all stages, and return the leader.

    Parameters
    ----------
    stages : generator
        As :func:`~skae.semi_supervised._candidates.stages`.
    to_features : callable
        From a transformer to its features of the labelled rows.
    choice : Choice
        Compares them, and keeps the one that leads.

    Returns
    -------
    leader : Compared
        Its classifier is not fitted.
    """
    leading = None
    while True:
        try:
            n_errors, candidates = stages.send(leading)
        except StopIteration:
            return choice.leader
        found = [(name, made, to_features(made)) for name, made in candidates]
        try:
            choice.compare(n_errors, found)
        except CannotCompareError as error:
            warnings.warn(
                f"No cross-validation can choose features and a classifier: {error}. "
                "The first of them are taken.",
                UserWarning,
                stacklevel=6,
            )
            first = Compared(*candidates[0], choice.fallback, None, None)
            return choice.leader or first
        leading = choice.leader.features


def default_classifiers(n_labelled):
    """Classifiers of all strengths, the plain and the regularised ones first."""
    linear = [
        LogisticRegression(C=C, max_iter=500, tol=1e-3)
        for C in (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
    ]
    machines = [SoftmaxSVC(C=C) for C in (0.1, 1.0, 10.0, 100.0)]
    return linear + machines if n_labelled <= _MOST_ROWS_OF_SVC else linear


class CannotCompareError(ValueError):
    """A classifier could not be fitted to the training rows of a fold."""


class Choice:
    """Compares candidates on labelled rows and keeps the one that leads.

    Of one stage the candidate of the lowest mean loss is taken, unless another has more
    rows right by two standard errors. It replaces the leader where the mean of the
    paired differences of the rows' losses exceeds `n_errors` standard errors, and no
    fewer rows are right. So ties go to what came before.

    Parameters
    ----------
    classifiers : list of classifiers
        Any of these may be put on any features.
    labels : ndarray of shape (n_labelled,)
        Labels of the labelled rows.
    params : dict
        Parameters of the classifiers' `fit`, of the labelled rows.
    seed : int
        Seed of the folds.
    """

    def __init__(self, classifiers, labels, params, seed):
        self.classifiers = classifiers
        # Without cross-validation: the one that is given, or LogisticRegression().
        self.fallback = min(
            classifiers, key=lambda each: abs(getattr(each, "C", 1) - 1)
        )
        self.rows = _rows_to_compare(labels, params.get("sample_weight"), seed)
        self.params = _check_method_params(labels, params, self.rows)
        self.labels = labels[self.rows]
        self.classes, self.ranks = np.unique(self.labels, return_inverse=True)
        self.folds = list(_folds(self.ranks, seed))
        self.compared = []
        self.leader = None

    def compare(self, n_errors, candidates):
        """Compare a stage: names, transformers, and features of the labelled rows."""
        if not self.folds:
            raise CannotCompareError("no class has two labelled rows")
        candidates = [
            (*made, _safe_indexing(features, self.rows))
            for *made, features in candidates
        ]
        found = [
            self._cross_validated(name, transformer, features, classifier)
            for name, transformer, features in candidates
            for classifier in self.classifiers
        ]
        self.compared += found
        best = min(found, key=lambda each: each.loss.mean())
        # The slope of one classifier suits it less than that of another.
        surest = max(found, key=lambda each: each.is_right.mean())
        if _exceeds(surest.is_right - best.is_right, 2.0):
            best = surest
        if self.leader is None or _is_better(best, self.leader, n_errors):
            self.leader = best

    def results(self):
        """Candidates and their mean scores, in the order of the stages."""
        return {
            "features": [each.features for each in self.compared],
            "classifier": [each.classifier for each in self.compared],
            "mean_test_loss": np.array([each.loss.mean() for each in self.compared]),
            "mean_test_accuracy": np.array(
                [each.is_right.mean() for each in self.compared]
            ),
        }

    def _cross_validated(self, name, transformer, features, classifier):
        outputs = np.zeros((len(self.folds), len(self.ranks), len(self.classes)))
        for output, folds in zip(outputs, self.folds):
            for train, test in folds:
                fitted = self._fitted(classifier, features, train)
                held_out = _safe_indexing(features, test)
                output[test], kind = _outputs(fitted, held_out, self.classes)
        # A row that is alone in its class was never held out.
        tested = np.sort(np.concatenate([test for _, test in self.folds[0]]))
        outputs, ranks = outputs[:, tested], self.ranks[tested]
        is_right = (outputs.argmax(axis=-1) == ranks).mean(axis=0)
        loss, slope = _losses(outputs, ranks, kind, is_right)
        if isinstance(classifier, SoftmaxSVC):
            classifier = clone(classifier).set_params(slope=slope)
        weight = self.params.get("sample_weight")
        if np.ndim(weight):
            own = np.asarray(weight)[tested]
            relative = own / own.mean()
            loss, is_right = loss * relative, is_right * relative
        return Compared(name, transformer, classifier, loss, is_right)

    def _fitted(self, classifier, features, train):
        params = _check_method_params(features, self.params, train)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the final fit warns of what matters
            try:
                features = _safe_indexing(features, train)
                return clone(classifier).fit(features, self.labels[train], **params)
            except ValueError as error:
                raise CannotCompareError(str(error)) from error


def _rows_to_compare(labels, weight, seed):
    """Indices of labelled rows with weight: all, or a stratified draw of many."""
    rows = np.arange(len(labels))
    if np.ndim(weight):
        rows = rows[np.asarray(weight) > 0]
    if len(rows) <= _MOST_ROWS:
        return rows
    rows = np.random.default_rng(seed).permutation(rows)
    place = np.empty(len(rows))  # of a row in its class, from zero to one
    for label in np.unique(labels[rows]):
        own = labels[rows] == label
        place[own] = np.arange(own.sum()) / own.sum()
    return np.sort(rows[np.argsort(place, kind="stable")[:_MOST_ROWS]])


def _folds(ranks, seed):
    """Yield a list of folds for each repetition: pairs of training and test rows.

    The only row of a class is in every training set, since all are asked for all
    classes. Without two rows of a class none can be held out, and there are no folds.
    """
    counts = np.bincount(ranks)
    is_alone = counts[ranks] == 1
    alone, others = np.flatnonzero(is_alone), np.flatnonzero(~is_alone)
    if not len(others):
        return
    n_folds = min(_MOST_FOLDS, counts[counts > 1].min())
    for repeat in range(_N_REPEATS if len(ranks) <= _FEW else 1):
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed + repeat)
        yield [
            (np.concatenate([others[train], alone]), others[test])
            for train, test in splitter.split(others, ranks[others])
        ]


def _outputs(fitted, features, classes):
    """Outputs for each class (n, k), and their kind: of the method that gave them."""
    if hasattr(fitted, "predict_proba") and not isinstance(fitted, SoftmaxSVC):
        return np.log(
            np.maximum(fitted.predict_proba(features), _LEAST_PROBABILITY)
        ), "log_proba"
    if hasattr(fitted, "decision_function"):
        scores = fitted.decision_function(features)
        if scores.ndim == 1:
            scores = np.stack([-scores, scores], axis=1) / 2
        if scores.shape[1] == len(classes):
            return scores, "scores"
    return (fitted.predict(features)[:, None] == classes).astype(float), "votes"


def _losses(outputs, ranks, kind, is_right):
    """Mean loss of each row over the repetitions, and the slope of the scores.

    Minus the logarithm of the probability of its class; scores have the probabilities
    of a softmax of the slope that suits them best. Mere predictions have their errors.
    """
    rows = np.arange(len(ranks))
    if kind == "votes":
        return 1 - is_right, 1.0
    slopes = _SLOPES if kind == "scores" else [1.0]
    found = [
        -log_softmax(slope * outputs, axis=-1)[:, rows, ranks].mean(axis=0)
        for slope in slopes
    ]
    best = int(np.argmin([loss.mean() for loss in found]))
    return found[best], float(slopes[best])


def _is_better(new, old, n_errors):
    gained = new.is_right.mean() - old.is_right.mean()
    return gained >= 0 and _exceeds(old.loss - new.loss, n_errors)


def _exceeds(differences, n_errors):
    """Whether the mean difference (n,) is above so many standard errors."""
    if len(differences) < 2:
        return False
    error = differences.std(ddof=1) / len(differences) ** 0.5
    return differences.mean() > n_errors * error
