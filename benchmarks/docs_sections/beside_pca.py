"""Reconstruction and likelihood of tables beside PCA's."""

from statistics import median

import numpy as np
import versus_pca_report as report

from docs_sections.codes import EXPLAINED, errors, kinds
from docs_sections.markdown import (
    fixed,
    geometric_mean,
    made_by,
    number,
    prose,
    section,
    table,
)

LEVEL = 5e-4  # ratios that differ from one by less are level with PCA

_MANY_ROWS = 500
_N_LARGEST = 5  # ratios, and gains of the VAE, that are listed one by one
_ROLES = ("2", "5", "d // 4", "d // 2")


def readme_numbers(results: dict) -> str:
    """The lines between the markers of README.md."""
    rows = results["versus_pca"]["rows"]
    cases = _cases(rows)
    n_cases, n_tables = _sizes(cases)
    lines = [
        ("squared error / PCA's, geometric mean", *_means(cases, "**")),
        (
            f"of {n_cases} cases better than PCA, level with it, worse",
            *(_text(_counts(found)) for found in cases.values()),
        ),
        (
            f"seconds of a fit on one core, median (PCA {_seconds(rows, 'pca')})",
            *[_seconds(rows, "ae")] * len(cases),
        ),
    ]
    header = (f"new rows of {n_tables} tables", *(f"{kind} codes" for kind in cases))
    return table(header, lines)


def versus_pca(results: dict) -> str:
    results = results["versus_pca"]
    rows = results["rows"]
    cases = _cases(rows)
    n_cases, n_tables = _sizes(cases)
    n_splits = len({row["split"] for row in rows})
    splits = "one split" if n_splits == 1 else f"means over {n_splits} splits"
    return section(
        made_by(results),
        prose(f"""
            {n_tables} tables, at most {results["max_rows"]:,} rows of each, a quarter
            of the rows held out; 2, 5, d // 4 and d // 2 components of d features:
            {n_cases} cases, {splits} of each. MNIST's pixels, where they are among
            them, are not standardised. {EXPLAINED}
        """),
        _summary(rows, cases),
        _vae_summary(rows),
        "![Error and likelihood beside PCA](../benchmarks/results/versus_pca.png)",
        f"The {number(_N_LARGEST)} cases with the largest errors beside PCA's:",
        _largest(cases),
        "Squared error of held-out rows / PCA's, by the number of components "
        f"({', '.join(cases)}):",
        _by_table(cases, "ratio"),
        "`VAETransformer.score` - `PCA.score`, nats per feature:",
        _by_table({"VAE": report.cases(rows)}, "vae_gain", "+"),
        prose("""
            A dash stands where two numbers of components agree, and where PCA leaves no
            noise, so that its score is not finite.
        """),
    )


def _cases(rows: list[dict]) -> dict[str, list[dict]]:
    """The cases of the report, with the ratio of each kind of code."""
    kept = [row for row in rows if not row["skipped"]]
    return {
        kind: report.cases(
            [row | {"ratio": errors(row)[kind] / row["pca_error"]} for row in kept]
        )
        for kind in kinds(kept)
    }


def _sizes(cases: dict) -> tuple[int, int]:
    """Number of cases, and of their tables."""
    found = next(iter(cases.values()))
    return len(found), len({case["table"] for case in found})


def _means(cases: dict, mark: str = "", least: int = 0) -> list[str]:
    """Geometric mean of each kind's ratios, over tables of that many rows."""
    return [
        f"{mark}{geometric_mean(_values(found, 'ratio', least)):.3f}{mark}"
        for found in cases.values()
    ]


def _values(cases: list[dict], name: str, least: int = 0) -> list[float]:
    return [case[name] for case in cases if case["n_rows"] >= least]


def _counts(cases: list[dict]) -> tuple[int, int, int]:
    """Cases better than PCA, level with it, worse."""
    ratios = np.array(_values(cases, "ratio"))
    better, worse = ratios < 1 - LEVEL, ratios > 1 + LEVEL
    return int(better.sum()), int((~better & ~worse).sum()), int(worse.sum())


