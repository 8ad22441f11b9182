"""Prefixes of one ordered code beside models of each size, and beside PCA.

One fit with `ordered=True`; its `truncate(k)` is compared with a fit of k components
alone, with the same settings, and with PCA of k components: squared errors of held-out
rows. And how many components `n_components=0.9` takes, beside PCA's.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from contest import squared_error
from data_sets import N_MNIST_TRAIN, load_mnist, loaders, split
from reporting import RESULTS, environment, print_table, write_json
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer

_SIZES = (1, 2, 4, 8, 16, 32)
_SHARE = 0.9


def digits(seed: int) -> tuple[np.ndarray, np.ndarray]:
    data = split(loaders()["digits"]()._replace(standardise=False), seed=seed)
    return data.X_train, data.X_test


def mnist(seed: int) -> tuple[np.ndarray, np.ndarray]:
    X, _ = load_mnist()
    rows = np.random.default_rng(seed).permutation(N_MNIST_TRAIN)[:10_000]
    return X[rows], X[N_MNIST_TRAIN:]


DATA = {"digits": digits, "mnist": mnist}


def error(model, X: np.ndarray) -> float:
    return squared_error(model.inverse_transform(model.transform(X)), X)


def compare(name: str, seed: int, params: dict) -> dict:
    """Errors of each size, of the prefix and of two models of that size alone."""
    train, test = DATA[name](seed)
    begun = time.perf_counter()
    ordered = AutoencoderTransformer(
        max(_SIZES), ordered=True, random_state=seed, **params
    ).fit(train)
    seconds = time.perf_counter() - begun
    sizes = []
    for k in _SIZES:
        alone = AutoencoderTransformer(k, random_state=seed, **params).fit(train)
        sizes.append(
            {
                "size": k,
                "prefix": error(ordered.truncate(k), test),
                "alone": error(alone, test),
                "pca": error(PCA(k).fit(train), test),
            }
        )
        print(name, seed, sizes[-1], flush=True)
    return {
        "data": name,
        "seed": seed,
        "seconds": seconds,
        "sizes": sizes,
        "explained": ordered.explained_variance_ratio_.cumsum().tolist(),
    }


def count_components(params: dict) -> dict:
    """Components that explain a share of digits."""
    X = loaders()["digits"]().X
    model = AutoencoderTransformer(_SHARE, random_state=0, **params).fit(X)
    return {
        "share": _SHARE,
        "components": model.n_components_,
        "pca_components": int(PCA(_SHARE).fit(X).n_components_),
    }


def print_sizes(rows: list[dict]) -> None:
    table = [
        (
            row["data"],
            row["seed"],
            size["size"],
            size["prefix"],
            size["prefix"] / size["alone"],
            size["prefix"] / size["pca"],
        )
        for row in rows
        for size in row["sizes"]
    ]
    print_table(("data", "seed", "size", "error", "/ alone", "/ PCA"), table)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--rate", type=float, default=8e-3)
    parser.add_argument("--output", type=Path, default=RESULTS / "ordered.json")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    params = {"max_iter": arguments.epochs, "learning_rate_init": arguments.rate}
    results = {"environment": environment(), "params": params, "fits": []}
    for name in arguments.data:
        for seed in arguments.seeds:
            results["fits"].append(compare(name, seed, params))
            write_json(arguments.output, results)
    results["share"] = count_components(params)
    write_json(arguments.output, results)
    print_sizes(results["fits"])
    share = results["share"]
    print(
        f"{_SHARE:.0%} of digits: {share['components']} components, PCA "
        f"{share['pca_components']}"
    )


if __name__ == "__main__":
    main()
