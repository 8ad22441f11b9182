"""Conversions between the arrays of users and the tensors of networks."""

import numpy as np
import torch

from skae._sklearn import get_namespace


def as_tensor(X) -> torch.Tensor:
    """`X` as a tensor of its dtype on its device, in the same memory if possible."""
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


def like(tensor: torch.Tensor, X):
    """`tensor` as an array of the kind, on the device and of the dtype of `X`."""
    if isinstance(X, torch.Tensor):
        return tensor.to(device=X.device, dtype=X.dtype)
    # `force` moves tensors to the processor and leaves the graph of gradients.
    array = tensor.numpy(force=True)
    if isinstance(X, np.ndarray):
        return array.astype(X.dtype, copy=False)
    xp, _ = get_namespace(X)
    return xp.asarray(array, dtype=X.dtype, device=X.device)
