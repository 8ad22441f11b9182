"""Batches, flat parameters, callbacks, and what a fit does around them."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    PassthroughScoring,
)

from skae import AutoencoderTransformer, VAETransformer
from skae.data._rows import HeldOut, ResidentBatches
from skae.nn._model import LatentModel
from skae.nn._posteriors import DiagonalNormal
from skae.nn.architectures import ARCHITECTURES, MLPBody
from skae.nn.likelihoods import Gaussian
from skae.nn.priors import Normal
from skae.training._callbacks import BestEpoch, OneCycle, training_callbacks
from skae.training._flat_parameters import FlatParameters, flat_vectors
from skae.training._optimizer import VectorAdamW
from skae.training._share import learned_share
from skae.training._step import traced

BOTH = [AutoencoderTransformer, VAETransformer]
SMALL = {"hidden_layer_sizes": (16,), "random_state": 0, "max_iter": 8}

# Enough to leave the start on the curved surface.
LEARNS = {
    "hidden_layer_sizes": (64, 32),
    "learning_rate_init": 0.01,
    "max_iter": 15,
    "random_state": 0,
}

# Rounding of a gradient, as a share of its largest element.
EPS = {"float32": 1e-6, "bfloat16": 8e-3}

both = pytest.mark.parametrize("estimator", BOTH)


def is_finite(model):
    return all(p.isfinite().all() for p in model.net_.module_.parameters())


# Batches.


def rows(n, width=1):
    return torch.arange(n, dtype=torch.float32)[:, None].expand(n, width).clone()


@pytest.mark.parametrize("n, width", [(1, 1), (7, 1), (8, 1), (23, 1), (64, 40_000)])
def test_training_batches_cover_every_row_in_equal_shapes(n, width):
    batches = ResidentBatches(rows(n, width), 8, torch.Generator().manual_seed(0))
    for _ in range(3):
        epoch = list(batches)
        assert len(epoch) == len(batches) == math.ceil(n / 8)
        assert {b.shape for b in epoch} == {(min(8, n), width)}
        seen = torch.cat(epoch)[:, 0]
        values, counts = seen.unique(return_counts=True)
        assert torch.equal(values, torch.arange(n, dtype=torch.float32))
        assert counts.max() <= 2


def test_training_batches_are_permuted_anew_each_epoch():
    batches = ResidentBatches(rows(40), 8, torch.Generator().manual_seed(0))
    first, second = (torch.cat(list(batches)) for _ in range(2))
    again = ResidentBatches(rows(40), 8, torch.Generator().manual_seed(0))
    assert not torch.equal(first, second)
    assert not torch.equal(first, rows(40))
    assert torch.equal(first, torch.cat(list(again)))


def test_other_batches_are_the_rows_in_order():
    batches = list(ResidentBatches(rows(23), 8))
    assert [len(b) for b in batches] == [8, 8, 7]
    assert torch.equal(torch.cat(batches), rows(23))


@pytest.mark.parametrize(
    "n, fraction, n_valid", [(50, 0.1, 5), (4, 0.1, 1), (9, 0.5, 4), (9, 0.99, 8)]
)
def test_held_out_rows_and_the_others_are_all_rows(n, fraction, n_valid):
    train, valid = HeldOut(fraction, seed=0)(rows(n))
    assert len(valid) == n_valid
    assert torch.equal(torch.cat([train, valid]).sort(0).values, rows(n))


def test_the_seed_decides_which_rows_are_held_out():
    halves = [HeldOut(0.5, seed)(rows(50))[1] for seed in (0, 0, 1)]
    assert torch.equal(halves[0], halves[1])
    assert not torch.equal(halves[0], halves[2])


# Flat parameters.


def make_model():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        bodies = ARCHITECTURES["mlp"](None, (6,), "tanh", (5, 2), (4, 5))
        model = LatentModel(5, 2, bodies, DiagonalNormal, Gaussian(5), Normal(2))
        for p in model.spine.parameters():
            torch.nn.init.normal_(p)
        return model


def objective(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(9, 5, generator=generator)
    terms = model(x, torch.randn(9, 2, generator=generator))
    return negative_bound(terms)


def backward(flat, seed=0):
    """Gradient of the same objective, by the vectors; returns its value."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(9, 5, generator=generator)
    inputs = {"x": x, "noise": torch.randn(9, 2, generator=generator)}
    step = flat.gradient_step(negative_bound, inputs)
    return step(inputs)


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
    plain, model = make_model(), make_model()
    _, flat = bind(model)
    assert sum(len(v) for v in flat.vectors) == sum(
        p.numel() for p in model.parameters()
    )
    for bound in (model, flat.computing):
        values = dict(bound.named_parameters())
        for name, p in plain.named_parameters():
            assert torch.equal(values[name], p)


