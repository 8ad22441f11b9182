"""The measured parts of `gpu.py`, each of which ends by itself before a deadline.

An epoch is timed first; a fit then has as many as there is time for, so that its
learning rate ends where it should.
"""

import argparse
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import NamedTuple

import contenders
import mnist_likelihood
import mnist_reconstruction
import numpy as np
import speed
from data_sets import N_MNIST_TRAIN, load_mnist
from reporting import write_json
from sklearn.decomposition import PCA
from skorch.callbacks import EpochTimer

from skae import AutoencoderTransformer

_CONTENDERS = (contenders.MEASURE, contenders.OURS, "skae, float32")

# Epochs by which one is timed: of all of MNIST, steps enough for a CUDA graph.
_N_PROBE = 2

# Share of the time to plan for: epochs differ, and scores take time as well.
_PLANNED = 0.85

# Of the reconstruction.
_N_COMPONENTS = 30
_N_REFINING = 3

# Nats and squared error, in ten minutes; times as fast as eager torch.
_GOAL_NATS = ("<=", 82.0)
_GOAL_ERROR = ("<=", 2.4)
_GOAL_SPEED = (">=", 3.0)


class Size(NamedTuple):
    """How large the parts are."""

    n_train: int
    n_test: int
    epoch_rows: int
    n_epochs: int | None  # timed in a round; None is each net's own
    n_rounds: int  # at most
    fit_epochs: int  # at most


SIZES = {
    "whole": Size(N_MNIST_TRAIN, 10_000, 20_000, None, 7, 1000),
    "cut": Size(2000, 50, 1500, 2, 1, 3),
    "quick": Size(100, 5, 100, 1, 0, 1),
}


