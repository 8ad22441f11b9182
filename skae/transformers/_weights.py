"""Weights of rows: how often each counts."""

import zlib

import numpy as np

from skae._sklearn import _check_sample_weight, _safe_indexing
from skae.data._arrays import as_tensor
from skae.data._sparse import SparseStream
from skae.data._streams import Stream

# Times as many rows as there are that whole weights may stand for.
_MOST_COPIES = 10

# Rows up to which their order is of no account.
_MOST_SORTED = 200


def in_order(X):
    """Few rows (n, d) in an order of their own, many as they are.

    Few rows fall into other batches, and other validation rows, with each order: so a
    fit depends on them alone, and rows that come twice are rows of twice the weight.
    """
    if isinstance(X, Stream) or X.shape[0] > _MOST_SORTED:
        return X
    values = as_tensor(X).numpy(force=True)
    # By checksums: in an order of the values, the rows of one seed's split would have
    # the same ranks in all tables. Of float32, so that float64 rows have this order.
    with np.errstate(over="ignore"):
        single = values.astype(np.float32) + 0.0  # one zero
    keys = [zlib.crc32(row.tobytes()) for row in single]
    order = np.lexsort((*values.T, keys))
    return X[order]


def repeated(X, sample_weight, random_state):
    """Rows X (n, d), each as often as its weight says.

    Parameters
    ----------
    X : array or SparseStream of shape (n, d)
    sample_weight : array-like of shape (n,), float or None
        None leaves the rows as they are.
    random_state : RandomState
        By which weights that are no whole numbers, or stand for too many rows, are
        rounded.

    Raises
    ------
    ValueError
        If there is not a weight for each row, one is negative, or all are zero.
    """
    if sample_weight is None:
        return X
    weight = _check_sample_weight(
        sample_weight,
        np.empty((X.shape[0], 0)),
        dtype=np.float64,
        ensure_non_negative=True,
    )
    if not weight.any():
        raise ValueError("sample_weight is zero for all rows.")
    index = np.repeat(np.arange(len(weight)), _counts(weight, random_state))
    if isinstance(X, SparseStream):
        return SparseStream(X.source[index])
    return _safe_indexing(X, index)


def _counts(weight: np.ndarray, random_state) -> np.ndarray:
    """Whole numbers (n,) in the place of weights: these, where they are whole and not
    too large, else as many in all as there are rows."""
    n = len(weight)
    if (weight == weight.round()).all() and weight.sum() <= _MOST_COPIES * n:
        return weight.astype(int)
    # Systematic sampling: each count is its expectation, rounded down or up.
    ends = np.cumsum(weight / weight.sum() * n)
    return np.diff(np.floor(ends + random_state.uniform()).astype(int), prepend=0)
