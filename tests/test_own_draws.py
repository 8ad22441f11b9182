"""Draws of a fit are its own: nothing that belongs to the process is seeded or read."""

import os
import pickle
import re
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import Laplace, StudentT
from torch.nn import functional as F

from skae import AutoencoderTransformer, VAETransformer
from skae.nn._own_draws import current_generator, drawing_from
from skae.nn.architectures import MLP, Attention, Convolutional, Recurrent
from skae.training import _trainer


def own_bodies(shape, hidden, activation, n_in, n_out):
    """Layers that draw, and one that asks for the default dtype."""
    return tuple(
        nn.Sequential(nn.Linear(a, 8), nn.Dropout(0.1), nn.Linear(8, 6), Shift(6, b))
        for a, b in zip(n_in, n_out, strict=True)
    )


class Shift(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in))

    def forward(self, x):
        if self.training:
            x = F.dropout(x + 0.1 * torch.rand(x.shape), 0.1)
        return x @ self.weight.T


def own_penalty(model, x, terms):
    return (terms.z - torch.randn_like(terms.z)).square().mean()


def own_noise(x, level, generator):
    return x + level * torch.randn(x.shape)


CASES = [
    (AutoencoderTransformer, {}),
    (AutoencoderTransformer, {"init": "random", "precision": "bfloat16"}),
    (AutoencoderTransformer, {"penalty": "mmd", "noise": "swap", "noise_level": 0.1}),
    (AutoencoderTransformer, {"penalty": ["adversarial", "contractive"]}),
    (AutoencoderTransformer, {"ordered": True, "allow_nan": True}),
    (AutoencoderTransformer, {"architecture": MLP(dropout=0.2)}),
    (AutoencoderTransformer, {"architecture": Attention(dropout=0.2, n_units=8)}),
    (AutoencoderTransformer, {"architecture": Convolutional(channels=(4,))}),
    (AutoencoderTransformer, {"architecture": Recurrent(n_units=4)}),
    (AutoencoderTransformer, {"architecture": own_bodies}),
    (AutoencoderTransformer, {"penalty": own_penalty}),
    (AutoencoderTransformer, {"noise": own_noise, "noise_level": 0.1}),
    (VAETransformer, {"ordered": True}),
    (VAETransformer, {"allow_nan": True, "prior": "mixture", "penalty": "mmd"}),
    (VAETransformer, {"prior": "vamp", "likelihood": "student_t"}),
    (VAETransformer, {"prior": StudentT(5.0), "penalty": "mmd"}),
    (VAETransformer, {"n_draws": 2}),
]
# By name: processes of one test run must agree, and addresses of functions differ.
cases = pytest.mark.parametrize(
    "estimator, options",
    CASES,
    ids=[re.sub(" at 0x[0-9a-f]+", "", f"{e.__name__}-{o}") for e, o in CASES],
)


def results(estimator, options, X):
    params = {"hidden_layer_sizes": (8,), "max_iter": 1, "random_state": 0}
    model = estimator(2, **params, **options).fit(X)
    codes, loaded = model.transform(X), pickle.loads(pickle.dumps(model))
    found = [codes, model.inverse_transform(codes), model.score_samples(X)]
    found += [model.sample(4, random_state=0), loaded.transform(X.astype(np.float32))]
    if options.get("allow_nan"):
        found.append(model.impute(X, n_imputations=2, random_state=0))
    return [*found, model.partial_fit(X).transform(X)]


@contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def draws_in_another_thread():
    """Other threads draw and seed whenever they like."""
    is_over = threading.Event()

    def draw():
        while not is_over.is_set():
            torch.manual_seed(1)
            torch.rand(3)
            time.sleep(0)

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


AROUND = {
    "float64": default_dtype,
    "autocast": lambda: torch.autocast("cpu"),
    "meta": lambda: torch.device("meta"),
    "threads": draws_in_another_thread,
}


