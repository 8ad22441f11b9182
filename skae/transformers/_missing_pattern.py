"""Which values of a mixed table are missing, by the code of a row."""

import copy

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from skae.data._tables import Table
from skae.io import storable

# Rows of the rarer kind that a column needs for probabilities by codes.
_LEAST = 10


@storable
class MissingPattern:
    """Probability that a value is missing: logistic in the code, for each column.

    Parameters
    ----------
    table : Table
    x : ndarray of shape (n, width)
        Encoded training rows, NaN where a value is missing.
    codes : ndarray of shape (n, k)
        Their codes.

    Attributes
    ----------
    coef : ndarray of shape (c, k)
        Zero where a column has few missing, or few observed, values.
    intercept : ndarray of shape (c,)
    """

    def __init__(self, table: Table, x: np.ndarray, codes: np.ndarray):
        n_columns = len(table.columns)
        self.coef = np.zeros((n_columns, codes.shape[1]))
        self.intercept = np.empty(n_columns)
        # Codes have units of the data; the penalty is for values of about one.
        scale = codes.std(0).max() or 1.0
        for j, (column, part) in enumerate(table.parts()):
            fraction = column.missing_fraction
            with np.errstate(divide="ignore"):
                self.intercept[j] = np.log(fraction) - np.log1p(-fraction)
            # Of columns that never vary only the fraction is known.
            is_missing = np.isnan(x[:, part]).any(1)
            n_missing = int(is_missing.sum())
            if min(n_missing, len(x) - n_missing) < _LEAST:
                continue
            model = LogisticRegression()
            with threadpool_limits(1, user_api="blas"):
                model.fit(codes / scale, is_missing)
            self.coef[j] = model.coef_[0] / scale
            self.intercept[j] = model.intercept_[0]

    def first(self, k: int) -> "MissingPattern":
        """That of the first k latents of the codes."""
        short = copy.copy(self)
        short.coef = self.coef[:, :k]
        return short

    def draw(self, codes: np.ndarray, random_state) -> np.ndarray:
        """Mask (n, c) of the values that are missing in rows of codes (n, k)."""
        logits = codes @ self.coef.T + self.intercept
        noise = random_state.logistic(size=logits.shape)
        return noise < logits
