"""The state that all of a process shares in torch, as a fit needs it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_ONE_FIT = threading.RLock()


@contextmanager
def isolated(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's generators, let gradients be recorded and new tensors be float32,
    and put all back.

    Generators, default dtype and what records operations belong to the process: fits in
    threads of one process take turns.
    """
    # The generator of another GPU is not touched.
    cuda = [device] if device.type == "cuda" else []
    with (
        _ONE_FIT,
        torch.random.fork_rng(cuda),
        # A caller's `no_grad` or inference mode would leave a fit without gradients.
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        dtype = torch.get_default_dtype()
        # Else a caller's float64 would double the time of every product.
        torch.set_default_dtype(torch.float32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
