"""Base classes of architecture objects, and of the bodies that they make."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skae.nn._activations import ACTIVATIONS
from skae.nn._params import Options, is_count, module_list

Bodies = tuple[nn.Module | None, nn.Module | None]

# Standard deviations beyond which rows are alike to what sums squares.
_FARTHEST = 1e12


def clamp_far(x: Tensor) -> Tensor:
    """Values whose squares float32 has, as layer normalisation needs them."""
    return x.clamp(-_FARTHEST, _FARTHEST)


class Architecture(Options):
    """Base of the architecture objects: options, and a call that makes two bodies.

    A search goes over them as ``architecture__channels``. A subclass checks its options
    and makes the bodies in `_bodies`, where numbers are Python's.
    """

    # Numbers of dimensions that a row may have, and what a message calls its shapes.
    _n_dims: tuple[int, ...] = ()
    _shapes = ""

    def __call__(
        self,
        sample_shape: tuple[int, ...] | None,
        hidden_layer_sizes: tuple[int, ...],
        activation: str,
        n_in: tuple[int, int],
        n_out: tuple[int, int],
    ) -> Bodies:
        """Return the encoder and the decoder body.

        Parameters
        ----------
        sample_shape : tuple of int or None
            Shape of a row.
        hidden_layer_sizes : tuple of int
            Widths of dense layers.
        activation : str
            A name of ``skae.nn._activations``.
        n_in, n_out : pair of int
            Inputs and outputs of the two bodies, the encoder's first.

        Returns
        -------
        bodies : pair of nn.Module or None
            None is a zero map.
        """
        sizes = sample_shape, hidden_layer_sizes, activation, n_in, n_out
        return self._to_python()._bodies(*sizes)

    def _bodies(
        self, sample_shape, hidden_layer_sizes, activation, n_in, n_out
    ) -> Bodies:
        raise NotImplementedError

    def _one_channel(self, n_features: int) -> tuple[int, ...]:
        """The shape of a row where users give none."""
        raise NotImplementedError

    def _row_shape(
        self, sample_shape: tuple[int, ...] | None, n_features: int
    ) -> tuple[int, ...]:
        """`sample_shape`, checked; None is the `_one_channel` of a subclass."""
        if sample_shape is None:
            sample_shape = self._one_channel(n_features)
        if len(sample_shape) not in self._n_dims:
            raise ValueError(
                f"sample_shape={sample_shape} has {len(sample_shape)} dimension(s); "
                f"{type(self).__name__} needs {self._shapes}."
            )
        return check_sample_shape(sample_shape, n_features)

    def _require_one_of(self, name: str, known: Sequence[str]) -> None:
        value = getattr(self, name)
        if value not in known:
            raise ValueError(
                f"{name}={value!r} of {type(self).__name__} is not one of "
                f"{', '.join(map(repr, known))}."
            )

    def _require_counts(self, *names: str) -> None:
        """Each an integer from one on."""
        for name in names:
            if not is_count(getattr(self, name)):
                raise ValueError(
                    f"{name} of {type(self).__name__} must be an integer >= 1; got "
                    f"{getattr(self, name)!r}."
                )

    def _require_fraction(self, name: str) -> None:
        value = getattr(self, name)
        if not isinstance(value, float | int) or not 0 <= value < 1:
            raise ValueError(
                f"{name} of {type(self).__name__} must be in [0, 1); got {value!r}."
            )

    def _counts(self, name: str) -> tuple[int, ...]:
        """A sequence of integers from one on, as a tuple."""
        value = getattr(self, name)
        # A string is iterable as well, by its characters.
        is_sequence = hasattr(value, "__iter__") and not isinstance(value, str)
        if not is_sequence or not all(map(is_count, value)):
            raise ValueError(
                f"{name} of {type(self).__name__} must hold integers >= 1; got "
                f"{value!r}."
            )
        return tuple(int(count) for count in value)


def check_sample_shape(sample_shape, n_features: int) -> tuple[int, ...]:
    """`sample_shape` as a tuple; raise if it is not that of `n_features` numbers."""
    shape = tuple(sample_shape)
    if not shape or not all(map(is_count, shape)):
        raise ValueError(f"sample_shape must hold integers >= 1; got {sample_shape!r}.")
    shape = tuple(int(size) for size in shape)
    if math.prod(shape) != n_features:
        raise ValueError(
            f"sample_shape={shape} has {math.prod(shape)} values, but X has "
            f"{n_features} features."
        )
    return shape


class Body(nn.Module):
    """Base of the bodies that come with the package: (n, n_in) to (n, n_out).

    Attributes
    ----------
    output : nn.Module
        The last layer: where its weight and its bias, if any, are zero, so is the body.
    is_static : bool
        Whether the same operations are done for all rows and none draws: a step of the
        training may then be traced.
    carries_skip : bool
        Whether it can be called with a linear map (weight, bias) to add on the way.
    half_precision : bool
        Whether training in bfloat16 is possible, and pays.
    n_reused : int
        Multiply-adds of a row beyond one for each weight, about.
    n_kept : int
        Numbers that a row keeps until its gradient is known, about.
    hidden_widths : tuple of int or None
        Of the values that `hidden_values` returns; None where a body has no such
        layers.
    input_weight : Tensor or None
        Weights (h, n_in) that are all that inputs meet; None where there are no such.
    """

    output: nn.Module
    is_static = False
    carries_skip = False
    half_precision = True
    n_reused = 0
    n_kept = 0
    hidden_widths: tuple[int, ...] | None = None

    @property
    def input_weight(self) -> Tensor | None:
        return None

    def hidden_values(self, x: Tensor) -> list[Tensor]:
        """Values (n, width) of each hidden layer, the first layer first."""
        raise NotImplementedError


def has_hooks(module: nn.Module) -> bool:
    """Whether a call of a module calls functions of users as well."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def is_plain(layer: nn.Module) -> bool:
    """Whether a call of a linear layer is its product and sum alone: it has no hooks,
    and is no other layer, which quantisation for example puts in its place."""
    return type(layer) is nn.Linear and not has_hooks(layer)


