"""Network bodies: the contract of all, and what each of them promises."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from models import make_model
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from skae import AutoencoderTransformer, VAETransformer
from skae.nn import _sizes
from skae.nn._sizes import n_macs, rows_at_once
from skae.nn.architectures import (
    ARCHITECTURES,
    MLP,
    Attention,
    Body,
    Convolutional,
    MLPBody,
    Recurrent,
    make_bodies,
)
from skae.nn.architectures._base import Gated
from skae.nn.architectures._conv import Down, Up, shuffle
from skae.nn.likelihoods import SquaredError
from skae.training import LatentNet, _trainer
from skae.training._flat_parameters import FlatParameters, flat_vectors
from skae.training._step import GradientStep, traced

BOTH = [AutoencoderTransformer, VAETransformer]
both = pytest.mark.parametrize("estimator", BOTH)
every = pytest.mark.parametrize("name", sorted(ARCHITECTURES))

D, K, N_PARAMS = 24, 3, 2
SHAPES = {"mlp": (24,), "conv": (2, 3, 4), "recurrent": (8, 3), "attention": (8, 3)}

# Small ones, for fits.
SMALL = {
    "mlp": MLP(),
    "conv": Convolutional(channels=(4, 6)),
    "recurrent": Recurrent(n_units=5),
    "attention": Attention(n_layers=1, n_heads=2, n_units=6),
}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def no_training(monkeypatch):
    """Any step of training fails the test."""

    def fail(*args, **kwargs):
        pytest.fail("training began")

    monkeypatch.setattr(LatentNet, "fit_loop", fail)


def randn(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator)


def make(architecture, shape, hidden=(8, 6), n_params=N_PARAMS, d=D):
    return architecture(shape, hidden, "silu", (d, K), (K * n_params, d * n_params))


def rows(n=60, d=D, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 5)) @ rng.normal(size=(5, d)) + rng.normal(size=(n, d))


def fit(estimator, name, X=None, **params):
    params = {"hidden_layer_sizes": (6,), "max_iter": 2, "random_state": 0, **params}
    params = {"architecture": SMALL[name], "sample_shape": SHAPES[name], **params}
    return estimator(K, **params).fit(rows() if X is None else X)


# The contract.


@every
@pytest.mark.parametrize("hidden", [(8, 6), (8,)])
@pytest.mark.parametrize("is_shaped", [True, False])
def test_bodies_map_rows_to_so_many_outputs(name, hidden, is_shaped):
    shape = SHAPES[name] if is_shaped else None
    encoder, decoder = make(ARCHITECTURES[name], shape, hidden)
    code = encoder(randn(5, D))
    params = decoder(randn(5, K))
    assert code.shape == (5, 2 * K) and params.shape == (5, D * N_PARAMS)
    for value in (code, params):
        assert value.isfinite().all() and (value.std(0) > 0).all()


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"mlp"}))
def test_without_hidden_layers_the_maps_themselves_lead_to_the_code(name):
    encoder, decoder = make(ARCHITECTURES[name], SHAPES[name], ())
    assert encoder(randn(5, D)).shape == (5, 2 * K)
    assert decoder(randn(5, K)).shape == (5, D * N_PARAMS)


@every
def test_rows_do_not_depend_on_one_another(name):
    for body, n_in in zip(make(ARCHITECTURES[name], SHAPES[name]), (D, K)):
        body, x = body.double(), randn(5, n_in).double()
        alone = torch.cat([body(row) for row in x.split(1)])
        torch.testing.assert_close(body(x), alone)


@every
def test_bodies_are_copied_and_pickled_and_work_in_float64(name):
    for body, n_in in zip(make(ARCHITECTURES[name], SHAPES[name]), (D, K)):
        body.eval()
        x = randn(5, n_in)
        value = body(x)
        assert torch.equal(copy.deepcopy(body)(x), value)
        assert torch.equal(pickle.loads(pickle.dumps(body))(x), value)
        double = copy.deepcopy(body).double()(x.double())
        assert double.dtype == torch.float64
        torch.testing.assert_close(double.float(), value, rtol=1e-4, atol=1e-5)


@every
@pytest.mark.parametrize("side", [0, 1])
def test_a_body_without_its_output_layer_is_zero(name, side):
    body = make(ARCHITECTURES[name], SHAPES[name])[side]
    for p in body.output.parameters():
        nn.init.zeros_(p)
    assert not body(randn(5, (D, K)[side])).any()
    gradients = torch.autograd.grad(
        body(randn(5, (D, K)[side])).sum(), list(body.output.parameters())
    )
    assert all(g.any() for g in gradients)  # it can leave the start


UPSAMPLINGS = ["nearest", "transposed", "pixel_shuffle"]
BLOCKED = {
    **{name: (ARCHITECTURES[name], SHAPES[name]) for name in SHAPES},
    **{
        f"{kind} {shape}": (Convolutional(upsampling=kind), shape)
        for kind in UPSAMPLINGS
        for shape in ((2, 3, 4), (3, 8))
    },
}


@pytest.mark.parametrize("case", BLOCKED)
def test_parameters_of_the_likelihood_come_in_blocks(case):
    """A decoder of two parameters is two decoders of one that share all but the last
    layer: each has one half of its weights."""
    both_of_them = make(*BLOCKED[case])[1]
    state = both_of_them.state_dict()
    halves = []
    for i in range(2):
        one = make(*BLOCKED[case], n_params=1)[1]
        mine = one.state_dict()
        for key, value in state.items():
            if value.shape != mine[key].shape:
                (axis,) = (
                    a
                    for a, sizes in enumerate(zip(value.shape, mine[key].shape))
                    if sizes[0] != sizes[1]
                )
                value = value.chunk(2, axis)[i]
            mine[key] = value
        one.load_state_dict(mine)
        halves.append(one(randn(5, K)))
    torch.testing.assert_close(both_of_them(randn(5, K)), torch.cat(halves, 1))


@every
def test_the_start_is_pca(name):
    X = rows()
    pca = PCA(K).fit(X)
    model = fit(AutoencoderTransformer, name, max_iter=0)
    back = model.inverse_transform(model.transform(X))
    np.testing.assert_allclose(
        back, pca.inverse_transform(pca.transform(X)), rtol=1e-4, atol=1e-4
    )
    assert model.net_.module_.encoder is not None
    model = fit(VAETransformer, name, max_iter=0)
    np.testing.assert_allclose(model.score_samples(X), pca.score_samples(X), rtol=1e-4)


@every
@both
def test_a_fitted_model_is_pickled_and_repeats_itself(estimator, name):
    X = rows()
    model = fit(estimator, name)
    again = fit(estimator, name)
    kept = pickle.loads(pickle.dumps(model))
    for method in ("transform", "score_samples"):
        value = getattr(model, method)(X)
        assert np.isfinite(value).all()
        assert np.array_equal(getattr(kept, method)(X), value)
        assert np.array_equal(getattr(again, method)(X), value)


def model_of(architecture, name):
    return make_model(
        SquaredError(D),
        K,
        architecture=architecture,
        sample_shape=SHAPES[name],
        hidden_layer_sizes=(8, 6),
    )


@pytest.mark.parametrize("name", ["conv", "attention", "recurrent"])
def test_a_traced_step_is_the_plain_one(name):
    """Only where it says that it can be traced."""
    model = model_of(SMALL[name], name)
    assert all(body.is_static == (name != "recurrent") for body in model.bodies)
    if name == "recurrent":
        return
    x = randn(2, 9, D)
    values = []
    for record in (traced, None):
        module = copy.deepcopy(model)
        vectors = [group["params"][0] for group in flat_vectors(module)]
        flat = FlatParameters(module, vectors, "float32", 1)
        step = GradientStep(
            flat, lambda terms: -terms.log_likelihood.mean(), {"x": x[0]}, record
        )
        values.append([step({"x": x[1]}), *(vector.grad for vector in vectors)])
    for mine, truth in zip(*values, strict=True):
        torch.testing.assert_close(mine, truth)


@pytest.mark.parametrize("name", ["conv", "attention", "recurrent"])
def test_multiply_adds_are_those_that_torch_counts(name):
    model = model_of(ARCHITECTURES[name], name)
    math = nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH)
    with FlopCounterMode(display=False) as counter, math:
        model(randn(10, D))
    counted = counter.get_total_flops() / 2 / 10
    assert n_macs(model) == pytest.approx(counted, rel=0.15)


@pytest.mark.parametrize("name", ["conv", "attention", "recurrent"])
def test_rows_are_taken_in_pieces_that_memory_holds(name, monkeypatch):
    X = rows()
    model = fit(AutoencoderTransformer, name)
    whole = model.transform(X)
    monkeypatch.setattr(_sizes, "_MAX_ELEMENTS", 10_000)
    assert 1 <= rows_at_once(model.net_.module_, 4096) < len(X)
    np.testing.assert_allclose(model.transform(X), whole, rtol=1e-4, atol=1e-5)


# Options.


@pytest.mark.parametrize("name", sorted(SMALL))
def test_options_are_those_of_the_constructor(name):
    kind = type(ARCHITECTURES[name])
    options = SMALL[name].get_params()
    copied = clone(SMALL[name])
    assert type(copied) is kind and copied is not SMALL[name]
    assert copied.get_params() == options
    assert repr(kind()) == f"{kind.__name__}()"
    assert eval(repr(SMALL[name])).get_params() == options
    with pytest.raises(ValueError, match=rf"'n_maps' .* {kind.__name__}; .*there are"):
        copied.set_params(n_maps=3)


def test_an_estimator_reaches_the_options():
    model = AutoencoderTransformer(2, architecture=Convolutional())
    assert model.get_params()["architecture__kernel_size"] == 3
    copied = clone(model).set_params(architecture__kernel_size=5)
    assert copied.architecture.kernel_size == 5
    assert model.architecture.kernel_size == 3
    assert "Convolutional(kernel_size=5)" in repr(copied)


def test_a_grid_search_over_options(digits):
    model = AutoencoderTransformer(
        2,
        architecture=Convolutional(),
        sample_shape=(1, 8, 8),
        hidden_layer_sizes=(8,),
        max_iter=2,
        early_stopping=False,  # the last epoch is kept
        random_state=0,
    )
    grid = {"architecture__channels": [(2,), (4, 3)]}
    search = GridSearchCV(model, grid, cv=2).fit(digits[:60])
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] != scores[1]
    best = search.best_estimator_
    convolutions = [layer.conv for layer in best.net_.module_.encoder.down]
    assert tuple(c.out_channels for c in convolutions) == best.architecture.channels
    assert best.architecture.channels == search.best_params_["architecture__channels"]


# Hooks.


def linear_layers(body):
    return [m for m in body.modules() if type(m) in (nn.Linear, nn.Conv1d, nn.Conv2d)]


@every
def test_forward_hooks_see_each_layer_and_may_replace_its_output(name):
    """With the values that the layer computes, of rows and of codes."""
    model = fit(AutoencoderTransformer, name)
    X = torch.from_numpy(rows()).float()
    for module, body, x in (
        (model.encoder_, model.net_.module_.encoder, X),
        (model.decoder_, model.net_.module_.decoder, model.encoder_(X)),
    ):
        nn.init.normal_(body.output.weight)  # zero where no epoch was better
        truth, layers, seen = module(x), linear_layers(body), {}
        assert len(layers) > 1
        for layer in layers:

            def keep(layer, args, value, seen=seen):
                seen[layer] = layer.forward(*args), value

            handle = layer.register_forward_hook(keep)
            found = module(x)
            torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-5)
            handle.remove()
            handle = layer.register_forward_hook(lambda layer, args, value: 1 - value)
            assert not torch.allclose(module(x), truth)
            handle.remove()
        assert seen.keys() == set(layers)
        assert all(torch.equal(*values) for values in seen.values())
        assert torch.equal(module(x), truth)


def test_a_layer_may_be_replaced():
    """As dynamic quantisation does, whose layers have no tensor for a weight."""

    class Doubled(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return 2 * self.layer(x)

    body = MLPBody((5, 4, 3), "tanh")
    x, skip = randn(7, 5), (randn(3, 5), randn(3))
    hidden, output = body.hidden[0], body.output
    body.hidden[0], body.output = Doubled(hidden), Doubled(output)
    truth = 2 * output(torch.tanh(2 * hidden(x)))
    torch.testing.assert_close(body(x), truth)
    torch.testing.assert_close(body(x, skip), truth + x @ skip[0].T + skip[1])


def test_hooks_see_each_step_of_a_fit(monkeypatch):
    """A recorded step would call them once."""
    monkeypatch.setattr(_trainer, "_MIN_STEPS_TO_RECORD", 0)
    calls = []

    def architecture(*sizes):
        encoder, decoder = MLP()(*sizes)
        encoder.hidden[0].register_forward_hook(lambda *args: calls.append(args))
        return encoder, decoder

    params = {"max_iter": 3, "batch_size": 20, "early_stopping": False}
    model = AutoencoderTransformer(2, architecture=architecture, **params)
    model.fit(rows())
    assert sum(x.requires_grad or len(x) == 20 for _, (x,), _ in calls) >= 3 * 2


# mlp


def test_the_plain_mlp_has_the_bits_that_it_always_had():
    body = make(MLP(), None, hidden=(8, 6))[0]
    torch.manual_seed(0)
    layers = nn.Linear(D, 8), nn.Linear(8, 6), nn.Linear(6, 2 * K, bias=False)
    x, (first, second, last) = randn(5, D), layers
    assert torch.equal(body(x), last(F.silu(second(F.silu(first(x))))))
    names = [name for name, _ in body.named_parameters()]
    assert names == [
        *(f"hidden.{i}.{kind}" for i in range(2) for kind in ("weight", "bias")),
        "output.weight",
    ]
    assert body.is_static and body.carries_skip


def test_residual_layers_add_their_input_where_widths_agree():
    body = MLPBody((5, 4, 4, 3), "tanh", residual=True)
    x, (first, second) = randn(7, 5), body.hidden
    h = torch.tanh(first(x))
    h = h + torch.tanh(second(h))
    torch.testing.assert_close(body(x), h @ body.output.weight.T)


def test_layer_norm_normalises_within_a_row():
    body = MLPBody((5, 4, 3), "tanh", layer_norm=True)
    x = randn(7, 5)
    h = body.hidden[0](x)
    h = h - h.mean(1, keepdim=True)
    h = h / (h.square().mean(1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(body(x), torch.tanh(h) @ body.output.weight.T)


def test_dropout_zeroes_its_fraction_in_training_only():
    body = MLPBody((5, 2000, 2000), "softplus", dropout=0.25)
    nn.init.eye_(body.output.weight)
    x = randn(7, 5)
    kept = F.softplus(body.hidden[0](x))
    torch.testing.assert_close(copy.deepcopy(body).eval()(x), kept)
    dropped = body.train()(x)
    is_zero = dropped == 0
    assert is_zero.float().mean().item() == pytest.approx(0.25, abs=0.02)
    torch.testing.assert_close(dropped, (kept / 0.75).where(~is_zero, 0.0))
    assert not body.is_static


@pytest.mark.parametrize("options", [MLP(dropout=0.2), MLP(layer_norm=True)])
def test_a_fit_with_options_beats_the_start(options, digits):
    params = {"max_iter": 30, "random_state": 0, "hidden_layer_sizes": (64,)}
    fits = AutoencoderTransformer(4, architecture=options, **params).fit(digits)
    pca = AutoencoderTransformer(4, max_iter=0).fit(digits)
    assert fits.score(digits) > 0.8 * pca.score(digits)
    np.testing.assert_array_equal(fits.transform(digits), fits.transform(digits))


def test_the_decoder_may_differ_from_the_encoder():
    encoder, decoder = make(MLP(decoder_layer_sizes=(7,)), None, hidden=(8, 6))
    widths = [[layer.out_features for layer in b.hidden] for b in (encoder, decoder)]
    assert widths == [[8, 6], [7]]
    encoder, decoder = make(MLP(decoder_layer_sizes=()), None, hidden=(8,))
    assert encoder is not None and decoder is None
    encoder, decoder = make(MLP(decoder_layer_sizes=(9,)), None, hidden=())
    assert encoder is None and decoder is not None


# conv

IMAGES = [(1, 28, 28), (1, 27, 31), (3, 8, 8), (2, 37), (1, 5)]


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("downsampling", ["stride", "max_pool"])
@pytest.mark.parametrize("shape", IMAGES)
def test_any_height_and_width(shape, downsampling, upsampling):
    architecture = Convolutional(
        channels=(3, 4, 5), downsampling=downsampling, upsampling=upsampling
    )
    d = int(np.prod(shape))
    encoder, decoder = make(architecture, shape, (6,), d=d)
    x, z = randn(2, d), randn(2, K).requires_grad_()
    assert encoder(x).shape == (2, 2 * K)
    params = decoder(z)
    assert params.shape == (2, d * N_PARAMS)
    assert (params.std(0) > 0).all()  # no position is left out


@pytest.mark.parametrize("kind", UPSAMPLINGS)
def test_what_goes_up_reaches_both_of_two_positions(kind):
    """With weights of one, a 1 x 1 convolution repeats, or puts zeros between."""
    up = Up((5, 6), 1, 1, 1, kind, bias=False)
    nn.init.ones_(up.conv.weight)
    small = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    truth = np.kron(small[0, 0], np.ones((2, 2)))
    if kind == "transposed":
        truth = np.kron(small[0, 0], [[1, 0], [0, 0]])
    np.testing.assert_array_equal(up(small).detach()[0, 0], truth[:5, :6])


@pytest.mark.parametrize("size", [(4, 6), (5, 7)])
def test_max_pool_takes_the_largest_of_neighbours(size):
    down = Down(2, 1, 1, 1, "max_pool", "relu")
    nn.init.ones_(down.conv.weight)
    nn.init.zeros_(down.conv.bias)
    x = randn(*size).abs()
    truth = [
        [x[i : i + 2, j : j + 2].max() for j in range(0, size[1], 2)]
        for i in range(0, size[0], 2)
    ]
    np.testing.assert_array_equal(down(x[None, None]).detach()[0, 0], truth)


def test_shuffle_is_that_of_torch_and_its_like_in_one_dimension():
    h = randn(2, 12, 3, 5)
    assert torch.equal(shuffle(h), F.pixel_shuffle(h, 2))
    h = randn(2, 6, 5)
    truth = torch.stack([h[:, ::2], h[:, 1::2]], -1).reshape(2, 3, 10)
    assert torch.equal(shuffle(h), truth)


def test_the_dense_layers_of_conv_are_mirrored():
    encoder, decoder = make(Convolutional(channels=(4,)), (2, 3, 4), (8, 6))
    widths = [
        [(layer.in_features, layer.out_features) for layer in b.dense.layers]
        for b in (encoder, decoder)
    ]
    assert widths == [[(16, 8), (8, 6)], [(K, 6), (6, 8), (8, 16)]]


def test_half_precision_trains_convolutions(digits):
    params = {"sample_shape": (1, 8, 8), "max_iter": 30, "random_state": 0}
    model = AutoencoderTransformer(
        4,
        architecture=Convolutional(channels=(8, 8)),
        precision="bfloat16",
        hidden_layer_sizes=(32,),
        **params,
    ).fit(digits)
    pca = AutoencoderTransformer(4, max_iter=0).fit(digits)
    assert model.score(digits) > 0.9 * pca.score(digits)


@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 2, 2), (2, 9, 1), (2, 9, 2), (3, 1)])
def test_half_precision_writes_all_gradients_of_narrow_maps(shape, upsampling):
    """Whatever the memory held before: those of single precision, rounded."""
    d = math.prod(shape)
    kind = Convolutional(channels=(8, 16), upsampling=upsampling)
    for body, n_in in zip(kind(shape, (), "tanh", (d, 4), (4, d)), (d, 4), strict=True):
        body, half = body.float(), copy.deepcopy(body).bfloat16()
        body.load_state_dict(half.state_dict())
        x = torch.randn(32, n_in, generator=torch.Generator().manual_seed(0)).bfloat16()
        truth = gradients(body, x.float())
        for _ in range(3):
            sizes = [2**i for i in range(3, 14)] * 8
            spoilt = [torch.full((size,), math.nan).bfloat16() for size in sizes]
            del spoilt
            for found, expected in zip(gradients(half, x), truth, strict=True):
                scale = float(expected.abs().max())
                torch.testing.assert_close(
                    found.float(), expected, atol=0.03 * scale, rtol=0.03
                )


def gradients(body, x):
    return torch.autograd.grad(body(x).float().square().mean(), body.parameters())


# recurrent and attention


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_recurrent_summaries_have_seen_every_position(cell, bidirectional):
    options = Recurrent(cell=cell, bidirectional=bidirectional, n_layers=2)
    encoder, decoder = make(options, (8, 3))
    x = randn(1, D).requires_grad_()
    (gradient,) = torch.autograd.grad(encoder(x).square().sum(), x)
    assert gradient.all()
    assert decoder(randn(1, K)).shape == (1, D * N_PARAMS)
    cells = {"gru": nn.GRU, "lstm": nn.LSTM}
    assert isinstance(encoder.mixer.rnn, cells[cell])
    assert encoder.mixer.rnn.bidirectional is bidirectional


@pytest.mark.parametrize("name", ["recurrent", "attention"])
def test_the_order_of_positions_matters(name):
    encoder, decoder = make(SMALL[name], (8, 3))
    x = randn(5, D)
    turned = x.reshape(5, 8, 3).flip(1).flatten(1)
    assert not torch.allclose(encoder(x), encoder(turned), atol=1e-4)
    values = decoder(randn(5, K)).reshape(5, N_PARAMS, 8, 3)
    assert (values.std(2) > 1e-4).all()


def test_attention_is_that_of_the_paper():
    """One head, one layer: softmax(Q K' / sqrt(u)) V with pre-norm."""
    encoder = make(Attention(n_layers=1, n_heads=1, n_units=6), (8, 3))[0].double()
    x = randn(5, D).double()
    mixer = encoder.mixer
    h = mixer.embed(x.reshape(5, 8, 3)) + mixer.positions
    (layer,) = mixer.layers
    attention = layer.self_attn
    q, k, v = F.linear(
        layer.norm1(h), attention.in_proj_weight, attention.in_proj_bias
    ).chunk(3, -1)
    weights = (q @ k.transpose(1, 2) / 6**0.5).softmax(-1)
    h = h + attention.out_proj(weights @ v)
    h = h + layer.linear2(F.silu(layer.linear1(layer.norm2(h))))
    h = encoder.narrow(mixer.norm(h)).flatten(1)
    for dense in encoder.dense.layers:
        h = F.silu(dense(h))
    torch.testing.assert_close(encoder(x), encoder.output(h))


def waves(n, seed):
    """Sinusoids of random phase, one to three periods on 24 positions."""
    rng = np.random.default_rng(seed)
    phase, periods = rng.uniform(0, 2 * np.pi, (n, 1)), rng.integers(1, 4, (n, 1))
    t = np.arange(24) / 24
    return np.sin(2 * np.pi * periods * t + phase) + 0.05 * rng.normal(size=(n, 24))


SEQUENCES = {
    "gru": Recurrent(n_units=16),
    "lstm": Recurrent(cell="lstm", n_units=16),
    "attention": Attention(n_layers=1, n_units=16),
}


@pytest.mark.parametrize("kind", SEQUENCES)
def test_sequences_have_a_third_of_the_error_of_pca(kind):
    X, unseen = waves(500, 0), waves(300, 1)
    params = {"hidden_layer_sizes": (256,), "random_state": 0, "max_iter": 14}
    model = AutoencoderTransformer(4, architecture=SEQUENCES[kind], **params).fit(X)
    pca = AutoencoderTransformer(4, max_iter=0).fit(X)
    assert model.score(unseen) > pca.score(unseen) / 3


@pytest.mark.parametrize("name", ["recurrent", "attention"])
def test_half_precision_is_refused_where_it_does_not_pay(name, no_training):
    with pytest.raises(ValueError, match=r"precision='bfloat16'.*half_precision"):
        fit(AutoencoderTransformer, name, precision="bfloat16")


# What users bring.


class Users(nn.Module):
    """Has no output layer that anyone could know of."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(n_in, 32), nn.Tanh(), nn.Linear(32, n_out))

    def forward(self, x):
        return self.net(x).tanh()


def users(sample_shape, hidden_layer_sizes, activation, n_in, n_out):
    return Users(n_in[0], n_out[0]), Users(n_in[1], n_out[1])


@both
def test_a_callable_starts_at_pca_and_learns(estimator, digits):
    pca = PCA(4).fit(digits)
    params = {"architecture": users, "random_state": 0}
    start = estimator(4, max_iter=0, **params).fit(digits)
    body = start.net_.module_.decoder
    assert isinstance(body, Gated) and not body.output.weight.any()
    if estimator is VAETransformer:
        np.testing.assert_allclose(start.score(digits), pca.score(digits), rtol=1e-3)
    fitted = estimator(4, max_iter=60, **params).fit(digits)
    gain = fitted.net_.module_.decoder.output.weight
    assert gain.abs().mean() > 0.01
    assert fitted.score(digits) > start.score(digits) + 0.05 * abs(start.score(digits))


@both
@pytest.mark.parametrize("is_ready", [True, False])
def test_a_body_says_whether_it_computes_in_half_precision(estimator, is_ready):
    X, params = rows(), {"architecture": users, "max_iter": 1, "random_state": 0}
    Users.half_precision = is_ready
    try:
        if is_ready:
            model = estimator(2, precision="bfloat16", **params).fit(X)
            assert model.net_.precision == "bfloat16"
            assert np.isfinite(model.loss_curve_).all()
        else:
            with pytest.raises(ValueError, match="half_precision is False"):
                estimator(2, precision="bfloat16", **params).fit(X)
        assert estimator(2, **params).fit(X).net_.precision == "float32"
    finally:
        del Users.half_precision


def test_a_random_start_leaves_the_gate_open():
    model = AutoencoderTransformer(
        2, architecture=users, init="random", max_iter=0, random_state=0
    ).fit(rows())
    body = model.net_.module_.encoder
    assert (body.output.weight == 1).all()
    torch.testing.assert_close(body(randn(3, D)), body.module(randn(3, D)))


class WithOutput(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.output = nn.Linear(n_in, n_out)

    def forward(self, x):
        return self.output(x)


class BodyWithOutput(WithOutput, Body):
    pass


@pytest.mark.parametrize("kind", [WithOutput, BodyWithOutput])
def test_only_a_body_names_its_last_layer(kind):
    """Of any other module it is not known, whatever its layers are called."""
    made = kind(D, K), None
    before = copy.deepcopy(made[0].state_dict())
    encoder, decoder = make_bodies(lambda *_: made, None, (), "silu", (D, K), (K, D))
    assert decoder is None and isinstance(encoder, Gated) == (kind is WithOutput)
    for name, value in made[0].state_dict().items():
        assert torch.equal(value, before[name])
    assert made[0].training


def test_a_callable_is_told_what_it_needs():
    seen = []

    def spy(*args):
        seen.append(args)
        return None, None

    AutoencoderTransformer(
        K, architecture=spy, hidden_layer_sizes=7, sample_shape=[4, 6], max_iter=0
    ).fit(rows())
    VAETransformer(K, architecture=spy, max_iter=0, activation="relu").fit(rows())
    assert seen == [
        ((4, 6), (7,), "silu", (D, K), (K, D)),
        (None, (256, 128), "relu", (D, K), (2 * K, D)),
    ]


# What cannot work.

BAD_SHAPES = [
    ("conv", (5, 5), r"sample_shape=\(5, 5\) has 25 values, but X has 24 features"),
    ("mlp", (5, 5), "25 values"),
    ("conv", (24,), r"1 dimension.* \(channels, length\) or \(channels, height"),
    ("conv", (1, 2, 3, 4), "4 dimension"),
    ("recurrent", (2, 3, 4), r"3 dimension.*\(length, features\)"),
    ("attention", (24,), r"1 dimension.*\(length, features\)"),
    ("conv", (1, -24), "integers >= 1"),
    ("conv", (1.0, 24.0), "integers >= 1"),
    ("conv", (), "integers >= 1"),
    ("conv", "flat", "sample_shape"),
    ("conv", 24, "sample_shape"),
]


@both
@pytest.mark.parametrize("name, shape, match", BAD_SHAPES, ids=str)
def test_a_wrong_sample_shape_is_named(estimator, name, shape, match, no_training):
    with pytest.raises(ValueError, match=match):
        fit(estimator, name, sample_shape=shape)


BAD_OPTIONS = [
    (MLP(dropout=1.0), r"dropout of MLP must be in \[0, 1\); got 1.0"),
    (MLP(dropout="half"), "dropout of MLP"),
    (MLP(decoder_layer_sizes=(8, 0)), r"decoder_layer_sizes of MLP .*\(8, 0\)"),
    (MLP(decoder_layer_sizes=8), "decoder_layer_sizes of MLP .* 8"),
    (Convolutional(channels=()), "channels of Convolutional must not be empty"),
    (Convolutional(channels=(8, 0)), r"channels of Convolutional .*\(8, 0\)"),
    (Convolutional(channels=8), "channels of Convolutional must hold integers"),
    (Convolutional(channels="wide"), "channels of Convolutional"),
    (Convolutional(kernel_size=4), "kernel_size of Convolutional must be odd; got 4"),
    (Convolutional(kernel_size=0), "kernel_size of Convolutional .* >= 1; got 0"),
    (Convolutional(upsampling="bilinear"), "'bilinear' .* 'nearest', 'transposed'"),
    (Convolutional(downsampling="mean"), "'mean' .* 'stride', 'max_pool'"),
    (Recurrent(cell="rnn"), "'rnn' of Recurrent is not one of 'gru', 'lstm'"),
    (Recurrent(n_units=0), "n_units of Recurrent .* got 0"),
    (Recurrent(n_layers=1.5), "n_layers of Recurrent .* got 1.5"),
    (Attention(n_heads=5), "n_units=64 of Attention .* multiple of n_heads=5"),
    (Attention(n_layers=0), "n_layers of Attention .* got 0"),
    (Attention(dropout=-0.1), "dropout of Attention .* got -0.1"),
    (Attention(n_units=np.bool_(True)), "n_units of Attention .* got True"),
    (Recurrent(n_units=np.array(1.5)), "n_units of Recurrent .* got 1.5"),
]


@pytest.mark.parametrize("architecture, match", BAD_OPTIONS, ids=str)
def test_bad_options_are_named(architecture, match, no_training):
    with pytest.raises(ValueError, match=match):
        AutoencoderTransformer(2, architecture=architecture).fit(rows())


def returns(encoder, decoder=None):
    return lambda *_: (encoder, decoder)


BAD_CALLABLES = [
    (lambda *_: None, "must return a pair.*got None"),
    (returns(np.tanh), "encoder body .* torch.nn.Module or None; got <ufunc"),
    (returns(nn.Linear(D, 5)), rf"encoder .* \(2, {D}\) to \(2, {K}\); got \(2, 5\)"),
    (returns(None, nn.Linear(K, 5)), rf"decoder .* to \(2, {D}\); got \(2, 5\)"),
    (returns(nn.Linear(7, K)), "encoder body .* fails on rows"),
    (returns(nn.LSTM(D, K)), "encoder .* got tuple"),
]


def test_batch_normalisation_keeps_its_statistics():
    """Those of a pretrained network; rows stay apart."""
    norm = nn.BatchNorm1d(K)
    with torch.no_grad():
        norm.running_mean.fill_(0.3)
    body = nn.Sequential(nn.Linear(D, K), norm)
    model = AutoencoderTransformer(
        K, architecture=returns(body), init="random", max_iter=3, random_state=0
    ).fit(rows())
    fitted = model.net_.module_.encoder.module[1]
    assert torch.equal(fitted.running_mean, norm.running_mean)
    assert model.net_.history[-1]["train_loss"] < model.net_.history[0]["train_loss"]
    X = rows()
    np.testing.assert_allclose(model.transform(X[:3]), model.transform(X)[:3])


@pytest.mark.parametrize("architecture, match", BAD_CALLABLES)
def test_bad_bodies_are_refused(architecture, match, no_training):
    with pytest.raises(ValueError, match=match):
        AutoencoderTransformer(K, architecture=architecture).fit(rows())


@pytest.mark.parametrize("architecture", [Convolutional, nn.Linear, nn.Linear(D, K)])
def test_what_makes_no_bodies_is_refused(architecture, no_training):
    with pytest.raises(TypeError, match=r"architecture must be .* such as .*MLP\(\)"):
        AutoencoderTransformer(K, architecture=architecture).fit(rows())


def test_an_unknown_architecture_is_named_with_the_known(no_training):
    with pytest.raises(
        ValueError, match=r"'architecture' parameter .*'conv'.*'images'"
    ):
        AutoencoderTransformer(2, architecture="images").fit(rows())
