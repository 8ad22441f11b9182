"""Data sets of pyarrow: their rows, by row groups, are those of the table."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skae import AutoencoderTransformer, VAETransformer
from skae.data import _streams
from skae.data._parquet import ParquetStream, opened
from skae.data._streamed_rows import StreamedRows
from skae.nn._units import Units

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
ds = pytest.importorskip("pyarrow.dataset")

AE, VAE = AutoencoderTransformer, VAETransformer
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
NAMES = list("abcdefgh")


@pytest.fixture
def all_stream(monkeypatch):
    """Data sets of any size are read in parts."""
    monkeypatch.setattr(_streams, "_LEAST_BYTES", 0)


def table_of(X):
    return pa.table(dict(zip(NAMES, X.T)))


def on_disk(table, folder, row_group_size=50):
    folder.mkdir(exist_ok=True)
    half = len(table) // 2
    for i, part in enumerate((table[:half], table[half:])):
        pq.write_table(part, folder / f"{i}.parquet", row_group_size=row_group_size)
    return ds.dataset(folder)


KINDS = {
    "data set": on_disk,
    "file": lambda table, path: one_file(table, path),
    "in memory": lambda table, path: ds.dataset(table),
    "arrow files": lambda table, path: arrow_files(table, path),
}


def one_file(table, path):
    pq.write_table(table, path, row_group_size=70)
    return pq.ParquetFile(path)


def arrow_files(table, folder):
    ds.write_dataset(
        table, folder, format="arrow", max_rows_per_file=150, max_rows_per_group=150
    )
    return ds.dataset(folder, format="arrow")


@pytest.fixture(params=KINDS)
def data_set(request, curved, tmp_path):
    return KINDS[request.param](table_of(curved), tmp_path / "rows")


def test_a_stream_reads_what_the_table_holds(data_set, curved, all_stream):
    stream = opened(data_set)
    assert isinstance(stream, ParquetStream) and stream.shape == curved.shape
    assert_array_equal(torch.cat(list(stream.split(33))), curved)
    assert_array_equal(
        stream.gather([(200, 260), (3, 4), (60, 201)]),
        curved[[*range(200, 260), 3, *range(60, 201)]],
    )
    assert_allclose(stream.summary.mean, curved.mean(0), rtol=1e-9)
    assert_allclose(
        stream.summary.covariance, np.cov(curved.T, bias=True), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(
    "dtypes, expected",
    [
        ("f4 f4", "f4"),
        ("f4 i1", "f4"),
        ("f4 f8", "f8"),
        ("i8 u1", "f8"),
        ("? f4", "f4"),
    ],
)
def test_dtypes_are_those_of_a_frame(dtypes, expected, all_stream):
    columns = [np.arange(9).astype(dtype) for dtype in dtypes.split()]
    stream = opened(ds.dataset(pa.table(dict(zip(NAMES, columns)))))
    rows = stream.read(2, 9)
    assert rows.numpy().dtype == expected == stream.empty.dtype
    assert_array_equal(rows, np.stack(columns, 1)[2:9])


def test_names_of_folders_are_columns(curved, tmp_path, all_stream):
    table = table_of(curved)
    year = pa.array(np.arange(len(curved)) % 3, "int32")
    ds.write_dataset(
        table.append_column("year", year),
        tmp_path,
        partitioning=["year"],
        format="parquet",
    )
    stream = opened(
        ds.dataset(
            tmp_path, partitioning=ds.partitioning(pa.schema([("year", "int32")]))
        )
    )
    assert stream.schema.names == [*NAMES, "year"]
    assert_array_equal(np.unique(stream.read(0, len(curved))[:, -1]), [0, 1, 2])


def test_an_epoch_has_each_row_once_and_decodes_each_group_once(
    tmp_path, all_stream, monkeypatch
):
    X = np.arange(1111.0)[:, None]
    stream = opened(on_disk(table_of(X), tmp_path, row_group_size=100))
    units = Units(1, 1)
    rows = StreamedRows(stream, units, torch.device("cpu"))
    monkeypatch.setattr("skae.data._streamed_rows._BUFFER", 150)
    monkeypatch.setattr("skae.data._streamed_rows._BATCHES", 1)
    stream._group.cache_clear()
    batches = rows.batches(16, torch.Generator().manual_seed(0))
    found = torch.cat([batch.x for batch in batches])[:1111, 0]
    assert sorted(found.int().tolist()) == list(range(1111))
    assert (np.abs(np.diff(found)) == 1).mean() < 0.1
    n_decoded = stream._group.cache_info().misses
    assert n_decoded <= 1.5 * (len(stream.groups) - 1)
    train, valid = rows.split(0.2, seed=0)
    parts = [torch.cat([b.x for b in part.chunks(64)]) for part in (train, valid)]
    assert sorted(torch.cat(parts)[:, 0].int().tolist()) == list(range(1111))
    assert valid.n_rows == pytest.approx(0.2 * 1111, abs=20)
    assert_array_equal(rows.first(250).gathered()[:, 0], np.arange(250))


@pytest.mark.parametrize("estimator", [AE, VAE])
def test_a_fit_is_as_good_as_in_memory(estimator, curved, tmp_path, all_stream):
    X = np.tile(curved, (12, 1))
    data_set = on_disk(table_of(X), tmp_path, row_group_size=700)
    model = estimator(2, hidden_layer_sizes=(32,), max_iter=20, random_state=0)
    truth = model.fit(X).score(X)
    initial = estimator(2, max_iter=0).fit(X).score(X)
    model.fit(data_set)
    assert model.score(data_set) - initial > 0.8 * (truth - initial) > 0
    assert list(model.feature_names_in_) == NAMES
    assert_array_equal(
        model.transform(data_set), model.transform(table_of(X).to_pandas())
    )


def test_small_data_sets_are_tables(data_set, curved):
    found = AE(2, **SMALL).fit(data_set)
    truth = AE(2, **SMALL).fit(curved)
    assert list(found.feature_names_in_) == NAMES
    assert_array_equal(found.transform(data_set), truth.transform(curved))


def test_columns_of_a_likelihood_by_names(data_set, curved, all_stream):
    choice = [("gaussian", NAMES[:4]), ("laplace", NAMES[4:])]
    model = VAE(2, likelihood=choice, **SMALL).fit(data_set)
    assert np.isfinite(model.score(data_set))


def test_other_calls_take_all_rows_to_memory(data_set, curved, all_stream):
    passed = AE(2, **SMALL).partial_fit(data_set)
    truth = AE(2, **SMALL).partial_fit(curved)
    assert_array_equal(passed.transform(data_set), truth.transform(curved))
    weight = np.arange(len(curved)) % 2
    found = AE(2, **SMALL).fit(data_set, sample_weight=weight)
    truth = AE(2, **SMALL).fit(curved, sample_weight=weight)
    assert_array_equal(found.transform(data_set), truth.transform(curved))


def test_nulls_are_missing_values(curved, tmp_path, all_stream):
    X = curved.copy()
    X[::9, 3] = np.nan
    table = table_of(curved)
    nulls = pa.array(X[:, 3], mask=np.isnan(X[:, 3]))
    data_set = on_disk(table.set_column(3, "d", nulls), tmp_path)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        AE(2, **SMALL).fit(data_set)
    found = AE(2, allow_nan=True, **SMALL).fit(data_set)
    truth = AE(2, allow_nan=True, **SMALL).fit(X)
    assert_array_equal(found.impute(data_set), truth.impute(X))


def test_columns_that_are_not_numeric_are_refused(curved, tmp_path, all_stream):
    table = table_of(curved).append_column("name", pa.array(["x"] * len(curved)))
    data_set = on_disk(table, tmp_path)
    with pytest.raises(TypeError, match="numeric columns alone; others are 'name'"):
        AE(2, **SMALL).fit(data_set)
    without = data_set.replace_schema(table_of(curved).schema)
    assert_array_equal(opened(without).read(0, len(curved)), curved)


def test_other_names_are_refused(data_set, curved, all_stream):
    model = AE(2, **SMALL).fit(data_set)
    other = ds.dataset(table_of(curved).rename_columns([*"ABCDEFGH"]))
    with pytest.raises(ValueError, match="feature names should match"):
        model.transform(other)
