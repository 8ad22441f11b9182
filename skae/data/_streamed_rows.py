"""Standardized rows of a stream: batches of runs that are read while others train."""

import copy
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from skae.data._rows import (
    _EXACT_ELEMENTS,
    Batch,
    Moments,
    ResidentRows,
    exact_split,
)
from skae.data._sparse import SparseStream
from skae.data._streams import MANY_FEATURES, Stream
from skae.nn._sparse_rows import SparseRows
from skae.nn._units import Units

# Rows that are read together, in their order: from a disk single ones take as long.
# Few rows of many features are as many runs at least, of which some are held out.
_RUN, _LEAST_RUNS = 64, 100

# Elements of the runs that are permuted together, and batches of them at least.
_BUFFER, _BATCHES = 2**24, 4

# Fraction of entries that are stored from which dense products are as fast.
_MOST_FILLED = 0.03

# Elements of the validation rows, which are in memory, at most.
_MOST_VALIDATION = 2**24


class StreamedRows:
    """Rows that are read and standardized in parts: `ResidentRows` for a stream.

    Parameters
    ----------
    source : Stream of shape (n, d)
        Rows in data units, complete.
    units : Units
        Units of the model, which standardize rows.
    device : torch.device
        Device of batches.

    Attributes
    ----------
    runs : Tensor of shape (r,)
        Numbers of the runs.
    bounds : Tensor of shape (1 + number of all runs,)
        First rows of all runs of the source, and the end of the last one.
    run : int
        Rows of a run; the last one of a group has fewer.
    """

    stays_sparse = False  # whether batches are to be `SparseRows`
    completed = None  # entries that are missing are refused
    most_pairs = MANY_FEATURES  # of features whose covariance is affordable

    def __init__(self, source: Stream, units: Units, device: torch.device):
        self.source, self.units, self.device = source, units, device
        self.run = max(1, min(_RUN, len(source) // _LEAST_RUNS))
        starts = [torch.arange(*ends, self.run) for ends in pairwise(source.groups)]
        self.bounds = torch.cat([*starts, torch.tensor([len(source)])])
        self.runs = torch.arange(len(self.bounds) - 1)

    @property
    def n_rows(self) -> int:
        return int(self.bounds.diff()[self.runs].sum())

    def __len__(self) -> int:
        return self.n_rows

    @property
    def n_features(self) -> int:
        return self.source.shape[1]

    @property
    def is_sparse(self) -> bool:
        """Whether products of the stored entries are faster than those of all."""
        return (
            isinstance(self.source, SparseStream)
            and self.source.filled < _MOST_FILLED
            and self.n_features >= MANY_FEATURES
            and self.device.type == "cpu"
        )

    @property
    def has_missing(self) -> bool:
        return False

    def _part(self, runs: Tensor) -> "StreamedRows":
        part = copy.copy(self)
        part.runs = runs
        return part

    def _raw(self, runs: Tensor) -> Tensor:
        """Rows (m, d) of these runs in data units."""
        ends = zip(self.bounds[runs].tolist(), self.bounds[runs + 1].tolist())
        return self.source.gather(list(ends))

    def _resident(self, rows: Tensor) -> ResidentRows:
        return ResidentRows(rows, self.units, self.device)

    def moments(self) -> Moments:
        """Moments of the standardized rows, float64; of all, if this is a part."""
        moments = moments_of(self.source)
        lowest, highest, mean, _ = self.source.summary
        ends = self._standardized(torch.stack([lowest, highest]))
        return moments._replace(
            mean=self._standardized(mean),
            peak=moments.peak.to(self.device) / self.units.scale,
            square=moments.square.to(self.device),
            largest=ends.abs().amax(0),
            n_observed=moments.n_observed.to(self.device),
        )

    def _standardized(self, values: Tensor) -> Tensor:
        return self.units.to_net(values.to(self.device))

    def covariance(self, factor: Tensor) -> Tensor:
        """Covariance (d, d), float64, of the standardized rows times `factor` (d,); of
        all, if this is a part."""
        factor = factor.to(self.device) / self.units.scale
        covariance = self.source.summary.covariance.to(self.device)
        n = len(self.source)
        return covariance * torch.outer(factor, factor) * n / (n - 1)

    def exact_chunks(self) -> Iterator[Tensor]:
        """Standardized rows in float64."""
        n_runs = max(1, _EXACT_ELEMENTS // (self.run * self.n_features))
        for runs in self.runs.split(n_runs):
            for X in exact_split(self._raw(runs)):
                yield self.units.to_net(X.to(self.device, torch.float64))

    def chunks(self, size: int) -> Iterator[Batch]:
        """All rows, in their order within chunks; some chunks may be shorter."""
        for runs in self.runs.split(max(1, size // self.run)):
            yield from Batch(self._read(runs)).split(size)

    def _read(self, runs: Tensor) -> Tensor:
        """Standardized rows (m, d) of these runs, float32, in the order of the file."""
        rows = self._raw(runs.sort().values).to(self.device)
        x = rows  # in place, where they are float32: half as much memory
        if rows.dtype != torch.float32:
            x = torch.empty_like(rows, dtype=torch.float32)
        for part, X in zip(exact_split(x), exact_split(rows)):
            part.copy_(self.units.to_net(X))
        return x

    def batches(self, size: int, generator: torch.Generator) -> "StreamedBatches":
        """Batches of `size` rows; runs and the rows of a buffer are permuted anew in
        each epoch."""
        kind = SparseBatches if self.stays_sparse else StreamedBatches
        return kind(self, size, generator)

    def in_memory(self, n: int, seed: int) -> ResidentRows:
        """At most `n` of the rows."""
        return self.take(n, seed)

    def take(self, n: int, seed: int) -> ResidentRows:
        """At most `n` random rows, the same for the same seed."""
        generator = torch.Generator().manual_seed(seed + 1)
        # Whole runs, four times as many rows as are taken.
        order = torch.randperm(len(self.runs), generator=generator)
        rows = self._raw(self.runs[order[: -(-4 * n // self.run)]])
        chosen = torch.randperm(len(rows), generator=generator)[:n]
        return self._resident(rows[chosen])

    def first(self, n: int) -> ResidentRows:
        """The first `n` rows, or as many as there are."""
        n_before = self.bounds.diff()[self.runs].cumsum(0)
        n_runs = 1 + int(torch.searchsorted(n_before, n))
        return self._resident(self._raw(self.runs[:n_runs])[:n])

    def split(self, fraction: float, seed: int) -> tuple["StreamedRows", ResidentRows]:
        """Training rows, and validation rows in memory.

        The latter are that fraction of the runs, at most as many as have 2^24 entries.
        """
        generator = torch.Generator().manual_seed(seed)
        n_runs = len(self.runs)
        order = self.runs[torch.randperm(n_runs, generator=generator)]
        most = max(1, _MOST_VALIDATION // (self.run * self.n_features))
        n_valid = min(max(1, round(n_runs * fraction)), most, n_runs - 1)
        valid = self._raw(order[:n_valid])
        return self._part(order[n_valid:]), self._resident(valid)


class StreamedBatches:
    """Iterate over rows of a stream in batches of one size.

    Runs of rows come in random order into a buffer, whose rows are permuted; the next
    buffer is read in a thread of its own in the meantime. The last batch is filled up
    with rows of the last buffer.
    """

    def __init__(self, rows: StreamedRows, size: int, generator: torch.Generator):
        self.rows, self.generator = rows, generator
        self.size = min(size, rows.n_rows)

    def __len__(self) -> int:
        return -(-self.rows.n_rows // self.size)

    def _parts(self) -> tuple[Tensor, ...]:
        """Runs of the buffers of an epoch."""
        runs = self._shuffled(self.rows.runs)
        n_rows = max(_BATCHES * self.size, _BUFFER // self.rows.n_features)
        # Of about one size, so that the last one has whole batches too.
        return runs.tensor_split(max(1, self.rows.n_rows // n_rows))

    def __iter__(self) -> Iterator[Batch]:
        parts = self._parts()
        left = torch.empty(
            (0, self.rows.n_features), dtype=torch.float32, device=self.rows.device
        )
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self._buffer, parts[0], self._order_of(parts[0]))
            for following in (*parts[1:], None):
                x = coming.result()
                if following is not None:
                    order = self._order_of(following)
                    coming = pool.submit(self._buffer, following, order)
                # The rows that the buffer before left come first.
                n_first = min(self.size - len(left), len(x))
                left = torch.cat([left, x[:n_first]])
                if len(left) < self.size:
                    continue
                yield Batch(left)
                *whole, left = x[n_first:].split(self.size)
                yield from map(Batch, whole)
        if len(left):
            yield Batch(torch.cat([left, x[: self.size - len(left)]]))

    def _shuffled(self, runs: Tensor) -> Tensor:
        """Runs in random order, those of a group one after another."""
        runs = runs[self._permutation(len(runs)).cpu()]
        groups = torch.tensor(self.rows.source.groups)
        if len(groups) == 2:
            return runs
        group = torch.searchsorted(groups, self.rows.bounds[runs], right=True) - 1
        rank = self._permutation(len(groups)).cpu()
        return runs[rank[group].argsort(stable=True)]

    def _buffer(self, runs: Tensor, order: Tensor) -> Tensor:
        """Rows of these runs, in that order."""
        return self.rows._read(runs)[order]

    def _order_of(self, runs: Tensor) -> Tensor:
        # Drawn here, since threads would draw in an order of their own.
        return self._permutation(len(self.rows._part(runs)))

    def _permutation(self, n: int) -> Tensor:
        device = self.generator.device
        return torch.randperm(n, generator=self.generator, device=device)


class SparseBatches(StreamedBatches):
    """The same batches as `SparseRows`, without a dense one."""

    def __init__(self, rows: StreamedRows, size: int, generator: torch.Generator):
        super().__init__(rows, size, generator)
        assert isinstance(rows.source, SparseStream)
        scale = rows.units.scale
        self.values = rows.source.scaled(1 / scale).astype(np.float32)
        self.shift = (rows.units.loc / scale).float()

    def __iter__(self) -> Iterator[Batch]:
        numbers = [self._numbers(runs)[self._order_of(runs)] for runs in self._parts()]
        n_missing = len(self) * self.size - self.rows.n_rows
        order = torch.cat([*numbers, numbers[-1][:n_missing]])
        for index in order.split(self.size):
            rows = self.values[index.numpy()]
            parts = _to_torch(rows), _to_torch(rows.T.tocsr())
            yield Batch(SparseRows(*parts, self.shift))  # type: ignore[arg-type]

    def _numbers(self, runs: Tensor) -> Tensor:
        """Numbers of the rows of these runs, in the order of the file."""
        runs, bounds = runs.sort().values, self.rows.bounds
        ends = zip(bounds[runs].tolist(), bounds[runs + 1].tolist())
        return torch.cat([torch.arange(start, stop) for start, stop in ends])


def _to_torch(X) -> Tensor:
    """A CSR matrix of SciPy as one of torch, in the same memory."""
    parts = (torch.from_numpy(part) for part in (X.indptr, X.indices, X.data))
    with warnings.catch_warnings():
        # Torch calls the format one that may still change.
        warnings.filterwarnings("ignore", "Sparse CSR tensor support", UserWarning)
        return torch.sparse_csr_tensor(*parts, X.shape, check_invariants=False)


def moments_of(source: Stream) -> Moments:
    """Moments of rows in data units, float64, by their summary."""
    lowest, highest, mean, covariance = source.summary
    variance = covariance.diagonal() if covariance.ndim == 2 else covariance
    peak = torch.maximum(highest - mean, mean - lowest)
    return Moments(
        mean,
        peak,
        variance.clamp(min=0) / peak.where(peak > 0, 1.0).square(),
        torch.maximum(lowest.abs(), highest.abs()),
        torch.full_like(mean, len(source)),
    )
