"""Bodies made by an architecture, checked, and put behind a gate if need be."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from skae.nn.architectures._base import Bodies, Body, Gated, check_sample_shape


def make_bodies(
    architecture: Callable[..., Bodies],
    sample_shape: Sequence[int] | None,
    hidden_layer_sizes: tuple[int, ...],
    activation: str,
    n_in: tuple[int, int],
    n_out: tuple[int, int],
) -> Bodies:
    """The bodies of `architecture`, checked; one that the start cannot silence is put
    behind a gate.

    Raises
    ------
    TypeError
        If `architecture` is no function of these sizes.
    ValueError
        If a body does not map its inputs to so many outputs.
    """
    if isinstance(architecture, type | nn.Module) or not callable(architecture):
        raise TypeError(
            "architecture must be a name, an object such as "
            "skae.nn.architectures.MLP(), or a callable (sample_shape, "
            "hidden_layer_sizes, activation, n_in, n_out) -> bodies; got "
            f"{architecture!r}."
        )
    if sample_shape is not None:
        sample_shape = check_sample_shape(sample_shape, n_in[0])
    bodies = architecture(sample_shape, hidden_layer_sizes, activation, n_in, n_out)
    if not isinstance(bodies, tuple | list) or len(bodies) != 2:
        raise ValueError(
            f"architecture={architecture!r} must return a pair, the encoder body and "
            f"the decoder body; got {bodies!r}."
        )
    sides = zip(("encoder", "decoder"), bodies, n_in, n_out)
    return tuple(_checked(*side) for side in sides)


def _checked(
    side: str, body: nn.Module | None, n_in: int, n_out: int
) -> nn.Module | None:
    if body is None:
        return None
    if not isinstance(body, nn.Module):
        raise ValueError(
            f"The {side} body of architecture must be a torch.nn.Module or None; got "
            f"{body!r}."
        )
    _check_sizes(side, body, n_in, n_out)
    return body if _is_silenced(body, n_in) else Gated(body, n_out)


@torch.no_grad()
def _check_sizes(side: str, body: nn.Module, n_in: int, n_out: int) -> None:
    zeros = torch.zeros(2, n_in)
    try:
        value = body.eval()(zeros)
    except Exception as error:
        raise ValueError(
            f"The {side} body of architecture fails on rows of shape (2, {n_in}): "
            f"{error}"
        ) from error
    finally:
        body.train()
    found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
    if found != (2, n_out):
        raise ValueError(
            f"The {side} body of architecture must map rows of shape (2, {n_in}) to "
            f"(2, {n_out}); got {found}."
        )


@torch.no_grad()
def _is_silenced(body: nn.Module, n_in: int) -> bool:
    """Whether zeros in the body's `output` layer make the body zero."""
    if isinstance(body, Body):
        return True
    output = getattr(body, "output", None)
    if not isinstance(getattr(output, "weight", None), nn.Parameter):
        return False
    saved = [(p, p.clone()) for p in output.parameters()]
    for p, _ in saved:
        p.zero_()
    value = body.eval()(torch.linspace(-1, 1, 2 * n_in).reshape(2, n_in))
    body.train()
    for p, kept in saved:
        p.copy_(kept)
    return not value.any()
