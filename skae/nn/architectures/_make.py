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
) -> tuple[Body | None, Body | None]:
    """The bodies of `architecture`, checked; modules that are no `Body`, whose last
    layer is not known, are put behind a gate.

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
    encoder, decoder = (_checked(*side) for side in sides)
    return encoder, decoder


def _checked(side: str, body: nn.Module | None, n_in: int, n_out: int) -> Body | None:
    if body is None:
        return None
    if not isinstance(body, nn.Module):
        raise ValueError(
            f"The {side} body of architecture must be a torch.nn.Module or None; got "
            f"{body!r}."
        )
    _check_sizes(side, body, n_in, n_out)
    return body if isinstance(body, Body) else Gated(body, n_out)


@torch.no_grad()
def _check_sizes(side: str, body: nn.Module, n_in: int, n_out: int) -> None:
    # Two rows: a body that merges rows would pass with one.
    zeros = torch.zeros(2, n_in, dtype=torch.float32)
    try:
        # In evaluation, so that batch normalisation and dropout change nothing.
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