def test_the_gradient_is_that_of_plain_autograd():
    plain, model = make_model(), make_model()
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


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_traced_step_is_the_plain_one(precision):
    """Also after the weights have moved: the trace reads them where they lie."""
    (_, flat), (_, other) = bind(make_model(), precision), bind(make_model(), precision)
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 9, 5, generator=generator), torch.randn(2, 9, 2)
    x = x.to(getattr(torch, precision))
    steps = [
        f.gradient_step(negative_bound, {"x": x[0], "noise": noise[0]}, record)
        for f, record in ((flat, traced), (other, None))
    ]
    for i in range(2):
        values = [step({"x": x[i], "noise": noise[i]}) for step in steps]
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


def test_joined_tensors_are_written_piece_by_piece():
    """Also a piece that is joined twice, or that is used besides."""
    generator = torch.Generator().manual_seed(0)
    weight, x, other = torch.randn(3, 4, 4, generator=generator)

    def function(constants, x):
        product, total = x @ constants[0], x.sum(0)
        flat = product.reshape(-1)
        used = (x.T @ x).reshape(-1)
        joined = torch.cat([flat, total, total, used, x[0]])
        return used.sum(), joined, torch.cat([product, x])

    step = traced(function, [weight], [x])
    for rows in (x, other):
        found, truth = step(rows), function([weight], rows)
        for value, true_value in zip(found, truth, strict=True):
            torch.testing.assert_close(value, true_value)


@both
def test_a_long_fit_is_traced_and_a_body_of_unknown_kind_is_not(estimator, curved):
    params = {**SMALL, "max_iter": 12, "batch_size": 4}  # 1,080 steps
    model = estimator(2, **params).fit(curved)
    MLPBody.is_static = False
    try:
        plain = estimator(2, **params).fit(curved)
    finally:
        MLPBody.is_static = True
    # A thousand steps enlarge the rounding of the first.
    np.testing.assert_allclose(model.loss_curve_, plain.loss_curve_, rtol=1e-3)


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
    model = make_model()
    _, flat = bind(model)
    fill(flat, 3.0)
    assert all((p == 3).all() for p in flat.computing.parameters())
    flat.update()
    assert all((p == 3).all() for p in model.parameters())


def test_the_module_is_an_exponential_average_of_the_steps():
    model = make_model()
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
        assert all((p == value).all() for p in flat.computing.parameters())


def decays_in_plain(name, p):
    """The hidden layers decay; spine, output layers and distributions do not."""
    return name.startswith(("encoder.hidden", "decoder.hidden"))


def test_an_optimiser_on_the_vectors_does_what_one_on_the_weights_does():
    plain, model = make_model(), make_model()
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


