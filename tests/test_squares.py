"""Sums of squares against float64, and the derivatives of their derivatives."""

import torch

from skae.nn._squares import sum_of_squares


def rows(dtype):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 300, generator=generator, dtype=torch.float64).to(dtype)


def test_first_and_second_derivatives():
    x = rows(torch.float64)[:, :4].requires_grad_()
    assert torch.autograd.gradcheck(sum_of_squares, x)
    assert torch.autograd.gradgradcheck(sum_of_squares, x)


def test_half_precision_is_summed_in_single():
    x = rows(torch.bfloat16)
    truth = x.double().square().sum(-1).float()
    torch.testing.assert_close(sum_of_squares(x), truth)


def test_gradient_of_half_precision_is_rounded_once():
    x = rows(torch.bfloat16).requires_grad_()
    (gradient,) = torch.autograd.grad(sum_of_squares(x).sum(), x)
    assert torch.equal(gradient, 2 * x)


def test_batched_as_a_loop():
    x = rows(torch.float64)
    batched = torch.func.vmap(sum_of_squares)(x)
    torch.testing.assert_close(batched, torch.stack([sum_of_squares(v) for v in x]))
    jacobian = torch.func.vmap(torch.func.grad(sum_of_squares))(x)
    torch.testing.assert_close(jacobian, 2 * x)
