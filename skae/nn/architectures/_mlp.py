"""Fully connected encoder and decoder bodies."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from skae.nn._activations import ACTIVATIONS
from skae.nn._linear import linear


class MLP(nn.Module):
    """Multilayer perceptron that can carry a linear map along.

    Called with a ``skip`` pair (weight, bias), it adds ``x @ weight.T`` to the first
    outputs within its last product, and `bias` to all. Its own output layer has none.
    """

    carries_skip = True
    is_static = True  # the same operations for all rows: a step may be traced

    def __init__(self, widths: tuple[int, ...], activation: str):
        super().__init__()
        self.activation = activation
        *hidden, output = pairwise(widths)
        self.hidden = nn.ModuleList(nn.Linear(*sizes) for sizes in hidden)
        self.output = nn.Linear(*output, bias=False)

    def forward(self, x: Tensor, skip: tuple[Tensor, Tensor] | None = None) -> Tensor:
        activation = ACTIVATIONS[self.activation]
        h = x
        for layer in self.hidden:
            h = activation(linear(h, layer.weight, layer.bias))
        if skip is None:
            return linear(h, self.output.weight)
        weight, bias = skip
        value = linear(h, self.output.weight, bias)
        if len(weight) == len(bias):
            return value.addmm_(x, weight.T)  # in place: a copy costs as much
        return value + F.pad(linear(x, weight), (0, len(bias) - len(weight)))


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
