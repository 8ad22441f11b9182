"""Seconds and memory of fits from a thousand to a million rows, beside PCA.

Each fit has a process of its own, whose peak of memory is counted beyond the rows and
the packages. Rows are made: few latents, mixed by random layers, and noise. Draws a
plot beside the results.
"""

import argparse
import multiprocessing
import time
from pathlib import Path

import numpy as np
from reporting import RESULTS, environment, print_table, write_json

SIZES = [
    *((n, 10) for n in (1_000, 10_000, 100_000, 1_000_000)),
    *((n, 100) for n in (1_000, 10_000, 100_000, 1_000_000)),
    *((n, 1_000) for n in (1_000, 10_000, 100_000)),
    *((n, 5_000) for n in (1_000, 10_000)),
]
MODELS = ("PCA", "AutoencoderTransformer", "VAETransformer")
_N_LATENTS = 8
_CHUNK = 10_000  # rows that are made at a time


def make_rows(n_rows: int, n_features: int) -> np.ndarray:
    """Rows (n, d), float32, of a curved surface with noise; features vary by about
    one."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(_N_LATENTS, 64))
    second = rng.normal(size=(64, n_features)) / 8
    X = np.empty((n_rows, n_features), np.float32)
    for start in range(0, n_rows, _CHUNK):
        rows = X[start : start + _CHUNK]
        z = rng.normal(size=(len(rows), _N_LATENTS))
        noise = 0.1 * rng.standard_normal(rows.shape, np.float32)
        rows[:] = np.tanh(z @ first) @ second + noise
    return X


def peak_memory() -> int:
    """Largest resident memory of this process since `forget_peak`, bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmHWM in /proc/self/status")


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def n_components(n_features: int) -> int:
    return min(32, max(2, n_features // 4))


def make_model(name: str, n_features: int):
    import sklearn.decomposition

    import skae

    kind = getattr(skae, name, None) or getattr(sklearn.decomposition, name)
    return kind(n_components(n_features), random_state=0)


def measure(name: str, n_rows: int, n_features: int, n_threads: int) -> dict:
    """Seconds and peak memory of a fit and a transform; in a process of its own."""
    import torch

    torch.set_num_threads(n_threads)
    # Once, so that the packages are there: small enough to leave no memory behind.
    make_model(name, 4).fit(make_rows(100, 4))
    X = make_rows(n_rows, n_features)
    model = make_model(name, n_features)
    forget_peak()
    before, begun = peak_memory(), time.perf_counter()
    model.fit(X)
    fitted, peak = time.perf_counter(), peak_memory()
    model.transform(X)
    done = time.perf_counter()
    return {
        "model": name,
        "n_rows": n_rows,
        "n_features": n_features,
        "n_components": n_components(n_features),
        "fit_seconds": fitted - begun,
        "transform_seconds": done - fitted,
        "memory": peak - before,
        "size": X.nbytes,
        "n_epochs": getattr(model, "n_iter_", None),
    }


def measured(*arguments) -> dict:
    # Spawned: a forked process would share, and count, the memory of this one.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, arguments)


def slopes(rows: list[dict]) -> list[dict]:
    """By model and number of features, the power of the rows with which the seconds of
    a fit grow between the two largest tables; one is linear."""
    found = []
    for model in MODELS:
        for d in sorted({row["n_features"] for row in rows}):
            own = [r for r in rows if (r["model"], r["n_features"]) == (model, d)]
            if len(own) < 2:
                continue
            small, large = sorted(own, key=lambda row: row["n_rows"])[-2:]
            seconds = np.log(large["fit_seconds"] / small["fit_seconds"])
            power = seconds / np.log(large["n_rows"] / small["n_rows"])
            found.append({"model": model, "n_features": d, "power": float(power)})
    return found


def draw(rows: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    columns = {"fit_seconds": "seconds of fit", "memory": "peak memory beyond X, MB"}
    colors = dict(
        zip(sorted({r["n_features"] for r in rows}), plt.cm.viridis.colors[::75])
    )
    styles = dict(zip(MODELS, ("k:", "-", "--")))
    for ax, (column, label) in zip(axes, columns.items()):
        for model in MODELS:
            for d, color in colors.items():
                own = [r for r in rows if (r["model"], r["n_features"]) == (model, d)]
                unit = 1e6 if column == "memory" else 1
                ax.loglog(
                    [r["n_rows"] for r in own],
                    [max(r[column] / unit, 1e-3) for r in own],
                    styles[model].strip("k"),
                    color=color,
                    marker=".",
                    label=f"{model}, {d:,} features" if ax is axes[0] else None,
                )
        ax.set(xlabel="rows", ylabel=label)
    figure.legend(loc="outside right center", fontsize=7)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=10**8, help="entries of a table")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS / "throughput.json")
    arguments = parser.parse_args()
    rows = []
    for n_rows, n_features in SIZES:
        if n_rows * n_features > arguments.largest:
            continue
        for model in MODELS:
            rows.append(measured(model, n_rows, n_features, arguments.threads))
            content = {"environment": environment(), "rows": rows}
            write_json(arguments.output, content)
            print(rows[-1], flush=True)
    content["slopes"] = slopes(rows)
    write_json(arguments.output, content)
    print_table(("model", "d", "power"), [tuple(s.values()) for s in content["slopes"]])
    draw(rows, arguments.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
