"""Architectures beside the multilayer perceptron, on the data that they are for.

Images: 10,000 of MNIST's training images, 16 latents; the perceptron has about as many
weights as the convolutions, and as many epochs as take as long, if it does not stop
before. Sequences: sinusoids of random phase and of one of eight frequencies, with
noise, 4 latents. Squared errors of held-out rows beside PCA's.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from contest import squared_error
from data_sets import N_MNIST_TRAIN, load_mnist
from reporting import RESULTS, environment, print_table, write_json
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer
from skae.nn.architectures import Convolutional

_LENGTH = 64


def images() -> tuple[np.ndarray, np.ndarray]:
    X, _ = load_mnist()
    rows = np.random.default_rng(0).permutation(N_MNIST_TRAIN)[:10_000]
    return X[rows], X[N_MNIST_TRAIN:]


def sinusoids() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    frequencies, phases = rng.integers(1, 9, 2000), rng.uniform(0, 2 * np.pi, 2000)
    times = 2 * np.pi * np.arange(_LENGTH) / _LENGTH
    X = np.sin(frequencies[:, None] * times + phases[:, None])
    X = (X + 0.05 * rng.normal(size=X.shape)).astype(np.float32)
    return X[:1000], X[1000:]


def convolutions(upsampling: str) -> dict:
    return {
        "architecture": Convolutional(upsampling=upsampling),
        "sample_shape": (1, 28, 28),
        "hidden_layer_sizes": (128,),
    }


# Epochs that take about as long as one another.
NETS = {
    "images": {
        "mlp": {"hidden_layer_sizes": (448, 224), "max_iter": 400},
        "conv": {**convolutions("nearest"), "max_iter": 50},
        "conv, transposed": {**convolutions("transposed"), "max_iter": 50},
        "conv, pixel_shuffle": {**convolutions("pixel_shuffle"), "max_iter": 50},
    },
    "sequences": {
        "mlp": {},
        "recurrent": {
            "architecture": "recurrent",
            "sample_shape": (_LENGTH, 1),
            "max_iter": 20,
        },
        "attention": {
            "architecture": "attention",
            "sample_shape": (_LENGTH, 1),
            "max_iter": 20,
        },
    },
}
DATA = {"images": (images, 16), "sequences": (sinusoids, 4)}


def error(model, X: np.ndarray) -> float:
    return squared_error(model.inverse_transform(model.transform(X)), X)


def measure(data: str, net: str) -> dict:
    load, k = DATA[data]
    train, test = load()
    begun = time.perf_counter()
    model = AutoencoderTransformer(k, random_state=0, **NETS[data][net]).fit(train)
    seconds = time.perf_counter() - begun
    of_pca = error(PCA(k).fit(train), test)
    return {
        "data": data,
        "net": net,
        "n_weights": sum(p.numel() for p in model.net_.module_.parameters()),
        "n_epochs": model.n_iter_,
        "seconds": seconds,
        "encoder_error": error(model, test),
        "refined_error": error(model.set_params(transform_max_iter=3), test),
        "pca_error": of_pca,
    }


def print_rows(rows: list[dict]) -> None:
    table = [
        (
            f"{row['data']}: {row['net']}",
            row["n_weights"],
            row["n_epochs"],
            row["seconds"],
            row["encoder_error"],
            row["encoder_error"] / row["pca_error"],
        )
        for row in rows
    ]
    print_table(("net", "weights", "epochs", "seconds", "error", "/ PCA"), table)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--output", type=Path, default=RESULTS / "architectures.json")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    results = {"environment": environment(), "fits": []}
    for data in arguments.data:
        for net in NETS[data]:
            results["fits"].append(measure(data, net))
            write_json(arguments.output, results)
            print_rows(results["fits"][-1:])
    print_rows(results["fits"])


if __name__ == "__main__":
    main()
