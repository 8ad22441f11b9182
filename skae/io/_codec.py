"""Objects as JSON values and arrays, and back, without code.

Numbers, strings and lists are themselves. Anything else is a JSON object with one key
that says what it is: ``{"tuple": [...]}``, ``{"array": name}`` of an array of the file,
``{"object": class, "state": ...}``, or ``{"given": name}`` for what users pass again.
"""

import importlib
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator

# Kinds of numbers that files have: of dates the integers, of text and objects lists.
_NUMBERS, _DATES, _LISTS = "biuf", "mM", "OU"

_COLLECTIONS = {"tuple": tuple, "set": set, "frozenset": frozenset}


class CannotBeWrittenError(TypeError):
    """A value that files do not have."""


class Given(NamedTuple):
    """A part of a user's own in a state: only its name is written."""

    name: str
    value: Any


class _Stored(NamedTuple):
    """How objects of a class are written and read."""

    kind: type
    get: Callable[[Any], Any]  # the state of an object
    make: Callable[[Any], Any]  # an object of that state


_CLASSES: dict[str, _Stored] = {}


def register(kind: type, get: Callable, make: Callable) -> None:
    """Let files have objects of a class.

    Parameters
    ----------
    kind : type
        The class itself; a subclass is another one.
    get, make : callable
        From an object to a state of values that files have, and back.
    """
    _CLASSES[kind.__name__] = _Stored(kind, get, make)


def storable(kind: type) -> type:
    """Decorate a class, objects of which are then written as they are pickled."""
    register(kind, _get_state, lambda state: _set_state(kind, state))
    return kind


def _get_state(value):
    state = value.__reduce_ex__(2)[2] or {}
    # Callbacks of scikit-learn watch fits: they are no part of what was fitted.
    return {k: v for k, v in state.items() if k != "_skl_callbacks"}


def _set_state(kind: type, state):
    made = kind.__new__(kind)
    set_state = getattr(made, "__setstate__", made.__dict__.update)
    set_state(state)
    return made


class Writer:
    """From objects to JSON values, and the arrays that these name.

    Attributes
    ----------
    arrays : dict of str to ndarray
        By the path of the value in the object.
    given : dict of str to str
        What a reader has to pass again, by name, and how it looks.
    """

    def __init__(self):
        self.arrays: dict[str, np.ndarray] = {}
        self.given: dict[str, str] = {}
        # By identity, also of values that are gone: each is kept, so that no other one
        # has its place in memory.
        self._written: dict[int, tuple[np.ndarray, str]] = {}

    def encode(self, value, path: str):
        """The JSON value of `value`.

        Raises
        ------
        CannotBeWrittenError
            If it holds something that no file has.
        """
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if kind is list:
            return self._encode_all(value, path)
        if kind in _COLLECTIONS.values():
            return {kind.__name__: self._encode_all(value, path)}
        if kind is dict:
            return {"dict": [self._encode_item(*item, path) for item in value.items()]}
        if kind is slice:
            parts = value.start, value.stop, value.step
            return {"slice": self._encode_all(parts, path)}
        if kind is Given:
            return self._encode_given(value)
        return self._encode_array(value, path) or self._encode_object(value, path)

    def _encode_all(self, values, path):
        return [self.encode(one, f"{path}[{i}]") for i, one in enumerate(values)]

    def _encode_item(self, key, value, path):
        path = f"{path}.{key}"
        try:
            return [self.encode(key, path), self.encode(value, path)]
        except CannotBeWrittenError:
            # Users pass their own parts again; what a fit has made they do not have.
            if type(key) is not str or key.startswith("_") or key.endswith("_"):
                raise
            return [key, self._encode_given(Given(key, value))]

    def _encode_given(self, part):
        self.given.setdefault(part.name, _without_address(part.value))
        return {"given": part.name}

    def _encode_array(self, value, path):
        """The JSON value of what is made of numbers, or None."""
        if isinstance(value, np.ndarray) and type(value) is np.ndarray:
            return self._encode_ndarray(value, path)
        if isinstance(value, np.generic):
            return {"scalar": self._encode_ndarray(np.asarray(value), path)}
        if type(value) is torch.Tensor:
            return {"tensor": self._encode_ndarray(value.numpy(force=True), path)}
        if isinstance(value, np.dtype):
            return {"dtype": value.str}
        if isinstance(value, type) and issubclass(value, np.generic):
            return {"scalar type": np.dtype(value).str}
        return None

    def _encode_ndarray(self, value, path):
        kind = value.dtype.kind
        if kind in _LISTS:
            values = self._encode_all(value.ravel().tolist(), path)
            shape = list(value.shape)
            return {"list": values, "dtype": value.dtype.str, "shape": shape}
        # Of longer numbers, other machines have no such type.
        if kind not in _NUMBERS + _DATES or value.dtype.itemsize > 8:
            raise CannotBeWrittenError(f"{path} is an array of {value.dtype}")
        # The order of sums, and so the last bits of results, depends on the layout.
        is_fortran = value.flags.f_contiguous and not value.flags.c_contiguous
        name = self._name_of(value.T if is_fortran else value, value, path)
        encoded = {"array": name, "order": "F"} if is_fortran else {"array": name}
        if kind in _DATES:
            encoded["dtype"] = value.dtype.str
        return encoded

    def _name_of(self, array, value, path):
        """The name under which the `array` of a value is in the file: once for each
        object, however often that is met."""
        if id(value) not in self._written:
            if array.dtype.kind in _DATES:
                array = array.view(np.int64)
            native = array.dtype.newbyteorder("=")
            self.arrays[path] = np.asarray(array, dtype=native, order="C")
            self._written[id(value)] = value, path
        return self._written[id(value)][1]

    def _encode_object(self, value, path):
        kind = type(value)
        name = kind.__name__
        if isinstance(value, type) and _is_registered(value):
            return {"class": value.__name__}
        if _is_registered(kind):
            state = _CLASSES[name].get(value)
        elif _is_public_estimator(kind):
            name, state = f"{_room(kind)}.{name}", _get_state(value)
        else:
            raise CannotBeWrittenError(
                f"{path} is {_without_address(value)} of {kind.__module__}"
            )
        return {"object": name, "state": self.encode(state, path)}


