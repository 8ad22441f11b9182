"""Network bodies: what a model learns beyond its linear spine.

An architecture is a callable ``(sample_shape, hidden_layer_sizes, activation, n_in,
n_out)`` that returns an encoder and a decoder body; ``n_in`` and ``n_out`` are pairs,
the encoder's first. A body maps ``(n, n_in)`` to ``(n, n_out)``; None is a zero map.
Its output layer is its last `torch.nn.Linear`, which the PCA start sets to zero.
"""

from skae.nn.architectures._mlp import MLP, mlp

ARCHITECTURES = {"mlp": mlp}

__all__ = ["ARCHITECTURES", "MLP", "mlp"]