@cases
def test_what_surrounds_a_fit_does_not_matter(estimator, options, curved):
    X = curved[:40].copy()
    if options.get("allow_nan"):
        X[::5, 1] = np.nan
    # torch has a faster kernel for inference, which it does not take under a device.
    is_rounded = isinstance(options.get("architecture"), Attention)
    truth, state = results(estimator, options, X), torch.get_rng_state()
    for name, around in AROUND.items():
        with around():
            found = results(estimator, options, X)
        for value, expected in zip(found, truth, strict=True):
            if is_rounded and name == "meta":
                np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(value, expected, err_msg=name)
        if name != "threads":
            assert torch.equal(torch.get_rng_state(), state)


def test_other_threads_draw_what_they_would_have_drawn(curved):
    """Neither their numbers nor their dtype come from a fit."""
    torch.manual_seed(3)
    truth = torch.rand(200)
    torch.manual_seed(3)
    found, is_over = [], threading.Event()

    def fit():
        for architecture in (MLP(dropout=0.1), own_dropout):
            params = {"architecture": architecture, "max_iter": 2}
            AutoencoderTransformer(2, **params, random_state=0).fit(curved)
        is_over.set()

    thread = threading.Thread(target=fit)
    thread.start()
    with default_dtype():
        while len(found) < 200:
            found.append(torch.rand((), dtype=torch.float32))
            assert torch.zeros(1).dtype == torch.float64
            if not is_over.is_set():
                time.sleep(0.001)
    thread.join()
    assert torch.equal(torch.stack(found), truth)


def own_dropout(shape, hidden, activation, n_in, n_out):
    sides = zip(n_in, n_out, strict=True)
    return tuple(nn.Sequential(nn.Linear(*side), nn.Dropout(0.1)) for side in sides)


def test_a_fit_leaves_the_number_of_threads_to_new_threads(curved, monkeypatch):
    """Also where fits overlap, each of which takes one thread for its steps."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    found = []
    meeting = threading.Barrier(2)
    first = _trainer.Validation.__init__

    def meet(self, *args):
        meeting.wait(timeout=60)
        first(self, *args)

    monkeypatch.setattr(_trainer.Validation, "__init__", meet)

    def fit():
        AutoencoderTransformer(2, max_iter=1, random_state=0).fit(curved)

    def ask():
        found.append(torch.get_num_threads())

    try:
        for targets in ([fit, fit], [ask]):
            threads = [threading.Thread(target=target) for target in targets]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        torch.set_num_threads(before)
    assert found == [2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_is_forked_during_a_fit_can_fit(curved):
    is_over = threading.Event()
    params = {"architecture": own_bodies, "max_iter": 1, "random_state": 0}
    # The first fit imports modules, and a fork would copy Python's locks of these.
    AutoencoderTransformer(2, **params).fit(curved)
    AutoencoderTransformer(2, max_iter=1).fit(curved)

    def fit():
        while not is_over.is_set():
            AutoencoderTransformer(2, **params).fit(curved)

    thread = threading.Thread(target=fit)
    thread.start()
    try:
        for _ in range(3):
            time.sleep(0.05)
            child = os.fork()
            if child == 0:
                AutoencoderTransformer(2, max_iter=1).fit(curved)
                os._exit(0)
            deadline = time.monotonic() + 60
            while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(child, 9)
                    os.waitpid(child, 0)
                    pytest.fail("the child hangs")
                time.sleep(0.01)
            assert done[1] == 0
    finally:
        is_over.set()
        thread.join()


def test_a_long_fit_adds_no_filter_of_warnings():
    """In a new process: what a fit imports is imported once."""
    code = """
import warnings
import numpy as np
from skae import AutoencoderTransformer
from skae.training import _trainer
_trainer._MIN_STEPS_TO_RECORD = 0
before = list(warnings.filters)
X = np.random.default_rng(0).normal(size=(60, 4))
AutoencoderTransformer(2, max_iter=1).fit(X)
# torch 2.5 imports pkg_resources at some time, which adds its own.
added = [f for f in warnings.filters if f not in before]
assert all(f[2].__module__ == "pkg_resources" for f in added), added
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# The mode.

