"""Outlier detection: AUROC of the detector's default beside rivals, ADBench's tables.

Protocol "semi": fitted on half of the inliers, scored on the other half and all
outliers; "unsup": fitted and scored on all rows. Features are standardised by what the
training rows know. "resampled" is the protocol of ADBench, where tables below 1,000
rows are drawn with replacement up to 1,000 rows first, so that copies of training rows
are scored. "dirty" is semi with outliers as a tenth of the training rows, beside
"clean": the same inliers, scored on the same rows. One default for all tables.
"""

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from data_sets import Table, loaders, subsample
from reporting import RESULTS, environment, print_table, write_json
from sklearn.covariance import EmpiricalCovariance
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from skae import AutoencoderDetector

try:
    from pyod.models.auto_encoder import AutoEncoder
    from pyod.models.vae import VAE

    PYOD = {"PyOD AE": AutoEncoder, "PyOD VAE": VAE}
except ImportError:
    PYOD = {}

OURS = "skae"
N_RESAMPLED = 1000
SHARE_OF_DIRT = 0.1
FEWEST_OUTLIERS = 18  # that the dirty training rows and the test share

_MEAN = "mean"


class Rows(NamedTuple):
    """Training rows, rows to score, and which of these are outliers."""

    X_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    is_same: bool = False  # the training rows are the rows to score


# Protocols.


def scaled(X_train, X_test, y_test) -> Rows:
    scaler = StandardScaler().fit(X_train)
    return Rows(scaler.transform(X_train), scaler.transform(X_test), y_test)