def call(layer: nn.Linear, x: Tensor) -> Tensor:
    """``layer(x)``, of a plain linear layer without the search for hooks, which takes a
    quarter of the time of a small product."""
    return F.linear(x, layer.weight, layer.bias) if is_plain(layer) else layer(x)


class Gain(nn.Module):
    """Multiply each output by a learned weight, one at first."""

    def __init__(self, n_out: int):
        super().__init__()
        # One, so that a body without an initial model computes what its module does.
        self.weight = nn.Parameter(torch.ones(n_out))
        self.bias = None

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x


class Gated(Body):
    r"""Any module behind a gate: ``gain * module(x)``.

    The initial model can close the gate of a module of which it knows nothing: with a
    gain of zero the gain itself has a gradient, and the module once the gain has moved
    (ReZero; Bachlechner et al., 2021).

    References
    ----------
    Bachlechner, T. et al. (2021). ReZero is all you need: fast convergence at large
    depth. UAI.
    """

    def __init__(self, module: nn.Module, n_out: int):
        super().__init__()
        self.module = module
        self.output = Gain(n_out)
        # A user's module may draw, branch on values, or not run in half precision: it
        # has the traits that it declares.
        self.is_static = getattr(module, "is_static", False)
        self.half_precision = getattr(module, "half_precision", False)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.module(x))


class Activation(nn.Module):
    """An activation by name, for the places that need a module."""

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.name](x)


class Dense(nn.Module):
    """Fully connected layers, each with its activation."""

    def __init__(self, widths: Sequence[int], activation: str):
        super().__init__()
        self.n_outputs = widths[-1]
        self.activation = Activation(activation)
        self.layers = module_list(nn.Linear(*sizes) for sizes in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.activation(call(layer, x))
        return x
