"""What single mechanisms of a fit are worth: default fits with and without each.

An ablation changes one parameter of the estimator, or one constant or function of the
package while it runs. Tables that come with scikit-learn, and ADBench's of up to
`--max-rows` rows, k = 2 and d // 4, several seeds; the measure is the geometric mean of
the held-out error over PCA's (of the autoencoder's encoder), or the mean score of
held-out rows in nats a feature (of the variational autoencoder), beside the processor
seconds of the fits. Rows are saved one by one; the summary is printed at the end.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from data_sets import Split, loaders, split, subsample
from reporting import RESULTS, environment, print_table, write_json
from sklearn.decomposition import PCA
from versus_pca import error

from skae import AutoencoderTransformer, VAETransformer
from skae.data import _axes
from skae.training import _callbacks, _encoder_phase, _trainer, _validation
from skae.transformers import _fitting


class Ablation(NamedTuple):
    """A parameter, or a name in a module, and its value in each variant."""

    module: object | None  # None for a parameter of the estimator
    name: str
    variants: dict[str, object]
    estimator: type = AutoencoderTransformer


def _axes_of_pca(X, components, n_spanned):
    """Leave axes beyond the span of the rows as PCA's rounding has them."""


class _NoRaisedNoise(_validation.Validation):
    def losses(self, *, raises_noise=True):
        return super().losses(raises_noise=False)


ABLATIONS = {
    "hidden layers": Ablation(
        None,
        "hidden_layer_sizes",
        {str(h): h for h in ((512, 256), (256, 128), (128, 64))},
    ),
    "learning rate": Ablation(
        None, "learning_rate_init", {str(r): r for r in (4e-3, 8e-3, 16e-3)}
    ),
    "steps an epoch": Ablation(
        _fitting, "_STEPS_PER_EPOCH", {str(n): n for n in (25, 12, 6)}
    ),
    "returns": Ablation(
        _callbacks,
        "BestEpoch",
        {str(n): partial(_callbacks.BestEpoch, n_returns=n) for n in (3, 1, 0)},
    ),
    "encoder phase": Ablation(
        _encoder_phase, "FRACTION", {"without": 0.0, "0.2": 0.2, "0.4": 0.4}
    ),
    "rate of the outputs": Ablation(
        _fitting,
        "_output_rate",
        {
            "as hidden layers": lambda fit, unexplained: 1.0,
            "by what is unexplained": _fitting._output_rate,
        },
    ),
    "weight averaging": Ablation(
        _fitting,
        "_AVERAGED_EPOCHS",
        {"without": 0.0, "1 epoch": 1.0, "3 epochs": 3.0},
    ),
    "rule for few rows": Ablation(
        _fitting, "_ROWS_PER_COMPONENT", {"without": 0, "10 a component": 10}
    ),
    "axes beyond the span": Ablation(
        _axes,
        "_choose_beyond",
        {"PCA's": _axes_of_pca, "predicted residuals": _axes._choose_beyond},
    ),
    "noise of validation rows": Ablation(
        _trainer,
        "Validation",
        {"learned": _NoRaisedNoise, "raised": _validation.Validation},
        VAETransformer,
    ),
}


@contextmanager
def changed(ablation: Ablation, value: object):
    """The estimator, in a package that has `value` where an ablation says."""
    if ablation.module is None:
        yield partial(ablation.estimator, **{ablation.name: value})
        return
    before = getattr(ablation.module, ablation.name)
    setattr(ablation.module, ablation.name, value)
    try:
        yield ablation.estimator
    finally:
        setattr(ablation.module, ablation.name, before)


def measure(estimator: Callable, data: Split, k: int, seed: int) -> dict:
    """Logarithm of the error over PCA's, or minus the gain in nats a feature; and the
    processor seconds of the fit."""
    begun = time.process_time()
    model = estimator(k, random_state=seed).fit(data.X_train)
    seconds = time.process_time() - begun
    pca = PCA(k, svd_solver="full").fit(data.X_train)
    if isinstance(model, AutoencoderTransformer):
        loss = np.log(error(model, data.X_test) / error(pca, data.X_test))
    else:
        gain = model.score(data.X_test) - pca.score(data.X_test)
        loss = -gain / data.X_test.shape[1]
    return {"loss": float(loss), "seconds": round(seconds, 3)}


def run(name: str, tables: dict[str, Split], seeds: int, save: Callable) -> None:
    """Measure each variant in turn on each table, so that they meet the same load."""
    ablation = ABLATIONS[name]
    for table, data in tables.items():
        d = data.X_train.shape[1]
        for k in sorted({2, max(1, d // 4)}):
            for seed in range(seeds):
                for variant, value in ablation.variants.items():
                    with changed(ablation, value) as estimator:
                        found = measure(estimator, data, k, seed)
                    save(
                        ablation=name,
                        variant=variant,
                        table=table,
                        k=k,
                        seed=seed,
                        **found,
                    )


def summary(rows: list[dict]) -> list[tuple]:
    """By ablation and variant: cases, measure, cases worse than PCA, seconds."""
    lines = []
    for name, ablation in ABLATIONS.items():
        for variant in ablation.variants:
            mine = [
                row
                for row in rows
                if (row["ablation"], row["variant"]) == (name, variant)
            ]
            if not mine:
                continue
            losses = np.array([row["loss"] for row in mine])
            seconds = sum(row["seconds"] for row in mine)
            is_error = ablation.estimator is AutoencoderTransformer
            value = np.exp(losses.mean()) if is_error else -losses.mean()
            unit = "error / PCA" if is_error else "nats a feature above PCA"
            worse = int((losses > 1e-4).sum())
            cells = len(mine), f"{value:.4f}", unit, worse, f"{seconds:.0f}"
            lines.append((name, variant, *cells))
    return lines


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--ablations", nargs="+", choices=list(ABLATIONS), default=list(ABLATIONS))
    add("--tables", nargs="+", metavar="NAME")
    add("--seeds", type=int, default=3)
    add("--max-rows", type=int, default=2000)
    add("--output", type=Path, default=RESULTS / "ablations.json")
    add("--resume", action="store_true", help="keep the other ablations' rows")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    results = {"environment": environment(), "rows": []}
    if arguments.resume and arguments.output.exists():
        rows = json.loads(arguments.output.read_text())["rows"]
        results["rows"] = [r for r in rows if r["ablation"] not in arguments.ablations]
    names = arguments.tables or [name for name in loaders() if name != "mnist"]
    tables = {n: loaders()[n]() for n in names}
    small = {
        n: split(subsample(t, arguments.max_rows), 0)
        for n, t in tables.items()
        if arguments.tables or len(t.X) <= arguments.max_rows
    }

    def save(**row):
        results["rows"].append(row)
        write_json(arguments.output, results)
        print(row, flush=True)

    for name in arguments.ablations:
        run(name, small, arguments.seeds, save)
    header = ("mechanism", "variant", "fits", "measure", "unit", "worse", "s")
    print_table(header, summary(results["rows"]))


if __name__ == "__main__":
    main()
