"""Write the reference files of the format of today, once, when a format is new.

    python tests/make_reference_files.py

They stay as they are in tests/files/format_N: later versions must read them.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from skae import (
    AutoencoderDetector,
    AutoencoderTransformer,
    SemiSupervisedClassifier,
    VAETransformer,
)
from skae.io._file import FORMAT

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}
FOLDER = Path(__file__).parent / "files"


def rows():
    """Iris, and for incomplete rows a third of its first column missing."""
    X = load_iris().data
    incomplete = X.copy()
    incomplete[::3, 0] = np.nan
    return X, incomplete


def estimators():
    """Fitted estimators by name, one of each class and of many options."""
    X, incomplete = rows()
    y = np.where(np.arange(150) % 5 == 0, np.arange(150) // 50, -1)
    mixed = [("gaussian", [0, 1]), ("laplace", [2]), ("student_t", [3])]
    detected = AutoencoderTransformer(1, **SMALL)
    return {
        "autoencoder": AutoencoderTransformer(
            3, ordered=True, penalty="mmd", **SMALL
        ).fit(X),
        "vae": VAETransformer(
            2, likelihood=mixed, prior="mixture", allow_nan=True, **SMALL
        ).fit(incomplete),
        "detector": AutoencoderDetector(detected, random_state=0).fit(X[::3]),
        "classifier": SemiSupervisedClassifier(
            VAETransformer(2, **SMALL), LogisticRegression(), unlabeled=-1
        ).fit(X, y),
    }


def results(name, estimator):
    """What an estimator makes of iris, by the name of its method."""
    X, incomplete = rows()
    if name == "detector":
        methods = ["score_samples", "decision_function", "explain"]
    elif name == "classifier":
        methods = ["predict_proba"]
    else:
        methods = ["transform", "score_samples"]
    X = incomplete if name == "vae" else X
    found = {method: getattr(estimator, method)(X) for method in methods}
    if name == "vae":
        found["impute"] = estimator.impute(incomplete)
    if name in ("vae", "autoencoder"):
        found["sample"] = estimator.sample(5, random_state=0)
    return found


def main():
    folder = FOLDER / f"format_{FORMAT}"
    folder.mkdir(parents=True)
    for name, estimator in estimators().items():
        estimator.save(folder / f"{name}.safetensors")
        np.savez(folder / f"{name}.npz", **results(name, estimator))


if __name__ == "__main__":
    main()
