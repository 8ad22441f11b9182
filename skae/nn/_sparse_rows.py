"""Batches of sparse rows: linear maps and squared errors from the stored entries alone.

The error of a linear output layer needs no output: with ``y = b + V h``,

.. math:: \\|x - y\\|^2 = \\|x - b\\|^2 - 2 h' V' (x - b) + h' (V' V) h,

where the products with x are sparse, and V'V is one for all rows of a batch (Vincent,
de Brebisson and Bouthillier, 2015, efficient exact gradient update for training deep
networks with very large sparse targets).
"""

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from skae.nn._outputs import Terms
from skae.nn.architectures._base import has_hooks, is_plain
from skae.nn.architectures._mlp import MLPBody
from skae.nn.likelihoods import SquaredError

if TYPE_CHECKING:  # it imports this module
    from skae.nn._model import LatentModel


class SparseRows:
    """Standardized rows ``S - shift`` (n, d), float32, that a layer takes for a tensor.

    Parameters
    ----------
    values, transposed : Tensor of shape (n, d) and (d, n)
        S and its transpose, in torch's CSR format: each direction of a gradient has
        the rows that it sums over.
    shift : Tensor of shape (d,)
        Zeros, standardized, with a minus.
    """

    def __init__(self, values: Tensor, transposed: Tensor, shift: Tensor):
        self.values, self.transposed, self.shift = values, transposed, shift
        self.shape, self.dtype, self.device = values.shape, shift.dtype, shift.device

    def __len__(self) -> int:
        return self.shape[0]

    def to(self, dtype: torch.dtype) -> "SparseRows":
        assert dtype == self.dtype  # half precision is for dense rows
        return self

    def to_dense(self) -> Tensor:
        return self.values.to_dense() - self.shift

    def times(self, matrix: Tensor) -> Tensor:
        """``S @ matrix`` (n, m), of a dense matrix (d, m)."""
        return _Product.apply(self.values, self.transposed, matrix)

    def linear(self, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """``F.linear(x, weight, bias)``; the shift goes to the bias."""
        own = -(weight @ self.shift)
        return self.times(weight.T) + (own if bias is None else own + bias)

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is F.linear:
            return args[0].linear(*args[1:], **(kwargs or {}))
        if function is Tensor.addmm_:  # of a skip, whose weight is transposed
            value, x, weight = args
            return value + x.linear(weight.T)
        return NotImplemented


class _Product(torch.autograd.Function):
    """``S @ matrix``, with a dense gradient of the matrix."""

    @staticmethod
    def forward(ctx, values, transposed, matrix):
        ctx.transposed = transposed
        return values @ matrix

    @staticmethod
    def backward(ctx, gradient):
        return None, None, ctx.transposed @ gradient


def takes_sparse_rows(model: "LatentModel") -> bool:
    """Whether a step of the training can do without dense rows: a plain multilayer
    perceptron, or a linear model, with point codes and the squared error."""
    others = model.prior, model.penalty, model.ordered, model.imputer
    return (
        type(model.likelihood) is SquaredError
        and not any(part is not None for part in others)
        and all(map(_is_plain_body, model.bodies))
    )


def _is_plain_body(body) -> bool:
    return (
        type(body) is MLPBody
        # Normalisation and residual layers do more with their input than multiply it.
        and not (body.norms or body.residual or has_hooks(body))
        and is_plain(body.hidden[0])
        and is_plain(body.output)
    )


def sparse_terms(model: "LatentModel", x: SparseRows) -> Terms:
    """Terms of the objective of a batch; they have no output of the decoder."""
    q = model.encode(x)  # type: ignore[arg-type]
    inner, outer, decoder = (
        q.mean,
        cast(Tensor, model.skip.decode_weight),
        model.decoder,
    )
    if decoder is not None:
        assert isinstance(decoder, MLPBody)
        inner = torch.cat([decoder.hidden_values(inner)[-1], inner], 1)
        outer = torch.cat([decoder.output.weight, outer], 1)
    error = squared_error(x, inner, outer, model.skip.decode_bias)
    return Terms(-error, error.new_zeros(len(error), 0), q.mean, q, None)


def squared_error(x: SparseRows, inner: Tensor, outer: Tensor, bias: Tensor) -> Tensor:
    """Squared distance (n,) of rows from ``bias + inner @ outer.T``, of (n, m) and
    (d, m)."""
    shift = x.shift + bias  # rows less the bias are S - shift
    squares = torch.sparse_csr_tensor(
        x.values.crow_indices(),
        x.values.col_indices(),
        x.values.values().square(),
        x.shape,
        check_invariants=False,
    ) @ torch.ones_like(shift)
    along = x.times(shift[:, None]).squeeze(1)
    norms = squares - 2 * along + shift.square().sum()
    cross = ((x.times(outer) - shift @ outer) * inner).sum(1)
    return norms - 2 * cross + ((inner @ (outer.T @ outer)) * inner).sum(1)
