"""Convolutional bodies for images and signals."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from skae.nn._params import module_list
from skae.nn.architectures._base import (
    Activation,
    Architecture,
    Body,
    Dense,
    call,
)

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d}
_TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}
_POOLINGS = {1: nn.MaxPool1d, 2: nn.MaxPool2d}


class Convolutional(Architecture):
    r"""Convolutions for images (channels, height, width), signals (channels, length).

    On the way down each layer convolves and halves the map, rounding up; dense layers
    of `hidden_layer_sizes` lead from the smallest maps to the code. The decoder mirrors
    all of it, and cuts each map to the size that it had on the way down, so that any
    height and width will do. Without a `sample_shape` a row is a signal of one channel.
    Where neighbours are alike and a pattern means the same wherever it is, it needs
    fewer weights and rows than fully connected layers.

    Parameters
    ----------
    channels : sequence of int, default=(32, 64)
        Number of maps after each layer of the encoder; each halves the map once.
    kernel_size : int, default=3
        Width of the convolutions, odd.
    downsampling : {"stride", "max_pool"}, default="stride"
        Convolve at every other position, or take the largest of two (of 2 x 2) values.
    upsampling : {"nearest", "transposed", "pixel_shuffle"}, default="nearest"
        "nearest" repeats each value and convolves, which leaves no chequerboard [1]_;
        "transposed" is the transpose of a strided convolution, and faster;
        "pixel_shuffle" makes the new positions from channels [2]_.

    References
    ----------
    .. [1] Odena, A., Dumoulin, V. and Olah, C. (2016). Deconvolution and checkerboard
       artifacts. Distill. doi:10.23915/distill.00003.
    .. [2] Shi, W. et al. (2016). Real-time single image and video super-resolution
       using an efficient sub-pixel convolutional neural network. CVPR.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoencoderTransformer
    >>> from skae.nn.architectures import Convolutional
    >>> X = load_digits().data[:200]
    >>> model = AutoencoderTransformer(
    ...     4, architecture=Convolutional(channels=(8, 16)), sample_shape=(1, 8, 8),
    ...     hidden_layer_sizes=(32,), max_iter=3, random_state=0,
    ... )
    >>> model.fit(X).transform(X).shape
    (200, 4)
    """

    _n_dims = (2, 3)
    _shapes = "(channels, length) or (channels, height, width)"

    def __init__(
        self,
        *,
        channels: tuple[int, ...] = (32, 64),
        kernel_size: int = 3,
        downsampling: str = "stride",
        upsampling: str = "nearest",
    ):
        self.channels = channels
        self.kernel_size = kernel_size
        self.downsampling = downsampling
        self.upsampling = upsampling

    def _bodies(self, sample_shape, hidden_layer_sizes, activation, n_in, n_out):
        shape = self._row_shape(sample_shape, n_in[0])
        self._check()
        channels = shape[0], *self._counts("channels")
        sizes = [shape[1:]]
        for _ in channels[1:]:
            # Half the size, rounded up, is what strides and pooling in ceil mode give.
            sizes.append(tuple(-(-s // 2) for s in sizes[-1]))
        encoder = ConvEncoder(
            self, channels, sizes, hidden_layer_sizes, activation, n_out[0]
        )
        # Blocks of the likelihood's parameters are further channels of the last map.
        n_maps = n_out[1] // math.prod(shape[1:])  # of each parameter
        channels = n_maps, *channels[1:]
        decoder = ConvDecoder(
            self, channels, sizes, hidden_layer_sizes, activation, n_in[1]
        )
        return encoder, decoder

    def _one_channel(self, n_features):
        return 1, n_features

    def _check(self):
        self._require_counts("kernel_size")
        if self.kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size of Convolutional must be odd; got {self.kernel_size}."
            )
        if not self._counts("channels"):
            raise ValueError("channels of Convolutional must not be empty; got ().")
        self._require_one_of("downsampling", ("stride", "max_pool"))
        self._require_one_of("upsampling", ("nearest", "transposed", "pixel_shuffle"))


class ConvEncoder(Body):
    """Maps (channels[0], *sizes[0]) to dense layers, to outputs."""

    output: nn.Linear
    is_static = True

    def __init__(self, options, channels, sizes, hidden, activation, n_out):
        super().__init__()
        self.shape = channels[0], *sizes[0]
        kind = options.kernel_size, options.downsampling, activation
        self.down = module_list(
            Down(len(sizes[0]), *pair, *kind) for pair in pairwise(channels)
        )
        widths = channels[-1] * math.prod(sizes[-1]), *hidden
        self.dense = Dense(widths, activation)
        self.output = nn.Linear(widths[-1], n_out, bias=False)
        # The sizes at which convolutions compute: before pooling, the full size.
        made = sizes[1:] if options.downsampling == "stride" else sizes[:-1]
        self.n_reused, self.n_kept = count(
            [layer.conv for layer in self.down], channels[1:], made
        )

    def forward(self, x: Tensor) -> Tensor:
        # (n, d) to (n, c, height, width), or (n, c, length)
        h = x.unflatten(1, self.shape)
        for layer in self.down:
            h = layer(h)
        return call(self.output, self.dense(h.flatten(1)))


class ConvDecoder(Body):
    """Codes to dense layers, to maps (channels[0], *sizes[0])."""

    is_static = True

    def __init__(self, options, channels, sizes, hidden, activation, n_in):
        super().__init__()
        self.activation = Activation(activation)
        self.shape = channels[-1], *sizes[-1]
        self.dense = Dense((n_in, *reversed(hidden), math.prod(self.shape)), activation)
        kind = options.kernel_size, options.upsampling
        ups = [
            # The last layer, i = 0, has no bias: the skip has one for each output.
            Up(size, n_from, n_to, *kind, bias=i > 0)
            for i, (size, (n_to, n_from)) in enumerate(zip(sizes, pairwise(channels)))
        ]
        self.last = ups[0]
        self.up = module_list(reversed(ups[1:]))
        self.n_reused, self.n_kept = count(
            [up.conv for up in ups], channels[1:], sizes[:-1]
        )

    @property  # and no second name: a state holds each parameter once
    def output(self) -> nn.Module:  # type: ignore[override]
        return self.last.conv

    def forward(self, z: Tensor) -> Tensor:
        h = channels_last(self.dense(z).unflatten(1, self.shape))
        for layer in self.up:
            h = self.activation(layer(h))
        return self.last(h).flatten(1)


def count(convolutions, channels, sizes) -> tuple[int, int]:
    """Multiply-adds of a row beyond one for each weight, and numbers that it keeps."""
    positions = [math.prod(size) for size in sizes]
    n_products = sum(
        c.weight.numel() * (p - 1) for c, p in zip(convolutions, positions)
    )
    # Convolution, activation and pooling each keep a map for the backward pass.
    return n_products, 3 * sum(c * p for c, p in zip(channels, positions))


def conv_block(n_dims: int, n_in: int, n_out: int, kernel_size: int, **options):
    """A convolution that keeps the size, but for its stride."""
    # An odd kernel has as many positions on both sides.
    padding = kernel_size // 2
    return _CONVOLUTIONS[n_dims](n_in, n_out, kernel_size, padding=padding, **options)


class Down(nn.Module):
    """Halve a map, rounding up."""

    def __init__(self, n_dims, n_in, n_out, kernel_size, kind, activation):
        super().__init__()
        stride = 2 if kind == "stride" else 1
        self.conv = conv_block(n_dims, n_in, n_out, kernel_size, stride=stride)
        pooling = _POOLINGS[n_dims](2, ceil_mode=True)
        self.pool = pooling if kind == "max_pool" else nn.Identity()
        self.activation = Activation(activation)

    def forward(self, h: Tensor) -> Tensor:
        return self.pool(self.activation(channels_last(convolve(self.conv, h))))


class Up(nn.Module):
    """Double a map, then cut it to the size that it had on the way down."""

    def __init__(self, size, n_in, n_out, kernel_size, kind, bias):
        super().__init__()
        self.size, self.kind = size, kind
        n_dims = len(size)
        if kind == "transposed":
            self.conv = _TRANSPOSED[n_dims](
                n_in,
                n_out,
                kernel_size,
                stride=2,
                padding=kernel_size // 2,
                output_padding=1,
                bias=bias,
            )
        else:
            # Each group of 2**n_dims channels becomes one map of twice the size.
            n_made = n_out * 2**n_dims if kind == "pixel_shuffle" else n_out
            self.conv = conv_block(n_dims, n_in, n_made, kernel_size, bias=bias)

    def forward(self, h: Tensor) -> Tensor:
        if self.kind == "nearest":
            # Cut before the convolution: it need not compute what would be cut off.
            h = F.interpolate(h, scale_factor=2, mode="nearest")
            return self.conv(cut(h, self.size))
        h = convolve(self.conv, h)
        return cut(shuffle(h) if self.kind == "pixel_shuffle" else h, self.size)


def convolve(conv, h: Tensor) -> Tensor:
    """``conv(h)``, in single precision where half precision is wrong."""
    # Of a strided bfloat16 convolution from or to maps of width 1, oneDNN does not
    # write all of the gradients: NaN, or other values in each fit.
    is_narrow = h.shape[-1] <= 2 and max(conv.stride) > 1
    if h.dtype != torch.bfloat16 or not is_narrow:
        return conv(h)
    weights = {name: p.float() for name, p in conv.named_parameters()}
    return functional_call(conv, weights, h.float()).to(h.dtype)


def shuffle(h: Tensor) -> Tensor:
    """Channels (n, c * 2**dims, *size) to positions, as `torch.nn.PixelShuffle` in any
    number of dimensions."""
    n_dims = h.ndim - 2
    size = h.shape[2:]
    h = h.unflatten(1, (-1, *[2] * n_dims))  # (n, c, 2, ..., *size)
    order = [i for dim in range(n_dims) for i in (2 + n_dims + dim, 2 + dim)]
    h = h.permute(0, 1, *order)  # (n, c, size[0], 2, ...)
    return h.reshape(*h.shape[:2], *(2 * s for s in size))


def channels_last(h: Tensor) -> Tensor:
    """The same maps in the order of memory that convolutions of images like best."""
    return h.contiguous(memory_format=torch.channels_last) if h.ndim == 4 else h


def cut(h: Tensor, size: tuple[int, ...]) -> Tensor:
    """The first positions of maps (n, c, ...)."""
    for dim, length in enumerate(size, 2):
        if h.shape[dim] != length:  # the gradient of a cut, even of nothing, costs
            h = h.narrow(dim, 0, length)
    return h
