"""Draws of one thread, from generators of its own.

The generators of torch belong to the process, and other threads may draw from them at
any time: a fit neither seeds them nor draws from them. Parts of a model that draw in a
step of the training take `current_generator()`; what a user's part calls, or the
constructor of a layer, is given one by `OwnDraws`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from skae.nn._process_lock import PROCESS_LOCK

_THREAD = threading.local()


def current_generator() -> torch.Generator | None:
    """The generator of the fit in this thread; None, torch's own, outside of one."""
    return getattr(_THREAD, "generator", None)


@contextmanager
def drawing_from(
    generator: torch.Generator | None, *, all_of_torch: bool = False
) -> Iterator[None]:
    """Let parts of a model, in this thread, draw from a generator; None is torch's own.

    With `all_of_torch`, so do all functions of torch, and they make float32, whatever
    the default is. Each call then takes a microsecond longer: this is for constructors
    and for users' own parts.
    """
    outer = current_generator()
    _THREAD.generator = generator
    try:
        with OwnDraws(generator) if generator and all_of_torch else nullcontext():
            yield
    finally:
        _THREAD.generator = outer


# Functions and methods that can be given a generator.
_TAKES_GENERATOR = {
    "rand",
    "randn",
    "randint",
    "randperm",
    "normal",
    "multinomial",
    "bernoulli",
    "poisson",
    "binomial",
    "_standard_gamma",
    "_sample_dirichlet",
    "kaiming_uniform_",
    "uniform_",
    "normal_",
    "bernoulli_",
    "exponential_",
    "cauchy_",
    "log_normal_",
    "geometric_",
    "random_",
}
# Those that cannot, but amount to one that can.
_LIKE: dict[str, Callable[..., Tensor]] = {
    "rand_like": Tensor.uniform_,
    "randn_like": Tensor.normal_,
    "randint_like": Tensor.random_,
}
# And the others.
_DRAWS = {
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_dropout",
    "rrelu",
    "gru",
    "lstm",
    "feature_alpha_dropout",
    "gumbel_softmax",
    "scaled_dot_product_attention",
    "rnn_tanh",
    "rnn_relu",
    "multi_head_attention_forward",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d_with_indices",
    "native_dropout",
}
# Functions that make the default dtype; and those that do so of numbers.
_MAKES_DEFAULT = {
    "empty",
    "zeros",
    "ones",
    "rand",
    "randn",
    "normal",
    "eye",
    "linspace",
    "logspace",
}
_MAKES_OF_NUMBERS = {"tensor", "full", "arange", "scalar_tensor"}


class OwnDraws(TorchFunctionMode):
    """Let the functions of torch that a thread calls draw from own generators.

    Parameters
    ----------
    generator : torch.Generator
        For its device; the seed of one for another device is drawn from it.
    """

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.generator = generator
        self.generators = {generator.device.type: generator}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        is_free = kwargs.get("dtype") is None and not _has_array(args, kwargs)
        if is_free and name in _MAKES_DEFAULT:
            kwargs["dtype"] = torch.float32
        if name in _TAKES_GENERATOR and kwargs.get("generator") is None:
            kwargs["generator"] = self._generator(args, kwargs)
        elif name in _LIKE:
            return self._like(name, args, kwargs)
        elif name == "dropout":
            return self._dropout(*args, **kwargs)
        elif name in _DRAWS:
            with _seeded(self._generator(args, kwargs)):
                return func(*args, **kwargs)
        value = func(*args, **kwargs)
        is_made = is_free and name in _MAKES_OF_NUMBERS
        return value.float() if is_made and value.is_floating_point() else value

    def _generator(self, args, kwargs) -> torch.Generator:
        """That of the device on which the numbers will be."""
        tensors = [v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
        device = tensors[0].device if tensors else kwargs.get("device") or "cpu"
        device = torch.device(device)
        if device.type not in self.generators:
            own = torch.Generator(device).manual_seed(_seed(self.generator))
            self.generators[device.type] = own
        return self.generators[device.type]

    def _like(self, name, args, kwargs) -> Tensor:
        like, *bounds = args or [kwargs.pop("input")]
        bounds = [kwargs.pop(key) for key in ("low", "high") if key in kwargs] or bounds
        # One bound is the upper one.
        bounds = [0, *bounds] if len(bounds) == 1 else bounds
        requires_grad = kwargs.pop("requires_grad", False)
        value = torch.empty_like(like, **kwargs)
        value = _LIKE[name](value, *bounds, generator=self._generator((value,), {}))
        return value.requires_grad_(requires_grad)

    def _dropout(self, input, p=0.5, training=True, inplace=False, train=None):
        if not (training if train is None else train) or not p:
            return input
        keep = torch.empty_like(input)
        keep.bernoulli_(1 - p, generator=self._generator((input,), {}))
        keep = keep.div_(1 - p) if p < 1 else keep
        return input.mul_(keep) if inplace else input * keep


def _has_array(args, kwargs) -> bool:
    """Whether there is an array, whose dtype the result has."""
    return any(hasattr(v, "dtype") for v in (*args, *kwargs.values()))


def _seed(generator: torch.Generator) -> int:
    device = generator.device
    return int(torch.randint(2**62, (), generator=generator, device=device))


@contextmanager
def _seeded(generator: torch.Generator) -> Iterator[None]:
    """Seed torch's own generators from one, for a call that takes no other, and put
    them back."""
    cuda = [generator.device] if generator.device.type == "cuda" else []
    with PROCESS_LOCK, torch.random.fork_rng(cuda):
        torch.manual_seed(_seed(generator))
        yield
