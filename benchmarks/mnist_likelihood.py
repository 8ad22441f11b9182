"""Log-likelihood of dynamically binarised MNIST, in nats.

A fit for each prior on the 60,000 training images, whose grey values are probabilities
of bits that are drawn anew in each epoch; then the importance-weighted bound over 500
draws of the 10,000 test images, binarised once. The curve is the held-out bound of one
draw over the minutes of the fit.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from data_sets import N_MNIST_TRAIN, load_mnist
from reporting import RESULTS, environment, write_json
from skorch.callbacks import EpochTimer

from skae import VAETransformer

_N_DRAWS = 500

# Burda et al. (2016): one stochastic layer, 784-200-200-50, 3,280 epochs.
_PUBLISHED = 86.76


def binarised(X: np.ndarray, seed: int) -> np.ndarray:
    uniform = np.random.default_rng(seed).random(X.shape, dtype=np.float32)
    return (uniform < X).astype(np.float32)


def measure(prior: str, arguments: argparse.Namespace, train, test) -> dict:
    """Fit with one prior; nats of the test images, and the curve."""
    vae = VAETransformer(
        arguments.components,
        hidden_layer_sizes=tuple(arguments.hidden),
        likelihood="binarized_bernoulli",
        prior=prior,
        max_iter=arguments.epochs,
        callbacks=[("timer", EpochTimer())],
        random_state=0,
        verbose=1,
    )
    begun = time.perf_counter()
    vae.fit(train)
    minutes = (time.perf_counter() - begun) / 60
    vae.set_params(n_score_draws=_N_DRAWS)
    history = vae.net_.history
    return {
        "prior": prior,
        "nats": -vae.score(test),
        "minutes": minutes,
        "n_epochs": vae.n_iter_,
        "n_active_components": vae.n_active_components_,
        "curve": {
            "minutes": list(np.cumsum(history[:, "dur"]) / 60),
            "held_out_bound": vae.validation_loss_curve_,
            "rate": history[:, "valid_rate"],
        },
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--priors", nargs="+", default=["normal", "vamp"])
    parser.add_argument("--components", type=int, default=40)
    parser.add_argument("--hidden", nargs="+", type=int, default=[512, 512])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument(
        "--output", type=Path, default=RESULTS / "mnist_likelihood.json"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    X, _ = load_mnist()
    train, test = X[:N_MNIST_TRAIN], binarised(X[N_MNIST_TRAIN:], seed=0)
    results = {
        "components": arguments.components,
        "hidden_layer_sizes": arguments.hidden,
        "n_draws": _N_DRAWS,
        "environment": environment(),
        "fits": [],
    }
    for prior in arguments.priors:
        fit = measure(prior, arguments, train, test)
        results["fits"].append(fit)
        write_json(arguments.output, results)
        print(
            f"prior {prior}: {fit['nats']:.2f} nats in {fit['minutes']:.1f} minutes, "
            f"{fit['n_epochs']} epochs (goal <= 86.3; published {_PUBLISHED})",
            flush=True,
        )


if __name__ == "__main__":
    main()
