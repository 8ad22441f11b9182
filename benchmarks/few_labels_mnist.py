"""MNIST with 100, 1,000 and 3,000 labels: features of all 60,000 training images.

The transformer sees no label, and nothing that says that rows are images; it is fitted
once from each of a few seeds. Ten draws of the labels, balanced; the error is that of
the 10,000 test images.
`SVC` sees the labelled rows, `LabelPropagation` all training rows.
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from data_sets import N_MNIST_TRAIN, Split, load_mnist
from reporting import RESULTS, environment, print_table, write_json
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.semi_supervised import LabelPropagation
from sklearn.svm import SVC

from skae import AutoencoderTransformer, SemiSupervisedClassifier

LABELS = (100, 1000, 3000)
SETTING = {
    "n_components": 14,
    "hidden_layer_sizes": (1000, 500),
    "noise": "dropout",
    "noise_level": 0.75,
    "init": "random",
}
GRAPH = {"kernel": "knn", "max_iter": 100}


def transformers(max_iter: int, seed: int) -> dict[str, BaseEstimator]:
    """PCA, which does not depend on the seed, beside the first only."""
    autoencoder = AutoencoderTransformer(
        max_iter=max_iter, random_state=seed, **SETTING
    )
    pca = {} if seed else {"PCA": PCA(50, random_state=0)}
    return pca | {"autoencoder": autoencoder}


def classifiers() -> dict[str, tuple[BaseEstimator, tuple[int, ...]]]:
    """Each with the numbers of labels that it is asked for."""
    return {"SVC": (SVC(), LABELS), "graph": (LabelPropagation(**GRAPH), (100,))}


def draw_labels(y: np.ndarray, n_labels: int, seed: int) -> np.ndarray:
    """`y` with as many labels of each class; the others are -1."""
    order = np.random.default_rng(seed).permutation(len(y))
    classes = np.unique(y)
    n_each = n_labels // len(classes)
    chosen = np.concatenate([order[y[order] == c][:n_each] for c in classes])
    partly = np.full_like(y, -1)
    partly[chosen] = y[chosen]
    return partly


def fitted(
    data: Split, max_iter: int, seed: int
) -> tuple[dict[str, BaseEstimator], dict]:
    """The transformers, and the seconds that each took."""
    found, seconds = transformers(max_iter, seed), {}
    for name, transformer in found.items():
        begun = time.perf_counter()
        transformer.fit(data.X_train)
        seconds[name] = time.perf_counter() - begun
    return found, seconds


def compare(data: Split, found: dict, seed: int, n_draws: int) -> Iterator[dict]:
    """Yield the error of each classifier, on each features, with each draw."""
    for kind, (classifier, numbers) in classifiers().items():
        for n_labels in numbers:
            for draw in range(n_draws):
                y = draw_labels(data.y_train, n_labels, draw)
                for name, transformer in found.items():
                    if (name, kind) == ("PCA", "graph"):
                        continue  # neighbours in 50 dimensions take too long
                    model = SemiSupervisedClassifier(
                        FrozenEstimator(transformer), classifier
                    )
                    begun = time.perf_counter()
                    score = model.fit(data.X_train, y).score(data.X_test, data.y_test)
                    yield {
                        "features": name,
                        "seed": seed,
                        "classifier": kind,
                        "n_labels": n_labels,
                        "draw": draw,
                        "error_percent": 100 * (1 - score),
                        "seconds": time.perf_counter() - begun,
                    }


def summary(rows: list[dict]) -> list[dict]:
    keys = ("features", "classifier", "n_labels", "seed")
    found = []
    for case in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        own = [row for row in rows if tuple(row[key] for key in keys) == case]
        errors = [row["error_percent"] for row in own]
        found.append(
            dict(zip(keys, case))
            | {
                "mean": float(np.mean(errors)),
                "sd": float(np.std(errors, ddof=1)) if len(errors) > 1 else None,
                "draws": len(errors),
                "seconds": float(np.mean([row["seconds"] for row in own])),
            }
        )
    return found


def report(results: dict) -> None:
    for seed, fits in enumerate(results["seconds_of_fit"]):
        for name, seconds in fits.items():
            print(f"{name}, seed {seed}: fitted in {seconds:.0f} s")
    header = tuple(results["summary"][0])
    print_table(header, [tuple(row.values()) for row in results["summary"]])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="of the network")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--max-iter", type=int, default=40, help="epochs")
    parser.add_argument(
        "--output", type=Path, default=RESULTS / "few_labels_mnist.json"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    # Of the graph, which is stopped on purpose: see docs/defaults.md.
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = load_mnist()
    n = N_MNIST_TRAIN
    data = Split(X[:n], X[n:], y[:n], y[n:])
    results = {
        "environment": environment(),
        "setting": SETTING | {"max_iter": arguments.max_iter},
        "graph": GRAPH,
        "seconds_of_fit": [],
        "rows": [],
    }
    for seed in range(arguments.seeds):
        found, seconds = fitted(data, arguments.max_iter, seed)
        results["seconds_of_fit"].append(seconds)
        for row in compare(data, found, seed, arguments.draws):
            results["rows"].append(row)
            results["summary"] = summary(results["rows"])
            write_json(arguments.output, results)
    report(results)


if __name__ == "__main__":
    main()