def _text(counts: tuple) -> str:
    return ", ".join(map(str, counts))


def _seconds(rows: list[dict], name: str) -> str:
    """Median over the fits."""
    value = median(row[f"{name}_seconds"] for row in rows if not row["skipped"])
    return f"{value:.1f}" if value >= 1 else f"{value:.1g}"


def _summary(rows: list[dict], cases: dict) -> str:
    found = cases.values()
    n_large = len(_values(next(iter(found)), "ratio", _MANY_ROWS))
    lines = [
        ("squared error / PCA's, geometric mean", *_means(cases)),
        (
            f"the same, {n_large} cases of at least {_MANY_ROWS} rows",
            *_means(cases, least=_MANY_ROWS),
        ),
        (
            f"better than PCA, level (within {LEVEL:.2%}), worse",
            *(_text(_counts(each)) for each in found),
        ),
        (
            "largest ratio",
            *(fixed(max(_values(each, "ratio")), 5) for each in found),
        ),
    ]
    return table(("", *cases), lines)


def _vae_summary(rows: list[dict]) -> str:
    found = report.cases(rows)
    summary = report.summary(rows)
    names = ("pca_accuracy", "ae_accuracy", "vae_accuracy")
    scores = np.array([[case[name] for name in names] for case in found])
    scores = scores[np.isfinite(scores).all(1)]
    accuracies = ", ".join(f"{mean:.3f}" for mean in scores.mean(0))
    worst = summary["worst_vae_gain"]
    lines = [
        (
            "accuracy of logistic regression on codes, mean over the "
            f"{len(scores)} cases with classes: PCA, autoencoder, VAE",
            accuracies,
        ),
        (
            "VAE `score` - `PCA.score` at d // 4 components, nats per feature, mean "
            f"over {summary['tables_in_mean_vae_gain']} tables",
            fixed(summary["mean_vae_gain"], 3, "+"),
        ),
        (
            f"its lowest case of at least {_MANY_ROWS} rows: {worst['case']}",
            fixed(worst["value"], 3, "+"),
        ),
        *(
            (f"its lowest cases of all: {_name(case)}", fixed(case["vae_gain"], 3, "+"))
            for case in _lowest_gains(found)
        ),
        (
            "seconds of a fit on one busy core, median over the fits: PCA, "
            "autoencoder, VAE",
            ", ".join(_seconds(rows, name) for name in ("pca", "ae", "vae")),
        ),
    ]
    return table(("", "result"), lines)


def _lowest_gains(cases: list[dict]) -> list[dict]:
    known = [case for case in cases if np.isfinite(case["vae_gain"])]
    return sorted(known, key=lambda case: case["vae_gain"])[:2]


def _name(case: dict) -> str:
    return (
        f"{case['table']} ({case['n_rows']:,} rows), {case['k']} of "
        f"{case['n_features']:,} components, where PCA's noise variance is "
        f"{case['noise_variance']:.1g}"
    )


def _largest(cases: dict) -> str:
    lines = []
    for kind, found in cases.items():
        ordered = sorted(found, key=lambda case: -case["ratio"])
        lines += [
            (kind, _name(case), fixed(case["ratio"], 5))
            for case in ordered[:_N_LARGEST]
        ]
    return table(("codes", "case", "error / PCA's"), lines)


def _by_table(cases: dict, name: str, sign: str = "") -> str:
    """A line for each table; kinds of code stand side by side in a cell."""
    first = next(iter(cases.values()))
    lines = []
    for title in dict.fromkeys(case["table"] for case in first):
        cells = dict.fromkeys(_ROLES, "")
        for found in cases.values():
            for case in (case for case in found if case["table"] == title):
                (role,) = report._roles(case)
                text = fixed(case[name], 3, sign)
                cells[role] = f"{cells[role]}, {text}".lstrip(", ")
        shape = next(case for case in first if case["table"] == title)
        lines.append(
            (
                f"{title} ({shape['n_rows']:,} x {shape['n_features']:,})",
                *(cell or "-" for cell in cells.values()),
            )
        )
    return table(("table (rows x features)", *_ROLES), lines)
