"""Rows, flat parameters, callbacks, and what a fit does around them."""

import copy
import math
import pkgutil
import re
import signal
import sys
import threading
import warnings
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from models import make_model
from scipy.optimize import minimize_scalar
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LoadInitState,
    LRScheduler,
    PassthroughScoring,
    TrainEndCheckpoint,
)

from skae import AutoencoderTransformer, VAETransformer
from skae.data._rows import ResidentRows, weighted_mean
from skae.nn._log_density import loss_of_data
from skae.nn._modules import Encoder
from skae.nn._random import standard_gamma
from skae.nn._units import Units
from skae.nn.likelihoods import Gaussian
from skae.nn.priors import Normal
from skae.training import LatentNet, _callbacks, _encoder_phase, _trainer
from skae.training._callbacks import BestEpoch, OneCycle, training_callbacks
from skae.training._flat_parameters import FlatParameters, flat_vectors
from skae.training._optimizer import VectorAdamW
from skae.training._step import GradientStep
from skae.training._validation import Validation, mixture_weight
from skae.transformers import _fitting
from skae.transformers._weights import in_order

BOTH = [AutoencoderTransformer, VAETransformer]
SMALL = {"hidden_layer_sizes": (16,), "random_state": 0, "max_iter": 8}

# Enough to leave the initial model on the curved surface.
LEARNS = {
    "hidden_layer_sizes": (64, 32),
    "learning_rate_init": 0.01,
    "max_iter": 25,
    "random_state": 0,
}

both = pytest.mark.parametrize("estimator", BOTH)


def is_finite(model):
    return all(p.isfinite().all() for p in model.net_.module_.parameters())


# Rows.


def numbered(n, width=1):
    """Rows that hold their number, in each feature."""
    values = torch.arange(n, dtype=torch.float32)[:, None].expand(n, width).clone()
    return ResidentRows(values, Units(width, 1), torch.device("cpu"))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("n, width", [(1, 1), (7, 1), (8, 1), (23, 1), (64, 40_000)])
def test_training_batches_cover_every_row_in_equal_shapes(n, width):
    batches = numbered(n, width).batches(8, seeded())
    for _ in range(3):
        epoch = [batch.x for batch in batches]
        assert len(epoch) == len(batches) == math.ceil(n / 8)
        assert {x.shape for x in epoch} == {(min(8, n), width)}
        seen = torch.cat(epoch)[:, 0]
        values, counts = seen.unique(return_counts=True)
        assert torch.equal(values, torch.arange(n, dtype=torch.float32))
        assert counts.max() <= 2


def test_training_batches_are_permuted_anew_each_epoch():
    rows = numbered(40)
    batches = rows.batches(8, seeded())
    first, second = (torch.cat([b.x for b in batches]) for _ in range(2))
    again = torch.cat([b.x for b in rows.batches(8, seeded())])
    assert not torch.equal(first, second)
    assert not torch.equal(first, rows.gathered())
    assert torch.equal(first, again)


def test_chunks_are_the_rows_in_order():
    rows = numbered(23)
    chunks = [batch.x for batch in rows.chunks(8)]
    assert [len(x) for x in chunks] == [8, 8, 7]
    assert torch.equal(torch.cat(chunks), rows.gathered())


def test_what_belongs_to_a_row_stays_with_it():
    """Its weight, and its values without missing entries, in batches and parts."""
    rows = numbered(40, 2)
    rows.weights = 2 * rows.x[:, 0]
    rows.x[::3, 1] = math.nan
    rows.complete(lambda x: x.where(~x.isnan(), x[:, :1]))
    _, part = rows.take(30, seed=1).split(0.5, seed=0)
    for some in (rows, part):
        for batch in [*some.batches(4, seeded()), *some.chunks(4)]:
            number = batch.x[:, 0]
            assert torch.equal(batch.weight, 2 * number)
            assert torch.equal(batch.completed, number[:, None].expand(-1, 2))
    assert part.has_missing and len(part.completed_rows()) == part.n_rows == 15


def test_moments_are_those_of_the_observed_entries():
    rows = numbered(50, 3)
    rows.source[:, 1] *= 1e-3
    rows.source[::4, 2] = math.nan
    _, part = rows.split(0.6, seed=0)
    for some, X in ((rows, rows.source), (part, rows.source[part.index])):
        moments, X = some.moments(), X.double().numpy()
        np.testing.assert_allclose(moments.mean, np.nanmean(X, 0))
        np.testing.assert_allclose(moments.variance, np.nanvar(X, 0))
        np.testing.assert_array_equal(moments.n_observed, (~np.isnan(X)).sum(0))


def test_a_weight_is_that_of_so_many_copies():
    values, weight = torch.tensor([1.0, 5.0, 2.0]), torch.tensor([2.0, 0.0, 3.0])
    copies = torch.tensor([1.0, 1.0, 2.0, 2.0, 2.0])
    torch.testing.assert_close(weighted_mean(values, weight), copies.mean())
    assert torch.equal(weighted_mean(values), values.mean())


@pytest.mark.parametrize(
    "n, fraction, n_valid", [(50, 0.1, 5), (4, 0.1, 1), (9, 0.5, 4), (9, 0.99, 8)]
)
def test_validation_rows_and_the_others_are_all_rows(n, fraction, n_valid):
    rows = numbered(n)
    train, valid = rows.split(fraction, seed=0)
    assert valid.n_rows == n_valid
    both = torch.cat([train.gathered(), valid.gathered()])
    assert torch.equal(both.sort(0).values, rows.gathered())


def test_the_seed_decides_which_rows_are_validation_rows():
    parts = [numbered(50).split(0.5, seed)[1].gathered() for seed in (0, 0, 1)]
    assert torch.equal(parts[0], parts[1])
    assert not torch.equal(parts[0], parts[2])


# Flat parameters.


def random_model():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = make_model(Gaussian(5), 2, Normal(2), hidden_layer_sizes=(6,))
        for p in model.skip.parameters():
            torch.nn.init.normal_(p)
        return model


def random_inputs(seed=0):
    generator = seeded(seed)
    x = torch.randn(9, 5, generator=generator)
    return {"x": x, "base_samples": torch.randn(9, 2, generator=generator)}


def objective(model, seed=0):
    return negative_bound(model(**random_inputs(seed)))


def backward(flat, seed=0):
    """Gradient of the same objective, by the vectors; returns its value."""
    inputs = random_inputs(seed)
    return GradientStep(flat, negative_bound, inputs)(inputs)


def negative_bound(terms):
    return (terms.divergence - terms.log_likelihood).mean()


def bind(model, precision="float32", n_averaged=1):
    groups = flat_vectors(model)
    vectors = [group["params"][0] for group in groups]
    return groups, FlatParameters(model, vectors, precision, n_averaged)


def fill(flat, value):
    with torch.no_grad():
        for vector in flat.vectors:
            vector.fill_(value)


def test_binding_leaves_values_as_they_were():
    plain, model = random_model(), random_model()
    _, flat = bind(model)
    assert sum(len(v) for v in flat.vectors) == sum(
        p.numel() for p in model.parameters()
    )
    for bound in (model, flat.compute_copy):
        values = dict(bound.named_parameters())
        for name, p in plain.named_parameters():
            assert torch.equal(values[name], p)


def test_the_gradient_is_that_of_plain_autograd():
    plain, model = random_model(), random_model()
    _, flat = bind(model)
    backward(flat)
    with torch.no_grad():
        for vector in flat.vectors:
            vector -= vector.grad
    flat.update()
    objective(plain).backward()
    values = dict(model.named_parameters())
    for name, p in plain.named_parameters():
        torch.testing.assert_close(values[name], p - p.grad)


