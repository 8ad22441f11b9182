"""Objects with options, and how parts are written in JSON values.

Objects have `get_params` and `set_params`, as scikit-learn wants them of parameters of
an estimator.
"""

import copy
import inspect
import operator
import re
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import TypeVar, cast

from torch import nn

Module = TypeVar("Module", bound=nn.Module)
Self = TypeVar("Self", bound="Options")


class Options:
    """Base of objects whose constructor only checks and assigns its parameters.

    scikit-learn clones such an object by these, and searches over them.
    """

    @classmethod
    def _defaults(cls) -> dict:
        parameters = inspect.signature(cls).parameters.values()
        # A torch module without a constructor of its own takes anything by signature.
        anything = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        return {p.name: p.default for p in parameters if p.kind not in anything}

    def get_params(self, deep: bool = True) -> dict:
        """Return the options by name.

        Parameters
        ----------
        deep : bool, default=True
            Ignored: no option has options.

        Returns
        -------
        params : dict
        """
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self: Self, **params) -> Self:
        """Set options.

        Parameters
        ----------
        **params : dict
            Options by name.

        Returns
        -------
        self : Options
        """
        known = self._defaults()
        for name in params:
            if name not in known:
                raise ValueError(
                    f"{name!r} is not an option of {type(self).__name__}; there are: "
                    f"{', '.join(known) or 'none'}."
                )
        # On a new object first: options that are refused change nothing.
        type(self)(**self.get_params() | params)  # it checks the values
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = self._defaults().items()
        values = ((name, getattr(self, name), default) for name, default in defaults)
        # By `repr`, since arrays have no truth value.
        changed = (f"{n}={v!r}" for n, v, default in values if repr(v) != repr(default))
        return f"{type(self).__name__}({', '.join(changed)})"

    def _to_python(self: Self) -> Self:
        """A copy whose numbers are Python's: not all of torch takes those of NumPy."""
        return type(self)(**{n: to_python(v) for n, v in self.get_params().items()})


def to_python(value):
    """A number of NumPy or torch as one of Python; anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def is_count(value) -> bool:
    """Whether `value` is an integer from one on, also one of NumPy."""
    try:
        return operator.index(value) >= 1 and not isinstance(value, bool)
    except TypeError:
        return False


def is_number(value) -> bool:
    """Whether `value` is a real number, also one of NumPy."""
    return isinstance(value, Real)


def module_list(modules: Iterable[Module]) -> Sequence[Module]:
    """`torch.nn.ModuleList`, which does not say of its type what it holds."""
    return cast(Sequence[Module], nn.ModuleList(modules))


def describe(part, classes: dict[str, type]) -> dict:
    """A part in JSON values: its class and what its constructor takes.

    A user's own part is only named: ``{"given": ...}``.
    """
    name, kind = type(part).__name__, type(part)
    if classes.get(name) is not kind:
        return {"given": stable_repr(part)}
    params = part.get_params() if isinstance(part, Options) else part.config()
    return {"class": name, "params": {k: _json(v, classes) for k, v in params.items()}}


def from_description(description: dict, classes: dict[str, type], given=None):
    """The part that `describe` described; a user's own one is `given`.

    Raises
    ------
    ValueError
        If it is a user's own, and not given.
    """
    if isinstance(description, list):
        return [from_description(one, classes, given) for one in description]
    if "given" in description:
        if given is None:
            raise ValueError(f"{description['given']} is a user's own: pass it again.")
        return given
    params = {
        name: from_description(value, classes) if _is_described(value) else value
        for name, value in description["params"].items()
    }
    return classes[description["class"]](**params)


def is_given(description: object) -> bool:
    """Whether a user's own part is in a description."""
    if isinstance(description, dict):
        return "given" in description or any(map(is_given, description.values()))
    return isinstance(description, list) and any(map(is_given, description))


def stable_repr(value) -> str:
    """`repr` without addresses, which copies and pickles do not keep."""
    return re.sub(" at 0x[0-9a-fA-F]+", "", repr(value))


def _is_described(value) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(_is_described, value))
    return isinstance(value, dict)


def _json(value, classes: dict[str, type]):
    value = to_python(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "config") or isinstance(value, Options):
        return describe(value, classes)
    if hasattr(value, "__iter__"):
        return [_json(one, classes) for one in value]
    return {"given": stable_repr(value)}


def make_own(name: str, choice, kind: type, *sizes: int):
    """Return a copy of the user's module, or what a callable makes of `sizes`.

    Raises
    ------
    TypeError
        If that is no `kind`.
    """
    # A module is callable as well, and must not be called here.
    if isinstance(choice, nn.Module):
        made = copy.deepcopy(choice)
    else:
        made = choice(*sizes) if callable(choice) else choice
    if not isinstance(made, kind):
        raise TypeError(
            f"{name}={choice!r} must be a name, or be or make a {kind.__name__}; got "
            f"{made!r}."
        )
    return made