def test_the_twin_computes_in_half_precision_on_the_same_values():
    model = make_model()
    _, flat = bind(model, "bfloat16")
    for _ in range(2):
        twins = dict(flat.computing.named_parameters())
        for name, p in model.named_parameters():
            half = name.startswith(("spine", "encoder", "decoder"))
            assert p.dtype == torch.float32
            assert twins[name].dtype == (torch.bfloat16 if half else torch.float32)
            assert torch.equal(twins[name], p.to(twins[name].dtype))
        with torch.no_grad():
            for vector in flat.vectors:
                vector.mul_(1.7)
        flat.update()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_state_survives_what_comes_after_it(precision):
    model = make_model()
    _, flat = bind(model, precision, n_averaged=3)
    fill(flat, 0.3)
    flat.update()
    before, state = copy.deepcopy(model.state_dict()), flat.state()
    fill(flat, math.nan)
    flat.update()
    flat.load(state)
    twins = flat.computing.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        assert torch.equal(twins[name], before[name].to(twins[name].dtype))


# The schedule.


class Recorder(Callback):
    """Rate of the optimiser at every step, and the calls of every kind."""

    def initialize(self):
        self.rates, self.calls = [], []
        return self

    def on_batch_begin(self, net, training=False, **kwargs):
        self.calls.append("batch")
        self.rates.append(net.optimizer_.param_groups[0]["lr"])

    def on_epoch_end(self, net, **kwargs):
        self.calls.append("epoch")

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
    share = OneCycle(warmup=0.25, floor=0.01)._share
    assert share(0.0) == pytest.approx(0.1)
    assert share(0.25 - 1e-9) == pytest.approx(share(0.25)) == pytest.approx(1)
    assert share(1.0) == pytest.approx(0.01)
    assert share(0.625) == pytest.approx((1 + 0.01) / 2)  # half-way down


@both
def test_without_a_schedule_the_rate_is_constant(estimator, iris):
    callbacks = [("schedule", None), Recorder()]
    model = estimator(2, learning_rate_init=0.01, callbacks=callbacks, **SMALL)
    rates = recorder_of(model.fit(iris)).rates
    assert rates == [0.01] * len(rates)


@both
def test_every_group_of_a_single_pass_has_its_own_rate(estimator, iris):
    model = estimator(2, learning_rate_init=0.01, **SMALL).partial_fit(iris)
    for group in model.net_.optimizer_.param_groups:
        assert group["lr"] == pytest.approx(0.01 * group["speed"])
    speeds = [group["speed"] for group in model.net_.optimizer_.param_groups]
    assert speeds[:2] == [1.0, model.net_.module_.unexplained]


@both
def test_weight_decay_is_divided_by_the_rows_seen(estimator, iris):
    """And for the hidden layers alone."""
    model = estimator(2, alpha=30.0, **SMALL)
    for n_seen in (100, 150):
        model.partial_fit(iris[:100] if n_seen == 100 else iris[100:])
        decays = [g["weight_decay"] for g in model.net_.optimizer_.param_groups]
        assert decays[0] == pytest.approx(30 / n_seen) and not any(decays[1:])


# The best epoch.


def held_out_loss(model, X):
    """The fitted model's loss on the rows that the fit held out."""
    net = model.net_
    rows = net.module_.standardize(torch.from_numpy(X)).float()
    losses = net.held_out_losses(net.train_split(rows)[1], is_start=True)
    return float(losses.mean())


@both
@pytest.mark.parametrize("rate", [1e-3, 0.03, 3.0])
def test_the_best_epoch_is_restored_start_included(estimator, rate, curved):
    model = estimator(2, learning_rate_init=rate, **SMALL).fit(curved)
    epochs = model.net_.history[:, ("valid_loss", "best")]
    assert len(epochs) == 8
    kept = [model.net_.start_loss_, *(loss for loss, is_best in epochs if is_best)]
    assert kept == sorted(kept, reverse=True)
    # Epochs are judged with the smallest share of the start; it is learned afterwards.
    model.net_.module_.start_share = 1 / (len(curved) + 1)
    # The noise was chosen in float64, the likelihood is computed in float32.
    assert held_out_loss(model, curved) == pytest.approx(kept[-1], rel=1e-6)


