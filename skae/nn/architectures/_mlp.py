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
        if skip is None:
            return self._output(self._hidden(x))
        if skip[0].shape[0] <= skip[0].shape[1]:
            return self._skip_beside_first_layer(x, *skip)
        return self._skip_beside_last_layer(x, *skip)

    def _skip_beside_first_layer(
        self, x: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        first = self.layers[0]
        both = linear(
            x, torch.cat([first.weight, weight]), torch.cat([first.bias, bias])
        )
        n_hidden = first.weight.shape[0]
        value = self._output(self._hidden_from(both[:, :n_hidden]))
        return value + _padded(both[:, n_hidden:], value)

    def _skip_beside_last_layer(
        self, x: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        last = self.layers[-1]
        if weight.shape[0] < last.weight.shape[0]:
            value = self._output(self._hidden(x))
            return value + _padded(linear(x, weight, bias), value)
        return linear(
            torch.cat([self._hidden(x), x], 1),
            torch.cat([last.weight, weight], 1),
            last.bias + bias,
        )

    def _hidden(self, x: Tensor) -> Tensor:
        return self._hidden_from(linear(x, self.layers[0].weight, self.layers[0].bias))

    def _hidden_from(self, x: Tensor) -> Tensor:
        activation = ACTIVATIONS[self.activation]
        x = activation(x)
        for layer in [*self.layers][1:-1]:
            x = activation(linear(x, layer.weight, layer.bias))
        return x

    def _output(self, x: Tensor) -> Tensor:
        return linear(x, self.layers[-1].weight, self.layers[-1].bias)


def _padded(values: Tensor, like: Tensor) -> Tensor:
    missing = like.shape[1] - values.shape[1]
    return F.pad(values, (0, missing)) if missing else values


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
