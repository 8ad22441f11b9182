"""Which rows have a label."""

import warnings
from numbers import Number

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skae._sklearn import check_array, is_pandas_na

# Numbers that -1 may be a class beside: of signs, or of grades on both sides of zero.
_SIGNS = {0, 1}

# What a missing label becomes in an array of strings.
_MISSING_AS_TEXT = {"None", "nan", "NaN", "NaT", "<NA>"}


def split_labels(y, unlabeled="auto", classes=None):
    """Split off the unlabelled rows: the mask of the others, and their labels.

    Rows whose y is missing (None, NaN, NaT, pandas.NA) or equals the mark are
    unlabelled. The mark "auto" is the number -1, as in `sklearn.semi_supervised`; but
    -1 is a class where y holds -1 and 1 alone, or where it is one of the `classes` that
    are known already.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Numbers or strings.
    unlabeled : "auto", number, str or None, default="auto"
        Mark of unlabelled rows; None and NaN are that of missing values alone.
    classes : ndarray or None
        Classes of a fitted classifier.

    Returns
    -------
    is_labelled : ndarray of bool, shape (n_samples,)
        The mask.
    labels : ndarray of shape (n_labelled,)
        Labels of the labelled rows, in the dtype that they have without the others.

    Raises
    ------
    ValueError
        If `y` is None or no vector of classes, or its meaning is not clear: that of -1
        or of strings that a mark may have been turned into.
    """
    y = _as_vector(y)
    is_auto = isinstance(unlabeled, str) and unlabeled == "auto"
    mark = -1 if is_auto else unlabeled
    _check_text(y, mark, is_auto)
    is_missing, is_marked = _is_missing(y), _is_marked(y, mark)
    if is_auto:
        # In `fit` y decides what -1 means; later the classes do.
        if classes is None:
            is_class = _is_a_class(is_marked, is_missing, y)
        else:
            is_class = _is_marked(classes, mark).any()
        is_marked &= not is_class
    is_labelled = ~(is_missing | is_marked)
    labels = _narrowed(y[is_labelled])
    # Without the unlabelled rows, so that missing values are no error; (n_labelled,).
    if len(labels):
        labels = check_array(labels, dtype=None, ensure_2d=False, input_name="y")
        check_classification_targets(labels)
    return is_labelled, labels


def _as_vector(y):
    """`y` as an array (n,) in which missing values and -1 are still recognisable."""
    if y is None:
        raise ValueError(
            "This estimator requires y to be passed, but the target y is None."
        )
    dtype = getattr(y, "dtype", None)
    if isinstance(y, list | tuple):  # an array of strings would turn None into "None"
        y = np.array(y, dtype=object)
    # pandas.NA would turn numbers into floats; strings of any length ("T") may be NaN.
    elif dtype is not None and (not isinstance(dtype, np.dtype) or dtype.kind == "T"):
        y = np.asarray(y, dtype=object)
    return column_or_1d(y, warn=True)


def _check_text(y, mark, is_auto):
    """Raise where y holds strings that are how a mark of unlabelled rows is written.

    An array of strings turns None and numbers into these before we can see them. The
    same strings in a list are refused too: containers must not change the meaning.
    """
    if isinstance(mark, str) or y.dtype.kind not in "USO":
        return
    texts = {v for v in y.tolist() if isinstance(v, str)}
    is_number = not _is_missing(np.array([mark], dtype=object))[0]
    written = {str(mark), str(float(mark)), f"{mark:g}"} if is_number else set()
    if is_auto or not is_number:
        written |= _MISSING_AS_TEXT
    lost = sorted(texts & written)
    if lost:
        other = None if lost[0] not in _MISSING_AS_TEXT else -1
        raise ValueError(
            f"y holds the string {lost[0]!r}, which an array of strings makes of "
            f"{lost[0]}. If it marks unlabelled rows, set unlabeled={lost[0]!r}, or "
            "use None in an array of dtype=object; if it is a class, set "
            f"unlabeled={other}."
        )


def _narrowed(labels):
    """Labels (n,) in their common dtype instead of object; strings stay objects."""
    if labels.dtype != object or all(isinstance(v, str) for v in labels):
        return labels
    if any(isinstance(v, str) for v in labels):
        types = sorted({type(v).__name__ for v in labels})
        raise ValueError(
            f"y mixes labels of the types {types}: make them all strings or all "
            "numbers."
        )
    return np.asarray(labels.tolist())


def _is_missing(y):
    """Mask (n,) of None, NaN, NaT and pandas.NA."""
    if y.dtype.kind in "fmM":
        return np.isnan(y)
    if y.dtype != object:
        return np.zeros(len(y), dtype=bool)
    # NaN and NaT differ from themselves; the comparison of pandas.NA has no truth.
    found = [v is None or is_pandas_na(v) or v != v for v in y]
    return np.array(found, dtype=bool)


def _is_marked(y, mark):
    """Mask (n,) of what equals the mark, numbers to numbers and strings to strings."""
    kind = str if isinstance(mark, str) else Number
    if y.dtype == object:
        return np.array([isinstance(v, kind) and v == mark for v in y], dtype=bool)
    # None is no number; NaN equals none.
    if mark is None or y.dtype.kind not in ("US" if kind is str else "bifu"):
        return np.zeros(len(y), dtype=bool)
    return y == mark


def _is_a_class(is_marked, is_missing, y):
    """Whether -1 is a class of y: it is beside 1 alone. Warns where it may be one."""
    if not is_marked.any():
        return False
    others = y[~(is_missing | is_marked)]
    is_binary = len(others) > 0 and (others == 1).all()
    if is_missing.any() and not is_binary:
        # Either reading is wrong for some y, and a fold may lack the missing values.
        raise ValueError(
            "y holds -1 as well as missing values (None, NaN): if both mark unlabelled "
            "rows, set unlabeled=-1; if -1 is a class, set unlabeled=None."
        )
    if is_binary and not is_missing.any():
        _warn("-1 and 1 alone: they are taken for two classes")
    if not is_binary and _is_signed(others):
        _warn("-1 beside 0 and 1 or other negative numbers: it marks unlabelled rows")
    return is_binary


def _is_signed(others):
    """Whether -1 may be one more class: the others are 0 and 1, or negative as well."""
    found = set(others.tolist())
    is_number = all(isinstance(v, Number) and type(v) is not bool for v in found)
    return is_number and (found == _SIGNS or any(v < 0 for v in found))


def _warn(what):
    """Warn that y holds this, and say how to choose."""
    warnings.warn(
        f"y holds {what}. Set unlabeled=-1 if -1 marks unlabelled rows, and "
        "unlabeled=None if it is a class.",
        UserWarning,
        stacklevel=6,
    )
