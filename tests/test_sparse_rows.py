"""Training on sparse batches is that on the same batches, dense."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone

from skae import AutoencoderTransformer, VAETransformer
from skae.data import _streamed_rows, _streams
from skae.data._sparse import SparseStream
from skae.data._streamed_rows import StreamedRows, _to_torch
from skae.nn._sparse_rows import SparseRows, squared_error, takes_sparse_rows
from skae.nn._units import Units
from skae.nn.architectures import MLP

AE, VAE = AutoencoderTransformer, VAETransformer
SMALL = {"hidden_layer_sizes": (16, 8), "max_iter": 4, "random_state": 0}


@pytest.fixture(scope="module")
def counts():
    """1,000 x 60 counts of words of four topics, dense; mostly zeros."""
    rng = np.random.default_rng(0)
    topics = rng.gamma(0.2, size=(4, 60))
    mixed = rng.dirichlet(np.full(4, 0.3), 1000) @ (topics / topics.sum(1)[:, None])
    return rng.poisson(15 * mixed).astype(float)


@pytest.fixture
def all_sparse(monkeypatch):
    """Sparse rows of any size and however filled stay sparse."""
    monkeypatch.setattr(_streams, "_LEAST_BYTES", 0)
    monkeypatch.setattr(_streamed_rows, "_MOST_FILLED", 2.0)
    monkeypatch.setattr(_streamed_rows, "MANY_FEATURES", 1)


def sparse_rows(X, shift):
    X = sparse.csr_array(X)
    return SparseRows(_to_torch(X), _to_torch(X.T.tocsr()), shift)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(9, 30)) * (rng.random((9, 30)) < 0.2)
    return sparse_rows(X, torch.from_numpy(rng.normal(size=30)))


def gradients(value, *tensors):
    return torch.autograd.grad(value.square().sum(), tensors)


def draws(*shapes):
    generator = torch.Generator().manual_seed(0)
    for shape in shapes:
        value = torch.randn(shape, generator=generator, dtype=torch.float64)
        yield value.requires_grad_()


def test_a_linear_layer_is_that_of_dense_rows(batch):
    weight, bias = draws((5, 30), 5)
    found, truth = (
        torch.nn.functional.linear(x, weight, bias) for x in (batch, batch.to_dense())
    )
    assert_allclose(found.detach(), truth.detach(), atol=1e-12)
    for a, b in zip(*(gradients(y, weight, bias) for y in (found, truth))):
        assert_allclose(a, b, atol=1e-10)


def test_a_squared_error_is_that_of_outputs(batch):
    inner, outer, bias = draws((9, 4), (30, 4), 30)
    found = squared_error(batch, inner, outer, bias)
    outputs = bias + inner @ outer.T
    truth = (batch.to_dense() - outputs).square().sum(1)
    assert_allclose(found.detach(), truth.detach(), rtol=1e-10)
    for a, b in zip(*(gradients(y, inner, outer, bias) for y in (found, truth))):
        assert_allclose(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("size", [7, 64, 300, 5000])
def test_batches_are_the_dense_ones(size, counts, all_sparse, monkeypatch):
    monkeypatch.setattr(_streamed_rows, "_BUFFER", 60 * 256)
    monkeypatch.setattr(_streamed_rows, "_BATCHES", 1)
    units = Units(60, 1)
    units.set(torch.arange(60.0), torch.full((60,), 2.0), torch.ones(60, dtype=bool))
    rows = StreamedRows(
        SparseStream(sparse.csr_array(counts)), units, torch.device("cpu")
    )
    rows, _ = rows.split(0.2, seed=0)
    found = {}
    for rows.stays_sparse in (False, True):
        generator = torch.Generator().manual_seed(0)
        batches = rows.batches(size, generator)
        found[rows.stays_sparse] = [b.x for _ in range(2) for b in batches]
    dense = [x.to_dense() for x in found[True]]
    assert all(isinstance(x, SparseRows) for x in found[True])
    assert [len(x) for x in dense] == [len(x) for x in found[False]]
    assert_allclose(torch.cat(dense), torch.cat(found[False]), atol=1e-5)


STEPS = {
    "a plain one": {},
    "weight decay": {"alpha": 1000.0},
    "dropout": {"architecture": MLP(dropout=0.2)},
    "linear decoder": {"architecture": MLP(decoder_layer_sizes=())},
    "linear": {"hidden_layer_sizes": ()},
    "with the encoder's phase": {"max_iter": 10},
}


@pytest.mark.parametrize("name", STEPS)
def test_codes_are_those_of_dense_batches(name, counts, all_sparse, monkeypatch):
    # At the codes of PCA the encoder's gradient is rounding alone, of which Adam makes
    # whole steps: such fits are alike, but not to digits.
    model = AE(2, **SMALL | {"init": "random"} | STEPS[name])
    X = sparse.csr_array(counts)
    found = clone(model).fit(X)
    monkeypatch.setattr(_streamed_rows, "_MOST_FILLED", 0.0)
    truth = clone(model).fit(X)
    assert_allclose(found.loss_curve_, truth.loss_curve_, rtol=1e-5)
    assert_allclose(found.transform(counts), truth.transform(counts), atol=1e-4)


@pytest.mark.parametrize("max_iter", [0, 3])
def test_gradients_are_those_of_dense_batches(max_iter, counts, batch):
    """From PCA and later; in float64, as that of PCA is zero but for rounding."""
    X = counts[:, :30]
    model = AE(2, **SMALL | {"max_iter": max_iter}).fit(X).net_.module_.double()
    params = dict(model.requires_grad_().named_parameters())
    found, truth = (
        torch.autograd.grad(
            model(x).log_likelihood.sum(),
            params.values(),
            materialize_grads=True,
            allow_unused=True,
        )
        for x in (batch, batch.to_dense())
    )
    for name, a, b in zip(params, found, truth):
        assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=name)


OTHERS = {
    "noise": AE(2, noise="masking", **SMALL),
    "ordered": AE(2, ordered=True, **SMALL),
    "penalty": AE(2, penalty="mmd", **SMALL),
    "absolute error": AE(2, loss="absolute_error", **SMALL),
    "layer norm": AE(2, architecture=MLP(layer_norm=True), **SMALL),
    "residual": AE(2, architecture=MLP(residual=True), **SMALL),
    "conv": AE(2, architecture="conv", sample_shape=(1, 60), **SMALL),
    "half precision": AE(2, precision="bfloat16", **SMALL),
    "variational": VAE(2, **SMALL),
}


@pytest.mark.parametrize("name", OTHERS)
def test_batches_of_other_models_are_dense(name, counts, all_sparse, monkeypatch):
    monkeypatch.delattr(_streamed_rows, "SparseBatches")
    model = OTHERS[name].fit(sparse.csr_array(counts))
    assert np.isfinite(model.transform(counts)).all()


def test_hooks_see_dense_batches(counts):
    model = AE(2, **SMALL).fit(counts).net_.module_
    assert takes_sparse_rows(model)
    model.decoder.output.register_forward_hook(lambda *args: None)
    assert not takes_sparse_rows(model)


def test_equal_seeds_give_equal_bits(counts, all_sparse):
    X = sparse.csr_array(counts)
    found = [AE(2, **SMALL).fit(X).transform(X) for _ in range(2)]
    assert_array_equal(*found)
