"""Rows on disk beside rows in memory: rows a second, memory, and error.

"speed" trains on a file that fits into memory, from the disk and from memory in turns,
and compares rows a second and the error of new rows. "large" makes a sparse file of 20
GB and trains for two epochs; the memory is the largest that the process had of its own
and of files, beyond the packages.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from reporting import RESULTS, environment, write_json
from throughput import forget_peak, make_rows, peak_memory

from skae import AutoencoderTransformer
from skae.data import _streams

HIDDEN = (256, 128)
_N_COMPONENTS = 32


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
    sources = {"memory": X, "disk": np.load(path, mmap_mode="r")}
    rates = {name: [] for name in sources}
    for _ in range(n_rounds):
        for name, rows in sources.items():
            rates[name].append(n_rows / seconds_of_epochs(rows, 3))
    ratios = [disk / memory for disk, memory in zip(rates["disk"], rates["memory"])]
    errors = {}
    for name, rows in sources.items():
        fitted = model(10).fit(rows)
        residual = new - fitted.inverse_transform(fitted.transform(new))
        errors[name] = float(np.square(residual).mean())
    return {
        "n_rows": n_rows,
        "n_features": n_features,
        "rows_a_second": {name: median(values) for name, values in rates.items()},
        "ratio": median(ratios),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["speed", "large"]
    parser.add_argument("parts", nargs="*", default=names, help="speed, large or both")
    parser.add_argument("--speed", type=int, nargs=2, default=(200_000, 500))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=float, default=20.0, metavar="GB")
    parser.add_argument("--features", type=int, default=1000, help="of the large file")
    parser.add_argument("--output", type=Path, default=RESULTS / "streams.json")
    arguments = parser.parse_args()
    parts = {
        "speed": lambda folder: compare(*arguments.speed, arguments.rounds, folder),
        "large": lambda folder: fit_large(arguments.large, arguments.features, folder),
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
