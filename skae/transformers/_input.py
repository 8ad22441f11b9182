"""From what users pass to rows: their shape, their names, and errors that help."""

import math
import warnings

import numpy as np
from torch import Tensor

from skae._sklearn import _get_feature_names, _safe_indexing, validate_data
from skae.data._arrays import as_tensor, float_dtypes, like
from skae.data._streams import Stream


def validated(estimator, X, *, takes_nan: bool, reset: bool):
    """Rows (n, d) of X as a finite C-ordered array; NaN where it may be missing.

    Raises
    ------
    TypeError, ValueError
        As of :func:`sklearn.utils.validation.validate_data`.
    """
    try:
        return validate_data(
            estimator,
            flat_rows(X, estimator.sample_shape),
            dtype=float_dtypes(X),
            order="C",
            ensure_all_finite="allow-nan" if takes_nan else True,
            reset=reset,
        )
    # What scikit-learn says of it leads to other estimators.
    except ValueError as error:
        if "Input X contains NaN" not in str(error):
            raise
        raise ValueError(
            f"Input X contains NaN. {type(estimator).__name__} takes missing values if "
            "it is fitted with allow_nan=True."
        ) from None


def validated_sparse(estimator, X, *, takes_nan: bool, reset: bool):
    """Sparse rows (n, d) in CSR format, of floats."""
    return validate_data(
        estimator,
        X,
        accept_sparse="csr",
        dtype=[np.float64, np.float32],
        ensure_all_finite="allow-nan" if takes_nan else True,
        reset=reset,
    )


def validated_stream(estimator, stream: Stream, *, reset: bool) -> Stream:
    """Rows (n, d) that are read in parts; whether they are finite is seen then."""
    validate_data(estimator, stream.header, ensure_min_samples=0, reset=reset)
    return stream


def first_rows(estimator, X):
    """Validated rows X (n, d) of a new fit, with warnings of what is hardly meant."""
    if estimator.architecture == "conv":
        _warn_of_shape(estimator.sample_shape, X.shape[1])
    if isinstance(X, Stream):  # complete
        return X
    is_empty = as_tensor(X).isnan().all(0)
    if not is_empty.any():
        return X
    if is_empty.all():
        raise ValueError("X has no observed value.")
    _warn_of_empty(is_empty, estimator._names_of_features)
    return like(as_tensor(X).masked_fill(is_empty, 0.0), X)


def _warn_of_empty(is_empty: Tensor, names) -> None:
    columns = is_empty.nonzero().flatten().tolist()
    listed = ", ".join(column_name(j, names) for j in columns)
    warnings.warn(
        f"Columns without any observed value are taken as zero: {listed}.",
        UserWarning,
        stacklevel=6,
    )


def column_name(column: int, names) -> str:
    """Name of a column for a message."""
    return str(column) if names is None else repr(str(names[column]))


def flat_rows(X, sample_shape):
    """X of shape (n, *sample_shape) as rows (n, d); what has two dimensions as it is.

    Raises
    ------
    ValueError
        If the shape of a row is not `sample_shape`, or this is None.
    """
    shape = tuple(getattr(X, "shape", ()))
    if len(shape) < 3:
        return X
    row, expected = shape[1:], None if sample_shape is None else tuple(sample_shape)
    # One channel, which comes first, may be left out.
    if expected and row in (expected, expected[1:] if expected[0] == 1 else None):
        return X.reshape((shape[0], math.prod(row)))
    if expected is None:
        raise ValueError(
            f"Found array with dim {len(shape)}, rows of shape {row}; set "
            f"sample_shape={row}, with channels first, for a model that takes them."
        )
    hint = " Its axes are in another order: numpy.moveaxis(X, -1, 1) is one."
    is_permuted = sorted(row) == sorted(expected)
    raise ValueError(
        f"X has rows of shape {row}, but sample_shape={expected}."
        + (hint if is_permuted else "")
    )


def _warn_of_shape(sample_shape, n_features: int) -> None:
    """Warn where a convolution takes a row for what it can hardly be."""
    side = math.isqrt(n_features)
    if sample_shape is None and side * side == n_features >= 64:
        warnings.warn(
            f"architecture='conv' takes the {n_features} columns as a sequence; set "
            f"sample_shape=(1, {side}, {side}) for images, or (1, {n_features}).",
            UserWarning,
            stacklevel=6,
        )
    elif sample_shape is not None and len(sample_shape) == 2 and side**2 == n_features:
        n_channels, length = sample_shape
        if n_channels == length > 3:
            warnings.warn(
                f"sample_shape={tuple(sample_shape)} is a signal of {n_channels} "
                f"channels; images are (1, {length}, {length}).",
                UserWarning,
                stacklevel=6,
            )
    elif sample_shape is not None and len(sample_shape) == 3:
        n_channels, height, width = sample_shape
        if width in (1, 3, 4) and n_channels == height > 4:
            warnings.warn(
                f"sample_shape={tuple(sample_shape)} has {n_channels} channels of "
                f"{height} x {width} values; channels come first.",
                UserWarning,
                stacklevel=6,
            )


def in_order_of_names(X, names):
    """Codes X, columns by `names` where they are a frame with these names in another
    order."""
    found = _get_feature_names(X)
    if found is None or list(found) == list(names) or set(found) != set(names):
        return X
    return _safe_indexing(X, list(names), axis=1)