def semi(table: Table, rng: np.random.Generator) -> dict[str, Rows]:
    inliers = rng.permutation(np.flatnonzero(table.y == 0))
    outliers = np.flatnonzero(table.y == 1)
    train, rest = np.split(inliers, [len(inliers) // 2])
    test = np.concatenate([rest, outliers])
    return {"semi": scaled(table.X[train], table.X[test], table.y[test])}


def unsup(table: Table, rng: np.random.Generator) -> dict[str, Rows]:
    return {"unsup": scaled(table.X, table.X, table.y)._replace(is_same=True)}


def contaminated(table: Table, rng: np.random.Generator) -> dict[str, Rows]:
    """As many inliers as half of the outliers are a tenth beside, or half of them."""
    inliers = rng.permutation(np.flatnonzero(table.y == 0))
    outliers = rng.permutation(np.flatnonzero(table.y == 1))
    if len(outliers) < FEWEST_OUTLIERS:
        return {}
    odds = (1 - SHARE_OF_DIRT) / SHARE_OF_DIRT
    n_clean = min(len(inliers) // 2, round(odds * (len(outliers) // 2)))
    train, dirt = inliers[:n_clean], outliers[: round(n_clean / odds)]
    test = np.concatenate([inliers[len(inliers) // 2 :], outliers[len(dirt) :]])
    X_test, y_test = table.X[test], table.y[test]
    return {
        "clean": scaled(table.X[train], X_test, y_test),
        "dirty": scaled(table.X[np.concatenate([train, dirt])], X_test, y_test),
    }


def resampled(table: Table, rng: np.random.Generator) -> dict[str, Rows]:
    if len(table.X) >= N_RESAMPLED:
        return {}
    chosen = rng.choice(len(table.X), N_RESAMPLED)
    larger = table._replace(X=table.X[chosen], y=table.y[chosen])
    found = semi(larger, rng) | unsup(larger, rng)
    return {f"{name}, resampled": rows for name, rows in found.items()}


# Who scores: functions of rows and a seed, higher is more outlying.


def ours(rows: Rows, seed: int) -> np.ndarray:
    detector = AutoencoderDetector(random_state=seed).fit(rows.X_train)
    return -detector.score_samples(rows.X_test)


def neighbours(rows: Rows, seed: int) -> np.ndarray:
    """Distance from the fifth nearest training row but the row itself."""
    index = NearestNeighbors(n_neighbors=5).fit(rows.X_train)
    return index.kneighbors(None if rows.is_same else rows.X_test)[0][:, -1]


def local_outlier_factor(rows: Rows, seed: int) -> np.ndarray:
    model = LocalOutlierFactor(novelty=not rows.is_same).fit(rows.X_train)
    if rows.is_same:
        return -model.negative_outlier_factor_
    return -model.score_samples(rows.X_test)


def forest(rows: Rows, seed: int) -> np.ndarray:
    model = IsolationForest(random_state=seed).fit(rows.X_train)
    return -model.score_samples(rows.X_test)


def one_class_svm(rows: Rows, seed: int) -> np.ndarray:
    return -OneClassSVM().fit(rows.X_train).score_samples(rows.X_test)


def mahalanobis(rows: Rows, seed: int) -> np.ndarray:
    return EmpiricalCovariance().fit(rows.X_train).mahalanobis(rows.X_test)


def norm(rows: Rows, seed: int) -> np.ndarray:
    return (rows.X_test**2).sum(1)


def pyod(model: type):
    def score(rows: Rows, seed: int) -> np.ndarray:
        batch_size = min(32, len(rows.X_train))  # it fails with fewer rows than that
        detector = model(batch_size=batch_size, random_state=seed, verbose=0)
        return detector.fit(rows.X_train).decision_function(rows.X_test)

    return score


CONTENDERS = {
    OURS: ours,
    "5-NN": neighbours,
    "IForest": forest,
    "OCSVM": one_class_svm,
    "LOF": local_outlier_factor,
    "Mahalanobis": mahalanobis,
    "row norm": norm,
    **{name: pyod(model) for name, model in PYOD.items()},
}


def compare(table: Table, seed: int):
    """Yield a row for each protocol."""
    for protocol in (semi, unsup, contaminated, resampled):
        found = protocol(table, np.random.default_rng(seed))
        for name, rows in found.items():
            aurocs, seconds = {}, {}
            for contender, score in CONTENDERS.items():
                if contender in PYOD and name in ("clean", "dirty"):
                    continue
                begun = time.perf_counter()
                scores = score(rows, seed)
                seconds[contender] = round(time.perf_counter() - begun, 3)
                aurocs[contender] = 100 * roc_auc_score(rows.y_test, scores)
            yield {
                "table": table.name,
                "seed": seed,
                "protocol": name,
                "n_train": len(rows.X_train),
                "n_features": rows.X_train.shape[1],
                "auroc": aurocs,
                "seconds": seconds,
            }


# The report.


def summary(rows: list[dict]) -> dict:
    """Protocol -> contender -> table -> mean AUROC over seeds; "mean" over tables.

    "semi" and "unsup" stand for all tables as they are; "resampled" takes the resampled
    rows of small tables instead.
    """
    found = {}
    for name in ("semi", "unsup", "semi, resampled", "unsup, resampled"):
        found[name] = _by_table(rows, name, name.split(",")[0])
    for name in ("clean", "dirty"):
        found[name] = _by_table(rows, name, name)
    return found


def _by_table(rows: list[dict], name: str, otherwise: str) -> dict:
    tables = list(dict.fromkeys(row["table"] for row in rows))
    means = {contender: {} for contender in CONTENDERS}
    for table in tables:
        mine = [r for r in rows if r["table"] == table and r["protocol"] == name] or [
            r for r in rows if r["table"] == table and r["protocol"] == otherwise
        ]
        for contender, values in means.items():
            known = [r["auroc"][contender] for r in mine if contender in r["auroc"]]
            if known:
                values[table] = float(np.mean(known))
    for values in means.values():
        if values:
            values[_MEAN] = float(np.mean(list(values.values())))
    return means


def report(results: dict) -> None:
    means = results["summary"]
    print_table(
        ("mean AUROC", *means),
        [
            (contender, *(means[name][contender].get(_MEAN) for name in means))
            for contender in CONTENDERS
        ],
    )
    for name in ("semi", "unsup"):
        tables = means[name][OURS]
        print_table(
            (name, *CONTENDERS),
            [(t, *(means[name][c].get(t) for c in CONTENDERS)) for t in tables],
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [name for name in loaders() if name[0].isdigit()]
    if not names:
        parser.error("SKAE_DATA names no folder with adbench/*.npz")
    parser.add_argument(
        "--tables", nargs="+", choices=names, default=names, metavar="NAME"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-rows", type=int, default=10_000)
    parser.add_argument("--output", type=Path, default=RESULTS / "outliers.json")
    parser.add_argument(
        "--resume", action="store_true", help="keep the rows that the output has"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    warnings.simplefilter("ignore")  # of rivals
    results = {"rows": []}
    if arguments.resume and arguments.output.exists():
        results |= json.loads(arguments.output.read_text())
    results.setdefault("environment", environment())
    results["max_rows"] = arguments.max_rows
    done = {(row["table"], row["seed"]) for row in results["rows"]}
    available = loaders()
    tables = [
        subsample(available[name](), arguments.max_rows) for name in arguments.tables
    ]
    # Seed by seed, so that a run that is stopped has all tables.
    for seed in range(arguments.seeds):
        for table in tables:
            if (table.name, seed) in done:
                continue
            results["rows"] += compare(table, seed)
            results["summary"] = summary(results["rows"])
            write_json(arguments.output, results)
            print(f"{table.name}, seed {seed}", flush=True)
    report(results)


if __name__ == "__main__":
    main()
