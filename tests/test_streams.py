"""Rows on disk: read in parts, and as good as the same rows in memory."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skae import AutoencoderTransformer, VAETransformer
from skae.data import _streams
from skae.data._rows import Moments, ResidentRows, exact_split
from skae.data._streamed_rows import StreamedRows, moments_of
from skae.data._streams import FileStream, Stream, stream_of
from skae.nn._units import Units

AE, VAE = AutoencoderTransformer, VAETransformer
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
CPU = torch.device("cpu")

both = pytest.mark.parametrize("estimator", [AE, VAE])


@pytest.fixture
def all_stream(monkeypatch):
    """Maps of any size are read in parts."""
    monkeypatch.setattr(_streams, "_LEAST_BYTES", 0)


def on_disk(X, tmp_path, name="X"):
    np.save(tmp_path / f"{name}.npy", X)
    return np.load(tmp_path / f"{name}.npy", mmap_mode="r")


class Chunked:
    """What h5py and zarr offer of an array."""

    def __init__(self, X):
        self.X, self.shape, self.dtype = X, X.shape, X.dtype
        self.chunks = (10, X.shape[1])

    def __getitem__(self, rows):
        return self.X[rows]

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("all rows at once")


# Streams.

VIEWS = {
    "all": lambda M: M,
    "from a row": lambda M: M[37:],
    "up to a row": lambda M: M[3:200],
    "every second": lambda M: M[::2],
    "backwards": lambda M: M[::-1],
    "some columns": lambda M: M[:, 1:4],
    "as an array": np.asarray,
}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", ">i2", "?"])
def test_a_stream_reads_what_the_map_holds(name, dtype, curved, tmp_path, all_stream):
    X = (10 * curved).clip(0, 99).astype(dtype)
    M = VIEWS[name](on_disk(X, tmp_path))
    stream, truth = stream_of(M), VIEWS[name](X)
    if name == "as an array":
        assert stream is None
        return
    # Rows that are not one after another are read through the map.
    assert isinstance(stream, FileStream) == (name not in {*VIEWS} - {*list(VIEWS)[:3]})
    assert stream.dtype == (torch.float32 if dtype == "f4" else torch.float64)
    assert_array_equal(stream.read(5, 17), truth[5:17])
    assert_array_equal(torch.cat(list(stream.split(33))), truth)
    lowest, highest, mean, covariance = stream.summary
    assert_array_equal(lowest, truth.min(0))
    assert_array_equal(highest, truth.max(0))
    assert_allclose(mean, truth.mean(0, dtype=float), rtol=1e-12, atol=1e-12)
    expected = np.cov(truth.astype(float), rowvar=False, bias=True)
    assert_allclose(covariance, expected, rtol=1e-9, atol=1e-9)


def test_raw_maps_with_an_offset(curved, tmp_path, all_stream):
    path = tmp_path / "raw"
    path.write_bytes(b"x" * 5000 + curved.tobytes())
    M = np.memmap(path, "f8", "r", offset=5000, shape=curved.shape)
    assert isinstance(stream_of(M), FileStream)
    assert_array_equal(stream_of(M[7:]).read(0, 9), curved[7:16])


def test_many_features_have_variances_alone(curved, tmp_path, all_stream, monkeypatch):
    stream = stream_of(on_disk(curved, tmp_path))
    monkeypatch.setattr(_streams, "MANY_FEATURES", 4)
    assert_allclose(stream.summary.covariance, curved.var(0), rtol=1e-9)


@pytest.mark.parametrize("far", [0.0, 1e9])
def test_moments_are_those_in_memory(far, curved, tmp_path, all_stream):
    X = curved + far
    X[:, 2] = 5.1  # a constant
    stream = stream_of(on_disk(X, tmp_path))
    truth = Moments.of(lambda: iter(exact_split(torch.from_numpy(X))))
    for name, value in moments_of(stream)._asdict().items():
        assert_allclose(value, getattr(truth, name), rtol=1e-7, err_msg=name)
    assert moments_of(stream).peak[2] == 0


def test_small_maps_are_arrays(curved, tmp_path):
    assert stream_of(on_disk(curved, tmp_path)) is None


def test_other_inputs_are_no_streams(curved, all_stream):
    pd = pytest.importorskip("pandas")
    for X in (curved, curved.tolist(), torch.from_numpy(curved), pd.DataFrame(curved)):
        assert stream_of(X) is None


def test_a_file_that_was_cut_is_said(curved, tmp_path, all_stream):
    stream = stream_of(on_disk(curved, tmp_path))
    with open(tmp_path / "X.npy", "r+b") as file:
        file.truncate(1000)
    with pytest.raises(EOFError, match="shorter than its memory map"):
        stream.read(100, 110)


# Standardized rows.


@pytest.fixture
def streamed(curved, tmp_path, all_stream):
    """Streamed rows, and the same ones in memory."""
    X = np.tile(curved, (3, 1))[:1111].copy()
    X[:, 0] = np.arange(1111)  # so that each row is known
    units = Units(8, 1)
    units.set(
        torch.from_numpy(X.mean(0)), torch.full((8,), 2.0), torch.ones(8, dtype=bool)
    )
    source = stream_of(on_disk(X, tmp_path))
    rows = StreamedRows(source, units, CPU)
    return rows, ResidentRows(torch.from_numpy(X), units, CPU)


def numbers(x, rows):
    """The numbers of standardized rows in the table."""
    units = rows.units
    return torch.round(x[:, 0] * units.scale[0] + units.loc[0]).int().tolist()


def test_a_pass_has_each_row_once(streamed):
    rows, resident = streamed
    assert rows.n_rows == len(rows) == 1111
    assert_array_equal(torch.cat([b.x for b in rows.chunks(100)]), resident.x)
    for name in ("mean", "variance"):
        found, truth = (getattr(r.moments(), name) for r in streamed)
        assert_allclose(found, truth, rtol=1e-9, atol=1e-12)
    factor = torch.arange(1.0, 9).double()
    assert_allclose(
        rows.covariance(factor), resident.covariance(factor), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("size", [7, 64, 100, 1000, 1111, 5000])
def test_batches_have_each_row_once_in_another_order(size, streamed, monkeypatch):
    rows, _ = streamed
    # Several buffers.
    monkeypatch.setattr("skae.data._streamed_rows._BUFFER", 8 * 256)
    monkeypatch.setattr("skae.data._streamed_rows._BATCHES", 1)
    batches = rows.batches(size, torch.Generator().manual_seed(0))
    epochs = [[numbers(b.x, rows) for b in batches] for _ in range(2)]
    for epoch in epochs:
        assert len(epoch) == len(batches)
        assert {len(b) for b in epoch} == {min(size, 1111)}
        flat = [i for b in epoch for i in b]
        # The last batch is filled up.
        assert len(set(flat[:1111])) == 1111
        neighbours = np.abs(np.diff(flat[:1111])) == 1
        assert neighbours.mean() < 0.1
    assert epochs[0] != epochs[1]
    again = rows.batches(size, torch.Generator().manual_seed(0))
    assert [numbers(b.x, rows) for b in again] == epochs[0]


def test_a_split_parts_the_rows(streamed):
    rows, _ = streamed
    train, valid = rows.split(0.2, seed=0)
    found = [*numbers(torch.cat([b.x for b in train.chunks(64)]), rows)]
    found += numbers(valid.gathered(), rows)
    assert sorted(found) == list(range(1111))
    assert valid.n_rows == pytest.approx(0.2 * 1111, abs=rows.run)
    assert train.n_rows == 1111 - valid.n_rows
    again = rows.split(0.2, seed=0)[1]
    assert torch.equal(again.gathered(), valid.gathered())


@both
def test_few_rows_of_many_features(estimator, curved, tmp_path, all_stream):
    X = curved[:25]
    model = estimator(2, **SMALL).fit(on_disk(X, tmp_path))
    assert len(model.validation_loss_curve_) and np.isfinite(model.score(X))


def test_validation_rows_in_memory_are_few(streamed, monkeypatch):
    monkeypatch.setattr("skae.data._streamed_rows._MOST_VALIDATION", 8 * 130)
    assert 110 < streamed[0].split(0.5, seed=0)[1].n_rows <= 130


def test_samples(streamed):
    rows, resident = streamed
    taken = rows.take(50, seed=0)
    assert len(set(numbers(taken.gathered(), rows))) == 50
    assert torch.equal(rows.first(70).gathered(), resident.first(70).gathered())
    assert rows.first(9999).n_rows == 1111


# Estimators.


@both
def test_the_start_is_that_in_memory(estimator, curved, tmp_path, all_stream):
    params = SMALL | {"max_iter": 0, "n_components": 3}
    found = estimator(**params).fit(on_disk(curved, tmp_path))
    truth = estimator(**params).fit(curved)
    assert_allclose(found.transform(curved), truth.transform(curved), atol=1e-6)
    assert_allclose(found.score(curved), truth.score(curved), rtol=1e-6)
    assert_array_equal(found.mean_.dtype, truth.mean_.dtype)
    assert found.n_features_in_ == 8


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fit_is_as_good_as_in_memory(estimator, dtype, curved, tmp_path, all_stream):
    X = np.tile(curved, (12, 1)).astype(dtype)
    model = estimator(2, hidden_layer_sizes=(32,), max_iter=20, random_state=0)
    truth = clone(model).fit(X)
    initial = clone(model).set_params(max_iter=0).fit(X)
    model.fit(on_disk(X, tmp_path))
    gain, expected = (m.score(curved) - initial.score(curved) for m in (model, truth))
    assert gain > 0.8 * expected > 0
    M = on_disk(X, tmp_path)
    assert_array_equal(model.transform(M), model.transform(X))
    assert_array_equal(model.score_samples(M), model.score_samples(X))
    assert model.transform(M).dtype == dtype


def test_equal_seeds_give_equal_bits(curved, tmp_path, all_stream):
    M = on_disk(np.tile(curved, (3, 1)), tmp_path)
    found = [AE(2, **SMALL).fit(M).transform(curved) for _ in range(2)]
    assert_array_equal(*found)


OPTIONS = {
    "ordered": AE(3, ordered=True, **SMALL),
    "ratio": AE(0.9, **SMALL),
    "noise": AE(2, noise="swap", **SMALL),
    "penalty": AE(2, penalty="mmd", **SMALL),
    "auto": VAE(2, likelihood="auto", **SMALL),
    "columns": VAE(2, **SMALL).set_params(
        likelihood=[("gaussian", slice(0, 4)), ("laplace", slice(4, 8))]
    ),
    "vamp": VAE(2, prior="vamp", **SMALL),
    "no validation": AE(2, early_stopping=False, **SMALL),
    "warm start": AE(2, warm_start=True, **SMALL),
    "recurrent": AE(2, architecture="recurrent", sample_shape=(4, 2), **SMALL),
    "three dimensions": AE(2, architecture="conv", sample_shape=(1, 8), **SMALL),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name, curved, tmp_path, all_stream):
    X = curved.reshape(-1, 1, 8) if name == "three dimensions" else curved
    model = OPTIONS[name].fit(on_disk(X, tmp_path))
    if name == "warm start":
        model.fit(on_disk(X, tmp_path))
    codes = model.transform(curved)
    assert np.isfinite(codes).all() and np.isfinite(model.score(curved))


def test_arrays_of_chunks_are_read_in_parts(curved, all_stream):
    model = AE(2, **SMALL).fit(Chunked(curved))
    assert_array_equal(model.transform(Chunked(curved)), model.transform(curved))
    assert isinstance(stream_of(Chunked(curved)), Stream)


def test_a_fit_goes_on_from_a_checkpoint(curved, tmp_path, all_stream):
    M = on_disk(curved, tmp_path)
    truth = AE(2, **SMALL).fit(M)
    model = AE(2, checkpoint=tmp_path / "file", **SMALL).fit(M)
    assert_array_equal(model.transform(curved), truth.transform(curved))


def test_partial_fit_takes_its_rows_to_memory(curved, tmp_path, all_stream):
    found = AE(2, **SMALL).partial_fit(on_disk(curved, tmp_path))
    truth = AE(2, **SMALL).partial_fit(curved)
    assert_array_equal(found.transform(curved), truth.transform(curved))


@pytest.mark.parametrize("bad, what", [(np.nan, "NaN"), (np.inf, "infinity")])
def test_what_is_not_finite_is_refused(bad, what, curved, tmp_path, all_stream):
    X = curved.copy()
    X[-1, 3] = bad
    model = AE(2, **SMALL)
    with pytest.raises(ValueError, match=f"Input X contains {what}"):
        model.fit(on_disk(X, tmp_path))
    assert not hasattr(model, "net_")
    with pytest.raises(ValueError, match=f"Input X contains {what}"):
        model.fit(curved).transform(on_disk(X, tmp_path))


def test_incomplete_rows_are_taken_to_memory(curved, tmp_path, all_stream):
    X = curved.copy()
    X[::9, 3] = np.nan
    M = on_disk(X, tmp_path)
    found, truth = (AE(2, allow_nan=True, **SMALL).fit(rows) for rows in (M, X))
    assert_array_equal(found.impute(M), truth.impute(X))


def test_rows_of_another_width_are_refused(curved, tmp_path, all_stream):
    model = AE(2, **SMALL).fit(curved)
    with pytest.raises(ValueError, match="X has 7 features, but Auto"):
        model.transform(on_disk(curved[:, 1:].copy(), tmp_path))


def test_the_support_of_a_likelihood_is_checked(curved, tmp_path, all_stream):
    X = (curved > 0).astype(float)
    X[-1, 2] = 2
    with pytest.raises(ValueError, match=r"Bernoulli likelihood needs .* column 2"):
        VAE(2, likelihood="bernoulli", **SMALL).fit(on_disk(X, tmp_path))
