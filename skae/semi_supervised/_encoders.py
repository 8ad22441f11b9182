"""Ensembles that encode y and so make a class of its unlabelled rows."""

import inspect
import warnings

from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.multiclass import (
    OneVsOneClassifier,
    OneVsRestClassifier,
    OutputCodeClassifier,
)

from skae.semi_supervised._labels import split_labels

# These fit their parts to ranks or to columns of zeros and ones instead of y.
_ENCODERS = (
    BaggingClassifier,
    OneVsOneClassifier,
    OneVsRestClassifier,
    OutputCodeClassifier,
    StackingClassifier,
    VotingClassifier,
)


def check_not_encoded(estimator):
    """Raise where a calling ensemble has made a class of the unlabelled rows.

    An encoded y does not show what it was: only the ensemble knows, and tells nobody.
    It is looked for in the frames of the callers, which other processes lack.

    Parameters
    ----------
    estimator : estimator
        With `unlabeled`, the mark of unlabelled rows.
    """
    frame = inspect.currentframe()
    while frame is not None:
        # Bagging fits in a function that has it as an argument.
        for name in ("self", "ensemble"):
            caller = frame.f_locals.get(name)
            if isinstance(caller, _ENCODERS) and _has_mark(caller, estimator.unlabeled):
                outer, own = type(caller).__name__, type(estimator).__name__
                raise ValueError(
                    f"{outer} makes a class of the unlabelled rows of y. Put it "
                    f"inside: {own}(transformer, {outer}(...)); or fit it to labelled "
                    "rows alone. If -1 is a class, set unlabeled=None."
                )
        frame = frame.f_back


def _has_mark(ensemble, unlabeled):
    """Whether a class of the ensemble, which is being fitted, is a mark."""
    classes = getattr(ensemble, "classes_", ())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return len(classes) > 0 and not split_labels(classes, unlabeled)[0].all()
