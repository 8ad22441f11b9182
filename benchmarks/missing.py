"""Missing values: the filled entries, beside scikit-learn's imputers.

Half of the entries of a standardised table are hidden at random; the measure is the
mean squared error of the filled ones, that of the means being about one. Draws of the
entries give intervals of 90 %, whose fraction of hits stands beside it. The first
pattern is that of Mattei and Frellsen (2019), who had 0.287 on breast_cancer.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from data_sets import Table, loaders
from reporting import RESULTS, environment, print_table, write_json
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer

FEWER_ROWS = 5000
FIRST_SEED = 1234
SHARE = 0.5

# A regression for each of 1,555 columns on all others takes hours. Of 5, 10, 20, 50 and
# 100 features 20 had the least error, on the first pattern of the table that has them.
MANY_COLUMNS, N_NEAREST = 200, 20
_MOST_LATENTS = 32
_N_IMPUTATIONS = 100
_MOST_ROWS_TO_DRAW = 500


def hide(X: np.ndarray, seed: int) -> np.ndarray:
    """Hide half of the entries, whichever they are."""
    random_state = np.random.RandomState(seed)
    n_hidden = int(X.size * SHARE)
    entries = random_state.choice(X.size, n_hidden, replace=False)
    hidden = X.flatten()
    hidden[entries] = np.nan
    return hidden.reshape(X.shape)


def models(d: int, seed: int) -> dict:
    """No setting but the size of the code, nearly that of the rows."""
    k = max(1, min(d - 1, _MOST_LATENTS))
    options = {"allow_nan": True, "random_state": seed}
    return {
        "normal law": AutoencoderTransformer(k, max_iter=0, **options),
        "AE": AutoencoderTransformer(k, **options),
        "VAE": VAETransformer(k, **options),
    }


def imputers(d: int) -> dict:
    n_nearest = N_NEAREST if d > MANY_COLUMNS else None
    return {
        "mean": SimpleImputer(keep_empty_features=True),
        "KNNImputer": KNNImputer(keep_empty_features=True),
        "IterativeImputer": IterativeImputer(
            n_nearest_features=n_nearest, random_state=0, keep_empty_features=True
        ),
    }


def compare(table: Table, seed: int) -> dict:
    """Errors, seconds and coverages of one pattern of one table."""
    X = StandardScaler().fit_transform(table.X)
    seen = hide(X, FIRST_SEED + seed)
    is_hidden = np.isnan(seen)
    errors, seconds, coverage = {}, {}, {}

    def measure(name, fill):
        begun = time.perf_counter()
        filled = fill()
        seconds[name] = time.perf_counter() - begun
        errors[name] = float(((filled - X)[is_hidden] ** 2).mean())

    for name, imputer in imputers(X.shape[1]).items():
        measure(name, lambda imputer=imputer: imputer.fit_transform(seen))
    for name, model in models(X.shape[1], seed).items():
        measure(name, lambda model=model: model.fit(seen).impute(seen))
        coverage[name] = covered(model, X, seen)
    return {
        "table": table.name,
        "seed": seed,
        "n_rows": len(X),
        "n_features": X.shape[1],
        "errors": errors,
        "coverage": coverage,
        "seconds": seconds,
    }


def covered(model, X: np.ndarray, seen: np.ndarray) -> float:
    """Share of the hidden entries within their interval of 90 %."""
    rows = slice(_MOST_ROWS_TO_DRAW)
    drawn = model.impute(seen[rows], n_imputations=_N_IMPUTATIONS, random_state=0)
    # Of so many draws from the truth, nine tenths of new ones lie between these.
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0, method="weibull")
    is_hit = (low <= X[rows]) & (X[rows] <= high)
    return float(is_hit[np.isnan(seen[rows])].mean())


def report(results: dict) -> None:
    rows = results["rows"]
    names = ["mean", "KNNImputer", "IterativeImputer", "normal law", "AE", "VAE"]
    lines = []
    for table in dict.fromkeys(row["table"] for row in rows):
        mine = [row for row in rows if row["table"] == table]
        errors = [np.mean([r["errors"][n] for r in mine]) for n in names]
        hits = np.mean([r["coverage"]["VAE"] for r in mine])
        first = mine[0]
        lines.append(
            [
                table,
                f"{first['n_rows']} x {first['n_features']}",
                len(mine),
                *(f"{e:.3f}" for e in errors),
                f"{hits:.3f}",
            ]
        )
    print_table(["table", "rows", "patterns", *names, "covered"], lines)
    n_above = sum(r["errors"]["VAE"] > r["errors"]["IterativeImputer"] for r in rows)
    print(f"VAE above IterativeImputer: {n_above} of {len(rows)}")
    results["n_above_iterative"] = n_above


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "missing.json")
    parser.add_argument(
        "--resume", action="store_true", help="keep the rows that the output has"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    warnings.simplefilter("ignore", ConvergenceWarning)  # of IterativeImputer
    results = {"rows": []}
    if arguments.resume and arguments.output.exists():
        results |= json.loads(arguments.output.read_text())
    results["environment"] = environment()
    done = {(row["table"], row["seed"]) for row in results["rows"]}
    names = arguments.tables or [name for name in loaders() if name != "mnist"]
    tables = [loaders()[name]() for name in names]
    # Pattern by pattern, so that a run that is stopped has all tables.
    for seed in range(arguments.seeds):
        for table in tables:
            if len(table.X) >= FEWER_ROWS or (table.name, seed) in done:
                continue
            results["rows"].append(compare(table, seed))
            write_json(arguments.output, results)
            print(f"{table.name}, pattern {seed}", flush=True)
    report(results)
    write_json(arguments.output, results)


if __name__ == "__main__":
    main()
