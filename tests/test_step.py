"""The training step: recorded by FX, as a CUDA graph, or not at all.

The CUDA graphs are on a processor that plays the GPU. The graph that stands in for
CUDA's keeps the operations that it sees and the memory of their results; a replay
repeats them, into that memory.
"""

import copy
import warnings
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from models import make_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from skae import AutoencoderTransformer, VAETransformer
from skae.nn.architectures import MLP, Body, MLPBody
from skae.nn.likelihoods import Gaussian
from skae.nn.priors import PRIORS, Normal, Prior
from skae.training import _step, _trainer
from skae.training._flat_parameters import FlatParameters, flat_vectors
from skae.training._step import GradientStep, captured, recorded, traced

SMALL = {"hidden_layer_sizes": (8,), "random_state": 0, "batch_size": 9, "max_iter": 3}
LONG = {**SMALL, "batch_size": 4, "max_iter": 12}  # 1,080 steps on 400 rows

# Rounding of a gradient, as a fraction of its largest element.
EPS = {"float32": 1e-6, "bfloat16": 8e-3}

both = pytest.mark.parametrize("estimator", [AutoencoderTransformer, VAETransformer])


@pytest.fixture
def set_recorder(monkeypatch):
    """Function that sets what records the steps of fits on a processor."""

    def set_to(record):
        recorders = {} if record is None else {"cpu": record}
        monkeypatch.setattr(_trainer, "_RECORDERS", recorders)

    return set_to


# FX.


def random_parameters(precision):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = make_model(Gaussian(5), 2, Normal(2), hidden_layer_sizes=(6,))
        for p in model.skip.parameters():
            torch.nn.init.normal_(p)
    return flat_parameters(model, precision)


def flat_parameters(model, precision):
    vectors = [group["params"][0] for group in flat_vectors(model)]
    return FlatParameters(model, vectors, precision, 1)


