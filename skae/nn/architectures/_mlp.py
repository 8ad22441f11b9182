"""Fully connected encoder and decoder bodies."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from skae.nn._activations import ACTIVATIONS
from skae.nn._params import module_list
from skae.nn._random import dropout
from skae.nn.architectures._base import Architecture, Body, call, clamp_far, is_plain


class MLP(Architecture):
    r"""Fully connected layers: the choice for tables.

    A layer of `hidden_layer_sizes` computes

    .. math:: h' = \phi(\mathrm{norm}(W h + b)),

    with the activation :math:`\phi`; residual ones add their input `h` [1]_. Without
    hidden layers the model is linear. `sample_shape` is not used: rows are flat.

    Parameters
    ----------
    dropout : float, default=0.0
        Fraction of each hidden layer's values that a step of the training sets to zero
        [2]_. For tables of few rows.
    layer_norm : bool, default=False
        Whether the values of a layer are normalised within their row before the
        activation [3]_. It steadies deep networks.
    residual : bool, default=False
        Whether a layer adds its input, where the widths agree; layers of another width
        stay plain. For many layers of one width: ``hidden_layer_sizes=(256,) * 4``.
    decoder_layer_sizes : sequence of int or None, default=None
        Widths of the decoder's hidden layers, from the code on. None mirrors the
        encoder; ``()`` is a linear decoder.

    References
    ----------
    .. [1] Gorishniy, Y. et al. (2021). Revisiting deep learning models for tabular
       data. NeurIPS.
    .. [2] Srivastava, N. et al. (2014). Dropout: a simple way to prevent neural
       networks from overfitting. Journal of Machine Learning Research, 15, 1929-1958.
    .. [3] Ba, J. L., Kiros, J. R. and Hinton, G. E. (2016). Layer normalization.
       arXiv:1607.06450.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoencoderTransformer
    >>> from skae.nn.architectures import MLP
    >>> X = load_digits().data[:200]
    >>> model = AutoencoderTransformer(
    ...     4, architecture=MLP(residual=True, decoder_layer_sizes=(64,)),
    ...     hidden_layer_sizes=(32, 32), max_iter=3, random_state=0,
    ... )
    >>> model.fit(X).transform(X).shape
    (200, 4)
    """

    def __init__(
        self,
        *,
        dropout: float = 0.0,
        layer_norm: bool = False,
        residual: bool = False,
        decoder_layer_sizes: tuple[int, ...] | None = None,
    ):
        self.dropout = dropout
        self.layer_norm = layer_norm
        self.residual = residual
        self.decoder_layer_sizes = decoder_layer_sizes

    def _bodies(self, sample_shape, hidden_layer_sizes, activation, n_in, n_out):
        self._require_fraction("dropout")
        widths = hidden_layer_sizes, tuple(reversed(hidden_layer_sizes))
        if self.decoder_layer_sizes is not None:
            widths = hidden_layer_sizes, self._counts("decoder_layer_sizes")
        sides = zip(n_in, widths, n_out)
        return tuple(self._body(*side, activation) for side in sides)

    def _body(self, n_in, hidden, n_out, activation):
        if not hidden:
            return None
        return MLPBody(
            (n_in, *hidden, n_out),
            activation,
            dropout=self.dropout,
            layer_norm=self.layer_norm,
            residual=self.residual,
        )


class MLPBody(Body):
    """Multilayer perceptron that can carry a linear map along.

    Called with a ``skip`` pair (weight, bias), it adds ``x @ weight.T`` to the first
    outputs within its last product, and `bias` to all. Its own output layer has none.
    """

    output: nn.Linear
    hidden_widths: tuple[int, ...]
    carries_skip = True
    is_static = True

    def __init__(
        self,
        widths: tuple[int, ...],
        activation: str,
        *,
        dropout: float = 0.0,
        layer_norm: bool = False,
        residual: bool = False,
    ):
        super().__init__()
        self.activation = activation
        self.dropout, self.residual = dropout, residual
        if dropout:
            # Dropout draws: a recorded step would drop the same values each time.
            self.is_static = False
        *hidden, output = pairwise(widths)
        self.hidden = module_list(nn.Linear(*sizes) for sizes in hidden)
        self.hidden_widths = tuple(width for _, width in hidden)
        self.n_kept = sum(self.hidden_widths)
        normed = self.hidden_widths if layer_norm else ()
        self.norms = module_list(nn.LayerNorm(width) for width in normed)
        # The skip has a bias for each output already.
        self.output = nn.Linear(*output, bias=False)

    @property
    def input_weight(self) -> Tensor:
        return self.hidden[0].weight

    def hidden_values(self, x: Tensor) -> list[Tensor]:
        activation = ACTIVATIONS[self.activation]
        values = []
        h = clamp_far(x) if self.norms else x
        for i, layer in enumerate(self.hidden):
            value = call(layer, h)  # (n, width)
            if self.norms:
                value = self.norms[i](value)
            value = activation(value)
            if self.dropout and self.training:
                value = dropout(value, self.dropout)
            # Only layers whose input and output have one width are residual.
            is_added = self.residual and layer.in_features == layer.out_features
            h = h + value if is_added else value
            values.append(h)
        return values

    def forward(self, x: Tensor, skip: tuple[Tensor, Tensor] | None = None) -> Tensor:
        h = self.hidden_values(x)[-1]
        if skip is None:
            return call(self.output, h)
        weight, bias = skip
        # One product with the bias instead of a product and a sum.
        if is_plain(self.output):
            value = F.linear(h, self.output.weight, bias)
        else:
            value = self.output(h) + bias
        if len(weight) == len(bias):
            return value.addmm_(x, weight.T)  # in place: a copy costs as much
        # The skip adds to the means, and zeros to the likelihood's other parameters.
        return value + F.pad(F.linear(x, weight), (0, len(bias) - len(weight)))
