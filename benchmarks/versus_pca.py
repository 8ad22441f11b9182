"""The autoencoder and the variational autoencoder beside PCA, on held-out rows.

Every table in reach, k in {2, 5, d // 4, d // 2} components, several random splits; the
estimators have their default settings. ``--mnist`` runs the other part: all of MNIST,
32 components.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from data_sets import (
    MAX_ROWS,
    N_MNIST_TRAIN,
    Split,
    Table,
    load_mnist,
    loaders,
    split,
    subsample,
)
from reporting import RESULTS, environment, write_json
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from versus_pca_report import draw, print_cases, print_summary, summary

from skae import AutoencoderTransformer, VAETransformer

# Share of the held-out variance below which PCA leaves nothing to improve.
_NOTHING_LEFT = 1e-12

_MNIST_COMPONENTS = 32

# Steps of the refined codes, beside the encoder's.
_N_REFINING = 3


def component_numbers(n_features: int, n_train: int) -> list[int]:
    wanted = {2, 5, n_features // 4, n_features // 2}
    return sorted(k for k in wanted if 1 <= k < min(n_features, n_train))


def error(model, X: np.ndarray) -> float:
    """Squared error of the reconstruction, summed over features, mean over rows."""
    residual = model.inverse_transform(model.transform(X)) - X
    return float(np.square(residual).sum(1).mean(dtype=float))


def accuracy(model, data: Split) -> float | None:
    """Accuracy of logistic regression on the codes of held-out rows."""
    if data.y_train is None or len(np.unique(data.y_train)) < 2:
        return None
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    classifier.fit(model.transform(data.X_train), data.y_train)
    return float(classifier.score(model.transform(data.X_test), data.y_test))


def fitted(model, X: np.ndarray):
    """The model, fitted, and the seconds that took."""
    begun = time.perf_counter()
    model.fit(X)
    return model, time.perf_counter() - begun


def measures(name: str, model, data: Split) -> dict:
    """Error, accuracy and seconds of one reducer, named after it."""
    model, seconds = fitted(model, data.X_train)
    return {
        f"{name}_error": error(model, data.X_test),
        f"{name}_accuracy": accuracy(model, data),
        f"{name}_seconds": seconds,
    }


def pca_score(pca: PCA, X: np.ndarray) -> float:
    """Mean log-likelihood in nats; NaN where the noise of PCA vanishes."""
    try:
        with np.errstate(all="ignore"):
            return float(pca.score(X))
    except np.linalg.LinAlgError:
        return float("nan")


def compare(data: Split, k: int, seed: int) -> dict:
    """All numbers of one split of one table at one number of components."""
    n_features = data.X_train.shape[1]
    pca = PCA(k, svd_solver="full")
    row = measures("pca", pca, data)
    row["noise_variance"] = float(pca.noise_variance_)
    variance = float(np.square(data.X_test - data.X_train.mean(0)).sum(1).mean())
    if row["pca_error"] < _NOTHING_LEFT * variance:
        return row | {"skipped": True}
    ae = AutoencoderTransformer(k, random_state=seed)
    row |= measures("ae", ae, data)
    row["ae_encoder_error"] = row["ae_error"]
    ae.set_params(transform_max_iter=_N_REFINING)
    row["ae_refined_error"] = error(ae, data.X_test)
    vae = VAETransformer(k, random_state=seed)
    row |= measures("vae", vae, data)
    gain = float(vae.score(data.X_test)) - pca_score(pca, data.X_test)
    return row | {
        "skipped": False,
        "ratio": row["ae_encoder_error"] / row["pca_error"],
        "refined_ratio": row["ae_refined_error"] / row["pca_error"],
        "vae_gain": gain / n_features,
    }


def compare_table(table: Table, n_splits: int, done: set):
    """Yield a row for each k and split of a table that is not `done` yet."""
    n_rows, n_features = table.X.shape
    for seed in range(n_splits):
        data = split(table, seed)
        for k in component_numbers(n_features, len(data.X_train)):
            if (table.name, k, seed) in done:
                continue
            yield {
                "table": table.name,
                "n_rows": n_rows,
                "n_features": n_features,
                "k": k,
                "split": seed,
                **compare(data, k, seed),
            }


def compare_tables(arguments: argparse.Namespace, results: dict) -> None:
    """Fill ``results["rows"]``, saved after every row."""
    rows = results["rows"]
    done = {(row["table"], row["k"], row["split"]) for row in rows}
    available = loaders()
    for name in arguments.tables:
        table = subsample(available[name](), arguments.max_rows)
        for row in compare_table(table, arguments.splits, done):
            rows.append(row)
            write_json(arguments.output, results)
            print_row(row)


def print_row(row: dict) -> None:
    text = f"{row['table']}, k={row['k']}, split {row['split']}: "
    if row["skipped"]:
        text += "skipped, PCA is exact"
    else:
        text += (
            f"error ratio {row['ratio']:.3f} (refined {row['refined_ratio']:.3f}), "
            f"VAE gain {row['vae_gain']:+.3f} nats per feature, "
            f"{row['ae_seconds']:.1f} s and {row['vae_seconds']:.1f} s"
        )
    print(text, flush=True)


def compare_mnist() -> dict:
    """Squared error per test image after a fit on all training images."""
    X, _ = load_mnist()
    X_train, X_test = X[:N_MNIST_TRAIN], X[N_MNIST_TRAIN:]
    k = _MNIST_COMPONENTS
    pca, pca_seconds = fitted(PCA(k, svd_solver="covariance_eigh"), X_train)
    ae, ae_seconds = fitted(AutoencoderTransformer(k, random_state=0), X_train)
    return {
        "k": k,
        "pca_error": error(pca, X_test),
        "pca_seconds": pca_seconds,
        "ae_error": error(ae, X_test),
        "ae_seconds": ae_seconds,
        "n_epochs": ae.n_iter_,
        "environment": environment(),
    }


def print_mnist(mnist: dict) -> None:
    print(
        f"MNIST, {mnist['k']} components, squared error per test image: autoencoder "
        f"{mnist['ae_error']:.3f} (goal <= 4.3) in {mnist['ae_seconds']:.0f} s and "
        f"{mnist['n_epochs']} epochs, PCA {mnist['pca_error']:.3f} in "
        f"{mnist['pca_seconds']:.1f} s",
        flush=True,
    )


def report(results: dict, path: Path) -> None:
    """Save the summary beside the rows, print everything, draw the plot."""
    if results["rows"]:
        results["summary"] = summary(results["rows"])
        print_cases(results["rows"])
        print_summary(results["summary"])
        draw(results["rows"], path.with_suffix(".png"))
    if results["mnist"]:
        print_mnist(results["mnist"])
    write_json(path, results)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = list(loaders())
    parser.add_argument(
        "--tables", nargs="+", choices=names, default=names, metavar="NAME"
    )
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--max-rows", type=int, default=MAX_ROWS)
    parser.add_argument("--output", type=Path, default=RESULTS / "versus_pca.json")
    parser.add_argument(
        "--resume", action="store_true", help="keep the rows that the output has"
    )
    parser.add_argument(
        "--mnist", action="store_true", help="only the part on all of MNIST"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    results = {"rows": [], "mnist": None}
    if (arguments.resume or arguments.mnist) and arguments.output.exists():
        results |= json.loads(arguments.output.read_text())
    warnings.simplefilter("ignore", ConvergenceWarning)  # of the logistic regression
    if arguments.mnist:
        results["mnist"] = compare_mnist()
    else:
        results["environment"] = environment()
        results["max_rows"] = arguments.max_rows
        compare_tables(arguments, results)
    report(results, arguments.output)


if __name__ == "__main__":
    main()