def random_inputs(precision):
    """Of two steps."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 9, 5, generator=generator).to(getattr(torch, precision))
    base_samples = torch.randn(2, 9, 2, generator=generator)
    return [{"x": x[i], "base_samples": base_samples[i]} for i in range(2)]


def negative_bound(terms):
    return (terms.divergence - terms.log_likelihood).mean()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_traced_step_is_the_plain_one(precision):
    """Also after the weights have moved: the trace reads them where they lie."""
    flat, other = random_parameters(precision), random_parameters(precision)
    inputs = random_inputs(precision)
    steps = [
        GradientStep(parameters, negative_bound, inputs[0], record)
        for parameters, record in ((flat, traced), (other, None))
    ]
    for given in inputs:
        values = [step(given) for step in steps]
        assert torch.equal(*values)
        for mine, truth in zip(flat.vectors, other.vectors):
            # The last bit of a product depends on the address that it is written to.
            largest = truth.grad.abs().max()
            torch.testing.assert_close(
                mine.grad, truth.grad, rtol=0, atol=float(EPS[precision] * largest)
            )
        with torch.no_grad():
            for vector in (*flat.vectors, *other.vectors):
                vector.mul_(1.3)
        flat.update()
        other.update()


def test_a_trace_computes_of_other_inputs_what_the_function_does():
    """Also with views of views, what undoes itself, and a piece that is used twice."""
    generator = torch.Generator().manual_seed(0)
    weight, x, other = torch.randn(3, 4, 4, generator=generator)

    def function(constants, x):
        product, total = x @ constants[0].T, x.sum(0)
        flat = product.neg().neg().reshape(2, 8).reshape(-1)
        used = (x.T @ x).T.T.reshape(-1)
        joined = torch.cat([flat, total, total, used, x[0]])
        ones = torch.ones_like(x) * 2
        return used.sum(), joined, torch.cat([product, x, ones, x.detach()])

    step = traced(function, [weight], [x])
    for factor in (1, 3):
        weight.mul_(factor)
        for rows in (x, other):
            for value, truth in zip(step(rows), function([weight], rows), strict=True):
                torch.testing.assert_close(value, truth)


class Shared(Body):
    """A last layer by two names, and a weight that two layers have."""

    is_static = True

    def __init__(self, n_in, n_out):
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(n_in, 4), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, n_out)]
        )
        self.layers[2].weight = self.layers[1].weight
        self.output = self.layers[3]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).tanh()
        return x


@pytest.mark.parametrize("n_calls", [1, 3])
def test_layers_and_weights_may_be_shared(n_calls):
    """A trace may call the function more than once before it is kept."""

    def record(function, constants, inputs):
        for _ in range(n_calls):
            step = traced(function, constants, inputs)
        return step

    def bodies(sample_shape, hidden_layer_sizes, activation, n_in, n_out):
        return tuple(map(Shared, n_in, n_out))

    model = make_model(Gaussian(5), 2, Normal(2), architecture=bodies)
    values = []
    for recorder in (record, None):
        flat = flat_parameters(copy.deepcopy(model), "float32")
        given = random_inputs("float32")
        names = [name for name, _ in flat.compute_copy.named_parameters()]
        step = GradientStep(flat, negative_bound, given[0], recorder)
        assert [name for name, _ in flat.compute_copy.named_parameters()] == names
        values.append([step(given[1]), *(vector.grad for vector in flat.vectors)])
    for mine, truth in zip(*values, strict=True):
        torch.testing.assert_close(mine, truth)


class Users(Prior):
    """Whose parameters the objective alone reads."""

    def __init__(self, n_components, n_features=None):
        super().__init__(n_components)
        self.loc = nn.Parameter(torch.full((n_components,), 0.3))

    def log_prob(self, z):
        return -0.5 * (z - self.loc).square().sum(-1)


def test_a_traced_step_reaches_the_prior():
    gradients = []
    for record in (traced, None):
        model = make_model(Gaussian(5), 2, Users(2))
        flat, given = flat_parameters(model, "float32"), random_inputs("float32")
        GradientStep(flat, negative_bound, given[0], record)(given[1])
        gradients.append(flat.vectors[-1].grad)
    assert gradients[0].all()
    torch.testing.assert_close(*gradients)


@both
def test_a_long_fit_is_traced_and_a_body_of_unknown_kind_is_not(
    estimator, set_recorder, monkeypatch, curved
):
    calls = []

    def spy(*args):
        calls.append(args)
        return traced(*args)

    set_recorder(spy)
    model = estimator(2, **LONG).fit(curved)
    assert len(calls) == 1
    monkeypatch.setattr(MLPBody, "is_static", False)
    plain = estimator(2, **LONG).fit(curved)
    assert len(calls) == 1
    # A thousand steps enlarge the rounding of the first.
    np.testing.assert_allclose(model.loss_curve_, plain.loss_curve_, rtol=1e-3)


NOT_RECORDED = [
    (AutoencoderTransformer, {"max_iter": 4}),  # too few steps to pay
    (AutoencoderTransformer, {"penalty": "contractive"}),
    (AutoencoderTransformer, {"architecture": MLP(dropout=0.5)}),
    (VAETransformer, {"n_draws": 2}),
]


@pytest.mark.parametrize("estimator, params", NOT_RECORDED, ids=str)
def test_what_no_record_repeats_is_not_recorded(
    estimator, params, set_recorder, curved
):
    calls = []
    set_recorder(lambda *args: calls.append(args))
    estimator(2, **{**LONG, "max_iter": 5, **params}).fit(curved)
    assert not calls


def test_what_cannot_be_traced_is_computed_as_usual(set_recorder, monkeypatch, curved):
    """Whatever a version of torch raises: the same bits as without a recorder."""

    def fail(function):
        raise AssertionError("make_fx is not what it was")

    monkeypatch.setattr(_step, "make_fx", fail)
    with pytest.warns(RuntimeWarning, match="could not be recorded.*not what it was"):
        model = VAETransformer(2, **LONG).fit(curved)
    set_recorder(None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = VAETransformer(2, **LONG).fit(curved)
    assert model.loss_curve_ == plain.loss_curve_
    assert np.array_equal(model.transform(curved), plain.transform(curved))
    assert np.array_equal(model.score_samples(curved), plain.score_samples(curved))


# CUDA graphs.

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
    with pytest.warns(RuntimeWarning, match=f"could not be recorded.*{fault}"):
        step = recorded(captured, function, [], [x], partial(function, []))
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
def test_a_captured_fit_is_the_plain_one(
    gpu, set_recorder, monkeypatch, estimator, options, curved
):
    rows = curved[:60].copy()
    if "allow_nan" in options:
        rows[::3, 1] = np.nan
    monkeypatch.setattr(_trainer, "_MIN_STEPS_TO_RECORD", 0)
    curves = []
    for record in (captured, None):
        set_recorder(record)
        model = estimator(2, **SMALL, **options).fit(rows)
        curves.append(model.loss_curve_)
    assert curves[0] == curves[1]
    assert len(gpu) == 1 and gpu[0].calls
