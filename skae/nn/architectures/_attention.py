"""Transformer bodies for sequences."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skae.nn._random import dropout
from skae.nn.architectures._base import Activation, clamp_far
from skae.nn.architectures._sequence import Mixer, SequenceArchitecture


class Attention(SequenceArchitecture):
    r"""Self-attention for sequences of shape (length, features).

    Each position becomes a vector, to which a learned one for the position is added.
    Pre-norm transformer layers [1]_ [2]_ let all positions see one another; then a few
    values of each go through dense layers of `hidden_layer_sizes` to the code. The
    decoder mirrors all of it: every position at once, from the code alone. Without a
    `sample_shape` a row is a sequence of single numbers. The time of a step grows with
    the square of the length.

    Parameters
    ----------
    n_layers : int, default=2
        Transformer layers, in the encoder and in the decoder.
    n_heads : int, default=4
        Heads of attention; they divide the units among them.
    n_units : int, default=64
        Size of the vector of a position; twice as many are hidden between layers.
    n_channels : int, default=8
        Values of a position that the dense layers see, and make in the decoder.
    dropout : float, default=0.0
        Fraction of values that a step of the training sets to zero.

    References
    ----------
    .. [1] Vaswani, A. et al. (2017). Attention is all you need. NeurIPS.
    .. [2] Xiong, R. et al. (2020). On layer normalization in the transformer
       architecture. ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import AutoencoderTransformer
    >>> from skae.nn.architectures import Attention
    >>> phases = np.random.default_rng(0).uniform(0, 2 * np.pi, (100, 1))
    >>> X = np.sin(np.arange(16) + phases)
    >>> model = AutoencoderTransformer(
    ...     2, architecture=Attention(n_layers=1, n_units=8), sample_shape=(16, 1),
    ...     hidden_layer_sizes=(8,), max_iter=3, random_state=0,
    ... )
    >>> model.fit(X).transform(X).shape
    (100, 2)
    """

    def __init__(
        self,
        *,
        n_layers: int = 2,
        n_heads: int = 4,
        n_units: int = 64,
        n_channels: int = 8,
        dropout: float = 0.0,
    ):
        self.n_layers = n_layers
        self.n_heads = n_heads
        self.n_units = n_units
        self.n_channels = n_channels
        self.dropout = dropout

    def _check_options(self):
        self._require_counts("n_layers", "n_heads", "n_units")
        self._require_fraction("dropout")
        if self.n_units % self.n_heads:
            raise ValueError(
                f"n_units={self.n_units} of Attention must be a multiple of "
                f"n_heads={self.n_heads}."
            )

    def _make_mixer(self, n_in, length, activation):
        return Transformer(self, n_in, length, activation)


def _layer(options: Attention, activation: str) -> nn.TransformerEncoderLayer:
    """torch's layer; its dropout draws from the generator of a fit."""
    width, fraction = options.n_units, options.dropout
    layer = nn.TransformerEncoderLayer(
        width,
        options.n_heads,
        2 * width,
        fraction,
        Activation(activation),
        batch_first=True,
        norm_first=True,
    )
    if fraction:
        layer.self_attn = SelfAttention(
            width, options.n_heads, fraction, batch_first=True
        )
        for name in ("dropout", "dropout1", "dropout2"):
            setattr(layer, name, Dropout(fraction))
    return layer


class Dropout(nn.Dropout):
    """Dropout by the generator of a fit."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p) if self.training else x


class SelfAttention(nn.MultiheadAttention):
    """Attention of positions to one another, whose weights are dropped out by the
    generator of a fit."""

    # The other arguments are masks, of which there are none here.
    def forward(self, query, key, value, **kwargs):  # type: ignore[override]
        if not self.training:
            return super().forward(query, key, value, **kwargs)
        # (n, length, width) to (n, n_heads, length, width / n_heads)
        parts = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        q, k, v = (p.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for p in parts)
        weights = (q @ k.mT * self.head_dim**-0.5).softmax(-1)
        h = dropout(weights, self.dropout) @ v
        return self.out_proj(h.transpose(1, 2).flatten(-2)), None


class Transformer(Mixer):
    """Positions that attend to one another, each with a learned vector of its own.

    Half precision is slower than float32 on processors.
    """

    def __init__(self, options: Attention, n_in: int, length: int, activation: str):
        super().__init__()
        self.n_outputs = width = options.n_units
        self.is_static = not options.dropout
        self.embed = nn.Linear(n_in, width)
        # Of unit variance: positions must differ from the first step on.
        self.positions = nn.Parameter(torch.randn(length, width))
        self.layers = nn.ModuleList(
            _layer(options, activation) for _ in range(options.n_layers)
        )
        self.norm = nn.LayerNorm(width)
        # Each weight is used at every position; attention adds two products of (length,
        # length) with the width, of queries with keys and of weights with values.
        n_weights = sum(p.numel() for p in self.layers.parameters())
        pairs = 2 * length**2 * width * options.n_layers
        self.n_reused = (length - 1) * n_weights + pairs
        # About sixteen vectors of a position in each layer: norms, queries, keys,
        # values, sums, and a hidden layer of twice the width.
        self.n_kept = 16 * length * width * options.n_layers

    def forward(self, h: Tensor) -> Tensor:
        h = self.embed(clamp_far(h)) + self.positions
        for layer in self.layers:
            h = layer(h)
        return self.norm(h)