@both
def test_a_ruinous_rate_leaves_the_start(estimator, iris):
    model = estimator(2, learning_rate_init=10.0, **SMALL).fit(iris)
    start = estimator(2, **{**SMALL, "max_iter": 0}).fit(iris)
    assert np.array_equal(model.transform(iris), start.transform(iris))
    assert np.array_equal(model.score_samples(iris), start.score_samples(iris))


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_luck_on_few_rows_is_no_gain_on_the_pca_of_all(seed):
    """Normal rows have nothing beyond PCA, but ten may look as if they had."""
    loading = np.random.default_rng(seed).normal(size=(10, 40))
    rng = np.random.default_rng(1000 + seed)
    X = rng.normal(size=(100, 10)) @ loading + rng.normal(size=(100, 40))
    model = AutoencoderTransformer(12, max_iter=30, random_state=seed).fit(X)
    assert min(model.validation_loss_curve_) < model.best_loss_
    assert model.net_.kept_start_
    expected = PCA(12, svd_solver="full").fit(X)
    expected = expected.inverse_transform(expected.transform(X))
    np.testing.assert_allclose(
        model.inverse_transform(model.transform(X)), expected, atol=1e-4
    )


def test_a_single_held_out_row_proves_no_gain(curved):
    model = AutoencoderTransformer(2, **SMALL).fit(curved[:10])
    assert len(model.net_.train_split(torch.from_numpy(curved[:10]))[1]) == 1
    assert model.net_.kept_start_


def test_best_loss_is_in_data_units(curved):
    X = 5 * curved + 3
    model = AutoencoderTransformer(2, **SMALL).fit(X)
    _, valid = model.net_.train_split(torch.from_numpy(X))
    squared = (
        valid.numpy() - model.inverse_transform(model.transform(valid.numpy()))
    ) ** 2
    assert model.best_loss_ == pytest.approx(squared.sum(1).mean(), rel=1e-4)
    start = model.net_.module_.loss_in_data_units(model.net_.start_loss_)
    assert model.best_loss_ in [start, *model.validation_loss_curve_]


def test_training_losses_are_in_data_units(curved):
    """Rates near zero leave the start, whose training loss is that of PCA."""
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


# Early stopping.


def end_by_the_rule(bests, patience, n_returns=3):
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
def test_nothing_is_trained_where_the_start_leaves_nothing(n_components, iris):
    model = AutoencoderTransformer(n_components, **SMALL).fit(iris)
    assert model.n_iter_ == 0
    restored = model.inverse_transform(model.transform(iris))
    np.testing.assert_allclose(restored, iris, rtol=1e-5)  # float32 weights
    assert VAETransformer(n_components, **SMALL).fit(iris).n_iter_ == 8
    # Further rows may need what the first did not.
    assert AutoencoderTransformer(n_components, **SMALL).partial_fit(iris).n_iter_ == 1


@pytest.mark.parametrize("n, has_validation", [(9, False), (40, True)])
def test_auto_holds_out_rows_where_there_are_enough(n, has_validation, iris):
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
    """Its loss is near the last training losses, whatever the rows held out say."""
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
def test_nan_at_every_step_ends_at_the_start_with_a_warning(estimator, iris):
    model = estimator(2, callbacks=[Poison()], batch_size=50, **SMALL)
    with pytest.warns(ConvergenceWarning, match="finite"):
        model.fit(iris)
    assert is_finite(model)
    start = estimator(2, **{**SMALL, "max_iter": 0}).fit(iris)
    assert np.array_equal(model.transform(iris), start.transform(iris))
    assert model.n_iter_ < 8


@both
@pytest.mark.parametrize("step", [0, 25, 35])
def test_one_nan_is_survived(estimator, step, curved):
    """Steps 0, 25 and 35 are the first, an inner one and the last of an epoch."""
    params = {**LEARNS, "max_iter": 30, "batch_size": 20}
    model = estimator(2, callbacks=[Poison([step])], **params).fit(curved)
    assert is_finite(model) and model.n_iter_ == 30
    losses = [model.net_.start_loss_, *model.net_.history[:, "valid_loss"]]
    assert held_out_loss(model, curved) == pytest.approx(min(losses), rel=1e-6)
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


