"""Rows on disk beside rows in memory: rows a second, memory, and error.

"speed" trains on a table that fits into memory, from there, from a memory map and from
a Parquet file in turns, and compares rows a second and the error of new rows. "large"
makes a file of 20 GB and trains for two epochs; the memory is the largest that
the process had of its own and of files, beyond the packages. "sparse" trains for two
epochs on sparse rows, of which dense ones would be 16 GB.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from reporting import RESULTS, environment, write_json
from scipy import sparse
from throughput import forget_peak, make_rows, peak_memory

from skae import AutoencoderTransformer
from skae.data import _streamed_rows, _streams

HIDDEN = (256, 128)
_N_COMPONENTS = 32
_SPARSE_BATCH = 2048


def model(n_epochs: int, **parameters) -> AutoencoderTransformer:
    return AutoencoderTransformer(
        _N_COMPONENTS,
        hidden_layer_sizes=HIDDEN,
        max_iter=n_epochs,
        random_state=0,
        **parameters,
    )


def seconds_of_epochs(X, n_epochs: int) -> float:
    """Seconds of an epoch, without what comes before and after the training."""
    times = []
    for n in (1, 1 + n_epochs):
        begun = time.perf_counter()
        model(n, early_stopping=False).fit(X)
        times.append(time.perf_counter() - begun)
    return (times[1] - times[0]) / n_epochs


def compare(n_rows: int, n_features: int, n_rounds: int, folder: str) -> dict:
    """Rows a second of both, by turns, and errors of new rows after ten epochs."""
    # All rows of this file are read in parts, however few.
    _streams._LEAST_BYTES = 0
    X = make_rows(n_rows + 5_000, n_features)
    X, new = X[:n_rows], X[n_rows:]
    path = Path(folder, "rows.npy")
    np.save(path, X)
    table = pa.table({f"x{j}": column for j, column in enumerate(X.T)})
    pq.write_table(table, path.with_suffix(".parquet"), row_group_size=20_000)
    del table
    sources = {
        "memory": X,
        "disk": np.load(path, mmap_mode="r"),
        "parquet": pq.ParquetFile(path.with_suffix(".parquet")),
    }
    rates = {name: [] for name in sources}
    for _ in range(n_rounds):
        for name, rows in sources.items():
            rates[name].append(n_rows / seconds_of_epochs(rows, 3))
    ratios = {
        name: median(a / b for a, b in zip(values, rates["memory"]))
        for name, values in rates.items()
        if name != "memory"
    }
    errors = {}
    for name, rows in sources.items():
        fitted = model(10).fit(rows)
        residual = new - fitted.inverse_transform(fitted.transform(new))
        errors[name] = float(np.square(residual).mean())
    return {
        "n_rows": n_rows,
        "n_features": n_features,
        "rows_a_second": {name: median(values) for name, values in rates.items()},
        "ratios": ratios,
        "errors": errors,
    }


def fit_large(gigabytes: float, n_features: int, folder: str) -> dict:
    """Two epochs over a sparse file, in a process of its own."""
    n_rows = int(gigabytes * 1e9 / 4 / n_features)
    path = Path(folder, "large.npy")
    X = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, n_features))
    # Blocks all over the file; what is between takes no room on the disk.
    block = make_rows(2_000, n_features)
    for start in np.linspace(0, n_rows - len(block), 100).astype(int):
        X[start : start + len(block)] = block
    X.flush()
    del X
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_fit_large, (str(path),))


def _fit_large(path: str) -> dict:
    model(1).fit(make_rows(1_000, 4))
    X = np.load(path, mmap_mode="r")
    forget_peak()
    before, begun = peak_memory(), time.perf_counter()
    fitted = model(2).fit(X)
    return {
        "n_rows": X.shape[0],
        "n_features": X.shape[1],
        "gigabytes": X.nbytes / 1e9,
        "memory": peak_memory() - before,
        "seconds": time.perf_counter() - begun,
        "n_epochs": fitted.n_iter_,
    }


def fit_sparse(n_rows: int, n_features: int, filled: float) -> dict:
    """Two epochs over a sparse matrix, and over the first tenth of it, there with dense
    batches of the same size as well; each in a process of its own."""
    sizes = {"all": (n_rows, True), "tenth": (n_rows // 10, True)}
    sizes["tenth, dense batches"] = n_rows // 10, False
    found = {}
    for name, (n, stays_sparse) in sizes.items():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            task = (n, n_features, filled, stays_sparse)
            found[name] = pool.apply(_fit_sparse, task)
    return {"n_features": n_features, "filled": filled} | found


def _fit_sparse(n_rows, n_features, filled, stays_sparse) -> dict:
    model(1).fit(make_rows(1_000, 4))
    X = make_sparse_rows(n_rows, n_features, filled)
    if not stays_sparse:
        _streamed_rows._MOST_FILLED = 0.0
    forget_peak()
    before, begun, used = peak_memory(), time.perf_counter(), time.process_time()
    fitted = AutoencoderTransformer(
        100, max_iter=2, batch_size=_SPARSE_BATCH, random_state=0
    ).fit(X)
    return {
        "n_rows": n_rows,
        "memory": peak_memory() - before,
        "seconds": time.perf_counter() - begun,
        "processor_seconds": time.process_time() - used,
        "loss": fitted.loss_curve_[-1],
        "n_epochs": fitted.n_iter_,
    }


def make_sparse_rows(n_rows: int, n_features: int, filled: float):
    """Rows (n, d), CSR of float32, of topics that prefer some features."""
    rng = np.random.default_rng(0)
    n_each = round(filled * n_features)
    # Half of the entries of a row are of its topic, the others any.
    topics = rng.integers(n_features, size=(50, 10 * n_each))
    own = np.take_along_axis(
        topics[rng.integers(50, size=n_rows)],
        rng.integers(10 * n_each, size=(n_rows, n_each // 2)),
        1,
    )
    others = rng.integers(n_features, size=(n_rows, n_each - n_each // 2))
    columns = np.concatenate([own, others], 1).ravel()
    values = rng.gamma(2.0, size=columns.shape).astype(np.float32)
    starts = np.arange(0, len(columns) + 1, n_each)
    X = sparse.csr_array((values, columns, starts), shape=(n_rows, n_features))
    X.sum_duplicates()
    return X


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["speed", "large", "sparse"]
    parser.add_argument("parts", nargs="*", default=names, help=", ".join(names))
    parser.add_argument("--speed", type=int, nargs=2, default=(200_000, 500))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=float, default=20.0, metavar="GB")
    parser.add_argument("--features", type=int, default=1000, help="of the large file")
    parser.add_argument("--sparse", type=int, nargs=2, default=(200_000, 20_000))
    parser.add_argument(
        "--filled", type=float, default=0.001, help="of the sparse rows"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "streams.json")
    arguments = parser.parse_args()
    parts = {
        "speed": lambda folder: compare(*arguments.speed, arguments.rounds, folder),
        "large": lambda folder: fit_large(arguments.large, arguments.features, folder),
        "sparse": lambda folder: fit_sparse(*arguments.sparse, arguments.filled),
    }
    content = {}
    if arguments.output.exists():  # each part is as it was last measured
        content = json.loads(arguments.output.read_text())
    for name in arguments.parts:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            found = parts[name](folder)
        content[name] = {"environment": environment()} | found
        write_json(arguments.output, content)
        print(found, flush=True)


if __name__ == "__main__":
    main()
