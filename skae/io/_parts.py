"""Parts of a model that users pass as parameters: likelihoods, priors and the like."""

from functools import partial

from torch import nn

from skae.io._codec import CannotBeWrittenError, register
from skae.nn._build import CLASSES
from skae.nn._params import Options, describe, is_given


def _get(classes, part):
    if is_given(describe(part, classes)):
        raise CannotBeWrittenError(f"{type(part).__name__} of a user's own")
    params = part.get_params() if isinstance(part, Options) else part.config()
    is_list = {name: isinstance(v, nn.ModuleList) for name, v in params.items()}
    return {
        "params": {n: list(v) if is_list[n] else v for n, v in params.items()},
        "state": dict(part.state_dict()) if isinstance(part, nn.Module) else {},
    }


def _make(kind, state):
    part = kind(**state["params"])
    if isinstance(part, nn.Module):
        part.load_state_dict(state["state"])
    return part


for _classes in CLASSES.values():
    for _kind in _classes.values():
        register(_kind, partial(_get, _classes), partial(_make, _kind))
