"""Base of the architectures of sequences: dense layers around a mixer of positions.

A pooled summary of a sequence stays near PCA for long. So `n_channels` values of each
position lead to the dense layers, and in the decoder the dense layers make as many.
"""

from torch import Tensor, nn

from skae.nn.architectures._base import Architecture, Body, Dense, call


class Mixer(nn.Module):
    """Base of the layers in which positions learn of one another.

    They map (n, length, n_in) to (n, length, n_outputs).

    Attributes
    ----------
    n_outputs : int
        Values of a position.
    is_static, half_precision, n_reused, n_kept
        As of `Body`.
    """

    n_outputs: int
    is_static = False
    half_precision = False
    n_reused = 0
    n_kept = 0


class SequenceArchitecture(Architecture):
    """Base of the architectures of rows (length, features); a subclass has the option
    `n_channels`, checks its options and makes its mixer."""

    n_channels: int
    _n_dims = (2,)
    _shapes = "(length, features)"

    def _bodies(self, sample_shape, hidden_layer_sizes, activation, n_in, n_out):
        shape = self._row_shape(sample_shape, n_in[0])
        self._require_counts("n_channels")
        self._check_options()
        channels = shape[0], self.n_channels
        encoder = SequenceEncoder(
            self._make_mixer(shape[1], shape[0], activation),
            shape,
            channels,
            Dense((shape[0] * self.n_channels, *hidden_layer_sizes), activation),
            n_out[0],
        )
        # The decoder's dense layers mirror the encoder's.
        backwards = n_in[1], *reversed(hidden_layer_sizes), shape[0] * self.n_channels
        decoder = SequenceDecoder(
            self._make_mixer(self.n_channels, shape[0], activation),
            channels,
            Dense(backwards, activation),
            n_out[1] // shape[0],
            n_out[1] // n_in[0],
        )
        return encoder, decoder

    def _one_channel(self, n_features):
        return n_features, 1

    def _check_options(self) -> None:
        raise NotImplementedError

    def _make_mixer(self, n_in: int, length: int, activation: str) -> Mixer:
        raise NotImplementedError


class SequenceBody(Body):
    """Base of both sides; its traits are those of the mixer."""

    output: nn.Linear

    def __init__(self, mixer: Mixer, dense: Dense):
        super().__init__()
        self.mixer, self.dense = mixer, dense
        self.is_static, self.half_precision = mixer.is_static, mixer.half_precision
        self.n_reused, self.n_kept = mixer.n_reused, mixer.n_kept


class SequenceEncoder(SequenceBody):
    """Sequences to the mixer, to dense layers, to outputs."""

    def __init__(self, mixer, shape, channels, dense, n_out):
        super().__init__(mixer, dense)
        self.shape = shape
        self.narrow = nn.Linear(mixer.n_outputs, channels[1])
        self.output = nn.Linear(dense.n_outputs, n_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # (n, length, features) to (n, length, n_channels)
        h = self.narrow(self.mixer(x.unflatten(1, self.shape)))
        return call(self.output, self.dense(h.flatten(1)))


class SequenceDecoder(SequenceBody):
    """Codes to dense layers, to the mixer, to outputs of each position."""

    def __init__(self, mixer, channels, dense, n_values, n_params):
        super().__init__(mixer, dense)
        self.channels, self.n_params = channels, n_params
        self.output = nn.Linear(mixer.n_outputs, n_values, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        # (n, length, n_outputs)
        h = self.mixer(self.dense(z).unflatten(1, self.channels))
        # Blocks of the likelihood's parameters come first in a flat row: (n, length,
        # n_params, features) to (n, n_params, length, features).
        blocks = self.output(h).unflatten(2, (self.n_params, -1))
        return blocks.transpose(1, 2).flatten(1)
