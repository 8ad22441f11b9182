"""Recurrent bodies for sequences."""

import warnings
from contextlib import nullcontext

from torch import Tensor, nn

from skae.nn._linear import linear
from skae.nn.architectures._base import Architecture, Body, Dense

_CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


class Recurrent(Architecture):
    r"""Recurrent layers for sequences of shape (length, features).

    The encoder reads the sequence, in both directions; a few values of each position go
    through dense layers of `hidden_layer_sizes` to the code. The decoder mirrors all of
    it: it is given a few values for each position, which dense layers make from the
    code, and does not feed on its own output, so that errors do not add up. Without a
    `sample_shape` a row is a sequence of single numbers. The time of a step grows with
    the length.

    Parameters
    ----------
    cell : {"gru", "lstm"}, default="gru"
        Gated recurrent units [1]_ or long short-term memory [2]_.
    n_layers : int, default=1
        Layers on top of one another, in the encoder and in the decoder.
    n_units : int, default=64
        Size of a layer's state in each direction.
    n_channels : int, default=8
        Values of a position that the dense layers see, and make in the decoder.
    bidirectional : bool, default=True
        Whether sequences are also read from their end.

    References
    ----------
    .. [1] Cho, K. et al. (2014). Learning phrase representations using RNN
       encoder-decoder for statistical machine translation. EMNLP.
    .. [2] Hochreiter, S. and Schmidhuber, J. (1997). Long short-term memory. Neural
       Computation, 9(8), 1735-1780.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import AutoencoderTransformer
    >>> from skae.nn.architectures import Recurrent
    >>> phases = np.random.default_rng(0).uniform(0, 2 * np.pi, (100, 1))
    >>> X = np.sin(np.arange(16) + phases)
    >>> model = AutoencoderTransformer(
    ...     2, architecture=Recurrent(n_units=8), sample_shape=(16, 1),
    ...     hidden_layer_sizes=(8,), max_iter=3, random_state=0,
    ... )
    >>> model.fit(X).transform(X).shape
    (100, 2)
    """

    _n_dims = (2,)
    _shapes = "(length, features)"

    def __init__(
        self,
        *,
        cell: str = "gru",
        n_layers: int = 1,
        n_units: int = 64,
        n_channels: int = 8,
        bidirectional: bool = True,
    ):
        self.cell = cell
        self.n_layers = n_layers
        self.n_units = n_units
        self.n_channels = n_channels
        self.bidirectional = bidirectional

    def __call__(self, sample_shape, hidden_layer_sizes, activation, n_in, n_out):
        """Return the encoder and the decoder body; see `Architecture`."""
        shape = self._row_shape(sample_shape, n_in[0])
        self._require_one_of("cell", tuple(_CELLS))
        self._require_counts("n_layers", "n_units", "n_channels")
        encoder = RecurrentEncoder(
            self, shape, hidden_layer_sizes, activation, n_out[0]
        )
        n_values = n_out[1] // shape[0]  # of a position
        decoder = RecurrentDecoder(
            self, shape, hidden_layer_sizes, activation, n_in[1], n_values
        )
        return encoder, decoder

    def _one_channel(self, n_features):
        return n_features, 1

    def _make_rnn(self, n_in):
        return _CELLS[self.cell](
            n_in,
            self.n_units,
            self.n_layers,
            batch_first=True,
            bidirectional=self.bidirectional,
        )


class RecurrentBody(Body):
    """What both sides share: how the recurrent layers are run."""

    half_precision = False  # slow on processors

    def train(self, mode: bool = True) -> "RecurrentBody":
        super().train(mode)
        # cuDNN has no gradient in evaluation, and without dropout nothing differs.
        self.rnn.train()
        return self

    def run(self, h: Tensor) -> Tensor:
        """Outputs (n, length, units) of inputs (n, length, n_in)."""
        with warnings.catch_warnings() if h.is_cuda else nullcontext():
            if h.is_cuda:
                # The weights are views of one vector of the whole model.
                warnings.filterwarnings("ignore", message="RNN module weights")
            return self.rnn(h)[0]

    def set_counts(self, length: int) -> None:
        n_weights = sum(p.numel() for p in self.rnn.parameters())
        self.n_reused = (length - 1) * n_weights
        self.n_kept = 8 * length * self.rnn.num_layers * self.n_outputs

    @property
    def n_outputs(self) -> int:
        return self.rnn.hidden_size * (1 + self.rnn.bidirectional)


class RecurrentEncoder(RecurrentBody):
    """Sequences to a recurrent net, to dense layers, to outputs."""

    def __init__(self, options, shape, hidden, activation, n_out):
        super().__init__()
        self.shape = shape
        self.rnn = options._make_rnn(shape[1])
        self.narrow = nn.Linear(self.n_outputs, options.n_channels)
        widths = shape[0] * options.n_channels, *hidden
        self.dense = Dense(widths, activation)
        self.output = nn.Linear(widths[-1], n_out, bias=False)
        self.set_counts(shape[0])

    def forward(self, x: Tensor) -> Tensor:
        h = self.narrow(self.run(x.unflatten(1, self.shape)))
        return linear(self.dense(h.flatten(1)), self.output.weight)


class RecurrentDecoder(RecurrentBody):
    """Codes to dense layers, to a recurrent net over positions, to outputs."""

    def __init__(self, options, shape, hidden, activation, n_in, n_values):
        super().__init__()
        self.n_params = n_values // shape[1]
        self.narrow_shape = shape[0], options.n_channels
        width = shape[0] * options.n_channels
        self.dense = Dense((n_in, *reversed(hidden), width), activation)
        self.rnn = options._make_rnn(options.n_channels)
        self.output = nn.Linear(self.n_outputs, n_values, bias=False)
        self.set_counts(shape[0])

    def forward(self, z: Tensor) -> Tensor:
        h = self.run(self.dense(z).unflatten(1, self.narrow_shape))
        return by_params(self.output(h), self.n_params)


def by_params(values: Tensor, n_params: int) -> Tensor:
    """Values (n, length, n_params * features) as blocks, one for each parameter."""
    return values.unflatten(2, (n_params, -1)).transpose(1, 2).flatten(1)