def test_steps_of_the_optimiser_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(n, generator=generator) for n in (50, 7)]

    def make(kind, **params):
        groups = [
            {"params": [torch.nn.Parameter(x.clone())], "weight_decay": decay}
            for x, decay in zip(start, (0.0, 0.1))
        ]
        return kind(groups, lr=0.01, **params)

    optimisers = make(VectorAdamW), make(torch.optim.AdamW, fused=True)
    for i in range(10):
        gradients = [torch.randn(n, generator=generator) for n in (50, 7)]
        for optimiser in optimisers:
            for group, gradient in zip(optimiser.param_groups, gradients):
                group["lr"] = 0.01 / (i + 1)
                group["params"][0].grad = gradient
            optimiser.step()
        if i == 5:  # as after divergence
            for optimiser in optimisers:
                optimiser.state.clear()
    mine, torchs = ([g["params"][0] for g in o.param_groups] for o in optimisers)
    for x, truth in zip(mine, torchs, strict=True):
        assert torch.equal(x, truth)


def test_parameters_are_views():
    model = random_model()
    _, flat = bind(model)
    fill(flat, 3.0)
    assert all((p == 3).all() for p in flat.compute_copy.parameters())
    flat.update()
    assert all((p == 3).all() for p in model.parameters())


def test_the_module_is_an_exponential_average_of_the_steps():
    model = random_model()
    _, flat = bind(model, n_averaged=4)
    fill(flat, 0.0)
    flat.load([torch.zeros_like(v) for v in flat.vectors])
    truth = 0.0
    for value in (1.0, 2.0, -5.0):
        fill(flat, value)
        flat.update()
        truth += (value - truth) / 4
        for p in model.parameters():
            torch.testing.assert_close(p, torch.full_like(p, truth))
        assert all((p == value).all() for p in flat.compute_copy.parameters())


def decays_in_plain(name, p):
    """The hidden layers decay; skip, output layers and distributions do not."""
    return name.startswith(("encoder.hidden", "decoder.hidden"))


