"""Calls of a fitted model by chunks and in float64, and fits that fail."""

import copy
import weakref
from contextlib import contextmanager
from functools import wraps

import torch

from skae._sklearn import CALLBACK_STATE
from skae.data._arrays import as_tensor, like
from skae.data._rows import CHUNK
from skae.nn._sizes import rows_at_once
from skae.training._determinism import ordinary_torch

# Copies of models in float64, for rows in float64. Keys are weak references, so that a
# copy is freed together with its model; pickles and clones of estimators have none.
_DOUBLES: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


# Also since code refinement needs gradients, and copies that are kept must be ordinary
# tensors.
@ordinary_torch()
@torch.no_grad()
def map_rows(model, X, function):
    """Apply ``function(model, rows)`` to chunks of X (n, d), and join the values.

    The model computes in the dtype of X; the values come back as an array of the kind
    and dtype of X.
    """
    rows = as_tensor(X)
    # float32 would round away digits that the caller has, and expects back.
    if rows.dtype == torch.float64:
        model = _in_float64(model)
    # Fewer rows at once where networks keep much of each, as attention does.
    device, size = model.units.loc.device, rows_at_once(model, CHUNK)
    values = [function(model, chunk.to(device)) for chunk in rows.split(size)]
    return like(values[0] if len(values) == 1 else torch.cat(values), X)


def _in_float64(model):
    """A copy of the model with float64 parameters, made once on each device."""
    made = _DOUBLES.get(model)
    if made is None or made.units.loc.device != model.units.loc.device:
        made = _DOUBLES[model] = copy.deepcopy(model).double()
    return made


@contextmanager
def unchanged_on_failure(estimator):
    """Restore the attributes of an estimator where its fit fails."""
    # A shallow copy is enough: a fit assigns attributes and changes none in place.
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:  # an interrupt as well
        callbacks = {k: v for k, v in vars(estimator).items() if k in CALLBACK_STATE}
        vars(estimator).clear()
        vars(estimator).update(before | callbacks)
        raise


def all_or_nothing(fit):
    """Decorate a method that fits, so that it changes nothing where it fails."""

    @wraps(fit)
    def decorated(self, *args, **kwargs):
        with unchanged_on_failure(self):
            return fit(self, *args, **kwargs)

    return decorated
