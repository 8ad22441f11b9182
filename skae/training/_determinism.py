"""The state that surrounds a thread in torch, as a fit needs it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import torch


@contextmanager
def ordinary_torch() -> Iterator[None]:
    """Let gradients be recorded, tensors lie where they are asked for, and operations
    keep their dtypes, whatever a caller has set for this thread."""
    unusual: list[AbstractContextManager] = [
        torch.autocast(device, enabled=False)
        for device in ("cpu", "cuda")
        if torch.is_autocast_enabled(device)
    ]
    # Only where it is another: it costs each call of torch a microsecond.
    if torch.empty(0).device.type != "cpu":
        unusual.append(torch.device("cpu"))
    # A caller's `no_grad` or inference mode would leave a fit without gradients.
    with torch.inference_mode(False), torch.enable_grad():
        if not unusual:
            yield
            return
        with ExitStack() as stack:
            for context in unusual:
                stack.enter_context(context)
            yield
