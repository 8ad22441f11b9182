"""New MNIST images: where codes are drawn from, and what else draws images.

Frechet distance between features of drawn and of test images, and the accuracy of a
classifier that tells them apart. Features are the hidden layer of one classifier of
digits, the same for all rows of the table; images are drawn as means.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from data_sets import N_MNIST_TRAIN, load_mnist
from measures import frechet_distance, two_sample_accuracy
from reporting import RESULTS, environment, print_table, write_json
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neural_network import MLPClassifier

from skae import AutoencoderTransformer, VAETransformer

_N_CLUSTERS = 10
_N_CLASSIFIED = 3000


class Features:
    """Hidden layer of a classifier of digits."""

    def __init__(self, X: np.ndarray, y: np.ndarray):
        self.classifier = MLPClassifier((128,), max_iter=15, random_state=0)
        self.classifier.n_iter_no_change = 15
        self.classifier.fit(X, y)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        weights, biases = self.classifier.coefs_[0], self.classifier.intercepts_[0]
        return np.maximum(X @ weights + biases, 0)


# Means of the likelihood: pictures without the noise of single pixels.
PRIOR = {"density": "prior", "observation_noise": False}
MIXTURE = {"density": "mixture", "observation_noise": False}


def pca_with_mixture(X: np.ndarray, k: int, n: int) -> np.ndarray:
    pca = PCA(k, random_state=0).fit(X)
    mixture = GaussianMixture(_N_CLUSTERS, random_state=0).fit(pca.transform(X))
    return pca.inverse_transform(mixture.sample(n)[0])


def pixel_mixture(X: np.ndarray, n: int) -> np.ndarray:
    mixture = GaussianMixture(
        _N_CLUSTERS, reg_covar=1e-3, max_iter=10, random_state=0, init_params="kmeans"
    )
    return mixture.fit(X).sample(n)[0]


def autoencoder_normal(autoencoder, X: np.ndarray, n: int) -> np.ndarray:
    """Codes from N(0, I), with each latent brought to unit variance first."""
    codes = autoencoder.transform(X)
    noise = np.random.default_rng(0).normal(size=(n, codes.shape[1]))
    return autoencoder.inverse_transform(codes.mean(0) + codes.std(0) * noise)


def samplers(X: np.ndarray, k: int, n: int, epochs: int) -> dict:
    """Name of each row of the table, and what draws its images."""
    autoencoder = AutoencoderTransformer(k, max_iter=epochs, random_state=0).fit(X)
    vae = VAETransformer(k, max_iter=epochs, random_state=0).fit(X)
    bernoulli = VAETransformer(
        k, likelihood="bernoulli", max_iter=epochs, random_state=0
    ).fit(X)
    return {
        "autoencoder, N(0, I)": lambda: autoencoder_normal(autoencoder, X, n),
        "autoencoder, mixture": lambda: autoencoder.sample(n, 0, density="mixture"),
        "VAE, N(0, I)": lambda: vae.sample(n, 0, **PRIOR),
        "VAE, mixture": lambda: vae.sample(n, 0, **MIXTURE),
        "Bernoulli VAE, N(0, I)": lambda: bernoulli.sample(n, 0, **PRIOR),
        "Bernoulli VAE, mixture": lambda: bernoulli.sample(n, 0, **MIXTURE),
        "PCA, mixture": lambda: pca_with_mixture(X, k, n),
        "mixture of pixels": lambda: pixel_mixture(X, n),
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--components", type=int, default=16)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--output", type=Path, default=RESULTS / "sampling.json")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    X, y = load_mnist()
    train = X[: arguments.rows].astype(float)
    test = X[N_MNIST_TRAIN:].astype(float)
    features = Features(train, y[: arguments.rows])
    truth = features(test)
    results = {"environment": environment(), "rows": []}
    settings = arguments.components, len(test), arguments.epochs
    for name, draw in samplers(train, *settings).items():
        begun = time.perf_counter()
        drawn = features(np.clip(draw(), 0, 1))
        results["rows"].append(
            {
                "name": name,
                "frechet": frechet_distance(drawn, truth),
                "accuracy": two_sample_accuracy(
                    drawn[:_N_CLASSIFIED], truth[:_N_CLASSIFIED]
                ),
                "seconds": time.perf_counter() - begun,
            }
        )
        write_json(arguments.output, results)
    reference = features(train)
    results["training_images"] = frechet_distance(reference, truth)
    write_json(arguments.output, results)
    print_table(
        ("codes", "Frechet distance", "told apart"),
        [(row["name"], row["frechet"], row["accuracy"]) for row in results["rows"]],
    )
    print(f"training images: {results['training_images']:.3g}")


if __name__ == "__main__":
    main()
