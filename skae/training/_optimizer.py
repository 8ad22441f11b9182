"""AdamW for long vectors: the kernel without the bookkeeping around it."""

import importlib
import sys
import warnings

import torch


def _has_kernel() -> bool:
    """Whether torch has the fused kernel, by a name that is its own affair."""
    return hasattr(torch, "_fused_adamw_")


def _import_sympy() -> None:
    """As torch's first optimiser does, which leaves sympy's filter of warnings."""
    if "sympy" not in sys.modules:
        with warnings.catch_warnings():
            importlib.import_module("sympy")


class VectorAdamW(torch.optim.AdamW):
    """Fused AdamW whose groups have one vector each.

    `torch.optim.AdamW.step` sorts tensors by device and type, and looks for closures,
    hooks and compilers. That takes 0.1 ms, a third of the step of a small network. Here
    a group is one call of the same kernel; hooks of a step are not called.

    Parameters
    ----------
    groups : list of dict
        Each with ``params``, a list of one parameter.
    lr : float
    """

    def __init__(self, groups: list[dict], lr: float):
        _import_sympy()
        super().__init__(groups, lr=lr, fused=_has_kernel())

    @torch.no_grad()
    def step(self, closure=None):
        # The first step fills the state of each vector, in torch's own way.
        if closure or not _has_kernel() or len(self.state) < len(self.param_groups):
            return super().step(closure)
        for group in self.param_groups:
            (vector,) = group["params"]
            state = self.state[vector]
            # A tensor, as the kernel takes it, for the bias correction of both moments.
            state["step"] += 1
            beta1, beta2 = group["betas"]
            torch._fused_adamw_(
                [vector],
                [vector.grad],
                [state["exp_avg"]],
                [state["exp_avg_sq"]],
                # No running maxima: those are AMSGrad's.
                [],
                [state["step"]],
                lr=group["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )
        return None

    # torch wraps its profiler around it otherwise; functions take any attribute.
    step.hooked = True  # type: ignore[attr-defined]
