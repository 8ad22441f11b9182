"""Outlier detection beside other detectors."""

from statistics import median

import numpy as np

from docs_sections.markdown import best_in_bold, fixed, made_by, prose, section, table

OURS = "skae"
_MEAN = "mean"
_NAMES = {OURS: "`AutoencoderDetector`"}

_PROTOCOLS = """\
- *semi*: fitted on half of the inliers, scored on the others and all outliers.
- *unsup*: fitted and scored on all rows.
- *resampled*: tables below 1,000 rows are drawn with replacement up to 1,000 rows
  first, as ADBench does, which puts copies of training rows into the test.
- *dirty*: semi with outliers as a tenth of the training rows; *clean*: the same inliers
  alone ({n_dirty} tables)."""


def outliers(results: dict) -> str:
    results = results["outliers"]
    means = results["summary"]
    n_tables = len(means["semi"][OURS]) - 1
    n_dirty = len(means["dirty"][OURS]) - 1
    return section(
        made_by(results),
        prose(f"""
            AUROC in percent, default settings, {n_tables} of ADBench's tables, at most
            {results["max_rows"]:,} rows of each, means over five seeds. The detector's
            default was chosen on these tables.
        """),
        _PROTOCOLS.format(n_dirty=n_dirty),
        _overview(means),
        prose("""
            The detector beside each rival: difference of the means, and in brackets the
            tables on which it is better and worse.
        """),
        _duels(means),
        _seconds(results["rows"]),
        "Semi, by table:",
        _by_table(means["semi"]),
        "Unsup, by table:",
        _by_table(means["unsup"]),
    )


def _overview(means: dict) -> str:
    columns = {
        name: best_in_bold(
            {who: values.get(_MEAN) for who, values in found.items()}, 1, max
        )
        for name, found in means.items()
    }
    lines = []
    for who in means["semi"]:
        clean, dirty = (means[name][who].get(_MEAN) for name in ("clean", "dirty"))
        cost = None if clean is None or dirty is None else dirty - clean
        cells = [column[who] for column in columns.values()]
        lines.append((_NAMES.get(who, who), *cells, fixed(cost, 1, "+")))
    return table(("", *columns, "dirty - clean"), lines)


def _duels(means: dict) -> str:
    protocols = ("semi", "unsup", "dirty")
    lines = []
    for rival in means["semi"]:
        if rival == OURS:
            continue
        cells = [_duel(means[name][OURS], means[name][rival]) for name in protocols]
        lines.append((rival, *cells))
    return table(("rival", *protocols), lines)


def _duel(ours: dict, theirs: dict) -> str:
    both = [name for name in ours if name in theirs and name != _MEAN]
    if not both:
        return "-"
    gains = np.array([ours[name] - theirs[name] for name in both])
    counts = f"{(gains > 0).sum()}, {(gains < 0).sum()}"
    return f"{gains.mean():+.1f} ({counts})"


def _seconds(rows: list[dict]) -> str:
    """The detector's, of a fit and the scores."""
    found = {
        name: [row["seconds"][OURS] for row in rows if row["protocol"] == name]
        for name in ("semi", "unsup")
    }
    medians = " and ".join(f"{median(v):.1f} ({n})" for n, v in found.items())
    slowest = max(rows, key=lambda row: row["seconds"][OURS])
    return prose(f"""
        A fit and the scores take {medians} seconds on one core in the median, and
        {slowest["seconds"][OURS]:.0f} at most ({slowest["table"]},
        {slowest["n_features"]:,} features).
    """)


def _by_table(means: dict) -> str:
    lines = []
    for name in means[OURS]:
        if name != _MEAN:
            values = {who: found.get(name) for who, found in means.items()}
            lines.append((name, *best_in_bold(values, 1, max).values()))
    return table(("table", *(_NAMES.get(who, who) for who in means)), lines)