class Reader:
    """From JSON values and arrays to objects: the inverse of `Writer`.

    Parameters
    ----------
    arrays : dict of str to ndarray
    given : dict
        Parts of a user's own, by name.
    """

    def __init__(self, arrays: dict[str, np.ndarray], given: dict):
        self.arrays, self.given = arrays, given

    def decode(self, value):
        """The object that was written as `value`.

        Raises
        ------
        ValueError, TypeError, KeyError, RuntimeError
            If it is not one that `Writer` writes.
        """
        if isinstance(value, list):
            return [self.decode(one) for one in value]
        if not isinstance(value, dict):
            return value
        (what, content), *_ = value.items()
        match what:
            case "object":
                return _make(content, self.decode(value["state"]))
            case "array" | "list":
                return self._array(value)
            case "tuple" | "set" | "frozenset":
                return _COLLECTIONS[what](self.decode(content))
            case "dict":
                return {self.decode(k): self.decode(v) for k, v in content}
            case "slice":
                return slice(*self.decode(content))
            case "float":
                return float(content)
            case "scalar":
                return self.decode(content)[()]
            case "tensor":
                return torch.from_numpy(self.decode(content))
            case "dtype":
                return np.dtype(content)
            case "scalar type":
                return np.dtype(content).type
            case "class":
                return _CLASSES[content].kind
            case "given":
                return self.given[content]
        raise ValueError(f"{what!r} is no kind of value")

    def _array(self, value):
        if "list" in value:
            made = np.empty(len(value["list"]), value["dtype"])
            made[:] = [self.decode(one) for one in value["list"]]
            return made.reshape(value["shape"])
        array = self.arrays[value["array"]]
        if value.get("order") == "F":
            array = array.T
        return array.view(value["dtype"]) if "dtype" in value else array


def _is_registered(kind: type) -> bool:
    stored = _CLASSES.get(kind.__name__)
    return stored is not None and stored.kind is kind


def _make(name: str, state):
    if name in _CLASSES:
        return _CLASSES[name].make(state)
    room, _, kind = name.rpartition(".")
    # Nothing but scikit-learn's own estimators is imported for a file.
    if room.startswith("sklearn.") and room.count(".") == 1:
        found = getattr(importlib.import_module(room), kind, None)
        if _is_public_estimator(found):
            return _set_state(found, state)
    raise ValueError(f"{name!r} is no class of skae, nor an estimator of scikit-learn")


def _room(kind: type) -> str:
    """The public module of an estimator of scikit-learn: its first two names."""
    return ".".join(kind.__module__.split(".")[:2])


def _is_public_estimator(kind) -> bool:
    """Whether it is an estimator of scikit-learn, whose state is in its attributes."""
    if not (inspect.isclass(kind) and issubclass(kind, BaseEstimator)):
        return False
    room = _room(kind)
    if not room.startswith("sklearn."):
        return False
    public = getattr(importlib.import_module(room), "__all__", ())
    return kind.__name__ in public


def _without_address(value) -> str:
    """How messages name a value: functions and classes by their names."""
    return getattr(value, "__qualname__", None) or f"a {type(value).__name__}"
