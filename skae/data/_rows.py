"""Batches sliced from a tensor that lies on the device already."""

from collections.abc import Iterator

import torch
from torch import Tensor

# Rows of one chunk when nothing is trained.
CHUNK = 4096

# Numbers that a processor's cache surely holds.
_CACHE = 2**17


class HeldOut:
    """Random split of rows into a training and a validation part.

    Parameters
    ----------
    fraction : float
        Share of the rows to hold out, at least one row; one at least stays.
    seed : int
        Of the permutation.
    """

    def __init__(self, fraction: float, seed: int):
        self.fraction, self.seed = fraction, seed

    def __call__(self, X: Tensor, y: None = None) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(X), generator=generator).to(X.device)
        n_valid = min(max(1, round(len(X) * self.fraction)), len(X) - 1)
        return X[order[n_valid:]], X[order[:n_valid]]


class ResidentBatches:
    """Iterate over the rows of a tensor in batches of one size.

    In training the rows are permuted once an epoch, and the last batch is filled up
    with the first rows of the permutation, so that every step has the same shape.
    Otherwise rows come in order and the last batch may be short.
    """

    def __init__(
        self, X: Tensor, batch_size: int, generator: torch.Generator | None = None
    ):
        self.X = X
        self.batch_size = min(batch_size, len(X))
        self.generator = generator

    def __len__(self) -> int:
        return -(-len(self.X) // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        if self.generator is None:
            yield from self.X.split(self.batch_size)
            return
        order = torch.randperm(
            len(self.X), generator=self.generator, device=self.generator.device
        )
        missing = len(self) * self.batch_size - len(self.X)
        order = torch.cat([order, order[:missing]])
        for rows in order.split(self._rows_at_once()):
            yield from self.X.index_select(0, rows).split(self.batch_size)

    def _rows_at_once(self) -> int:
        """Rows to gather in one call: many small batches, or one that fills a cache."""
        batch = self.batch_size * self.X[0].numel()
        return self.batch_size * max(1, _CACHE // batch)
