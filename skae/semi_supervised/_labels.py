"""Which rows have a label."""

import warnings
from numbers import Number

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skae._sklearn import check_array, is_pandas_na


def split_labels(y, classes=None):
    """Split off the unlabelled rows: the mask of the others, and their labels.

    Rows whose y is missing (None, NaN, NaT, pandas.NA) are unlabelled, and those with
    the number -1 are, as in `sklearn.semi_supervised`; but -1 is a class where y holds
    -1 and 1 alone, or where it is one of the `classes` that are known already.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Numbers or strings.
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
        If `y` is None or no vector of classes, or the meaning of -1 is not clear.
    """
    y = _as_vector(y)
    is_missing, is_marked = _is_missing(y), _is_marked(y)
    # In `fit` y decides what -1 means; later the classes do.
    if classes is None:
        is_class = _is_a_class(is_marked, is_missing, y[~(is_missing | is_marked)])
    else:
        is_class = _is_marked(classes).any()
    is_labelled = ~(is_missing if is_class else is_missing | is_marked)
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
    elif dtype is not None and not isinstance(dtype, np.dtype):
        y = np.asarray(y, dtype=object)  # pandas.NA would turn numbers into floats
    y = column_or_1d(y, warn=True)
    # NumPy has turned None and numbers into strings before we could see them.
    if y.dtype.kind in "US":
        lost = sorted({"nan", "-1"} & set(y.astype(str)))
        if lost:
            raise ValueError(
                f"y is an array of strings with the value {lost[0]!r}. Make it one of "
                "dtype=object: None marks an unlabelled row there."
            )
    return y


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


def _is_marked(y):
    """Mask (n,) of the number -1."""
    if y.dtype.kind in "if":
        return y == -1
    # Booleans and strings are never -1; numbers among objects may be.
    if y.dtype != object:
        return np.zeros(len(y), dtype=bool)
    return np.array([isinstance(v, Number) and v == -1 for v in y], dtype=bool)


def _is_a_class(is_marked, is_missing, others):
    """Whether -1 is a class of y: it is beside 1 alone."""
    if not is_marked.any():
        return False
    is_binary = len(others) > 0 and (others == 1).all()
    if is_missing.any() and not is_binary:
        # Either reading is wrong for some y, and a fold may lack the missing values.
        raise ValueError(
            "y holds -1 as well as missing values (None, NaN): if both mark unlabelled "
            "rows, use one of them; if -1 is a class, give it another name."
        )
    if is_binary and not is_missing.any():
        warnings.warn(
            "y holds -1 and 1 alone: they are taken for two classes. If -1 marks "
            "unlabelled rows, the others have one class only; if both are classes, "
            "rows without a label are marked by NaN or None.",
            UserWarning,
            stacklevel=4,
        )
    return is_binary
