"""A linear classifier with few labels: denoising codes, raw rows, PCA's scores.

Features are learned on all training rows, labels unseen; logistic regression is then
fitted on 5, 10 and 25 % of their labels. One setting of each contender for all tables.
The measure is the area under the ROC curve (one class against the others, mean over
classes); balanced accuracy stands beside it. Tables are those with at least 30 rows of
each class, at most 3,000 rows of each; `TUNED` are those that chose the setting.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from data_sets import Split, Table, loaders, subsample
from few_labels_report import report, summary
from reporting import RESULTS, environment, write_json
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer

SHARES = (0.05, 0.1, 0.25)
TUNED = (
    "digits",
    "breast_cancer",
    "7_Cardiotocography",
    "19_landsat",
    "27_PageBlocks",
    "29_Pima",
    "41_Waveform",
    "47_yeast",
)
LEFT_OUT = {
    "mnist": "images",
    "17_InternetAds": "1,555 columns: hours of logistic regressions",
    "diabetes": "no classes",
    "15_Hepatitis": "13 rows of a class",
    "21_Lymphography": "6 rows of a class",
    "43_WDBC": "10 rows of a class",
    "45_wine": "10 rows of a class",
}

_STRENGTHS = np.logspace(-4, 2, 7)  # C of the logistic regression
_FOLDS = 5


def autoencoder(n_components: int, seed: int, **changes) -> AutoencoderTransformer:
    setting = {
        "hidden_layer_sizes": (256,),
        "noise": "swap",
        "noise_level": 0.2,
        "random_state": seed,
    }
    return AutoencoderTransformer(n_components, **(setting | changes))


def contenders(d: int, seed: int) -> dict:
    """Names and transformers. No PCA has more than d components."""
    wide = max(64, 2 * d)
    sizes = {"PCA": d, "PCA d/2": max(d // 2, 1), "PCA d/4": max(d // 4, 1)}
    found = {name: PCA(k, svd_solver="full") for name, k in sizes.items()}
    for name, k in sizes.items():
        found[f"{name} whitened"] = PCA(k, svd_solver="full", whiten=True)
    no_noise = {"noise": None, "transform_max_iter": 0}
    return found | {
        "AE swap": autoencoder(wide, seed),
        "AE no noise": autoencoder(wide, seed, **no_noise),
        "AE swap d/2": autoencoder(sizes["PCA d/2"], seed),
        "AE no noise d/2": autoencoder(sizes["PCA d/2"], seed, **no_noise),
    }


def features(data: Split, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of the training and the held-out rows, for each contender."""
    rows = data.X_train, data.X_test
    found = {"raw": rows}
    for name, transformer in contenders(data.X_train.shape[1], seed).items():
        transformer.fit(data.X_train)
        found[name] = tuple(transformer.transform(X) for X in rows)
    both = (np.hstack(parts) for parts in zip(found["AE swap"], rows))
    return found | {"AE swap + raw": tuple(both)}


def stratified_split(table: Table, seed: int) -> Split:
    """A quarter of each class is held out; features are standardised."""
    train, test = train_test_split(
        np.arange(len(table.X)), test_size=0.25, random_state=seed, stratify=table.y
    )
    scaler = StandardScaler().fit(table.X[train])
    X_train, X_test = (scaler.transform(table.X[rows]) for rows in (train, test))
    return Split(X_train, X_test, table.y[train], table.y[test])


def labelled_rows(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The share of each class, at least two rows; a larger share adds to a smaller."""
    order = np.random.default_rng(seed).permutation(len(y))
    of_class = [order[y[order] == label] for label in np.unique(y)]
    return np.concatenate(
        [rows[: max(2, round(share * len(rows)))] for rows in of_class]
    )


def classifier(y: np.ndarray) -> LogisticRegressionCV:
    """Its C is chosen on the labelled rows alone, for all contenders alike."""
    n_folds = min(_FOLDS, np.unique(y, return_counts=True)[1].min())
    return LogisticRegressionCV(
        Cs=_STRENGTHS,
        cv=StratifiedKFold(n_folds, shuffle=True, random_state=0),
        scoring="neg_log_loss",
        class_weight="balanced",
        max_iter=200,
        tol=1e-3,
    )


def measures(Z_train, Z_test, data: Split, labelled: np.ndarray) -> dict:
    y = data.y_train[labelled]
    model = classifier(y).fit(Z_train[labelled], y)
    fixed = LogisticRegression(class_weight="balanced", max_iter=500)  # C is one
    fixed.fit(Z_train[labelled], y)
    accuracy = balanced_accuracy_score(data.y_test, model.predict(Z_test))
    return {
        "auroc": auroc(model, Z_test, data.y_test),
        "balanced_accuracy": float(accuracy),
        "auroc_fixed_C": auroc(fixed, Z_test, data.y_test),
    }


def auroc(model, Z: np.ndarray, y: np.ndarray) -> float:
    """Of two classes, or the mean over classes of each against the others."""
    chances = model.predict_proba(Z)
    if chances.shape[1] == 2:
        chances = chances[:, 1]
    return float(roc_auc_score(y, chances, multi_class="ovr"))


def compare(table: Table, seed: int):
    """Yield a row for each share of the labels of one split."""
    data = stratified_split(table, seed)
    begun = time.perf_counter()
    found = features(data, seed)
    seconds = time.perf_counter() - begun
    for share in SHARES:
        labelled = labelled_rows(data.y_train, share, seed)
        yield {
            "table": table.name,
            "n_rows": len(table.X),
            "n_features": table.X.shape[1],
            "split": seed,
            "share": share,
            "n_labelled": len(labelled),
            "seconds_of_features": seconds,
            "measures": {
                name: measures(*Z, data, labelled) for name, Z in found.items()
            },
        }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [name for name in loaders() if name not in LEFT_OUT]
    parser.add_argument(
        "--tables", nargs="+", choices=names, default=names, metavar="NAME"
    )
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--max-rows", type=int, default=3000)
    parser.add_argument("--output", type=Path, default=RESULTS / "few_labels.json")
    parser.add_argument(
        "--resume", action="store_true", help="keep the rows that the output has"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    # Of the logistic regression: not converged, and attributes to be renamed.
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", FutureWarning)
    results = {"rows": []}
    if arguments.resume and arguments.output.exists():
        results |= json.loads(arguments.output.read_text())
    results.setdefault("environment", environment())
    results |= {"max_rows": arguments.max_rows, "left_out": LEFT_OUT}
    done = {(row["table"], row["split"]) for row in results["rows"]}
    available = loaders()
    tables = [
        subsample(available[name](), arguments.max_rows) for name in arguments.tables
    ]
    # Split by split, so that a run that is stopped has all tables.
    for seed in range(arguments.splits):
        for table in tables:
            if (table.name, seed) in done:
                continue
            results["rows"] += compare(table, seed)
            write_json(arguments.output, results)
            print(f"{table.name}, split {seed}", flush=True)
    results["summary"] = summary(results["rows"], TUNED)
    write_json(arguments.output, results)
    report(results, TUNED)


if __name__ == "__main__":
    main()