class Interrupt(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_begin(self, net, **kwargs):
        self.step_ = 0

    def on_batch_end(self, net, **kwargs):
        self.step_ += 1
        if self.step_ == self.step:
            raise KeyboardInterrupt


@both
@pytest.mark.parametrize("step, n_whole_epochs", [(1, 0), (2, 0), (10, 3), (12, 3)])
def test_an_interrupted_fit_keeps_its_best_state(estimator, step, n_whole_epochs, iris):
    params = {**SMALL, "batch_size": 45}  # three steps an epoch
    model = estimator(2, callbacks=[Interrupt(step)], **params)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model.fit(iris)
    assert model.n_iter_ == len(model.validation_loss_curve_) == n_whole_epochs
    losses = model.net_.history[:n_whole_epochs]
    losses = [model.net_.start_loss_, *(e["valid_loss"] for e in losses)]
    assert held_out_loss(model, iris) == min(losses)
    assert is_finite(model)
    assert model.transform(iris).shape == (150, 2)


def test_a_fit_after_an_interruption_is_whole(iris):
    model = AutoencoderTransformer(2, callbacks=[Interrupt(5)], **SMALL)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model.fit(iris)
    model.set_params(callbacks=None).fit(iris)
    fresh = AutoencoderTransformer(2, **SMALL).fit(iris)
    assert np.array_equal(model.transform(iris), fresh.transform(iris))


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
        (GradientNormClipping(1e-9), ValueError),
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
    assert len([line for line in out.splitlines() if line.strip()[:1].isdigit()]) == 8


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


def test_the_net_of_a_fit_holds_no_running_state(iris):
    model = VAETransformer(2, **SMALL).fit(iris)
    assert not hasattr(model.net_, "parameters_")
    best = next(c for _, c in model.net_.callbacks_ if isinstance(c, BestEpoch))
    assert not hasattr(best, "state_")
    assert not model.net_.module_.training


def test_one_far_row_does_not_set_the_noise(curved):
    """Held out, at a distance of thirty; the share of the start accounts for it."""
    far = np.vstack([curved, np.full((1, 8), 30.0)])
    seeds = [s for s in range(60) if is_held_out(len(curved), s)]
    params = {"hidden_layer_sizes": (64, 32), "max_iter": 30, "random_state": seeds[0]}
    noise = [VAETransformer(2, **params).fit(X).noise_variance_ for X in (curved, far)]
    assert noise[1] < 10 * noise[0]


def is_held_out(i, random_state):
    """Whether a fit to ``i + 1`` rows holds out the last."""
    seed = np.random.RandomState(random_state).randint(np.iinfo(np.int32).max)
    return i in HeldOut(0.1, seed)(torch.arange(i + 1))[1]


# The share of the start.


def test_the_learned_share_suits_the_rows_best():
    """Against SciPy's search of the same likelihood."""
    generator = torch.Generator().manual_seed(0)
    own = torch.randn(200, generator=generator, dtype=torch.float64)
    linear = own - 0.3 + torch.randn(200, generator=generator, dtype=torch.float64)

    def loss(share):
        mixed = torch.logaddexp(own + math.log1p(-share), linear + math.log(share))
        return -float(mixed.mean())

    best = minimize_scalar(loss, bounds=(1e-6, 1 - 1e-6), method="bounded").x
    assert 0.05 < best < 0.95
    assert learned_share(own, linear, 1e-6) == pytest.approx(best, abs=1e-3)


def test_each_side_keeps_the_smallest_share():
    far = torch.full((50,), 100.0)
    assert learned_share(far, -far, 0.01) == pytest.approx(0.01)
    assert learned_share(-far, far, 0.01) == pytest.approx(0.99)
