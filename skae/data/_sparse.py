"""Sparse rows, of which a batch at a time is dense."""

import math
from functools import cached_property

import numpy as np
import torch
from scipy import sparse

from skae.data._streams import MANY_FEATURES, Stream, Summary


class SparseStream(Stream):
    """Rows of a sparse matrix, dense where they are read.

    Parameters
    ----------
    X : sparse matrix or array of shape (n, d)
        In CSR format; finite.
    """

    @property
    def filled(self) -> float:
        """Fraction of the entries that are stored."""
        return self.source.nnz / math.prod(self.shape)

    def _fill(self, rows: np.ndarray, start: int) -> None:
        self.source[start : start + len(rows)].toarray(out=rows)

    @cached_property
    def summary(self) -> Summary:
        """Range, mean and covariance, from the entries that are stored."""
        X = self.source
        lowest, highest = (
            torch.from_numpy(end.toarray().ravel().astype(np.float64))
            for end in (X.min(axis=0), X.max(axis=0))
        )
        X = X.astype(np.float64)
        mean = np.asarray(X.mean(axis=0)).ravel()
        if self.shape[1] <= MANY_FEATURES:
            products = (X.T @ X).toarray() / len(self)
            covariance = products - np.outer(mean, mean)
        else:
            squares = X.multiply(X).mean(axis=0)
            covariance = np.asarray(squares).ravel() - mean**2
        return Summary(lowest, highest, *map(torch.from_numpy, (mean, covariance)))

    def scaled(self, factor: torch.Tensor) -> sparse.csr_array:
        """The rows times ``factor`` (d,), sparse."""
        columns = sparse.diags_array(factor.cpu().numpy())
        return sparse.csr_array(self.source) @ columns
