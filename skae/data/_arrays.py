"""Conversions between the arrays of users and the tensors of networks."""

import numpy as np
import torch

from skae._sklearn import get_namespace
from skae.data._streams import Stream


def as_tensor(X) -> torch.Tensor | Stream:
    """`X` as a tensor of its dtype on its device, in the same memory if possible; rows
    that are read in parts as they are."""
    if isinstance(X, Stream):
        return X
    if isinstance(X, np.ndarray):
        # torch takes over memory that is writeable and has no negative strides.
        fits = X.flags.writeable and min(X.strides, default=0) >= 0
        return torch.from_numpy(X if fits else X.copy())
    if isinstance(X, torch.Tensor):
        return X.detach()
    # Other libraries of the array API, CuPy say, without a detour over the processor.
    return torch.from_dlpack(X)


def float_dtypes(X) -> list:
    """Dtypes that rows may keep, in the namespace of `X`; others become the first."""
    xp, _ = get_namespace(X)
    return [xp.float64, xp.float32]


def like(tensor: torch.Tensor, X, dtype: str | None = None):
    """`tensor` as an array of the kind and on the device of `X`, and of its dtype or
    the one that is named."""
    X = X.empty if isinstance(X, Stream) else X
    xp, _ = get_namespace(X)
    to = X.dtype if dtype is None else getattr(xp, dtype)
    if isinstance(X, torch.Tensor):
        return tensor.to(device=X.device, dtype=to)
    # `force` moves tensors to the processor and leaves the graph of gradients.
    array = tensor.numpy(force=True)
    if isinstance(X, np.ndarray):
        return array.astype(to, copy=False)
    return xp.asarray(array, dtype=to, device=X.device)
