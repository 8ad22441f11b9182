"""Tables of mixed columns: drawn rows, filled entries, conditional draws."""

import numpy as np

from docs_sections.markdown import fixed, made_by, number, prose, section, table

# Measure of the report: its heading, and digits.
_DRAWN = {
    "kolmogorov_smirnov": ("KS", 3),
    "total_variation": ("TV", 3),
    "association": ("association", 3),
    "detection_auroc": ("detection", 2),
    "prediction_auroc": ("AUROC", 2),
    "prediction_r2": ("R2", 2),
    "nearer_train": ("nearer", 2),
    "invalid_rows": ("invalid", 3),
    "rule_broken": ("rule broken", 3),
    "seconds": ("seconds", 1),
}

_FILLED = {
    "error": ("error", 3),
    "accuracy": ("accuracy", 3),
    "brier": ("Brier", 3),
    "coverage": ("covered", 2),
    "seconds": ("seconds", 1),
}


def mixed(results: dict) -> str:
    results = results["tables"]
    n_tables = len({record["table"] for record in results["drawing"]})
    n_seeds = len({record["seed"] for record in results["drawing"]})
    return section(
        made_by(results),
        prose(f"""
            {number(n_tables).capitalize()} tables of numbers, dates, booleans, ordered
            and unordered categories, in frames; half of the rows train, the other half
            judges, in {number(n_seeds)} split{"s" * (n_seeds > 1)}. `skae` is
            `VAETransformer(8, allow_nan=True)` on the frame as it is. CART predicts
            each column from those before it by a tree and takes the value of a training
            row of the same leaf, as synthpop does; the Gaussian mixture has one-hot
            levels. Measures are those of `skae.tables.report`: distances of columns
            (KS of numbers, TV of categories) and of associations, detection (0.5 where
            drawn rows cannot be told from held-out ones), prediction of held-out rows
            by models of drawn ones (AUROC, R2), rows nearer to a training row than to a
            held-out one (0.5 where nothing is copied), invalid rows, and rows that
            break the rule between columns that made tables have. Seconds are those of a
            machine that did other work as well.
        """),
        _by_contender(results["drawing"], ("table", "contender"), _DRAWN),
        prose("""
            Masked entries of the training half, filled: root of the mean squared error
            of numbers over their variance, accuracy and Brier score (from 0 to 2) of
            categories, and the fraction of entries within the intervals of 90 % of 20
            imputations.
        """),
        _by_contender(
            results["imputation"], ("table", "fraction", "contender"), _FILLED
        ),
        prose("""
            500 rows under a condition: one or two levels, or the upper end of a number.
            Mean distance (KS or TV) of the other columns from rows of the made table's
            truth, and seconds of the draw. Rejection draws until there are 500, or half
            a million rows have been rejected.
        """),
        _conditional(results["conditional"]),
    )


def _by_contender(records: list[dict], keys: tuple, columns: dict) -> str:
    lines = [
        (*key, *(_mean(own, name, digits) for name, (_, digits) in columns.items()))
        for key, own in _grouped(records, keys).items()
    ]
    return table((*keys, *(heading for heading, _ in columns.values())), lines)


def _grouped(records: list[dict], keys: tuple) -> dict[tuple, list[dict]]:
    groups: dict[tuple, list[dict]] = {}
    for record in records:
        groups.setdefault(tuple(record[key] for key in keys), []).append(record)
    return dict(sorted(groups.items(), key=lambda item: item[0][:-1]))


def _mean(records: list[dict], name: str, digits: int) -> str:
    known = [record[name] for record in records if record[name] is not None]
    return fixed(float(np.mean(known)), digits) if known else "-"


def _conditional(records: list[dict]) -> str:
    """By table and condition: of levels or of a range, from frequent to rare."""
    names = list(dict.fromkeys(record["contender"] for record in records))
    lines = []
    for (name, _), own in _grouped(records, ("table", "condition")).items():
        columns = " and ".join(own[0]["given"])
        cells = [
            f"{_mean(these, 'distance', 3)} ({_mean(these, 'seconds', 1)} s)"
            for these in ([r for r in own if r["contender"] == n] for n in names)
        ]
        lines.append((name, columns, _mean(own, "probability", 4), *cells))
    return table(("table", "given", "probability", *names), lines)