X = torch.zeros(20, 500)
# How functions are called, and the distribution of what they return.
DRAWS = {
    "rand": (lambda: torch.rand(9999), stats.uniform().cdf),
    "randn": (lambda: torch.randn(9999), stats.norm().cdf),
    "rand_like": (lambda: torch.rand_like(X), stats.uniform().cdf),
    "randn_like": (lambda: torch.randn_like(X), stats.norm().cdf),
    "normal": (lambda: torch.normal(0.0, 2.0, (9999,)), stats.norm(0, 2).cdf),
    "uniform_": (lambda: nn.init.uniform_(X.clone(), -1, 1), stats.uniform(-1, 2).cdf),
    "exponential_": (lambda: X.clone().exponential_(), stats.expon().cdf),
    "Laplace": (partial(Laplace(0.0, 1.0).sample, (9999,)), stats.laplace().cdf),
    "StudentT": (partial(StudentT(3.0).sample, (9999,)), stats.t(3).cdf),
    # Uniform within 1 / sqrt(n_in).
    "Linear": (lambda: nn.Linear(25, 400).weight, stats.uniform(-0.2, 0.4).cdf),
    "Conv1d": (lambda: nn.Conv1d(5, 400, 5).weight, stats.uniform(-0.2, 0.4).cdf),
    "GRU": (lambda: nn.GRU(9, 25).weight_hh_l0, stats.uniform(-0.2, 0.4).cdf),
    "gumbel": (lambda: -F.gumbel_softmax(X + 0.0, dim=0)[0].log(), None),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_come_from_the_generator_and_from_it_alone(name):
    draw, cdf = DRAWS[name]
    state = torch.get_rng_state()

    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        with drawing_from(generator, all_of_torch=True):
            values = draw(), draw()
        assert current_generator() is None
        return [value.detach() for value in values]

    (first, second), again, others = drawn(0), drawn(0), drawn(1)
    assert torch.equal(first, again[0]) and torch.equal(second, again[1])
    assert not torch.equal(first, second) and not torch.equal(first, others[0])
    assert torch.equal(torch.get_rng_state(), state)
    with default_dtype():
        assert torch.equal(drawn(0)[0], first)
    if cdf is not None:
        assert stats.kstest(first.flatten().numpy(), cdf).pvalue > 1e-4


@pytest.mark.parametrize(
    "kind", [nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.RReLU]
)
def test_layers_that_draw_take_the_generator(kind):
    x, layer, state = torch.randn(4, 30, 8, 8), kind(), torch.get_rng_state()
    x = x[0] if kind is nn.Dropout1d else x

    def value(layer):
        with drawing_from(torch.Generator().manual_seed(0), all_of_torch=True):
            return layer(x)

    assert torch.equal(value(layer), value(layer)) and not torch.equal(value(layer), x)
    assert torch.equal(torch.get_rng_state(), state)
    truth = kind().eval()(x)
    assert torch.equal(value(kind().eval()), truth)
    if kind is nn.Dropout:
        kept = value(layer) != 0
        assert kept.float().mean().item() == pytest.approx(0.5, abs=0.02)
        assert torch.equal(value(layer)[kept], 2 * x[kept])


@pytest.mark.parametrize("bounds", [(7,), (3, 7)])
def test_integers_like_a_tensor_are_within_bounds(bounds):
    with drawing_from(torch.Generator().manual_seed(0), all_of_torch=True):
        values = torch.randint_like(X, *bounds)
    assert set(values.flatten().tolist()) == set(range(*bounds))


def test_attention_with_dropout_has_the_mean_of_attention():
    """Of many draws; in evaluation it is torch's own."""
    torch.manual_seed(0)
    body = Attention(n_layers=1, n_units=8, n_heads=2, dropout=0.05)
    layer = body(None, (4,), "relu", (6, 2), (2, 6))[0].mixer.layers[0]
    x = torch.randn(3, 6, 8)
    attend = layer.self_attn
    truth = attend.eval()(x, x, x, need_weights=False)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draws = [attend.train()(x, x, x, need_weights=False)[0] for _ in range(2000)]
    mean, std = torch.stack(draws).mean(0), torch.stack(draws).std(0)
    assert ((mean - truth).abs() < 5 * std / 2000**0.5 + 1e-6).all()
    attend.dropout = 0.0
    torch.testing.assert_close(
        attend.train()(x, x, x, need_weights=False)[0], truth, atol=1e-6, rtol=1e-5
    )
