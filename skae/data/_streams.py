"""Rows that are read in parts: memory maps, arrays of HDF5 or Zarr files, and others.

Pages of a map that a process has touched count as its memory, and one pass over the
rows touches all. So where the map is of a file, that file is read instead.
"""

import math
import mmap
import os
import weakref
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# Bytes of rows in float32 from which they are read in parts. Fewer are in memory, as
# rows of any other array are.
_LEAST_BYTES = 2**28

# Elements that are read at a time in a pass over all rows.
_READ = 2**20

# Features up to which a pass sums products of all pairs.
MANY_FEATURES = 5000


def is_small(X) -> bool:
    """Whether rows (n, d) are for memory, dense."""
    return math.prod(X.shape) * 4 < _LEAST_BYTES


def stream_of(X) -> "Stream | None":
    """Rows (n, d) on disk that are read in parts, or None where X is for memory."""
    if isinstance(X, Stream):
        return X
    is_map = isinstance(X, np.memmap)
    # As arrays of h5py and zarr are; those of dask are computed, not read.
    is_array = hasattr(X, "chunks") and hasattr(X, "dtype") and not hasattr(X, "dask")
    if not (is_map or is_array) or len(X.shape) != 2:
        return None
    if np.dtype(X.dtype).kind not in "biuf" or is_small(X):
        return None
    place = _place_in_file(X) if is_map else None
    return Stream(X) if place is None else FileStream(X, *place)


def _place_in_file(X: np.memmap) -> tuple[str, int] | None:
    """File and offset of the first row of a map with whole rows one after another."""
    base = X
    while isinstance(base, np.ndarray):
        base = base.base
    if not (isinstance(base, mmap.mmap) and X.filename and X.flags.c_contiguous):
        return None
    # A view of a map has the map's offset, not its own.
    start = np.frombuffer(base, np.uint8).__array_interface__["data"][0]
    before = X.offset - X.offset % mmap.ALLOCATIONGRANULARITY
    return str(X.filename), before + X.__array_interface__["data"][0] - start


class Summary(NamedTuple):
    """What one pass over rows finds, float64."""

    lowest: Tensor  # (d,)
    highest: Tensor  # (d,)
    mean: Tensor  # (d,)
    covariance: Tensor  # (d, d), or for many features the variances (d,); over n


class Stream:
    """Rows of an array that is read in slices.

    Parameters
    ----------
    X : array of shape (n, d)
        With `shape`, `dtype` and slices.

    Attributes
    ----------
    shape : tuple of int
    dtype : torch.dtype
        Of the rows as they are read: float32, or else float64.
    """

    def __init__(self, X):
        self.source = X
        self._set_kind(tuple(X.shape), np.dtype(X.dtype))

    def _set_kind(self, shape: tuple[int, ...], numbers: np.dtype) -> None:
        self.shape, self._numbers = shape, numbers
        is_single = numbers == np.float32
        self.dtype = torch.float32 if is_single else torch.float64

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def empty(self) -> np.ndarray:
        """No row, in the kind and dtype of what is computed from the rows."""
        return torch.empty(0, self.shape[1], dtype=self.dtype).numpy()

    @property
    def header(self):
        """No row, with the names of the features where they have some."""
        return self.empty

    @property
    def groups(self) -> list[int]:
        """First rows of the groups that can only be read as a whole, and the end."""
        return [0, len(self)]

    @property
    def ends(self) -> Tensor:
        """Two rows, of the lowest and of the highest values, float64."""
        return torch.stack(self.summary[:2])

    def read(self, start: int, stop: int) -> Tensor:
        """Rows from `start` to `stop`."""
        return self.gather([(start, stop)])

    def gather(self, runs: list[tuple[int, int]]) -> Tensor:
        """Rows of runs, each from a start to a stop, one run after another.

        Raises
        ------
        ValueError
            If one is not finite.
        """
        places = [0, *accumulate(stop - start for start, stop in runs)]
        found = np.empty((places[-1], self.shape[1]), self._numbers)
        # In the order of the file, whichever they come in.
        for (start, stop), place in sorted(zip(runs, places)):
            self._fill(found[place : place + stop - start], start)
        # As NumPy has them; torch knows no other order of bytes.
        rows = torch.from_numpy(found.astype(self.empty.dtype, copy=False))
        # The sum of finite numbers may overflow, but seldom.
        if not rows.sum().isfinite() and not rows.isfinite().all():
            what = "NaN" if rows.isnan().any() else "infinity"
            raise ValueError(
                f"Input X contains {what}. Rows that are read from disk in parts must "
                "be complete."
            )
        return rows

    def _fill(self, rows: np.ndarray, start: int) -> None:
        """Write rows from `start` on into an array."""
        rows[:] = self.source[start : start + len(rows)]

    def split(self, size: int) -> Iterator[Tensor]:
        """All rows in their order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.read(start, min(start + size, len(self)))

    def sample(self, n: int, seed: int) -> Tensor:
        """At most `n` random rows, in random order."""
        n = min(n, len(self))
        index = np.random.default_rng(seed).choice(len(self), n, replace=False)
        return self.gather([(i, i + 1) for i in index.tolist()])

    @cached_property
    def summary(self) -> Summary:
        """Range, mean and covariance, by one pass over the rows."""
        d, n = self.shape[1], len(self)
        has_pairs = d <= MANY_FEATURES
        # About the mean of the first rows, so that little cancels.
        size = max(1, _READ // d)
        origin = self.read(0, min(size, n)).double().mean(0)
        lowest = torch.full((d,), torch.inf, dtype=torch.float64)
        highest, total = -lowest, torch.zeros(d, dtype=torch.float64)
        products = torch.zeros((d, d) if has_pairs else d, dtype=torch.float64)
        for rows in self.split(size):
            x = rows.double()
            lowest = torch.minimum(lowest, x.amin(0))
            highest = torch.maximum(highest, x.amax(0))
            x -= origin
            total += x.sum(0)
            products += x.T @ x if has_pairs else x.square().sum(0)
        total /= n
        outer = torch.outer(total, total) if has_pairs else total.square()
        covariance = products / n - outer
        # A constant has no rounding.
        varies = lowest != highest
        mean = lowest.where(~varies, origin + total)
        both = torch.outer(varies, varies) if has_pairs else varies
        return Summary(lowest, highest, mean, covariance.where(both, 0.0))


class FileStream(Stream):
    """Rows of a memory map, which are read from its file.

    Parameters
    ----------
    X : np.memmap of shape (n, d)
    path : str
        The file.
    offset : int
        Bytes before the first row.
    """

    def __init__(self, X: np.memmap, path: str, offset: int):
        super().__init__(X)
        self.offset, self.n_bytes = offset, X.dtype.itemsize * self.shape[1]
        del self.source  # the map, whose pages would be memory
        self.path, self.file = path, os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.file)

    def _fill(self, rows: np.ndarray, start: int) -> None:
        view = memoryview(rows.reshape(-1).view(np.uint8))
        place = self.offset + start * self.n_bytes
        while len(view):
            n_read = os.preadv(self.file, [view], place)
            if not n_read:
                raise EOFError(f"{self.path!r} is shorter than its memory map.")
            view, place = view[n_read:], place + n_read
