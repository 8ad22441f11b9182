"""`SemiSupervisedClassifier()` beside the raw rows, with few labels.

The default chooses features and classifier by cross-validation on the labelled rows.
Beside it stand the raw rows with the same choice of a classifier, with `SVC()` and with
a cross-validated logistic regression. 5, 10 and 25 % of the labels of the tables of
`few_labels.py`, rows standardised; 10 and 100 labels a class of digits and, with
`--mnist`, of MNIST, pixels as they are.

Errors of new rows in %, and 1 - AUROC. *Worse* counts the cases whose error exceeds
that of the rival by more than one standard error of the paired differences.
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import few_labels
import numpy as np
from data_sets import N_MNIST_TRAIN, Split, Table, load_mnist, loaders, subsample
from few_labels_mnist import draw_labels
from reporting import RESULTS, environment, print_table, write_json
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

from skae import SemiSupervisedClassifier

OF_A_CLASS = (10, 100)
DEFAULT = "default"


def contenders(labels: np.ndarray, seed: int) -> dict:
    """Names and models; the default first. `labels` are those of the labelled rows."""
    n_folds = min(5, np.unique(labels, return_counts=True)[1].min())
    logistic = LogisticRegressionCV(
        Cs=np.logspace(-3, 2, 6),
        cv=StratifiedKFold(n_folds, shuffle=True, random_state=0),
        scoring="neg_log_loss",
        max_iter=500,
    )
    raw = FunctionTransformer()
    return {
        DEFAULT: SemiSupervisedClassifier(random_state=seed),
        "raw, same choice": SemiSupervisedClassifier(raw, random_state=seed),
        "raw, logistic": SemiSupervisedClassifier(raw, logistic),
        "raw, SVC": SemiSupervisedClassifier(raw, SVC()),
    }


def measures(model, data: Split, y: np.ndarray) -> tuple[dict, np.ndarray]:
    """And which new rows are wrong. `y` has -1 where a training row has no label."""
    begun = time.perf_counter()
    model = model.set_params(unlabeled=-1).fit(data.X_train, y)
    found = {
        "seconds": time.perf_counter() - begun,
        "features": getattr(model, "features_", None),
        "classifier": repr(model.classifier_),
    }
    if hasattr(model, "predict_proba"):
        found["auroc"] = few_labels.auroc(model, data.X_test, data.y_test)
    return found, model.predict(data.X_test) != data.y_test


def cases(table: Table, seed: int) -> Iterator[tuple[str, Split, np.ndarray]]:
    """Number of labels as text, rows, and labels (-1 where there is none)."""
    data = few_labels.stratified_split(table, seed)
    for share in few_labels.SHARES:
        y = np.full(len(data.y_train), -1)
        rows = few_labels.labelled_rows(data.y_train, share, seed)
        y[rows] = data.y_train[rows]
        yield f"{share:.0%}", data, y
    if table.name == "digits":
        yield from _of_classes(_unscaled_split(table, seed), seed)


def mnist_cases(seed: int) -> Iterator[tuple[str, Split, np.ndarray]]:
    X, y = load_mnist()
    n = N_MNIST_TRAIN
    yield from _of_classes(Split(X[:n], X[n:], y[:n], y[n:]), seed)


def _of_classes(data: Split, seed: int):
    n_classes = len(np.unique(data.y_train))
    for n in OF_A_CLASS:
        yield f"{n} a class", data, draw_labels(data.y_train, n * n_classes, seed)


def _unscaled_split(table: Table, seed: int) -> Split:
    return Split(
        *train_test_split(
            table.X, table.y, test_size=0.25, random_state=seed, stratify=table.y
        )
    )


def compare(name: str, found: Iterator, seed: int) -> Iterator[dict]:
    for labels, data, y in found:
        models = contenders(y[y != -1], seed)
        own = {key: measures(model, data, y) for key, model in models.items()}
        for each, is_wrong in own.values():
            more = own[DEFAULT][1].astype(float) - is_wrong
            each["error"] = float(is_wrong.mean())
            # The default's error less this one, and its standard error.
            each["excess"] = float(more.mean())
            each["standard_error"] = float(more.std(ddof=1) / len(more) ** 0.5)
        yield {
            "table": name,
            "labels": labels,
            "split": seed,
            "n_labelled": int((y != -1).sum()),
            "measures": {key: each for key, (each, _) in own.items()},
        }


def summary(rows: list[dict]) -> list[dict]:
    """Of each rival: the default's errors beside its own."""
    found = []
    for rival in (name for name in rows[0]["measures"] if name != DEFAULT):
        pairs = [[row["measures"][name] for name in (DEFAULT, rival)] for row in rows]
        errors = np.array([[each["error"] for each in pair] for pair in pairs])
        excess = np.array([[r["excess"], r["standard_error"]] for _, r in pairs])
        missed = np.array(
            [
                [1 - each["auroc"] for each in pair]
                for pair in pairs
                if "auroc" in pair[1]
            ]
        )
        found.append(
            {
                "rival": rival,
                "cases": len(rows),
                "error_percent": list(100 * errors.mean(axis=0)),
                "error_ratio": _ratio(errors),
                "missed_ratio": _ratio(missed) if len(missed) else None,
                "worse": int((excess[:, 0] > excess[:, 1]).sum()),
                "better": int((-excess[:, 0] > excess[:, 1]).sum()),
            }
        )
    return found


def _ratio(pairs: np.ndarray) -> float:
    """Geometric mean of the ratios; half a percent is added, since some are zero."""
    own, rival = np.log(pairs + 0.005).mean(axis=0)
    return float(np.exp(own - rival))


def report(results: dict) -> None:
    rows = results["rows"]
    names = tuple(rows[0]["measures"])
    lines = []
    for row in rows:
        errors = [100 * row["measures"][name]["error"] for name in names]
        chosen = row["measures"][DEFAULT]["features"]
        cells = (f"{error:.1f}" for error in errors)
        lines.append((row["table"], row["labels"], row["split"], *cells, chosen))
    print_table(("table", "labels", "split", *names, "features"), lines)
    for group, found in results["summary"].items():
        print(f"\n{group}")
        print_table(tuple(found[0]), [tuple(each.values()) for each in found])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [name for name in loaders() if name not in few_labels.LEFT_OUT]
    parser.add_argument(
        "--tables", nargs="*", choices=names, default=names, metavar="NAME"
    )
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--max-rows", type=int, default=3000)
    parser.add_argument("--mnist", action="store_true", help="minutes for each fit")
    parser.add_argument(
        "--output", type=Path, default=RESULTS / "few_labels_default.json"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    warnings.simplefilter("ignore")  # not converged, and attributes to be renamed
    results = {"environment": environment(), "rows": []}
    available = loaders()
    for seed in arguments.splits:
        for name in arguments.tables:
            table = subsample(available[name](), arguments.max_rows)
            for row in compare(name, cases(table, seed), seed):
                _add(results, row, arguments.output)
        if arguments.mnist:
            for row in compare("mnist", mnist_cases(seed), seed):
                _add(results, row, arguments.output)
    report(results)


def _add(results: dict, row: dict, output: Path) -> None:
    results["rows"].append(row)
    rows = results["rows"]
    images = [each for each in rows if each["labels"].endswith("class")]
    groups = {
        "all": rows,
        "tables": [each for each in rows if each not in images],
        "images": images,
    }
    results["summary"] = {name: summary(own) for name, own in groups.items() if own}
    write_json(output, results)
    chosen = row["measures"][DEFAULT]["features"]
    print(row["table"], row["labels"], row["split"], chosen, flush=True)


if __name__ == "__main__":
    main()
