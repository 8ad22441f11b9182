"""Tables, summary and plot of the rows of `versus_pca.py`."""

from pathlib import Path

import numpy as np
from reporting import print_table

# What the rows are held to.
GOALS = {
    "geometric_mean_ratio": ("<=", 0.35),
    "worst_ratio_large": ("<=", 1.00),
    "worst_ratio_small": ("<=", 1.05),
    "worst_vae_gain": (">=", -0.005),
    "mean_vae_gain": (">=", 0.30),
}

_FEW_ROWS = 100  # fewer rows: the goal of the ratio is looser
_MANY_ROWS = 500  # from here the VAE must not fall below PCA
_LEAST_NOISE = 1e-3  # variance; with less the likelihood measures rounding

_MEANS = (
    "pca_error",
    "ratio",
    "pca_accuracy",
    "ae_accuracy",
    "vae_accuracy",
    "ae_seconds",
    "vae_seconds",
    "vae_gain",
    "noise_variance",
)


def cases(rows: list[dict]) -> list[dict]:
    """Means over the splits of each table and k; exact splits of PCA are left out."""
    groups = {}
    for row in rows:
        if not row["skipped"]:
            groups.setdefault((row["table"], row["k"]), []).append(row)
    return [_case(group) for group in groups.values()]


def _case(group: list[dict]) -> dict:
    names = ("table", "n_rows", "n_features", "k")
    case = {name: group[0][name] for name in names}
    return case | {name: _mean(row[name] for row in group) for name in _MEANS}


def _mean(values) -> float:
    """NaN where any value is missing."""
    values = [np.nan if value is None else value for value in values]
    return float(np.mean(values)) if values else float("nan")


def summary(rows: list[dict]) -> dict:
    found = cases(rows)
    large = [case for case in found if case["n_rows"] >= _FEW_ROWS]
    small = [case for case in found if case["n_rows"] < _FEW_ROWS]
    many = [case for case in found if case["n_rows"] >= _MANY_ROWS]
    quarter = [case for case in found if case["k"] == case["n_features"] // 4]
    noisy = [case for case in quarter if case["noise_variance"] > _LEAST_NOISE]
    named = {case["table"] for case in noisy}
    return {
        "n_cases": len(found),
        "geometric_mean_ratio": float(
            np.exp(_mean(np.log(case["ratio"]) for case in found))
        ),
        "worst_ratio_large": _worst(large, "ratio", max),
        "worst_ratio_small": _worst(small, "ratio", max),
        "worst_vae_gain": _worst(many, "vae_gain", min),
        "mean_vae_gain": _mean(case["vae_gain"] for case in noisy),
        "tables_in_mean_vae_gain": len(noisy),
        "tables_left_out_of_mean_vae_gain": _left_out(rows, named),
        "skipped": sorted({_label(row) for row in rows if row["skipped"]}),
        "not_finite_vae_gain": [
            _label(case) for case in found if not np.isfinite(case["vae_gain"])
        ],
    }


def _worst(found: list[dict], name: str, choose) -> dict | None:
    found = [case for case in found if np.isfinite(case[name])]
    if not found:
        return None
    case = choose(found, key=lambda case: case[name])
    return {"value": case[name], "case": _label(case)}


def _left_out(rows: list[dict], named: set) -> dict:
    """Tables without a place in the mean gain, and PCA's noise variance at d // 4."""
    left = {}
    for row in rows:
        if row["table"] not in named:
            at_quarter = row["k"] == row["n_features"] // 4
            left.setdefault(row["table"], []).extend(
                [row["noise_variance"]] if at_quarter else []
            )
    return {
        table: f"noise variance {np.mean(values):.2g}" if values else "d // 4 < 1"
        for table, values in left.items()
    }


def _label(case: dict) -> str:
    return f"{case['table']}, k={case['k']}"


def print_cases(rows: list[dict]) -> None:
    columns = ("table", "n_rows", "n_features", "k", *_MEANS)
    header = (
        "table",
        "rows",
        "features",
        "k",
        "PCA error",
        "error ratio",
        "acc. PCA",
        "acc. AE",
        "acc. VAE",
        "AE s",
        "VAE s",
        "VAE gain",
        "PCA noise",
    )
    found = cases(rows)
    print_table(header, [tuple(case[name] for name in columns) for case in found])


def print_summary(values: dict) -> None:
    print(f"{values['n_cases']} cases, means over the splits")
    for name, (relation, goal) in GOALS.items():
        print(f"{name}: {_shown(values[name])} (goal {relation} {goal})")
    print(f"the last over {values['tables_in_mean_vae_gain']} tables; left out:")
    for table, reason in values["tables_left_out_of_mean_vae_gain"].items():
        print(f"  {table}: {reason}")
    print("skipped, PCA is exact:", "; ".join(values["skipped"]) or "none")
    print("VAE gain not finite:", "; ".join(values["not_finite_vae_gain"]) or "none")


def _shown(value) -> str:
    if value is None:
        return "no such table"
    if isinstance(value, dict):
        return f"{value['value']:.6f} at {value['case']}"
    return f"{value:.4f}"


def draw(rows: list[dict], path: Path) -> None:
    """Error ratio and VAE gain of every case, a line for each table."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = cases(rows)
    if not found:
        return
    tables = list(dict.fromkeys(case["table"] for case in found))[::-1]
    size = (10, 2 + 0.25 * len(tables))
    figure, (left, right) = plt.subplots(
        1, 2, sharey=True, figsize=size, layout="constrained"
    )
    _scatter(left, found, tables, "ratio")
    left.set(xlabel="held-out squared error, autoencoder / PCA", xlim=(0, None))
    left.axvline(1, color="black", linewidth=0.8)
    _scatter(right, found, tables, "vae_gain")
    right.set(xlabel="VAE score - PCA.score (nats per feature)")
    right.set_xscale("symlog", linthresh=0.1)
    right.axvline(0, color="black", linewidth=0.8)
    figure.legend(
        *right.get_legend_handles_labels(),
        title="components",
        loc="outside upper center",
        ncols=4,
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _scatter(axes, found: list[dict], tables: list[str], name: str) -> None:
    for label in ("2", "5", "d // 4", "d // 2"):
        chosen = [case for case in found if label in _roles(case)]
        x = [case[name] for case in chosen]
        y = [tables.index(case["table"]) for case in chosen]
        axes.scatter(x, y, s=18, label=label, alpha=0.8)
    axes.set_yticks(range(len(tables)), tables)
    axes.grid(axis="y", alpha=0.3)


def _roles(case: dict) -> list[str]:
    """The one name under which the case is drawn: its number where that is fixed."""
    k, n_features = case["k"], case["n_features"]
    names = {2: "2", 5: "5", n_features // 4: "d // 4", n_features // 2: "d // 2"}
    return [{2: "2", 5: "5"}.get(k, names[k])]
