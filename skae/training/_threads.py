"""The number of threads that suits a step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from skae.nn._model import LatentModel
from skae.nn._sizes import n_macs

# Multiply-adds of one step below which a second thread costs more than it saves.
_MIN_MACS_FOR_THREADS = 2**23


@contextmanager
def suitable_threads(module: LatentModel, batch_size: int) -> Iterator[None]:
    """One thread for a step so small that a second one only adds waiting."""
    if batch_size * n_macs(module) >= _MIN_MACS_FOR_THREADS:
        yield
        return
    # New threads begin with the last number that any thread has set.
    before = (*_N_THREADS, torch.get_num_threads())[0]
    _N_THREADS.append(before)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _N_THREADS.pop()


# Of each fit that has limited it, what it puts back.
_N_THREADS: list[int] = []
