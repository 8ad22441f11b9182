"""Seconds of an epoch and to a goal, beside other ways to train an autoencoder.

Contenders take turns in rounds, in another order each round; ratios are taken within a
round, then their median over rounds. The first part times epochs of the same net. The
second runs skae with its default settings, and the others with the same widths, until
the held-out error is 0.65 of that of PCA with as many components.
"""

import argparse
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from contenders import CONTENDERS, MEASURE, OURS, available
from contest import Laps, Race, Task, run, squared_error
from data_sets import N_MNIST_TRAIN, load_mnist, loaders, split
from reporting import RESULTS, environment, print_table, write_json
from sklearn.decomposition import PCA

_GOAL = 0.65  # of the held-out error of PCA
_RACE_COMPONENTS = 32
_RACE_HIDDEN = (512, 256)  # skae's default
_NO_LIMIT = 10**6  # epochs


class Net(NamedTuple):
    """A data set, the net for it, and what a round and a race may cost."""

    load: callable  # -> X_train, X_test, float32
    hidden: tuple[int, ...]
    n_components: int
    batch_size: int
    n_epochs: int  # timed, of each contender in a round
    limit: float  # seconds of a race


def mnist() -> tuple[np.ndarray, np.ndarray]:
    X, _ = load_mnist()
    return X[:N_MNIST_TRAIN], X[N_MNIST_TRAIN:]


def digits() -> tuple[np.ndarray, np.ndarray]:
    data = split(loaders()["digits"](), seed=0)
    return data.X_train.astype(np.float32), data.X_test.astype(np.float32)


NETS = {
    "mnist": Net(mnist, (256, 64), 16, 256, n_epochs=6, limit=120.0),
    "digits": Net(digits, (32,), 8, 32, n_epochs=30, limit=30.0),
}


def in_rounds(contenders: dict, n_rounds: int):
    """Yield (round, name, contender), the order rotated by one each round."""
    names = list(contenders)
    for i in range(n_rounds):
        shift = i % len(names)
        for name in names[shift:] + names[:shift]:
            yield i, name, contenders[name]


def time_epochs(net: Net, contenders: dict, arguments, save) -> list[dict]:
    """Seconds of one epoch of the same net, by round and contender."""
    X = net.load()[0][: arguments.epoch_rows]
    rows = []
    for i, name, contender in in_rounds(contenders, arguments.rounds):
        watch = Laps(arguments.device)
        task = Task(
            X,
            net.hidden,
            net.n_components,
            min(net.batch_size, len(X)),
            (arguments.epochs or net.n_epochs) + 1,
            watch,
            arguments.device,
            seed=i,
        )
        run(contender.train, task)
        rows.append(
            {
                "round": i,
                "contender": name,
                "seconds": watch.seconds_per_epoch,
                "seconds_of_start": watch.seconds_of_start,
            }
        )
        print(f"round {i}, {name}: {watch.seconds_per_epoch:.4f} s", flush=True)
        save(rows)
    return rows


def time_races(net: Net, contenders: dict, arguments, save) -> list[dict]:
    """Seconds until the goal; who does not reach it once does not run again."""
    X_train, X_test = net.load()
    X_train = X_train[: arguments.rows]
    pca_error = _pca_error(X_train, X_test)
    limit = arguments.limit or net.limit
    rows, given_up = [], set()
    for i, name, contender in in_rounds(contenders, arguments.repeats):
        if name in given_up:
            continue
        watch = Race(X_test, _GOAL * pca_error, limit, arguments.device)
        task = Task(
            X_train,
            _RACE_HIDDEN,
            _RACE_COMPONENTS,
            min(net.batch_size, len(X_train)),
            _NO_LIMIT,
            watch,
            arguments.device,
            seed=i,
            with_defaults=True,
        )
        run(contender.train, task)
        if not watch.reached:
            given_up.add(name)
        rows.append(_race_row(i, name, watch, pca_error))
        print(f"round {i}, {name}: {_race_text(rows[-1])}", flush=True)
        save(rows)
    return rows


