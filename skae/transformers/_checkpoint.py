"""Which fit a checkpoint is of."""

import hashlib

import numpy as np

import skae
from skae.data._arrays import as_tensor
from skae.nn._params import stable_repr
from skae.training import Checkpoint

_N_AT_ONCE = 4096  # rows

# Parameters that a fit may be gone on with in another way.
_FREE = {"callbacks", "checkpoint", "device", "random_state", "verbose"}


def open_checkpoint(estimator, X, seed, previous) -> Checkpoint:
    """The checkpoint of the fit of an estimator to rows X (n, d).

    `seed` is that of a new fit, and `previous` the net that it goes on from, or None.
    """
    params = estimator.get_params(deep=False)
    parts = {n: v for n, v in sorted(params.items()) if n not in _FREE}
    # Without a seed, that of the first call is the one to go on with.
    fixed = None if estimator.random_state is None else seed
    text = stable_repr((type(estimator).__name__, skae.__version__, parts, fixed))
    digest = hashlib.sha256(text.encode())
    states = {} if previous is None else previous.module_.state_dict()
    for tensor in (*as_tensor(X).split(_N_AT_ONCE), *states.values()):
        array = np.ascontiguousarray(tensor.numpy(force=True))
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array)
    return Checkpoint(estimator.checkpoint, digest.hexdigest(), seed)
