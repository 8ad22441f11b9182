"""Checks of what a semi-supervised classifier is given, before anything is trained."""

import warnings

import numpy as np
from scipy import sparse
from sklearn.pipeline import Pipeline
from sklearn.semi_supervised import (
    LabelPropagation,
    LabelSpreading,
    SelfTrainingClassifier,
)

# Classifiers that learn from unlabelled rows as well, marked by -1 in their `y`.
GRAPHS = (LabelPropagation, LabelSpreading)
SEMI_SUPERVISED = (*GRAPHS, SelfTrainingClassifier)


def warn_of_no_mark(unlabeled):
    """Warn that y, all whose rows are labelled, lacks the mark that was said."""
    if unlabeled is None or unlabeled != unlabeled or unlabeled == "auto":
        return
    warnings.warn(
        f"y contains no unlabeled samples, none with the mark {unlabeled!r}: all its "
        "values are taken for classes, also where another estimator has encoded y.",
        UserWarning,
        stacklevel=4,
    )


def last_step(classifier):
    """The classifier itself, or the last step of (nested) pipelines."""
    while isinstance(classifier, Pipeline):
        classifier = classifier.steps[-1][1]
    return classifier


def check_no_inner_folds(classifier):
    """Raise where a search would hide the unlabelled rows from its classifier."""
    search = last_step(classifier)
    inner = last_step(getattr(search, "estimator", None))
    # A search, by any library, has `cv` and `estimator`.
    if hasattr(search, "cv") and isinstance(inner, SEMI_SUPERVISED):
        outer, name = type(search).__name__, type(inner).__name__
        raise ValueError(
            f"{outer} would show {name} the labelled rows alone. Put it outside: "
            f"{outer}(SemiSupervisedClassifier(transformer, {name}()), ..., "
            "cv=LabelledFolds())."
        )


def check_numbers(X):
    """Raise where X has columns that are no numbers, for `passthrough`."""
    columns = X if sparse.issparse(X) else np.asarray(X)
    # Numbers of any kind; objects may hold numbers as well.
    if columns.dtype.kind in "biufc":
        return
    try:
        columns.astype(float)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"passthrough=True needs an X of numbers for the classifier: {error}"
        ) from error


def check_weight(weight, is_labelled, ranks):
    """Raise where weights are not one a row, or leave fewer than two classes."""
    if weight is None or np.ndim(weight) == 0:
        return
    if np.shape(weight) != np.shape(is_labelled):
        raise ValueError(
            f"sample_weight must have the shape of y, {np.shape(is_labelled)}; got "
            f"{np.shape(weight)}."
        )
    is_heavy = np.asarray(weight)[is_labelled] > 0
    if len(np.unique(ranks[is_heavy])) < 2:
        raise ValueError(
            "The labelled rows of positive sample_weight have fewer than two classes."
        )