def _pca_error(X_train: np.ndarray, X_test: np.ndarray) -> float:
    pca = PCA(_RACE_COMPONENTS, svd_solver="covariance_eigh").fit(X_train)
    return squared_error(pca.inverse_transform(pca.transform(X_test)), X_test)


def _race_row(i: int, name: str, watch: Race, pca_error: float) -> dict:
    return {
        "round": i,
        "contender": name,
        "reached": watch.reached,
        "seconds": watch.seconds,
        "n_epochs": watch.n_epochs,
        "best_ratio": watch.best_error / pca_error,
    }


def _race_text(row: dict) -> str:
    if row["reached"]:
        return f"{row['seconds']:.2f} s, {row['n_epochs']} epochs"
    return (
        f"not reached in {row['seconds']:.0f} s and {row['n_epochs']} epochs, best "
        f"{row['best_ratio']:.2f} of PCA's error"
    )


def ratios(rows: list[dict], name: str, reference: str) -> list[float]:
    """Seconds of one contender over another's, in each round that has both."""
    seconds = {(row["round"], row["contender"]): row["seconds"] for row in rows}
    return [
        value / seconds[i, reference]
        for (i, contender), value in seconds.items()
        if contender == name and (i, reference) in seconds
    ]


def print_epochs(rows: list[dict]) -> None:
    table = []
    for name in dict.fromkeys(row["contender"] for row in rows):
        mine = [row for row in rows if row["contender"] == name]
        found = ratios(rows, name, MEASURE)
        table.append(
            (
                name,
                median(row["seconds"] for row in mine),
                median(found) if found else None,
                f"{min(found):.2f}-{max(found):.2f}" if found else None,
                median(row["seconds_of_start"] for row in mine),
            )
        )
    header = ("contender", "s per epoch", "ratio", "range", "start and compile s")
    print_table(header, table)


def print_races(rows: list[dict]) -> None:
    table = []
    for name in dict.fromkeys(row["contender"] for row in rows):
        mine = [row for row in rows if row["contender"] == name]
        to_us = ratios(rows, name, OURS)
        table.append(
            (
                name,
                "yes" if all(row["reached"] for row in mine) else "no",
                median(row["seconds"] for row in mine),
                median(to_us) if to_us else None,
                int(median(row["n_epochs"] for row in mine)),
                min(row["best_ratio"] for row in mine),
            )
        )
    header = ("contender", "reached", "seconds", "/ skae's", "epochs", "best error")
    print_table(header, table)
    print("seconds of those that did not reach the goal are lower bounds")


def run_part(part: str, name: str, contenders: dict, arguments, results: dict) -> None:
    """Run one part on one net; everything is saved after every line."""

    def save(rows):
        results[part][name] = rows
        write_json(arguments.output, results)

    print(f"\n{part}, {name}, {arguments.device}", flush=True)
    if part == "epochs":
        print_epochs(time_epochs(NETS[name], contenders, arguments, save))
        return
    racing = {key: value for key, value in contenders.items() if value.is_in_race}
    print_races(time_races(NETS[name], racing, arguments, save))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    several = partial(add, nargs="+", metavar="NAME")
    several("--parts", choices=["epochs", "race"], default=["epochs", "race"])
    several("--nets", choices=list(NETS), default=list(NETS))
    several("--contenders", choices=list(CONTENDERS), default=list(CONTENDERS))
    add("--device", default="cpu", help="a torch device, such as cuda:0")
    add("--rounds", type=int, default=7, help="of the epochs")
    add("--epochs", type=int, help="timed epochs in a round")
    add("--epoch-rows", type=int, default=20_000, help="most rows of an epoch")
    add("--repeats", type=int, default=3, help="of the race")
    add("--rows", type=int, default=N_MNIST_TRAIN, help="most rows of the race")
    add("--limit", type=float, help="seconds of a race")
    add("--output", type=Path, default=RESULTS / "speed.json")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    contenders = available(arguments.contenders, arguments.device)
    results = {"environment": environment(arguments.device), "epochs": {}, "race": {}}
    for part in arguments.parts:
        for name in arguments.nets:
            run_part(part, name, contenders, arguments, results)
    print(f"\nwritten to {arguments.output.name}", flush=True)


if __name__ == "__main__":
    main()
