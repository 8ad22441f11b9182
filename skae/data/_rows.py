"""Rows of a fit: their moments, batches, chunks, splits and subsamples.

A fit takes all statistics through these methods, so that another container of rows,
sparse or streamed, needs no change elsewhere. Rows are standardized: centred and scaled
by the units of a model.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from skae.nn._units import Units

# Rows of one chunk when nothing is trained: enough for efficient products, few enough
# for the memory of wide layers.
CHUNK = 2048

# Elements that fit in a processor's cache (512 KiB in float32): a larger tensor of
# gathered rows would be read from memory again, batch by batch.
_CACHE = 2**17

# Elements of a chunk in float64, 2 MiB, of which sums have several copies at a time.
_EXACT_ELEMENTS = 2**18


def exact_split(X: Tensor) -> tuple[Tensor, ...]:
    """Chunks of rows (n, d) that are small enough to be copied to float64."""
    return X.split(max(1, _EXACT_ELEMENTS // X.shape[1]))


class Batch(NamedTuple):
    """Some rows, and their weights; None where all weights are one."""

    x: Tensor  # (n, d), standardized
    weight: Tensor | None = None  # (n,)
    completed: Tensor | None = None  # (n, d), without missing entries

    def split(self, size: int) -> Iterator["Batch"]:
        """Parts of `size` rows in their order; the last may be shorter."""
        parts = [None if v is None else v.split(size) for v in self]
        for i in range(len(parts[0])):
            yield Batch(*(None if p is None else p[i] for p in parts))


def weighted_mean(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of values (n,) of rows: the one place where a fit weights rows."""
    if weight is None:
        return values.mean()
    return (weight * values).sum() / weight.sum()


class Moments(NamedTuple):
    """First and second moments of the features over their observed entries.

    Second moments are in units of the largest deviation, since squares of large or tiny
    numbers may be beyond the range of float64.
    """

    mean: Tensor  # (d,), float64
    peak: Tensor  # (d,), largest distance from the mean
    square: Tensor  # (d,), mean squared distance from the mean, in units of the peak
    largest: Tensor  # (d,), largest absolute value
    n_observed: Tensor  # (d,)

    @classmethod
    def of(cls, chunks: Callable[[], Iterator[Tensor]]) -> "Moments":
        """Moments of the rows that each call of ``chunks()`` yields, in float64."""
        # First pass: means, as distances from an observed value, which is the mean of a
        # constant feature to the last digit. NaN alone is missing; infinity stays, for
        # an error later.
        total = largest = n_observed = 0
        origin = _first_observed(next(chunks()))
        for x in chunks():
            apart = (x - origin).nan_to_num(posinf=torch.inf, neginf=-torch.inf)
            total = total + apart.sum(0)
            n_observed = n_observed + (~x.isnan()).sum(0)
            peak = x.abs().nan_to_num(0.0).amax(0)
            largest = peak.maximum(torch.as_tensor(largest).to(peak))
        count = n_observed.clamp(min=1)
        # Second pass: largest deviations.
        mean, peak = origin + total / count, 0
        for x in chunks():
            found = (x - mean).abs().nan_to_num(0.0).amax(0)
            peak = found.maximum(torch.as_tensor(peak).to(found))
        # Third pass: squares within 0 and 1. A constant feature has no unit.
        unit, square = peak.where(peak > 0, 1.0), 0
        for x in chunks():
            square = square + ((x - mean) / unit).square().nan_to_num(0.0).sum(0)
        return cls(mean, peak, square / count, largest, n_observed)

    @property
    def variance(self) -> Tensor:
        """Variances (d,), in squared units of the rows."""
        return self.peak.square() * self.square

    def common_scale(self, columns: Tensor) -> Tensor:
        """Root mean square of the centred features `columns`; one where it is zero, and
        their largest value where it is rounding."""
        # In units of the largest deviation of all, as no square may overflow.
        peak, n_observed = self.peak[columns].max(), self.n_observed[columns]
        ratio = self.peak[columns] / peak.where(peak > 0, 1.0)
        total = (self.square[columns] * ratio.square() * n_observed).sum()
        scale = peak * (total / n_observed.sum().clamp(min=1)).sqrt()
        # Rows that differ by rounding alone are equal. Columns of one value, however
        # large, are not rounded.
        largest = self.largest[columns].where(self.peak[columns] > 0, 0.0).max()
        scale = scale.where(scale > torch.finfo(scale.dtype).eps * largest, largest)
        return scale.where(peak > 0, 1.0)


