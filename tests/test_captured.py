"""The training step as a CUDA graph, on a processor that plays the GPU.

The graph that stands in for CUDA's keeps the operations that it sees and the memory of
their results; a replay repeats them, into that memory.
"""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from skae import AutoencoderTransformer, VAETransformer
from skae.nn.priors import PRIORS
from skae.training import _net
from skae.training._captured import captured

SMALL = {"hidden_layer_sizes": (8,), "random_state": 0, "batch_size": 9, "max_iter": 3}

# Of a value from the device, and of one to it.
READS = torch.ops.aten._local_scalar_dense.default
WRITES = torch.ops.aten.lift_fresh.default


class Graph(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (READS, WRITES):
            raise RuntimeError(f"{function} while a graph is captured")
        result = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def replay(self):
        for function, args, kwargs, result in self.calls:
            new = tree_leaves(function(*args, **kwargs))
            for mine, value in zip(tree_leaves(result), new, strict=True):
                if isinstance(mine, torch.Tensor):
                    mine.copy_(value)


@pytest.fixture
def gpu(monkeypatch):
    """What `captured` calls of `torch.cuda`; returns the graphs that were made."""
    graphs = []

    def make():
        graphs.append(Graph())
        return graphs[-1]

    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, value in {
        "device": nullcontext,
        "stream": nullcontext,
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "CUDAGraph": make,
        "graph": lambda graph: graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return graphs


def test_a_replay_computes_of_new_inputs_and_weights(gpu):
    weight = torch.tensor([1.0, 2.0])

    def function(constants, x):
        loss = (constants[0] * x).sum()
        return loss, 2 * loss

    step = captured(function, [weight], [torch.ones(2)])
    losses = [step(torch.tensor([3.0, 4.0]))[0]]
    weight.mul_(10)
    loss, double = step(torch.tensor([1.0, 1.0]))
    losses.append(loss)
    assert [float(v) for v in losses] == [11.0, 30.0]  # the first is still its own
    assert float(double) == 60.0


def reads(constants, x):
    return (x.sum() if float(x[0]) > 0 else -x.sum(),)


def writes(constants, x):
    return ((x * torch.tensor([-1.0, 1.0])).sum().abs(),)


@pytest.mark.parametrize(
    "function, fault", [(reads, "_local_scalar_dense"), (writes, "lift_fresh")]
)
def test_what_cannot_be_captured_is_called(gpu, function, fault):
    x = torch.tensor([-1.0, 3.0])
    with pytest.warns(RuntimeWarning, match=f"no CUDA graph.*{fault}"):
        step = captured(function, [], [x])
    for values in (x, -x):
        assert step(values) == function([], values)


OPTIONS = [
    (AutoencoderTransformer, {}),
    (AutoencoderTransformer, {"loss": "absolute_error"}),
    (AutoencoderTransformer, {"ordered": True, "noise": "swap", "noise_level": 0.2}),
    (AutoencoderTransformer, {"architecture": "conv", "sample_shape": (1, 8)}),
    (AutoencoderTransformer, {"architecture": "attention", "sample_shape": (4, 2)}),
    (VAETransformer, {}),
    (VAETransformer, {"ordered": True}),
    (VAETransformer, {"precision": "bfloat16"}),
    (VAETransformer, {"allow_nan": True}),
    (VAETransformer, {"kl_warmup": 0.5, "capacity": 1.0, "free_bits": 0.1}),
    *((VAETransformer, {"prior": prior}) for prior in PRIORS),
    *((VAETransformer, {"likelihood": name}) for name in ("student_t", "laplace")),
    (VAETransformer, {"likelihood": [("gaussian", [0, 1]), ("laplace", slice(2, 8))]}),
]


@pytest.mark.parametrize("estimator, options", OPTIONS, ids=str)
def test_a_captured_fit_is_the_plain_one(gpu, monkeypatch, estimator, options, curved):
    rows = curved[:60].copy()
    if "allow_nan" in options:
        rows[::3, 1] = np.nan
    monkeypatch.setattr(_net, "_STEPS_WORTH_RECORDING", 0)
    curves = []
    for recorders in ({"cpu": captured}, {}):
        monkeypatch.setattr(_net, "_RECORDERS", recorders)
        model = estimator(2, **SMALL, **options).fit(rows)
        curves.append(model.loss_curve_)
    assert curves[0] == curves[1]
    assert len(gpu) == 1 and gpu[0].calls
