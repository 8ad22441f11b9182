"""The data sets of the benchmarks.

scikit-learn's own need nothing. `SKAE_DATA` names a folder with ``mnist_784.npz`` and
``adbench/*.npz`` (arrays `X` and `y`); without it MNIST comes from openml.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

MAX_ROWS = 20_000
N_MNIST_TRAIN = 60_000

_SKLEARN = ("digits", "breast_cancer", "wine", "iris", "diabetes")


class Table(NamedTuple):
    """Rows, their classes (None where there are none), and whether to standardise."""

    name: str
    X: np.ndarray  # (n, d)
    y: np.ndarray | None  # (n,)
    standardise: bool = True


class Split(NamedTuple):
    """Training and held-out rows, scaled by what the training rows know."""

    X_train: np.ndarray
    X_test: np.ndarray
    y_train: np.ndarray | None
    y_test: np.ndarray | None


def loaders() -> dict[str, Callable[[], Table]]:
    """Name of every data set in reach, and a function that loads it."""
    found = {name: partial(_from_sklearn, name) for name in _SKLEARN}
    folder = _folder()
    if folder is not None:
        paths = sorted((folder / "adbench").glob("*.npz"), key=_number)
        found |= {path.stem: partial(_from_file, path) for path in paths}
    if folder is None or (folder / "mnist_784.npz").exists():
        found["mnist"] = _mnist_table
    return found


def load_mnist() -> tuple[np.ndarray, np.ndarray]:
    """All 70,000 images, float32 in [0, 1], and their digits; training rows first."""
    folder = _folder()
    if folder is not None:
        with np.load(folder / "mnist_784.npz", allow_pickle=True) as file:
            X, y = file["X"], file["y"]
    else:
        X, y = datasets.fetch_openml(
            "mnist_784", version=1, as_frame=False, return_X_y=True
        )
    return X.astype(np.float32) / 255, y.astype(int)


def subsample(table: Table, max_rows: int) -> Table:
    """At most `max_rows` rows, always the same ones."""
    n_rows = len(table.X)
    if n_rows <= max_rows:
        return table
    chosen = np.random.default_rng(0).choice(n_rows, max_rows, replace=False)
    chosen.sort()
    y = None if table.y is None else table.y[chosen]
    return table._replace(X=table.X[chosen], y=y)


def split(table: Table, seed: int, test_size: float = 0.25) -> Split:
    train, test = train_test_split(
        np.arange(len(table.X)), test_size=test_size, random_state=seed
    )
    X_train, X_test = table.X[train], table.X[test]
    if table.standardise:
        scaler = StandardScaler().fit(X_train)
        X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    if table.y is None:
        return Split(X_train, X_test, None, None)
    return Split(X_train, X_test, table.y[train], table.y[test])


def _folder() -> Path | None:
    return Path(os.environ["SKAE_DATA"]) if os.environ.get("SKAE_DATA") else None


def _number(path: Path) -> int:
    return int(path.stem.split("_")[0])


def _from_sklearn(name: str) -> Table:
    bunch = getattr(datasets, f"load_{name}")()
    is_classification = hasattr(bunch, "target_names")
    return Table(name, bunch.data, bunch.target if is_classification else None)


def _from_file(path: Path) -> Table:
    with np.load(path) as file:
        return Table(path.stem, file["X"].astype(float), file["y"])


def _mnist_table() -> Table:
    X, y = load_mnist()
    return Table("mnist", X.astype(float), y, standardise=False)
