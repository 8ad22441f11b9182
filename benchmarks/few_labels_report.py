"""What `few_labels.py` makes of its rows: means, counts of tables, text."""

import numpy as np
from reporting import print_table

MEASURES = ("auroc", "balanced_accuracy", "auroc_fixed_C")

_LINEAR = "best of raw and PCA"
_RIVALS = {
    "raw": ("raw",),
    "raw and PCA": ("raw", "PCA"),
    "raw and PCA, whitened or not": ("raw", "PCA", "PCA whitened"),
    _LINEAR: (_LINEAR,),
}
# Means that differ by less are level: both are perfect, mostly.
_LEVEL = 5e-5


def summary(rows: list[dict], tuned: tuple[str, ...]) -> dict:
    """Of all tables, and of the unseen ones, which chose nothing."""
    unseen = [row for row in rows if row["table"] not in tuned]
    groups = {"all": rows, "unseen": unseen}
    return {
        name: {"n_tables": len(_by_table(chosen)), **_of_measures(chosen)}
        for name, chosen in groups.items()
        if chosen
    }


def report(results: dict, tuned: tuple[str, ...]) -> None:
    rows = results["rows"]
    shares = sorted({row["share"] for row in rows})
    for share in shares:
        print(f"\nAUROC, {share:.0%} of the labels")
        _print_tables([row for row in rows if row["share"] == share], tuned)
    print("\nAUROC, mean over the shares")
    _print_tables(rows, tuned)
    for group, found in results["summary"].items():
        for measure in MEASURES:
            print(f"\n{measure}, {found['n_tables']} tables ({group})")
            print("better, level, worse (better, worse by two standard errors) than")
            lines = found[measure].items()
            print_table(
                ("features", "mean", *_RIVALS), [_line(*line) for line in lines]
            )


def _of_measures(rows: list[dict]) -> dict:
    tables = list(_by_table(rows).values())
    found = {}
    for measure in MEASURES:
        each = [_means(own, measure) for own in tables]
        found[measure] = {
            name: {
                "mean": float(np.mean([means[name] for means in each])),
                "against": {
                    rival: _counts(tables, name, others, measure)
                    for rival, others in _RIVALS.items()
                },
            }
            for name in rows[0]["measures"]
        }
    return found


def _counts(tables: list[list[dict]], name: str, others: tuple, measure: str) -> dict:
    """Numbers of tables where `name` is better than the best of the others, and worse;
    clearly so where the mean difference over the splits is two standard errors."""
    gains, errors = np.array([_gain(rows, name, others, measure) for rows in tables]).T
    better, worse = gains > _LEVEL, gains < -_LEVEL
    is_clear = np.abs(gains) > 2 * errors
    return {
        "better": int(better.sum()),
        "level": int((~better & ~worse).sum()),
        "worse": int(worse.sum()),
        "clearly_better": int((better & is_clear).sum()),
        "clearly_worse": int((worse & is_clear).sum()),
    }


def _gain(rows, name: str, others: tuple, measure: str) -> tuple[float, float]:
    """Mean over the splits, less that of the best of the others; standard error."""
    whole = _means(rows, measure)
    rival = max(others, key=whole.get)
    if rival == _LINEAR:
        linear = [other for other in rows[0]["measures"] if not other.startswith("AE")]
        rival = max(linear, key=whole.get)
    gains = []
    for split in sorted({row["split"] for row in rows}):
        means = _means([row for row in rows if row["split"] == split], measure)
        gains.append(means[name] - means[rival])
    error = np.std(gains, ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else np.inf
    return np.mean(gains), error


def _means(rows: list[dict], measure: str) -> dict[str, float]:
    """Of each contender, and of the best of raw and PCA: chosen after the fact, for
    each table, among all sizes."""
    names = rows[0]["measures"]
    found = {
        name: float(np.mean([row["measures"][name][measure] for row in rows]))
        for name in names
    }
    linear = [found[name] for name in names if not name.startswith("AE")]
    return found | {_LINEAR: max(linear)}


def _by_table(rows: list[dict]) -> dict[str, list[dict]]:
    tables = dict.fromkeys(row["table"] for row in rows)
    return {name: [row for row in rows if row["table"] == name] for name in tables}


def _print_tables(rows: list[dict], tuned: tuple[str, ...]) -> None:
    names = ("raw", "PCA", "PCA whitened", _LINEAR)
    names += tuple(n for n in rows[0]["measures"] if n.startswith("AE"))
    lines = []
    for table, own in _by_table(rows).items():
        means = _means(own, "auroc")
        mark = "" if table in tuned else " *"
        lines.append((table + mark, *(f"{means[name]:.4f}" for name in names)))
    print_table(("table (* chose nothing)", *names), lines)


def _line(name: str, found: dict) -> tuple[str, ...]:
    cells = [
        f"{c['better']}, {c['level']}, {c['worse']} "
        f"({c['clearly_better']}, {c['clearly_worse']})"
        for c in found["against"].values()
    ]
    return (name, f"{found['mean']:.4f}", *cells)
