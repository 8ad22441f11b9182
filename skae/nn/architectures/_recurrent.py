"""Recurrent bodies for sequences."""

import warnings
from contextlib import nullcontext

from torch import Tensor, nn

from skae.nn.architectures._sequence import Mixer, SequenceArchitecture

_CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


class Recurrent(SequenceArchitecture):
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

    def _check_options(self):
        self._require_one_of("cell", tuple(_CELLS))
        self._require_counts("n_layers", "n_units")

    def _make_mixer(self, n_in, length, activation):
        return RecurrentLayers(self, n_in, length)


class RecurrentLayers(Mixer):
    """Positions read one after the other, from one end or both.

    Half precision is slow on processors.
    """

    def __init__(self, options: Recurrent, n_in: int, length: int):
        super().__init__()
        self.rnn = _CELLS[options.cell](
            n_in,
            options.n_units,
            options.n_layers,
            batch_first=True,
            bidirectional=options.bidirectional,
        )
        self.n_outputs = options.n_units * (1 + options.bidirectional)
        # Each weight is used at every position; the first use is counted as a weight.
        n_weights = sum(p.numel() for p in self.rnn.parameters())
        self.n_reused = (length - 1) * n_weights
        # Gates and states of a cell at each position, in float32.
        self.n_kept = 8 * length * options.n_layers * self.n_outputs

    def train(self, mode: bool = True) -> "RecurrentLayers":
        super().train(mode)
        # cuDNN has no gradient in evaluation, and without dropout nothing differs.
        self.rnn.train()
        return self

    def forward(self, h: Tensor) -> Tensor:
        with warnings.catch_warnings() if h.is_cuda else nullcontext():
            if h.is_cuda:
                # The weights are views of one vector of the whole model.
                warnings.filterwarnings("ignore", message="RNN module weights")
            return self.rnn(h)[0]
