"""Network bodies: what a model learns beyond its linear skip.

An architecture is a callable ``(sample_shape, hidden_layer_sizes, activation, n_in,
n_out)`` that returns an encoder and a decoder body; ``n_in`` and ``n_out`` are pairs,
the encoder's first. A body maps rows ``(n, n_in)`` to ``(n, n_out)``, each row by
itself; None is a zero map. The encoder's rows have ``d = n_in[0]`` features; the
decoder's outputs are ``n_out[1] // d`` blocks of `d`, one for each parameter of the
likelihood. The decoder's inputs are the latents; of a model with ordered latents as
many ones and zeros follow them, which say which latents there are. ``sample_shape`` is
None, or holds integers whose product is `d`.

A body is a `torch.nn.Module`. A subclass of `Body` has an ``output``, a last layer
whose weight and bias the initial model sets to zero; any other module is put behind a
gate, a learned gain for each output. Optional attributes of a body are those of `Body`.
"""

from skae.nn.architectures._attention import Attention
from skae.nn.architectures._base import Architecture, Body
from skae.nn.architectures._conv import Convolutional
from skae.nn.architectures._make import make_bodies
from skae.nn.architectures._mlp import MLP, MLPBody
from skae.nn.architectures._recurrent import Recurrent

ARCHITECTURES = {
    "mlp": MLP(),
    "conv": Convolutional(),
    "recurrent": Recurrent(),
    "attention": Attention(),
}

__all__ = [
    "ARCHITECTURES",
    "MLP",
    "Architecture",
    "Attention",
    "Body",
    "Convolutional",
    "MLPBody",
    "Recurrent",
    "make_bodies",
]
