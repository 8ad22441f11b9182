"""Between the arrays that users have and the tensors that networks want."""

import numpy as np
import torch

from skae._sklearn import get_namespace


def as_tensor(X, device: torch.device | str | None = None) -> torch.Tensor:
    """`X` as a tensor; torch input stays where it is unless `device` says otherwise."""
    if isinstance(X, np.ndarray):
        # torch shares memory that may be written to and is walked through forwards.
        is_shared = X.flags.writeable and min(X.strides, default=0) >= 0
        tensor = torch.from_numpy(X if is_shared else X.copy())
    elif isinstance(X, torch.Tensor):
        tensor = X.detach()
    else:
        tensor = torch.from_dlpack(X)
    return tensor if device is None else tensor.to(device)


def float_dtypes(X) -> list:
    """Dtypes that rows may keep, in the namespace of `X`."""
    xp, _ = get_namespace(X)
    return [xp.float64, xp.float32]


def like(tensor: torch.Tensor, X):
    """`tensor` as an array of the kind, on the device and of the dtype of `X`."""
    if isinstance(X, torch.Tensor):
        return tensor.to(device=X.device, dtype=X.dtype)
    array = tensor.numpy(force=True)
    if isinstance(X, np.ndarray):
        return array.astype(X.dtype, copy=False)
    xp, _ = get_namespace(X)
    return xp.asarray(array, dtype=X.dtype, device=X.device)
