"""The oneDNN path of linear maps against float64."""

import pytest
import torch
from torch.nn import functional as F

from skae.nn._linear import _uses_onednn, linear

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN"
)

N, N_IN, N_OUT = 768, 160, 96  # 11.8 million multiply-adds: above the threshold


def inputs(n=N, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = (n, N_IN), (N_OUT, N_IN), (N_OUT,)
    tensors = [torch.randn(s, generator=generator) for s in shapes]
    return [t.to(dtype).requires_grad_() for t in tensors]


def gradients(function, tensors):
    return torch.autograd.grad(function(*tensors).sin().sum(), tensors)


def relative_error(value, truth):
    return ((value - truth).norm() / truth.norm()).item()


@needs_onednn
def test_large_float32_products_take_onednn():
    x, weight, _ = inputs()
    assert _uses_onednn(x, weight)
    assert not _uses_onednn(x[:4], weight)
    assert not _uses_onednn(x.double(), weight.double())


@pytest.mark.parametrize("with_bias", [True, False])
def test_value_and_gradient_are_those_of_float64(with_bias):
    single = inputs()[: 2 + with_bias]
    double = [t.detach().double().requires_grad_() for t in single]
    assert relative_error(linear(*single), F.linear(*double)) < 1e-6
    # The sines' arguments reach 40: their cosines carry 40 times float32's rounding.
    mine, truth = gradients(linear, single), gradients(F.linear, double)
    for g, t in zip(mine, truth, strict=True):
        assert g.dtype == torch.float32 and g.shape == t.shape
        assert relative_error(g, t) < 1e-5


def test_the_error_is_no_larger_than_torch_s_own():
    single = inputs()
    truth = F.linear(*(t.double() for t in single))
    mine, own = linear(*single), F.linear(*single)
    assert relative_error(mine, truth) < 2 * relative_error(own, truth)


def test_transposed_and_sliced_inputs():
    x, weight, bias = inputs()
    wide = torch.randn(N, N_IN + 7, generator=torch.Generator().manual_seed(1))
    for rows, matrix in ((wide[:, :N_IN], weight), (x, weight.T.contiguous().T)):
        truth = F.linear(rows.double(), matrix.double(), bias.double())
        assert relative_error(linear(rows, matrix, bias), truth) < 1e-6


@pytest.mark.parametrize("which", range(3))
def test_gradient_of_one_input_alone(which):
    tensors = [t.detach() for t in inputs()]
    tensors[which].requires_grad_()
    (g,) = torch.autograd.grad(linear(*tensors).square().sum(), tensors[which])
    double = [t.detach().double() for t in tensors]
    double[which].requires_grad_()
    (t,) = torch.autograd.grad(F.linear(*double).square().sum(), double[which])
    assert relative_error(g, t) < 1e-5


def test_second_derivatives_pass_through():
    def penalty(function, x, weight, bias):
        (g,) = torch.autograd.grad(
            function(x, weight, bias).sin().sum(), x, create_graph=True
        )
        return torch.autograd.grad(g.square().sum(), weight)[0]

    single = inputs()
    double = [t.detach().double().requires_grad_() for t in single]
    mine, truth = penalty(linear, *single), penalty(F.linear, *double)
    assert relative_error(mine, truth) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_small_products_are_torch_s(dtype):
    tensors = inputs(n=3, dtype=dtype)
    assert torch.equal(linear(*tensors), F.linear(*tensors))
