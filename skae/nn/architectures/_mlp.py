"""Fully connected encoder and decoder bodies."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skae.nn._activations import ACTIVATIONS
from skae.nn._linear import linear


class MLP(nn.Module):
    """Multilayer perceptron that can carry a linear map along.

    Called with a ``skip`` pair (weight, bias), it returns its own value plus
    ``x @ weight.T + bias`` on the first outputs. The extra product rides in the first
    or in the last layer's own, whichever is narrower there, and costs next to nothing.
    """

    carries_skip = True

    def __init__(self, widths: tuple[int, ...], activation: str):
        super().__init__()
        self.activation = activation
        self.layers = nn.ModuleList(
            nn.Linear(n_in, n_out) for n_in, n_out in pairwise(widths)
        )

    def forward(self, x: Tensor, skip: tuple[Tensor, Tensor] | None = None) -> Tensor:
        activation = ACTIVATIONS[self.activation]
        *hidden, last = self.layers
        h = x
        for layer in hidden:
            h = activation(linear(h, layer.weight, layer.bias))
        value = linear(h, last.weight, last.bias)
        if skip is None:
            return value
        return plus_linear(value, x, *skip)


def mlp(
    sample_shape: tuple[int, ...] | None,
    hidden_layer_sizes: tuple[int, ...],
    activation: str,
    n_in: tuple[int, int],
    n_out: tuple[int, int],
) -> tuple[nn.Module | None, nn.Module | None]:
    """Encoder with `hidden_layer_sizes` and its mirror image as the decoder.

    Without hidden layers both bodies are None: the linear spine stands alone.
    `sample_shape` is not used: rows are flat.
    """
    if not hidden_layer_sizes:
        return None, None
    encoder = MLP((n_in[0], *hidden_layer_sizes, n_out[0]), activation)
    decoder = MLP((n_in[1], *reversed(hidden_layer_sizes), n_out[1]), activation)
    return encoder, decoder
