"""What fills missing entries of mixed tables, and measures of the filled entries.

Tables are arrays here, as the report encodes them: numbers, and numbers of levels. A
contender takes one with missing entries and returns it filled, with probabilities of
the levels of each category.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from mixed_drawing import encoded, model
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer

N_IMPUTATIONS = 20

# missForest's own are a hundred trees and ten rounds at most, in five times the time.
_N_TREES, _N_ROUNDS = 50, 4


class Filled(NamedTuple):
    """A table without missing entries, and what is known beside."""

    X: np.ndarray  # (n, d)
    probabilities: dict  # column: (n, n_levels)
    draws: np.ndarray | None = None  # (n_imputations, n, d)


def hide(frame: pd.DataFrame, fraction: float, seed: int):
    """The frame with that fraction of its entries missing, and a mask (n, d) of them.

    Entries that were missing before are not in the mask.
    """
    rng = np.random.default_rng(seed)
    mask = rng.random(frame.shape) < fraction
    hidden = {}
    for name, is_hidden in zip(frame.columns, mask.T):
        column = frame[name]
        if pd.api.types.is_bool_dtype(column):
            column = column.astype("boolean")
        elif pd.api.types.is_integer_dtype(column):
            column = column.astype("Int64")
        hidden[name] = column.mask(is_hidden)
    return pd.DataFrame(hidden), mask & frame.notna().to_numpy()


def measures(filled: Filled, truth: np.ndarray, mask: np.ndarray, is_category) -> dict:
    """Errors of the masked entries; means over the columns of a kind."""
    errors, accuracies, briers, hits = [], [], [], []
    for j, category in enumerate(is_category):
        rows, x = mask[:, j], truth[mask[:, j], j]
        if not len(x):
            continue
        if category:
            accuracies.append(np.mean(filled.X[rows, j] == x))
            p = filled.probabilities[j][rows]
            is_level = np.arange(p.shape[1]) == x[:, None]
            briers.append(((p - is_level) ** 2).sum(1).mean())
            continue
        errors.append(((filled.X[rows, j] - x) ** 2).mean() / np.nanvar(truth[:, j]))
        if filled.draws is not None:
            drawn = filled.draws[:, rows, j]
            # Of so many draws from the truth, nine tenths of new ones lie in between.
            low, high = np.quantile(drawn, [0.05, 0.95], axis=0, method="weibull")
            hits.append(np.mean((low <= x) & (x <= high)))
    return {
        "error": _mean(errors) ** 0.5,
        "accuracy": _mean(accuracies),
        "brier": _mean(briers),
        "coverage": _mean(hits),
    }


def _mean(values) -> float:
    return float(np.mean(values)) if values else float("nan")


class Skae:
    """No setting but the number of latents; it takes and returns frames."""

    def __init__(self, n_components: int):
        self.n_components = n_components

    def __call__(self, frame: pd.DataFrame, whole: pd.DataFrame, seed: int) -> Filled:
        vae = model(frame, self.n_components, seed)
        filled = vae.impute(frame)
        options = {"n_imputations": N_IMPUTATIONS, "random_state": seed}
        # Levels are numbered as in the complete table.
        (truth, X, *draws), is_category = encoded(
            whole, filled, *vae.impute(frame, **options)
        )
        draws = np.stack(draws)
        probabilities = {
            j: np.stack(
                [(draws[:, :, j] == k).mean(0) for k in range(n_levels(truth[:, j]))], 1
            )
            for j in np.flatnonzero(is_category)
        }
        return Filled(X, probabilities, draws)


def n_levels(x: np.ndarray) -> int:
    return int(np.nanmax(x)) + 1


def most_frequent(X: np.ndarray, levels: dict, seed: int) -> Filled:
    """Medians, and modes with the frequencies of the levels."""
    filled, probabilities = X.copy(), {}
    for j in range(X.shape[1]):
        is_missing = np.isnan(X[:, j])
        if j in levels:
            observed = X[~is_missing, j].astype(int)
            counts = np.bincount(observed, minlength=levels[j])
            filled[is_missing, j] = counts.argmax()
            probabilities[j] = np.tile(counts / counts.sum(), (len(X), 1))
        else:
            filled[is_missing, j] = np.median(X[~is_missing, j])
    return Filled(filled, probabilities)


def miss_forest(X: np.ndarray, levels: dict, seed: int) -> Filled:
    """Each column from all others by a random forest, in rounds.

    Stekhoven, D. J. and Buehlmann, P. (2012). MissForest: non-parametric missing value
    imputation for mixed-type data. Bioinformatics, 28(1), 112-118.
    """
    is_missing = np.isnan(X)
    filled, probabilities, _ = most_frequent(X, levels, seed)
    order = np.argsort(is_missing.sum(0), kind="stable")
    for _ in range(_N_ROUNDS):
        for j in order[is_missing[:, order].any(0)]:
            kind = RandomForestClassifier if j in levels else RandomForestRegressor
            leaf = 1 if j in levels else 5
            forest = kind(_N_TREES, min_samples_leaf=leaf, random_state=seed)
            others, rows = np.delete(filled, j, axis=1), is_missing[:, j]
            forest.fit(others[~rows], X[~rows, j])
            filled[rows, j] = forest.predict(others[rows])
            if j in levels:
                known = forest.classes_.astype(int)
                probabilities[j] = np.zeros_like(probabilities[j])
                probabilities[j][np.ix_(rows, known)] = forest.predict_proba(
                    others[rows]
                )
    return Filled(filled, probabilities)


class OneHot:
    """An imputer of numbers, on standardised numbers and one-hot levels."""

    def __init__(self, make: Callable):
        self.make = make

    def __call__(self, X: np.ndarray, levels: dict, seed: int) -> Filled:
        mean, scale = np.nanmean(X, axis=0), np.nanstd(X, axis=0) + 1e-9
        blocks = [
            _one_hot(X[:, j], levels[j])
            if j in levels
            else (X[:, [j]] - mean[j]) / scale[j]
            for j in range(X.shape[1])
        ]
        Z = self.make(seed).fit_transform(np.hstack(blocks))
        ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
        filled, probabilities = X.copy(), {}
        for j, z in enumerate(np.split(Z, ends, axis=1)):
            is_missing = np.isnan(X[:, j])
            if j in levels:
                z = z.clip(1e-6, 1)
                probabilities[j] = z / z.sum(1, keepdims=True)
                filled[is_missing, j] = z[is_missing].argmax(1)
            else:
                filled[is_missing, j] = z[is_missing, 0] * scale[j] + mean[j]
        return Filled(filled, probabilities)


def _one_hot(x: np.ndarray, n: int) -> np.ndarray:
    return np.where(np.isnan(x)[:, None], np.nan, x[:, None] == np.arange(n))


# Of arrays; skae, which takes frames, stands beside.
IMPUTERS: dict[str, Callable] = {
    "mode and median": most_frequent,
    "KNNImputer": OneHot(lambda seed: KNNImputer(keep_empty_features=True)),
    "IterativeImputer": OneHot(
        lambda seed: IterativeImputer(random_state=seed, keep_empty_features=True)
    ),
    "missForest": miss_forest,
}