def images(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Training and test images, float32 in [0, 1]."""
    X, _ = load_mnist()
    return X[: size.n_train], X[-size.n_test :]


def affordable(seconds: float, probe: float, epoch: float, most: int) -> int:
    """Epochs that there is time for, by the seconds of a probe and of its last epoch.

    What the probe took beside its epochs, the fit will take too.
    """
    beside = max(probe - _N_PROBE * epoch, 0.0)
    return min(most, max(1, int((_PLANNED * seconds - beside) / epoch)))


def epochs(size: Size, device: str, deadline: float, results: dict) -> None:
    """Seconds of an epoch beside eager torch; a first round warms up."""
    found = contenders.available(_CONTENDERS, device)
    results["nets"] = {}
    for n_done, (name, net) in enumerate(speed.NETS.items()):
        seconds = (deadline - time.time()) / (len(speed.NETS) - n_done)
        rows = _rounds(net, found, size, device, seconds)
        results["nets"][name] = rows
        results["figures"] += _figures_of_epochs(name, rows)


def _rounds(
    net: speed.Net, found: dict, size: Size, device: str, seconds: float
) -> list[dict]:
    """Rows of as many rounds as there is time for."""
    arguments = SimpleNamespace(
        device=device, epoch_rows=size.epoch_rows, epochs=size.n_epochs, rounds=1
    )
    begun = time.time()
    warm_up = speed.time_epochs(net, found, arguments, save=lambda rows: None)
    took = time.time() - begun
    arguments.rounds = min(size.n_rounds, int(_PLANNED * (seconds - took) / took))
    if arguments.rounds < 1:
        return warm_up
    return speed.time_epochs(net, found, arguments, save=lambda rows: None)


def _figures_of_epochs(net: str, rows: list[dict]) -> list[dict]:
    """Milliseconds of an epoch of each contender, and how much faster skae is."""
    times = {name: [] for name in _CONTENDERS}
    for row in rows:
        times[row["contender"]].append(row["seconds"])
    figures = [
        {"name": f"{net}, ms an epoch, {name}", "value": 1000 * median(values)}
        for name, values in times.items()
    ]
    for name in _CONTENDERS[1:]:
        ratio = median(speed.ratios(rows, contenders.MEASURE, name))
        figures.append({"name": f"{net}, times as fast, {name}", "value": ratio})
        if net == "mnist":  # whose batches have 256 rows
            figures[-1]["goal"] = _GOAL_SPEED
    return figures


def vae(size: Size, device: str, deadline: float, results: dict) -> None:
    """Nats of test images, as in `mnist_likelihood.py`, with the better prior."""
    train, test = images(size)
    test = mnist_likelihood.binarised(test, seed=0)

    def fit(n_epochs, test):
        arguments = SimpleNamespace(
            components=40, hidden=[512, 512], epochs=n_epochs, device=device
        )
        return mnist_likelihood.measure("vamp", arguments, train, test)

    begun = time.time()
    minutes = fit(_N_PROBE, test[:1])["curve"]["minutes"]
    now = time.time()
    epoch = 60 * (minutes[-1] - minutes[-2])
    n_epochs = affordable(deadline - now, now - begun, epoch, size.fit_epochs)
    results["fit"] = found = fit(n_epochs, test)
    durations = np.diff([0.0, *found["curve"]["minutes"]])
    results["figures"] += [
        {"name": "epochs", "value": found["n_epochs"]},
        {"name": "ms an epoch", "value": 60_000 * median(durations)},
        {"name": "minutes", "value": found["minutes"]},
        {"name": "nats", "value": found["nats"], "goal": _GOAL_NATS},
    ]


def reconstruction(size: Size, device: str, deadline: float, results: dict) -> None:
    """Squared error of test images, of the encoder's codes and of refined ones."""
    train, test = images(size)
    pca = PCA(_N_COMPONENTS, svd_solver="covariance_eigh").fit(train)
    pca_error = mnist_reconstruction.error(pca, test)
    begun = time.time()
    probe = _autoencoder(_N_PROBE, device).fit(train)
    now = time.time()
    epoch = probe.net_.history[-1, "dur"]
    n_epochs = affordable(deadline - now, now - begun, epoch, size.fit_epochs)
    begun = time.time()
    model = _autoencoder(n_epochs, device).fit(train)
    minutes = (time.time() - begun) / 60
    error = mnist_reconstruction.error(model, test)
    model.set_params(transform_max_iter=_N_REFINING)
    refined = mnist_reconstruction.error(model, test)
    durations = model.net_.history[:, "dur"]
    results["curve"] = {
        "minutes": list(np.cumsum(durations) / 60),
        "held_out_error": model.validation_loss_curve_,
    }
    results["figures"] += [
        {"name": "epochs", "value": model.n_iter_},
        {"name": "ms an epoch", "value": 1000 * median(durations)},
        {"name": "minutes", "value": minutes},
        {"name": "squared error of PCA", "value": pca_error},
        {"name": "squared error", "value": error, "goal": _GOAL_ERROR},
        {"name": "the same, codes refined", "value": refined, "goal": _GOAL_ERROR},
    ]


def _autoencoder(n_epochs: int, device: str) -> AutoencoderTransformer:
    """The network of `mnist_reconstruction.py`."""
    return AutoencoderTransformer(
        _N_COMPONENTS,
        hidden_layer_sizes=(1000, 500, 250),
        max_iter=n_epochs,
        transform_max_iter=0,
        device=device,
        callbacks=[("timer", EpochTimer())],
        random_state=0,
    )


PARTS = {"epochs": epochs, "vae": vae, "reconstruction": reconstruction}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--size", choices=list(SIZES), default="whole")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--epochs", type=int, help="of a fit, at most")
    parser.add_argument("--deadline", type=float, default=time.time() + 120)
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    results = {"figures": [], "error": None}
    size, part = SIZES[arguments.size], PARTS[arguments.part]
    if arguments.epochs is not None:
        size = size._replace(fit_epochs=arguments.epochs)
    try:
        part(size, arguments.device, arguments.deadline, results)
    except Exception as error:
        results["error"] = f"{type(error).__name__}: {error}"
        raise
    finally:
        write_json(arguments.output, results)


if __name__ == "__main__":
    main()