def test_an_optimiser_on_the_vectors_does_what_one_on_the_weights_does():
    plain, model = random_model(), random_model()
    groups, flat = bind(model)
    for group in groups:
        group["weight_decay"] = 0.1 * group["decay"]
    mine = torch.optim.AdamW(groups, lr=0.01)
    decays = [p for n, p in plain.named_parameters() if decays_in_plain(n, p)]
    others = [p for n, p in plain.named_parameters() if not decays_in_plain(n, p)]
    truth = torch.optim.AdamW(
        [
            {"params": decays, "weight_decay": 0.1},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=0.01,
    )
    for step in range(5):
        backward(flat, step)
        mine.step()
        flat.update()
        truth.zero_grad()
        objective(plain, step).backward()
        truth.step()
    values = dict(model.named_parameters())
    for name, p in plain.named_parameters():
        torch.testing.assert_close(values[name], p, rtol=1e-4, atol=1e-6)


def test_the_compute_copy_computes_in_half_precision_on_the_same_values():
    model = random_model()
    _, flat = bind(model, "bfloat16")
    for _ in range(2):
        copies = dict(flat.compute_copy.named_parameters())
        for name, p in model.named_parameters():
            half = name.startswith(("skip", "encoder", "decoder"))
            assert p.dtype == torch.float32
            assert copies[name].dtype == (torch.bfloat16 if half else torch.float32)
            assert torch.equal(copies[name], p.to(copies[name].dtype))
        with torch.no_grad():
            for vector in flat.vectors:
                vector.mul_(1.7)
        flat.update()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_state_survives_what_comes_after_it(precision):
    model = random_model()
    _, flat = bind(model, precision, n_averaged=3)
    fill(flat, 0.3)
    flat.update()
    before, state = copy.deepcopy(model.state_dict()), flat.state()
    fill(flat, math.nan)
    flat.update()
    flat.load(state)
    copies = flat.compute_copy.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        assert torch.equal(copies[name], before[name].to(copies[name].dtype))


# The schedule.


class Recorder(Callback):
    """Rate of the optimiser at every step, its groups, and the calls of every kind."""

    def initialize(self):
        self.rates, self.calls, self.groups = [], [], []
        return self

    def on_batch_begin(self, net, training=False, **kwargs):
        self.calls.append("batch")
        self.rates.append(net.optimizer_.param_groups[0]["lr"])

    def on_epoch_end(self, net, **kwargs):
        self.calls.append("epoch")
        self.groups = [group.copy() for group in net.optimizer_.param_groups]

    def on_train_end(self, net, **kwargs):
        self.calls.append("end")


def recorder_of(model):
    return next(c for _, c in model.net_.callbacks_ if isinstance(c, Recorder))


def test_the_rate_rises_to_its_peak_and_falls_to_nearly_zero(iris):
    model = AutoencoderTransformer(
        2, learning_rate_init=0.01, batch_size=15, callbacks=[Recorder()], **SMALL
    ).fit(iris)
    rates = np.array(recorder_of(model).rates)
    n_steps = 8 * 9  # 135 training rows in batches of 15
    assert len(rates) == n_steps
    peak = rates.argmax()
    assert peak == math.ceil(0.1 * n_steps)
    assert rates.max() == pytest.approx(0.01, rel=0.01)
    assert rates[0] == pytest.approx(0.001)
    assert rates[-1] < 0.02 * 0.01
    assert (np.diff(rates[: peak + 1]) > 0).all() and (np.diff(rates[peak:]) < 0).all()


def test_one_cycle_is_continuous_at_its_corners():
    rate = OneCycle(warmup=0.25, floor=0.01)._relative_rate
    assert rate(0.0) == pytest.approx(0.1)
    assert rate(0.25 - 1e-9) == pytest.approx(rate(0.25)) == pytest.approx(1)
    assert rate(1.0) == pytest.approx(0.01)
    assert rate(0.625) == pytest.approx((1 + 0.01) / 2)  # half-way down


def test_each_phase_of_a_fit_ends_at_the_lowest_rate(curved, monkeypatch):
    """Also the last one, whose epochs have twice as many steps."""
    phases = []

    class Recording(OneCycle):
        def on_train_begin(self, net, **kwargs):
            super().on_train_begin(net, **kwargs)
            phases.append([])

        def _relative_rate(self, progress):
            phases[-1].append(super()._relative_rate(progress))
            return phases[-1][-1]

    for module in (_callbacks, _encoder_phase):
        monkeypatch.setattr(module, "OneCycle", Recording)
    AutoencoderTransformer(2, **LEARNS | {"max_iter": 20}).fit(curved)
    assert len(phases) == 2
    for rates in phases:
        peak = int(np.argmax(rates))
        assert max(rates) == pytest.approx(1, rel=0.05)
        assert rates[-1] < 0.02 and (np.diff(rates[peak:]) < 0).all()


@both
def test_a_fit_that_is_told_nothing_has_a_budget_of_steps(estimator, iris, monkeypatch):
    """10,000 by default; an epoch of 150 rows has 15 steps of ten."""
    params = {"hidden_layer_sizes": (4,), "batch_size": 10, "early_stopping": False}
    monkeypatch.setattr(_fitting, "_MAX_STEPS", 40)
    assert estimator(2, **params).fit(iris).n_iter_ == 3
    assert estimator(2, max_iter=5, **params).fit(iris).n_iter_ == 5
    monkeypatch.setattr(_fitting, "_MAX_STEPS", 10**6)
    assert estimator(2, **params).fit(iris).n_iter_ == 100


@pytest.mark.parametrize(
    "n_rows, size",
    [(5, 5), (150, 32), (1617, 128), (60_000, 256), (128_000, 256), (500_000, 1024)],
)
def test_batches_grow_with_the_rows(n_rows, size):
    rows = SimpleNamespace(n_rows=n_rows, stays_sparse=False)
    assert _fitting._batch_size(AutoencoderTransformer(), rows, False) == size


@pytest.mark.parametrize("n_rows, size", [(1617, 128), (200_000, 2048)])
def test_batches_of_sparse_rows_are_larger(n_rows, size):
    rows = SimpleNamespace(n_rows=n_rows, stays_sparse=True)
    assert _fitting._batch_size(AutoencoderTransformer(), rows, False) == size


@pytest.mark.parametrize("n_rows, size", [(5, 5), (150, 8), (1617, 64), (60_000, 256)])
def test_corrupted_rows_and_single_passes_have_more_steps(n_rows, size):
    noisy = AutoencoderTransformer(noise="masking")
    rows = SimpleNamespace(n_rows=n_rows, stays_sparse=False)
    assert _fitting._batch_size(noisy, rows, False) == size
    assert _fitting._batch_size(AutoencoderTransformer(), rows, True) == size


@pytest.mark.parametrize("n_rows, rate", [(100, 8e-3), (5000, 4e-3)])
def test_the_automatic_rate_is_lower_for_long_fits(n_rows, rate):
    X = np.random.default_rng(0).normal(size=(n_rows, 2))
    model = AutoencoderTransformer(1, max_iter=0).fit(X)
    assert model.net_.lr == rate
    assert model.partial_fit(X[:10]).net_.lr == 4e-3
    assert model.set_params(noise="masking").fit(X).net_.lr == 4e-3


def widths_of(model):
    return model.net_.module_.config()["hidden_layer_sizes"]


@pytest.mark.parametrize("shape", [(20, 3), (20, 100), (5000, 3)])
def test_automatic_layers_are_wider_for_many_rows_or_features(shape):
    X = np.random.default_rng(0).normal(size=shape)
    model = AutoencoderTransformer(2, max_iter=0).fit(X)
    assert widths_of(model) == ([512, 256] if X.size > 60 else [256, 128])


@pytest.mark.parametrize("sizes", [(30, 6000), (6000, 30)])
def test_automatic_layers_stay_those_of_the_first_batch(sizes):
    X = np.random.default_rng(0).normal(size=(sum(sizes), 2))
    first, second = np.split(X, sizes[:1])
    model = AutoencoderTransformer(1, batch_size=1000, random_state=0)
    before = widths_of(model.partial_fit(first))
    assert widths_of(model.partial_fit(second)) == before


@both
def test_without_a_schedule_the_rate_is_constant(estimator, iris):
    callbacks = [("schedule", None), Recorder()]
    model = estimator(2, learning_rate_init=0.01, callbacks=callbacks, **SMALL)
    rates = recorder_of(model.fit(iris)).rates
    assert rates == [0.01] * len(rates)


OUTPUT = "output"


@pytest.mark.parametrize(
    "estimator, params, rates",
    [
        (AutoencoderTransformer, {}, [1, OUTPUT]),  # after hidden layers
        (AutoencoderTransformer, {"hidden_layer_sizes": ()}, [8]),
        (VAETransformer, {}, [1, OUTPUT, 10]),  # the likelihood
        (VAETransformer, {"prior": "mixture"}, [1, OUTPUT, 10, 1]),
        (VAETransformer, {"hidden_layer_sizes": ()}, [OUTPUT, 10]),
    ],
)
def test_every_group_has_its_own_rate(estimator, params, rates, iris):
    """That of what PCA sets is the root of the fraction that PCA leaves."""
    params = {**SMALL, "learning_rate_init": 0.01, "callbacks": [Recorder()], **params}
    model = estimator(2, **params).partial_fit(iris)
    unexplained = 1 - PCA(2).fit(iris).explained_variance_ratio_.sum()
    rates = [unexplained**0.5 if rate == OUTPUT else rate for rate in rates]
    for _ in range(2):
        groups = recorder_of(model).groups
        assert [group["rate"] for group in groups] == pytest.approx(rates, rel=1e-3)
        found = [group["lr"] / group["rate"] for group in groups]
        assert found == pytest.approx([0.01] * len(groups))
        model.partial_fit(iris[::-1])


@both
def test_weight_decay_is_divided_by_the_rows_seen(estimator, iris):
    """And for the hidden layers alone."""
    model = estimator(2, alpha=30.0, callbacks=[Recorder()], **SMALL)
    for n_seen in (100, 150):
        model.partial_fit(iris[:100] if n_seen == 100 else iris[100:])
        decays = [group["weight_decay"] for group in recorder_of(model).groups]
        assert decays[0] == pytest.approx(30 / n_seen) and not any(decays[1:])


# The best epoch.


def split_of(model, X):
    """Training and validation rows of the fit of `model` to X."""
    rows = ResidentRows(
        torch.from_numpy(in_order(X)), model.net_.module_.units, torch.device("cpu")
    )
    return model.net_.train_split(rows)


def validation_loss(model, X):
    """The fitted model's loss on the validation rows of its fit, in data units."""
    validation = Validation(model.net_, split_of(model, X)[1])
    loss = float(validation.losses(raises_noise=False).mean())
    return loss_of_data(model.net_.module_, loss)


def losses_of(model):
    """Validation losses of the initial model and of each epoch."""
    return [model.initial_loss_, *model.validation_loss_curve_]


@both
@pytest.mark.parametrize("rate", [1e-3, 0.03, 3.0])
def test_the_best_epoch_is_restored_the_initial_model_included(estimator, rate, curved):
    model = estimator(2, learning_rate_init=rate, **SMALL).fit(curved)
    losses = losses_of(model)
    assert len(losses) == 9
    assert model.best_loss_ == losses[model.best_iter_] == min(losses)
    so_far = np.minimum.accumulate(losses)
    assert model.net_.history[:, "best"] == (np.diff(so_far) < 0).tolist()
    # Epochs compare with the smallest weight of the initial model; it is learned after.
    if (initial := model.net_.module_.initial) is not None:
        initial.weight.fill_(1 / (len(curved) + 1))
    # The noise was chosen in float64, the likelihood is computed in float32.
    assert validation_loss(model, curved) == pytest.approx(model.best_loss_, rel=1e-6)


@both
def test_a_ruinous_rate_leaves_the_initial_model(estimator, iris):
    model = estimator(2, learning_rate_init=10.0, **SMALL).fit(iris)
    start = estimator(2, **{**SMALL, "max_iter": 0}).fit(iris)
    assert np.array_equal(model.transform(iris), start.transform(iris))
    assert np.array_equal(model.score_samples(iris), start.score_samples(iris))


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_luck_on_few_rows_is_no_gain_on_the_pca_of_all(seed):
    """Normal rows have nothing beyond PCA, but ten may look as if they had."""
    loading = np.random.default_rng(seed).normal(size=(10, 40))
    rng = np.random.default_rng(1000 + seed)
    X = rng.normal(size=(100, 10)) @ loading + rng.normal(size=(100, 40))
    model = AutoencoderTransformer(
        12, batch_size=8, max_iter=30, random_state=seed
    ).fit(X)
    assert min(model.validation_loss_curve_) < model.best_loss_
    assert model.best_iter_ == 0
    expected = PCA(12, svd_solver="full").fit(X)
    expected = expected.inverse_transform(expected.transform(X))
    np.testing.assert_allclose(
        model.inverse_transform(model.transform(X)), expected, atol=1e-4
    )


def test_a_single_validation_row_proves_no_gain(curved):
    model = AutoencoderTransformer(2, **SMALL).fit(curved[:10])
    assert split_of(model, curved[:10])[1].n_rows == 1
    assert model.best_iter_ == 0


def test_best_loss_is_in_data_units(curved):
    X = 5 * curved + 3
    model = AutoencoderTransformer(2, **SMALL).fit(X)
    valid = X[split_of(model, X)[1].index]
    squared = (valid - model.inverse_transform(model.transform(valid))) ** 2
    assert model.best_loss_ == pytest.approx(squared.sum(1).mean(), rel=1e-4)
    assert model.best_loss_ == min(losses_of(model))


def test_training_losses_are_in_data_units(curved):
    """Rates near zero leave the initial model, whose training loss is that of PCA."""
    X = 5 * curved + 3
    model = AutoencoderTransformer(
        2, learning_rate_init=1e-12, early_stopping=False, batch_size=100, **SMALL
    ).fit(X)
    squared = (X - model.inverse_transform(model.transform(X))) ** 2
    expected = np.full(8, squared.sum(1).mean())
    np.testing.assert_allclose(model.loss_curve_, expected, rtol=1e-4)


@both
def test_training_pays_on_a_curved_surface(estimator, curved):
    model = estimator(2, **LEARNS).fit(curved[:300])
    start = estimator(2, **{**LEARNS, "max_iter": 0}).fit(curved[:300])
    if estimator is AutoencoderTransformer:
        assert model.score(curved[300:]) > 0.5 * start.score(curved[300:])
    else:
        assert model.score(curved[300:]) > start.score(curved[300:]) + 1


def test_the_last_phase_trains_the_encoder_alone(monkeypatch, curved):
    """And is kept where the validation rows gain."""
    params = {**LEARNS, "max_iter": 30}
    model = AutoencoderTransformer(2, **params).fit(curved)
    monkeypatch.setattr(_encoder_phase, "FRACTION", 0.0)
    plain = AutoencoderTransformer(2, **params).fit(curved)
    codes = plain.transform(curved)
    back = [fitted.inverse_transform(codes) for fitted in (model, plain)]
    np.testing.assert_array_equal(*back)
    assert not np.array_equal(model.transform(curved), codes)
    assert validation_loss(plain, curved) == pytest.approx(plain.best_loss_, rel=1e-6)
    assert validation_loss(model, curved) < plain.best_loss_
    assert all(p.requires_grad for p in model.net_.module_.parameters())


# Early stopping.


def end_by_the_rule(bests, patience, n_returns=1):
    """Epoch after which a fit ends: it goes back after `patience` epochs without a
    better one, and the time after the last return it ends."""
    stale, returns = 0, 0
    for epoch, is_best in enumerate(bests, 1):
        stale = 0 if is_best else stale + 1
        if stale == patience:
            stale, returns = 0, returns + 1
        if returns > n_returns:
            return epoch
    return None


@pytest.mark.parametrize("losses, goes_back", [([2, 2], False), ([0.5, 2, 2], True)])
def test_training_goes_back_to_a_better_epoch_only(losses, goes_back):
    """The initial model, of loss one, may be a saddle; the rate falls either way."""
    net = MagicMock(train_loss_=1.0, is_objective_growing=False)
    net.validation_.losses.return_value = torch.ones(3)
    best = BestEpoch(patience=2)
    best.on_train_begin(net)
    best.on_epoch_begin(net)
    for loss in losses:
        net.validation_losses_ = torch.full((3,), float(loss))
        best.on_epoch_end(net)
    net.cut_rate.assert_called_once()
    assert net.parameters_.load.called == goes_back


@both
@pytest.mark.parametrize("early_stopping", ["auto", True])
def test_a_fit_ends_when_returns_do_not_help(estimator, early_stopping, iris):
    params = {**SMALL, "max_iter": 200, "n_iter_no_change": 4}
    model = estimator(
        2, learning_rate_init=0.3, early_stopping=early_stopping, **params
    ).fit(iris)
    assert model.n_iter_ == len(model.validation_loss_curve_) < 200
    assert model.n_iter_ == end_by_the_rule(model.net_.history[:, "best"], 4)


@pytest.mark.parametrize("n_components", [4, 5])
def test_nothing_is_trained_where_the_initial_model_leaves_nothing(n_components, iris):
    model = AutoencoderTransformer(n_components, **SMALL).fit(iris)
    assert model.n_iter_ == 0
    restored = model.inverse_transform(model.transform(iris))
    np.testing.assert_allclose(restored, iris, rtol=1e-5)  # float32 weights
    assert VAETransformer(n_components, **SMALL).fit(iris).n_iter_ == 8
    # Further rows may need what the first did not.
    assert AutoencoderTransformer(n_components, **SMALL).partial_fit(iris).n_iter_ == 1


@pytest.mark.parametrize("n, has_validation", [(9, False), (40, True)])
def test_auto_takes_validation_rows_where_there_are_enough(n, has_validation, iris):
    model = AutoencoderTransformer(2, **SMALL).fit(iris[:n])
    assert hasattr(model, "validation_loss_curve_") == has_validation
    assert model.n_iter_ == len(model.loss_curve_) == 8


def test_without_early_stopping_all_rows_train_to_the_end(iris):
    params = {**SMALL, "early_stopping": False, "batch_size": 50, "max_iter": 30}
    model = AutoencoderTransformer(
        2, learning_rate_init=0.3, callbacks=[Recorder()], **params
    ).fit(iris)
    assert not hasattr(model, "validation_loss_curve_")
    assert recorder_of(model).calls.count("batch") == 30 * 3


def test_the_last_epoch_stays_without_early_stopping(curved):
    """Its loss is near the last training losses, whatever other rows would say."""
    model = AutoencoderTransformer(2, early_stopping=False, **LEARNS).fit(curved)
    assert -model.score(curved) == pytest.approx(model.loss_curve_[-1], rel=0.05)
    assert model.loss_curve_[-1] < 0.5 * model.loss_curve_[0]


def test_a_refit_leaves_nothing_of_the_fit_before(iris):
    model = AutoencoderTransformer(2, **SMALL).fit(iris)
    assert hasattr(model, "validation_loss_curve_")
    model.set_params(early_stopping=False).fit(iris)
    assert not hasattr(model, "validation_loss_curve_")
    model.set_params(max_iter=0).fit(iris)
    assert model.loss_curve_ == [] and model.best_loss_ is None and model.n_iter_ == 0


# Recovery.


class Poison(Callback):
    """Let the given steps of the optimiser end in NaN; None is every step."""

    def __init__(self, steps=None):
        self.steps = steps

    def on_train_begin(self, net, **kwargs):
        self.step_ = 0

    def on_batch_end(self, net, **kwargs):
        if self.steps is None or self.step_ in self.steps:
            fill(net.parameters_, math.nan)
            net.parameters_.update()
        self.step_ += 1


@both
def test_nan_at_every_step_ends_at_the_initial_model_with_a_warning(estimator, iris):
    model = estimator(2, callbacks=[Poison()], batch_size=50, **SMALL)
    with pytest.warns(ConvergenceWarning, match="finite"):
        model.fit(iris)
    assert is_finite(model)
    start = estimator(2, **{**SMALL, "max_iter": 0}).fit(iris)
    assert np.array_equal(model.transform(iris), start.transform(iris))
    assert model.n_iter_ < 8


@both
@pytest.mark.parametrize("step", [0, 25, 35])
def test_one_nan_is_survived(estimator, step, monkeypatch, curved):
    """Steps 0, 25 and 35 are the first, an inner one and the last of an epoch."""
    monkeypatch.setattr(_encoder_phase, "FRACTION", 0.0)  # it has losses of its own
    params = {**LEARNS, "max_iter": 30, "batch_size": 20}
    model = estimator(2, callbacks=[Poison([step])], **params).fit(curved)
    assert is_finite(model) and model.n_iter_ == 30
    losses = losses_of(model)
    best = pytest.approx(min(losses), rel=1e-6, abs=1e-6)  # of some nats
    assert validation_loss(model, curved) == best
    assert min(losses[4:]) < min(losses[:4])  # training went on


@both
@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_last_step_that_turns_nan_is_not_kept(estimator, early_stopping, iris):
    n_steps = 8 * 3
    params = {**SMALL, "batch_size": 50, "early_stopping": early_stopping}
    poison = Poison([n_steps - 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it may warn
        model = estimator(2, callbacks=[poison], **params).fit(iris)
    assert is_finite(model)
    assert np.isfinite(model.transform(iris)).all()


@both
def test_a_pass_of_partial_fit_that_turns_nan_is_not_kept(estimator, iris):
    model = estimator(2, callbacks=[Poison([2])], batch_size=50, **SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.partial_fit(iris).partial_fit(iris)
    assert is_finite(model)


@both
@pytest.mark.parametrize("early_stopping", ["auto", False])
def test_a_huge_rate_warns_and_ends_finite(estimator, early_stopping, iris):
    params = {**SMALL, "early_stopping": early_stopping}
    model = estimator(2, learning_rate_init=1e30, **params)
    with pytest.warns(ConvergenceWarning):
        model.fit(iris)
    assert is_finite(model)
    assert np.isfinite(model.transform(iris)).all()
    assert np.isfinite(model.score_samples(iris)).all()


# Interruption.


@pytest.fixture
def interrupt_after(monkeypatch):
    """Function of the step after which the user interrupts the fit."""
    train_step = LatentNet.train_step

    def interrupt(step):
        def interrupted(net, batch, **kwargs):
            result = train_step(net, batch, **kwargs)
            if net.n_done_ == step:
                raise KeyboardInterrupt
            return result

        monkeypatch.setattr(LatentNet, "train_step", interrupted)

    return interrupt


@both
@pytest.mark.parametrize("step, n_whole_epochs", [(1, 0), (2, 0), (10, 3), (12, 3)])
def test_an_interrupted_fit_keeps_its_best_state(
    estimator, step, n_whole_epochs, interrupt_after, iris
):
    interrupt_after(step)
    model = estimator(2, batch_size=45, **SMALL)  # three steps an epoch
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model.fit(iris)
    assert model.stopped_by_ == "interrupt"
    assert model.n_iter_ == len(model.validation_loss_curve_) == n_whole_epochs
    best = pytest.approx(min(losses_of(model)), rel=1e-6)
    assert model.best_loss_ == best and validation_loss(model, iris) == best
    assert is_finite(model)
    assert model.transform(iris).shape == (150, 2)


def test_a_fit_after_an_interruption_is_whole(interrupt_after, monkeypatch, iris):
    model = AutoencoderTransformer(2, **SMALL)
    interrupt_after(5)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model.fit(iris)
    monkeypatch.undo()
    model.fit(iris)
    fresh = AutoencoderTransformer(2, **SMALL).fit(iris)
    assert np.array_equal(model.transform(iris), fresh.transform(iris))


class Press(Callback):
    """A real Ctrl-C at a moment of a fit, as often as `times` says."""

    def __init__(self, moment, times=1):
        self.moment, self.times = moment, times

    def _press(self, moment):
        if moment == self.moment:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)

    def on_train_begin(self, net, **kwargs):
        self._press("train begin")

    def on_epoch_begin(self, net, **kwargs):
        self._press("epoch begin")

    def on_batch_begin(self, net, **kwargs):
        self._press("batch begin")

    def on_batch_end(self, net, **kwargs):
        self._press("batch end")

    def on_epoch_end(self, net, **kwargs):
        self._press("epoch end")

    def on_train_end(self, net, **kwargs):
        self._press("train end")


MOMENTS = ["train begin", "epoch begin", "batch begin", "batch end", "epoch end"]


@pytest.mark.parametrize("moment", [*MOMENTS, "train end"])
@both
def test_an_interrupt_in_a_callback_is_one(estimator, moment, iris):
    handler = signal.getsignal(signal.SIGINT)
    model = estimator(2, callbacks=[Press(moment)], **SMALL)
    with pytest.warns(ConvergenceWarning, match="interrupted") as caught:
        model.fit(iris)
    assert caught[0].filename == __file__
    assert model.stopped_by_ == "interrupt"
    assert model.n_iter_ == {"epoch end": 1, "train end": 8}.get(moment, 0)
    assert is_finite(model) and np.isfinite(model.score(iris))
    assert signal.getsignal(signal.SIGINT) is handler


PLACES = [
    "skae.transformers._fitting.choose_likelihood",
    "skae.transformers._fitting.initialise",
    "skae.transformers._fitting.make_net",
    "skae.training._trainer.Validation",
    "skae.training._validation.evaluate",
    "skae.training._flat_parameters.FlatParameters.state",
    "skae.training._flat_parameters.FlatParameters.load",
    "skae.training._trainer.learn_initial_weight",
    "skae.training._encoder_phase.AugmentedBatches._made",
    "skae.transformers._fitting.finalise",
]


@pytest.mark.parametrize("place", PLACES)
def test_an_interrupt_anywhere_leaves_a_usable_model(place, monkeypatch, curved):
    estimator = VAETransformer if "weight" in place else AutoencoderTransformer
    press_in(place, monkeypatch)
    model = estimator(2, **LEARNS)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model.fit(curved)
    assert model.stopped_by_ == "interrupt"
    # Before the first epoch: the initial model.
    if place in PLACES[:3]:
        start = estimator(2, **LEARNS | {"max_iter": 0}).fit(curved)
        assert np.array_equal(model.transform(curved), start.transform(curved))
    assert is_finite(model) and np.isfinite(model.score(curved))


def press_in(place, monkeypatch, times=1):
    """Interrupt in a function, the first time that it is called."""
    owner, name = place.rsplit(".", 1)
    pressed = []

    def interrupted(*args, **kwargs):
        if not pressed:
            pressed.append(True)
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return function(*args, **kwargs)

    function = pkgutil.resolve_name(owner).__dict__[name]
    monkeypatch.setattr(pkgutil.resolve_name(owner), name, interrupted)


@pytest.mark.parametrize("place", [PLACES[1], PLACES[-1]])
def test_a_second_interrupt_raises_and_changes_nothing(place, monkeypatch, iris):
    handler = signal.getsignal(signal.SIGINT)
    model = AutoencoderTransformer(2, **SMALL).fit(iris)
    before = dict(vars(model))
    press_in(place, monkeypatch, times=2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(iris)
    assert_same_objects(vars(model), before)
    assert signal.getsignal(signal.SIGINT) is handler


def search_over(callbacks, **options):
    model = AutoencoderTransformer(2, callbacks=callbacks, **SMALL)
    return GridSearchCV(model, {"alpha": [0.0, 0.1]}, cv=2, refit=False, **options)


def test_how_a_search_is_interrupted(iris):
    """As the docstring of `fit` says."""
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        search = search_over([Press("epoch end")]).fit(iris)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    with pytest.raises(KeyboardInterrupt):
        search_over([Press("train end", times=2)]).fit(iris)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning):
            search_over([Press("epoch end")], error_score="raise").fit(iris)


def test_attributes_of_callbacks_are_found_on_them_or_on_clones(iris):
    """Those that end in an underscore; skorch takes others for parameters."""
    mine = OneCycle(warmup=0.5)
    params = {**SMALL, "callbacks": [("schedule", mine)]}
    model = AutoencoderTransformer(2, **params).fit(iris)
    assert dict(model.net_.callbacks_)["schedule"] is mine
    n_steps = mine.step_
    other = clone(model).fit(iris[:50])
    assert other.callbacks[0][1].warmup == 0.5
    assert mine.step_ == n_steps != other.callbacks[0][1].step_


def test_a_handler_of_the_caller_decides_for_itself(iris):
    """One that only counts does not end a fit; one that raises does."""
    counted = []

    def count(number, frame):
        counted.append(number)

    def stop(number, frame):
        raise KeyboardInterrupt

    model = AutoencoderTransformer(2, callbacks=[Press("epoch end")], **SMALL)
    before = signal.signal(signal.SIGINT, count)
    try:
        assert model.fit(iris).n_iter_ == len(counted) == 8
        signal.signal(signal.SIGINT, stop)
        with pytest.warns(ConvergenceWarning, match="interrupted"):
            model.fit(iris)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (model.n_iter_, model.stopped_by_) == (1, "interrupt")


def test_a_fit_in_a_thread_is_the_plain_one(iris):
    model = AutoencoderTransformer(2, **SMALL)
    thread = threading.Thread(target=model.fit, args=(iris,))
    thread.start()
    thread.join()
    plain = AutoencoderTransformer(2, **SMALL).fit(iris)
    assert np.array_equal(model.transform(iris), plain.transform(iris))


class Stop(Callback):
    """End a fit after an epoch, as skorch's callbacks do."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt


STOPPED = [
    ({"max_iter": 0}, 0, "max_iter"),
    ({}, 8, "max_iter"),
    ({"n_components": 4}, 0, "converged"),
    ({"callbacks": [Stop()]}, 3, "callback"),
]


@pytest.mark.parametrize("params, n_iter, reason", STOPPED, ids=lambda v: str(v)[:20])
def test_a_fit_says_why_it_ended(params, n_iter, reason, iris):
    params = {"n_components": 2, **SMALL, **params}
    model = AutoencoderTransformer(**params).fit(iris)
    assert (model.n_iter_, model.stopped_by_) == (n_iter, reason)


# Callbacks.


@both
def test_user_callbacks_are_called(estimator, iris):
    model = estimator(2, callbacks=[Recorder()], batch_size=45, **SMALL).fit(iris)
    epoch = ["batch"] * 3 + ["epoch"]
    assert recorder_of(model).calls == epoch * 8 + ["end"]


def test_user_callbacks_leave_the_fit_as_it_is(iris):
    plain = AutoencoderTransformer(2, **SMALL).fit(iris)
    watched = AutoencoderTransformer(2, callbacks=[Recorder()], **SMALL).fit(iris)
    assert np.array_equal(plain.transform(iris), watched.transform(iris))


def test_skorch_callbacks_find_what_they_monitor(iris):
    stopping = EarlyStopping(monitor="valid_loss", patience=2, threshold=1e9)
    stopping.set_params(threshold_mode="abs", sink=lambda text: None)
    model = AutoencoderTransformer(2, callbacks=[stopping], **SMALL).fit(iris)
    assert model.n_iter_ < 8


@pytest.mark.parametrize(
    "given, error",
    [
        (5, TypeError),
        (PassthroughScoring, TypeError),
        (("name", 5), TypeError),
        (Freezer("*"), ValueError),
        (EpochScoring("r2"), ValueError),
        (LRScheduler("StepLR", step_size=1), ValueError),
    ],
)
def test_callbacks_that_cannot_act_are_refused(given, error, iris):
    with pytest.raises(error, match="callbacks"):
        AutoencoderTransformer(2, callbacks=[given]).fit(iris)


def test_a_checkpoint_is_of_the_best_epoch(iris, tmp_path):
    model = AutoencoderTransformer(
        2, max_iter=5, random_state=0, callbacks=[Checkpoint(dirname=tmp_path)]
    ).fit(iris)
    best = [e["valid_loss_best"] for e in model.net_.history]
    assert best == [e["best"] for e in model.net_.history]
    assert (tmp_path / "params.pt").exists() == any(best)


CHECKPOINTED = [
    (AutoencoderTransformer, {}),
    (AutoencoderTransformer, {"penalty": "mmd"}),
    (AutoencoderTransformer, {"ordered": True}),
    (AutoencoderTransformer, {"allow_nan": True}),
    (AutoencoderTransformer, {"precision": "bfloat16"}),
    (VAETransformer, {"prior": "vamp"}),
]


def saved(folder):
    return {
        path.name: torch.load(path, weights_only=True) for path in folder.glob("*.pt")
    }


@pytest.mark.parametrize("estimator, options", CHECKPOINTED, ids=str)
def test_a_checkpoint_is_loaded_after_a_fit(estimator, options, curved, tmp_path):
    checkpoint = Checkpoint(monitor=lambda net: len(net.history) == 2, dirname=tmp_path)
    options = {**LEARNS, **options, "max_iter": 3}
    model = estimator(2, callbacks=[checkpoint], **options).fit(curved)
    model.transform(curved)  # which keeps a copy in float64
    model.net_.load_params(checkpoint=checkpoint)
    assert not list(tmp_path.glob("*.part"))
    state = saved(tmp_path)["params.pt"]
    found = model.net_.module_.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    assert len(model.net_.history) == 2
    encode = Encoder(copy.deepcopy(model.net_.module_).double().eval())
    with torch.no_grad():
        truth = encode(torch.from_numpy(curved))
    np.testing.assert_allclose(model.transform(curved), truth, atol=1e-12)


@pytest.mark.parametrize("estimator, options", CHECKPOINTED, ids=str)
def test_a_fit_begins_at_a_loaded_checkpoint(estimator, options, curved, tmp_path):
    options = {**LEARNS, "max_iter": 4, **options}
    end = TrainEndCheckpoint(dirname=tmp_path)
    first = estimator(2, callbacks=[end], **options).fit(curved)
    options |= {"callbacks": [LoadInitState(end)], "max_iter": 1}
    # A rate that moves nothing: steps, too, begin there.
    second = estimator(2, **options | {"learning_rate_init": 1e-12}).fit(curved)
    state = saved(tmp_path)["train_end_params.pt"]
    named = dict(second.net_.module_.named_parameters())
    # Half precision rounds what is computed with, not what is kept.
    for name, value in named.items():
        torch.testing.assert_close(value, state[name], rtol=1e-6, atol=1e-6)
    assert second.n_iter_ == first.n_iter_ + 1
    if second.initial_loss_ is not None:
        assert second.initial_loss_ == pytest.approx(first.best_loss_, rel=0.05)


def test_a_failed_save_leaves_the_file_that_there_was(iris, monkeypatch, tmp_path):
    net = AutoencoderTransformer(2, **SMALL).fit(iris).net_
    path = tmp_path / "params.pt"
    net.save_params(f_params=path)
    before = path.read_bytes()

    def fail(state, file):
        path.__class__(file).write_bytes(b"half")
        raise InjectedError

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(InjectedError):
        net.save_params(f_params=path)
    assert path.read_bytes() == before


def test_the_next_pass_goes_on_from_a_loaded_optimiser(iris, tmp_path):
    """What a pickle does not keep, the files of `save_params` do; the pass after them
    begins at the averages of the weights, which are what they hold."""
    passes = [iris[i::3] for i in range(3)]
    plain, loaded = (AutoencoderTransformer(2, **SMALL) for _ in range(2))
    end = TrainEndCheckpoint(dirname=tmp_path)
    plain.set_params(callbacks=[end]).partial_fit(passes[0])
    plain.net_.last_weights_ = None
    plain.set_params(callbacks=None).partial_fit(passes[1])
    loaded.partial_fit(passes[0]).net_.optimizer_state_ = None
    loaded.net_.load_params(checkpoint=end.checkpoint_)
    loaded.partial_fit(passes[1])
    assert np.array_equal(plain.transform(iris), loaded.transform(iris))


# Gradients.


class Gradients(Callback):
    """What `on_grad_computed` is given, and a change of it in place."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def initialize(self):
        self.found = []
        return self

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.found.append({n: p.grad.clone() for n, p in named_parameters})
        for _, p in named_parameters:
            p.grad *= self.factor


@pytest.mark.parametrize("is_recorded", [False, True])
@pytest.mark.parametrize("options", [{}, {"precision": "bfloat16"}], ids=str)
@both
def test_callbacks_see_the_gradients_of_each_step(
    estimator, options, is_recorded, monkeypatch, curved
):
    """By the names of the weights, and what they make of them is what counts."""
    monkeypatch.setattr(_trainer, "_MIN_STEPS_TO_RECORD", 0 if is_recorded else 1e9)
    curved = curved[:100]
    options = {**LEARNS, "max_iter": 2, "early_stopping": False, **options}
    plain = estimator(2, **options).fit(curved)
    watched = estimator(2, callbacks=[Gradients()], **options).fit(curved)
    assert np.array_equal(plain.transform(curved), watched.transform(curved))
    found = dict(watched.net_.callbacks_)["Gradients"].found
    assert len(found) == len(plain.loss_curve_) * math.ceil(
        len(curved) / plain.net_.batch_size
    )
    shapes = {
        n: p.shape for n, p in plain.net_.module_.named_parameters() if p.requires_grad
    }
    assert {n: g.shape for n, g in found[0].items()} == shapes
    assert any(g.any() for g in found[0].values())
    stilled = estimator(2, alpha=0.0, callbacks=[Gradients(0.0)], **options)
    start = estimator(2, **{**options, "max_iter": 0}).fit(curved)
    codes = stilled.fit(curved).transform(curved)
    np.testing.assert_allclose(codes, start.transform(curved), atol=1e-5)


def test_gradients_are_those_of_the_loss(curved):
    """As autograd has them of the same weights and the same batch."""

    class First(Callback):
        def on_grad_computed(self, net, named_parameters, batch, **kwargs):
            if hasattr(self, "found"):
                return
            self.found = {n: p.grad.clone() for n, p in named_parameters}
            net.module_.zero_grad()
            loss = net.get_loss(net.module_(batch.x))
            self.truth = torch.autograd.grad(
                loss, net.module_.parameters(), allow_unused=True
            )
            self.names = [n for n, _ in net.module_.named_parameters()]

    first = First()
    AutoencoderTransformer(2, callbacks=[first], **LEARNS).fit(curved)
    for name, truth in zip(first.names, first.truth, strict=True):
        expected = torch.zeros_like(first.found[name]) if truth is None else truth
        torch.testing.assert_close(first.found[name], expected)


def test_gradient_norms_are_clipped(curved):
    clipping = GradientNormClipping(1e-3)
    norms = []

    class Norm(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            squares = [p.grad.square().sum() for _, p in named_parameters]
            norms.append(float(torch.stack(squares).sum().sqrt()))

    callbacks = [("before", Norm()), ("clip", clipping), ("after", Norm())]
    params = {**LEARNS, "max_iter": 2}
    AutoencoderTransformer(2, callbacks=callbacks, **params).fit(curved)
    assert min(norms[::2]) > 1e-3
    np.testing.assert_allclose(norms[1::2], 1e-3, rtol=1e-2)


# The net by itself.


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_net_reconstructs_arrays(estimator, dtype, iris):
    X = iris.astype(dtype)
    model = estimator(2, **SMALL).fit(X)
    truth = model.inverse_transform(model.transform(X))
    tolerance = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(model.net_.predict(X), truth, **tolerance)
    np.testing.assert_allclose(model.net_.forward(X).numpy(), truth, **tolerance)


def test_the_net_says_that_it_does_not_train_on_arrays(iris):
    net = AutoencoderTransformer(2, **SMALL).fit(iris).net_
    for train in (net.fit, net.partial_fit):
        with pytest.raises(TypeError, match="of the estimator"):
            train(iris)


def test_a_named_callback_replaces_ours():
    mine = OneCycle(warmup=0.5)
    named = training_callbacks(
        schedule=True, patience=None, verbose=0, users=[("schedule", mine), Recorder()]
    )
    assert dict(c for c in named if isinstance(c, tuple))["schedule"] is mine
    assert isinstance(named[-1], Recorder)


# Output, precision, threads.


def test_verbose_draws_a_bar_and_a_table(iris, capsys):
    AutoencoderTransformer(2, verbose=0, **SMALL).fit(iris)
    assert capsys.readouterr() == ("", "")
    AutoencoderTransformer(2, verbose=1, **SMALL).fit(iris)
    out, err = capsys.readouterr()
    assert out == ""
    assert "8/8" in err and "loss=" in err
    AutoencoderTransformer(2, verbose=2, **SMALL).fit(iris)
    out, err = capsys.readouterr()
    assert "8/8" in err
    assert "train_loss" in out and "valid_loss" in out
    assert len([line for line in out.splitlines() if line.strip()[:1].isdigit()]) == 9


@both
def test_losses_have_one_unit_in_bar_table_and_history(estimator, iris, capsys):
    """A hundredfold table has the losses of the data's units everywhere."""
    model = estimator(2, verbose=2, **SMALL).fit(100 * iris)
    history = model.net_.history
    assert history[:, "train_loss"] == model.loss_curve_
    assert history[:, "valid_loss"] == model.validation_loss_curve_
    out, err = capsys.readouterr()
    header, _, first, *others = out.splitlines()
    column = header.split().index("valid_loss") - len(header.split())
    assert first.split()[0] == "0" and f"{model.initial_loss_:.5g}" in first
    assert others[-1].split()[0] == "8"
    plain = [re.sub("\\x1b\\[[0-9]*m", "", line).split() for line in others]
    found = [float(line[column]) for line in plain]
    np.testing.assert_allclose(found, model.validation_loss_curve_, rtol=1e-4)
    assert f"loss={model.validation_loss_curve_[-1]:.4g}" in err


def test_without_validation_rows_the_table_begins_with_the_first_epoch(iris, capsys):
    AutoencoderTransformer(2, verbose=2, early_stopping=False, **SMALL).fit(iris)
    assert capsys.readouterr().out.splitlines()[2].split()[0] == "1"


@both
def test_half_precision_trains_as_well(estimator, curved):
    half = estimator(2, precision="bfloat16", **LEARNS).fit(curved)
    single = estimator(2, precision="float32", **LEARNS).fit(curved)
    start = estimator(2, **{**LEARNS, "max_iter": 0}).fit(curved)
    gain = single.score(curved) - start.score(curved)
    assert gain > 0
    assert half.score(curved) - start.score(curved) > 0.8 * gain
    assert not np.array_equal(half.transform(curved), single.transform(curved))
    assert {p.dtype for p in half.net_.module_.parameters()} == {torch.float32}
    assert half.transform(curved.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_fit_leaves_the_number_of_threads(n_threads, iris):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(n_threads)
        AutoencoderTransformer(2, **SMALL).fit(iris)
        assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)


@both
def test_the_net_of_a_fit_holds_no_running_state(estimator, iris):
    model = estimator(2, **SMALL).fit(iris)
    net = model.net_
    assert net.optimizer_ is None and net.optimizer_state_ is None
    for name in ("parameters_", "generator_", "step_", "validation_"):
        assert not hasattr(net, name)
    best = next(c for _, c in net.callbacks_ if isinstance(c, BestEpoch))
    assert not [n for n in vars(best) if n.endswith(("state_", "losses_"))]
    assert not net.module_.training
    for p in net.module_.parameters():  # no view of a longer vector
        assert p.untyped_storage().nbytes() == p.nbytes


def test_one_far_row_does_not_set_the_noise(curved):
    """A validation row, at a distance of thirty; the initial model accounts for it."""
    far = np.vstack([curved, np.full((1, 8), 30.0)])
    seeds = [s for s in range(60) if is_validation_row(len(curved), s)]
    params = {"hidden_layer_sizes": (64, 32), "max_iter": 30, "random_state": seeds[0]}
    noise = [VAETransformer(2, **params).fit(X).noise_variance_ for X in (curved, far)]
    assert noise[1] < 10 * noise[0]


def is_validation_row(i, random_state):
    """Whether a fit to ``i + 1`` rows validates on the last."""
    seed = np.random.RandomState(random_state).randint(np.iinfo(np.int32).max)
    return i in numbered(i + 1).split(0.1, seed)[1].index


def test_the_noise_is_not_that_of_rows_that_the_initial_model_accounts_for():
    """A twentieth of the rows ten deviations off: expectation maximisation from the
    noise of all rows stays there, which is no maximum."""
    deviations = torch.ones(100, 1, dtype=torch.float64)
    deviations[:5] = 100.0
    validation = object.__new__(Validation)
    weight = torch.tensor(1 / 101, dtype=torch.float64)
    validation.model = SimpleNamespace(initial=SimpleNamespace(weight=weight))
    initial_losses = torch.full((100,), 1.5, dtype=torch.float64)
    initial_losses[:5] = 8.0
    validation.initial_losses = initial_losses

    def losses_at(noise):
        return 0.5 * (deviations[:, 0] / noise + (2 * math.pi * noise).log())

    def best(responsibility):
        return (responsibility @ deviations) / responsibility.sum()

    settled = validation._settled(
        deviations.mean(0), torch.ones(1).double(), losses_at, best
    )
    assert float(settled) == pytest.approx(1.0, abs=0.05)


def test_the_weight_of_a_mixture_suits_the_rows_best():
    """Against SciPy's search of the same likelihood."""
    generator = torch.Generator().manual_seed(0)
    own = torch.randn(200, generator=generator, dtype=torch.float64)
    initial = own - 0.3 + torch.randn(200, generator=generator, dtype=torch.float64)

    def loss(weight):
        mixed = torch.logaddexp(own + math.log1p(-weight), initial + math.log(weight))
        return -float(mixed.mean())

    best = minimize_scalar(loss, bounds=(1e-6, 1 - 1e-6), method="bounded").x
    assert 0.05 < best < 0.95
    assert mixture_weight(own, initial, 1e-6) == pytest.approx(best, abs=1e-3)


def test_each_component_keeps_the_smallest_weight():
    far = torch.full((50,), 100.0)
    assert mixture_weight(far, -far, 0.01) == pytest.approx(0.01)
    assert mixture_weight(-far, far, 0.01) == pytest.approx(0.99)


@pytest.mark.parametrize("n", [40, 150])
def test_the_initial_model_has_the_weight_of_one_row_at_least(n, iris):
    model = VAETransformer(2, **SMALL).fit(iris[:n])
    weight = float(model.net_.module_.initial.weight)
    assert weight > (1 - 1e-9) / (n + 1)
    begun = VAETransformer(2, **{**SMALL, "max_iter": 0}).fit(iris[:n])
    found = float(begun.net_.module_.initial.weight)
    assert found == pytest.approx(1 / (n + 1))


# What torch may lack.


def test_steps_without_the_fused_kernel_are_those_of_torch(monkeypatch):
    monkeypatch.delattr(torch, "_fused_adamw_")
    values = torch.randn(50, generator=seeded())
    mine, truth = torch.nn.Parameter(values.clone()), torch.nn.Parameter(values.clone())
    params = {"lr": 0.01, "weight_decay": 0.1}
    optimisers = (
        VectorAdamW([{"params": [mine], "weight_decay": 0.1}], lr=0.01),
        torch.optim.AdamW([truth], **params),
    )
    for i in range(10):
        mine.grad = truth.grad = torch.randn(50, generator=seeded(i))
        for optimiser in optimisers:
            optimiser.step()
    assert not torch.equal(mine, values)
    torch.testing.assert_close(mine, truth)


@pytest.mark.parametrize("is_known", [True, False])
def test_gamma_draws_are_gamma_draws(is_known, monkeypatch):
    """The same for the same generator, and of nothing else."""
    if not is_known:  # torch's distributions then have another way
        own = torch.distributions.gamma
        monkeypatch.setattr(own, "_standard_gamma", torch._standard_gamma)
        monkeypatch.delattr(torch, "_standard_gamma")
    shape = torch.tensor([0.3, 2.0, 50.0], dtype=torch.float64).expand(100_000, 3)
    before = torch.get_rng_state()
    drawn, again, other = (standard_gamma(shape, seeded(s)) for s in (0, 0, 1))
    assert torch.equal(drawn, again) and not torch.equal(drawn, other)
    generator = seeded()
    first, second = (standard_gamma(shape, generator) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    first, second = (standard_gamma(shape, None) for _ in range(2))
    assert not torch.equal(first, second)
    for column, a in zip(drawn.T, shape[0]):
        # Mean and variance are a; the fourth central moment is 3 a^2 + 6 a.
        assert abs(column.mean() - a) < 4 * (a / len(drawn)) ** 0.5
        error = ((2 * a**2 + 6 * a) / len(drawn)) ** 0.5
        assert abs(column.var() - a) < 4 * error


# Failures.

STAGES = [
    "choose_likelihood",
    "build",
    "initialise",
    "make_net",
    "train",
    "LatentNet.train",
    "finalise",
    "learn_imputation",
]
FITS = {
    "fit": lambda model, X: model.fit(X),
    "warm fit": lambda model, X: model.fit(X),
    "partial_fit": lambda model, X: model.partial_fit(X),
}


class InjectedError(Exception):
    pass


def inject(monkeypatch, stage, is_late):
    """Let a function of a fit fail, at once or after all that it does."""

    def failing(function):
        def fail(*args, **kwargs):
            if is_late:
                function(*args, **kwargs)
            raise InjectedError(stage)

        return fail

    if stage == "LatentNet.train":
        monkeypatch.setattr(LatentNet, "train", failing(LatentNet.train))
        return
    for name, module in list(sys.modules.items()):
        if name.startswith("skae.transformers.") and hasattr(module, stage):
            monkeypatch.setattr(module, stage, failing(getattr(module, stage)))


def with_missing(X):
    X = X.copy()
    X[::5, 1] = np.nan
    return X


@both
@pytest.mark.parametrize("how", ["fit", "partial_fit"])
@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("stage", STAGES)
def test_a_fit_that_fails_leaves_an_unfitted_estimator_so(
    estimator, how, is_late, stage, monkeypatch, iris
):
    model = estimator(2, allow_nan=True, warm_start=True, **{**SMALL, "max_iter": 2})
    before = dict(vars(model))
    inject(monkeypatch, stage, is_late)
    with pytest.raises(InjectedError):
        FITS[how](model, with_missing(iris[::2]))
    assert_same_objects(vars(model), before)
    with pytest.raises(NotFittedError):
        model.transform(iris)


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("how", FITS)
@both
def test_a_fit_that_fails_leaves_a_fitted_estimator_as_it_was(
    estimator, how, is_late, monkeypatch, iris
):
    X = with_missing(iris[::2])
    params = {**SMALL, "max_iter": 2, "warm_start": how == "warm fit"}
    model, other = (estimator(2, allow_nan=True, **params) for _ in range(2))
    for one in (model, other):
        one.partial_fit(X) if how == "partial_fit" else one.fit(X)
    before, outputs = dict(vars(model)), outputs_of(model, X)
    net, history = dict(vars(model.net_)), [dict(e) for e in model.net_.history]
    for stage in STAGES:
        if stage == "initialise" and how != "fit":
            continue  # a fit that goes on has no use for it
        with monkeypatch.context() as patch:
            inject(patch, stage, is_late)
            with pytest.raises(InjectedError, match=stage):
                FITS[how](model, X[::-1] * 1.1)
        assert_same_objects(vars(model), before)
        assert_same_objects(vars(model.net_), net)
        assert [dict(e) for e in model.net_.history] == history
        for value, truth in zip(outputs_of(model, X), outputs, strict=True):
            np.testing.assert_array_equal(value, truth)
    # And the next fit is the one that it would have been.
    for one in (model, other):
        FITS[how](one, X)
    np.testing.assert_array_equal(model.transform(X), other.transform(X))


def assert_same_objects(found, expected):
    assert found.keys() == expected.keys()
    assert all(found[name] is value for name, value in expected.items())


def outputs_of(model, X):
    codes = model.transform(X)
    state = model.net_.module_.state_dict()
    return [
        codes,
        model.inverse_transform(codes),
        model.score_samples(X),
        model.impute(X),
        model.impute(X, n_imputations=2, random_state=0),
        model.sample(5, random_state=0),
        *(value.clone().numpy() for value in state.values()),
    ]


def test_codes_of_all_rows_keep_no_graph(curved, monkeypatch):
    init = _encoder_phase.AugmentedBatches.__init__
    kept = []

    def watched(self, model, batches):
        def keep(tensor):
            kept.append(tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            init(self, model, batches)

    monkeypatch.setattr(_encoder_phase.AugmentedBatches, "__init__", watched)
    model = AutoencoderTransformer(2, **{**LEARNS, "max_iter": 30}).fit(curved)
    assert model.best_iter_ > 0  # so that there was such a phase
    assert not kept
