"""Linear maps whose float32 products go to the fastest kernel of the processor."""

import torch
from torch import Tensor
from torch.nn import functional as F

# Below this many multiply-adds a product is bound by the calls around it.
_WORTH_DISPATCHING = 2**23


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``, as `torch.nn.functional.linear`.

    On processors, torch computes float32 products with MKL, which does not use AVX-512
    on every vendor's chip; oneDNN, which torch ships as well, does. Large products of
    two matrices therefore take oneDNN's kernel, with float32's error. Gradients of
    weights do not: both of their factors are transposed, and MKL is faster there.
    """
    if _uses_onednn(x, weight):
        return _OneDNNLinear.apply(x, weight, bias)
    return F.linear(x, weight, bias)


def _uses_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.ndim == 2
        and x.shape[0] * weight.numel() >= _WORTH_DISPATCHING
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class _OneDNNLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient):  # (n, n_out)
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, _ = ctx.needs_input_grad
        return (
            linear(gradient, weight.T) if needs_x else None,
            gradient.T @ x if needs_weight else None,
            gradient.sum(0) if ctx.has_bias else None,
        )