def _first_observed(x: Tensor) -> Tensor:
    """The first value (d,) of each feature that is not missing; zero where all are."""
    first = (~x.isnan()).int().argmax(0, keepdim=True)
    return x.gather(0, first).squeeze(0).nan_to_num(posinf=torch.inf, neginf=-torch.inf)


class ResidentRows:
    """Rows in memory, standardized once, in float32.

    A part of them (`take`, `first`, `split`) has an index into the same memory.

    Parameters
    ----------
    source : Tensor of shape (n, d)
        Rows in data units, as users gave them; not copied.
    units : Units
        Units of the model, which standardize rows.
    device : torch.device
        Device of the standardized rows and of batches.
    in_place : bool
        Whether the memory of the source, float32 rows that nobody else needs, becomes
        that of the standardized rows.

    Attributes
    ----------
    x : Tensor of shape (n, d), float32
        Standardized rows; all of them, also in a part.
    index : Tensor of shape (m,) or None
        Indices of the rows of a part; None for all.
    weights : Tensor of shape (n,) or None
        Weights of the rows; None where all are one.
    completed : Tensor of shape (n, d) or None
        Standardized rows with missing entries filled in, for the encoder.
    """

    is_sparse = stays_sparse = False  # as in `StreamedRows`
    most_pairs = 2000  # of features whose covariance takes seconds at most

    def __init__(
        self, source: Tensor, units: Units, device: torch.device, in_place: bool = False
    ):
        self.source = None if in_place else source
        self.units, self.device = units, device
        self.index: Tensor | None = None
        self.weights: Tensor | None = None
        self.x = source
        if not in_place:
            self.x = torch.empty(source.shape, dtype=torch.float32, device=device)
        # Chunk by chunk: no copy of all rows in float64 is made.
        for x, X in zip(exact_split(self.x), exact_split(source)):
            x.copy_(units.to_net(X.to(device)))
        self.completed: Tensor | None = None

    def complete(self, function) -> None:
        """Set `completed` to the values (n, d) of ``function(x)``."""
        completed = torch.empty_like(self.x)
        for part, x in zip(completed.split(CHUNK), self.x.split(CHUNK)):
            part.copy_(function(x))
        self.completed = completed

    @property
    def n_rows(self) -> int:
        return len(self.x) if self.index is None else len(self.index)

    def __len__(self) -> int:
        return self.n_rows

    @property
    def n_features(self) -> int:
        return self.x.shape[1]

    @property
    def has_missing(self) -> bool:
        return any(bool(x.isnan().any()) for x, *_ in self.chunks(CHUNK))

    def _part(self, index: Tensor) -> "ResidentRows":
        """The rows of these indices, in the same memory."""
        # Not by the constructor, which would standardize the rows again.
        part = object.__new__(ResidentRows)
        vars(part).update(vars(self))
        part.index = index if self.index is None else self.index[index]
        return part

    def _rows(self, index: Tensor) -> Batch:
        """Gather rows by their indices in `x`."""
        values = (self.x, self.weights, self.completed)
        return Batch(*(v if v is None else v.index_select(0, index) for v in values))

    def moments(self) -> Moments:
        """Moments of the standardized rows, float64."""
        return Moments.of(self.exact_chunks)

    def covariance(self, factor: Tensor) -> Tensor:
        """Covariance (d, d), float64, of the rows times `factor` (d,)."""
        # One pass suffices: standardized rows are nearly centred, so little cancels.
        total = products = 0
        for x in self.exact_chunks():
            x = x * factor.to(x)
            total, products = total + x.sum(0), products + x.T @ x
        mean = total / self.n_rows
        centred = products - self.n_rows * torch.outer(mean, mean)
        return centred / (self.n_rows - 1)

    def in_memory(self, n: int, seed: int) -> "ResidentRows":
        """The rows, of which those on disk have at most `n` in memory."""
        return self

    def exact_chunks(self) -> Iterator[Tensor]:
        """Standardized rows in float64, for sums that single precision would spoil."""
        # From the data, where they are: `x` has been rounded to float32 already.
        source = self.x if self.source is None else self.source
        if self.index is None:
            chunks = iter(exact_split(source))
        else:
            size = max(1, _EXACT_ELEMENTS // self.n_features)
            places = self.index.to(source.device).split(size)
            chunks = (source[index] for index in places)
        for X in chunks:
            X = X.to(self.device, torch.float64)
            yield X if self.source is None else self.units.to_net(X)

    def exact_at(self, index: Tensor) -> Tensor:
        """Standardized rows (m, d) of these indices, within a part if this is one, in
        float64."""
        return torch.cat(list(self._part(index.to(self.device)).exact_chunks()))

    def batches(self, size: int, generator: torch.Generator) -> "ResidentBatches":
        """Batches of `size` rows, permuted anew in each epoch."""
        return ResidentBatches(self, size, generator)

    def chunks(self, size: int) -> Iterator[Batch]:
        """All rows in their order; the last chunk may be shorter."""
        if self.index is not None:
            yield from map(self._rows, self.index.split(size))
        else:  # views, without a copy
            yield from Batch(self.x, self.weights, self.completed).split(size)

    def take(self, n: int, seed: int) -> "ResidentRows":
        """At most `n` random rows, the same for the same seed on any device."""
        # Not the seed of `split`, whose validation rows would all come first.
        generator = torch.Generator().manual_seed(seed + 1)
        order = torch.randperm(self.n_rows, generator=generator)[:n]
        return self._part(order.to(self.device))

    def first(self, n: int) -> "ResidentRows":
        """The first `n` rows, or as many as there are."""
        return self._part(torch.arange(min(n, self.n_rows), device=self.device))

    def at(self, index: Tensor) -> Tensor:
        """Standardized rows of these indices, within a part if this is one."""
        return self.x[index if self.index is None else self.index[index]]

    def gathered(self) -> Tensor:
        """The standardized rows as one tensor (n, d), float32."""
        return self.x if self.index is None else self.x[self.index]

    def completed_rows(self) -> Tensor:
        """The same, with missing entries filled in."""
        if self.completed is None:
            return self.gathered()
        return self.completed if self.index is None else self.completed[self.index]

    def split(
        self, fraction: float, seed: int
    ) -> tuple["ResidentRows", "ResidentRows"]:
        """Training and validation rows, at least one of each.

        `fraction` is that of the validation rows, rounded to whole rows.
        """
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(self.n_rows, generator=generator).to(self.device)
        n_valid = min(max(1, round(self.n_rows * fraction)), self.n_rows - 1)
        return self._part(order[n_valid:]), self._part(order[:n_valid])


class ResidentBatches:
    """Iterate over rows in batches of one size.

    The rows are permuted once an epoch, and the last batch is filled up with the first
    rows of the permutation: recorded steps need one shape.
    """

    def __init__(self, rows: ResidentRows, size: int, generator: torch.Generator):
        self.rows, self.generator = rows, generator
        self.size = min(size, rows.n_rows)

    def __len__(self) -> int:
        return -(-self.rows.n_rows // self.size)

    def __iter__(self) -> Iterator[Batch]:
        order = torch.randperm(
            self.rows.n_rows, generator=self.generator, device=self.generator.device
        )
        # (len(self) * size,)
        missing = len(self) * self.size - self.rows.n_rows
        order = torch.cat([order, order[:missing]])
        if self.rows.index is not None:
            order = self.rows.index[order]
        # One gathering call for several small batches, whose views are yielded.
        for index in order.split(self._rows_at_once()):
            yield from self.rows._rows(index).split(self.size)

    def _rows_at_once(self) -> int:
        """Rows to gather in one call: many small batches, or one that fills a cache."""
        return self.size * max(1, _CACHE // (self.size * self.rows.n_features))
