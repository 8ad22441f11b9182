"""Tables of mixed columns: drawn rows, filled entries, rows drawn under a condition.

Half of each table trains, half judges. Drawn rows are compared by `skae.tables.report`;
its fresh rows and its bootstrap stand beside the contenders. Masked entries are filled
in the training half. Conditional draws are compared with rows of a larger draw of the
made tables' truth.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import mixed_drawing
import mixed_imputing
import numpy as np
import pandas as pd
from mixed_tables import LOADERS, MADE, RULES, halves
from reporting import RESULTS, environment, print_table, write_json
from sklearn.exceptions import ConvergenceWarning

from skae.tables import report
from skae.tables._measures import column_distances

_FRACTIONS = (0.2, 0.5)

# Probabilities of the conditions that rows are drawn under.
_PROBABILITIES = (0.3, 0.1, 0.03, 0.01, 0.001)
_N_TRUTH = 300_000
_N_GIVEN = 500
_MOST_REJECTED, _AT_ONCE = 500_000, 20_000


def timed(call: Callable, *arguments, **options):
    begun = time.perf_counter()
    result = call(*arguments, **options)
    return result, time.perf_counter() - begun


# Drawn rows.


def drawing(name: str, seed: int, contenders: dict) -> Iterator[dict]:
    """A record of each contender, of fresh rows and of the bootstrap."""
    train, test = halves(LOADERS[name](), seed)
    references = None
    for contender, draw in contenders.items():
        new, seconds = timed(draw, train, len(test), seed)
        found = report(train, test, new, random_state=seed)
        yield _drawn(name, seed, contender, found["new"], new, seconds)
        references = found
    if references is None:
        return
    bootstrap = train.sample(len(test), replace=True, random_state=seed)
    for kind, frame in ("fresh", test), ("bootstrap", bootstrap):
        yield _drawn(name, seed, kind, references[kind], frame, 0.0)


def _drawn(name, seed, contender, measures, frame, seconds) -> dict:
    rule = RULES.get(name)
    return {
        "table": name,
        "seed": seed,
        "contender": contender,
        "seconds": seconds,
        "rule_broken": float(1 - rule(frame).mean()) if rule else None,
        **measures.to_dict(),
    }


# Filled entries.


def imputation(name: str, seed: int, contenders: dict) -> Iterator[dict]:
    """A record of each contender and fraction of masked entries."""
    frame, _ = halves(LOADERS[name](), seed)
    for fraction in _FRACTIONS:
        holes, mask = mixed_imputing.hide(frame, fraction, seed)
        (truth, X), is_category = mixed_drawing.encoded(frame, holes)
        levels = {
            j: mixed_imputing.n_levels(truth[:, j]) for j in np.flatnonzero(is_category)
        }
        for contender, fill in contenders.items():
            if contender == "skae":
                filled, seconds = timed(fill, holes, frame, seed)
            else:
                filled, seconds = timed(fill, X, levels, seed)
            yield {
                "table": name,
                "seed": seed,
                "fraction": fraction,
                "contender": contender,
                "seconds": seconds,
                **mixed_imputing.measures(filled, truth, mask, is_category),
            }


# Rows drawn under a condition.


def events(truth: pd.DataFrame) -> Iterator[tuple[float, dict]]:
    """Probabilities, and conditions that have nearly these, as `sample` takes them.

    One or two levels, and a range of a number.
    """
    # Kinds do not depend on how many rows there are.
    _, is_category = mixed_drawing.encoded(truth.head(2))
    levels = [
        (name, level)
        for name in truth.columns[is_category]
        for level in truth[name].dropna().unique()
    ]
    holds = {
        pair: (truth[pair[0]] == pair[1]).to_numpy(bool, na_value=False)
        for pair in levels
    }
    candidates = {(pair,): mask.mean() for pair, mask in holds.items()}
    candidates |= {
        (a, b): (holds[a] & holds[b]).mean()
        for a, b in combinations(levels, 2)
        if a[0] != b[0]
    }
    known = {pairs: p for pairs, p in candidates.items() if p > 0}
    numbers = [
        n for n in truth.columns if truth[n].dtype == float and truth[n].nunique() > 500
    ]
    for p in _PROBABILITIES:
        nearest = min(known, key=lambda pairs: abs(np.log(known[pairs] / p)))
        yield known[nearest], dict(nearest)
        if numbers:
            column = truth[numbers[0]]
            bounds = column.quantile([1 - p, 1]).tolist()
            given = {numbers[0]: tuple(bounds)}
            yield float(satisfies(truth, given).mean()), given


def satisfies(frame: pd.DataFrame, given: dict) -> np.ndarray:
    """Mask of the rows in which a condition holds."""
    masks = [
        frame[name].between(*value)
        if isinstance(value, tuple)
        else frame[name] == value
        for name, value in given.items()
    ]
    return np.all([m.to_numpy(bool, na_value=False) for m in masks], axis=0)


def reject(draw: Callable, given: dict, n: int) -> pd.DataFrame:
    """The first n rows that satisfy a condition; fewer, where draws come to an end."""
    found, n_found = [], 0
    for i in range(_MOST_REJECTED // _AT_ONCE):
        drawn = draw(_AT_ONCE, i)
        found.append(drawn[satisfies(drawn, given)])
        n_found += len(found[-1])
        if n_found >= n:
            break
    return pd.concat(found, ignore_index=True)[:n]


def cart_rejected(train: pd.DataFrame, seed: int) -> Callable:
    return lambda given: reject(
        lambda n, i: mixed_drawing.cart(train, n, i), given, _N_GIVEN
    )


class Conditional:
    """Rows of skae under a condition: drawn so, or drawn freely and rejected."""

    def __init__(self, n_components: int, is_rejected: bool):
        self.n_components, self.is_rejected = n_components, is_rejected

    def __call__(self, train: pd.DataFrame, seed: int) -> Callable:
        vae = mixed_drawing.model(train, self.n_components, seed)
        if self.is_rejected:
            return lambda given: reject(
                lambda n, i: vae.sample(n, random_state=i), given, _N_GIVEN
            )
        return lambda given: vae.sample(_N_GIVEN, random_state=seed, given=given)


def conditional(name: str, seed: int, contenders: dict) -> Iterator[dict]:
    """A record of each contender and condition; of made tables, whose truth is known.

    Seconds are those of the draws, without the fit.
    """
    if name not in MADE or not contenders:
        return
    train, _ = halves(LOADERS[name](), seed)
    truth = MADE[name](_N_TRUTH, seed + 1000)
    conditions = list(events(truth))
    for contender, fit in contenders.items():
        draw = fit(train, seed)
        for i, (probability, given) in enumerate(conditions):
            real = truth[satisfies(truth, given)].reset_index(drop=True)
            drawn, seconds = timed(draw, given)
            yield {
                "table": name,
                "seed": seed,
                "contender": contender,
                "condition": i,
                "given": {column: str(value) for column, value in given.items()},
                "probability": probability,
                "n_drawn": len(drawn),
                "distance": distance(real, drawn, given),
                "seconds": seconds,
            }


def distance(real: pd.DataFrame, drawn: pd.DataFrame, given: dict) -> float | None:
    """Mean distance of the columns that are not given; None where nothing is drawn."""
    if not len(drawn):
        return None
    free = [column for column in real.columns if column not in given]
    (A, B), is_category = mixed_drawing.encoded(real[free], drawn[free])
    return float(column_distances(A, B, is_category).mean())


# Running and printing.


# What runs, and what is printed of it.

_PARTS = {"drawing": drawing, "imputation": imputation, "conditional": conditional}

# Part: what a line is of, and its columns.
_PRINTED = {
    "drawing": (
        ["table", "contender"],
        [
            "kolmogorov_smirnov",
            "total_variation",
            "association",
            "detection_auroc",
            "prediction_auroc",
            "prediction_r2",
            "nearer_train",
            "invalid_rows",
            "rule_broken",
            "seconds",
        ],
    ),
    "imputation": (
        ["fraction", "table", "contender"],
        ["error", "accuracy", "brier", "coverage", "seconds"],
    ),
    "conditional": (
        ["condition", "table", "contender"],
        ["probability", "n_drawn", "distance", "seconds"],
    ),
}


def print_means(records: list[dict], keys: list[str], columns: list[str]) -> None:
    """Means over the seeds, a line for each value of the keys."""
    frame = pd.DataFrame(records)
    means = frame.astype(dict.fromkeys(columns, float)).groupby(keys, sort=False)
    lines = means[columns].mean().reset_index().to_numpy().tolist()
    print_table((*keys, *columns), [tuple(line) for line in lines])


def contenders(n_components: int, chosen: list[str] | None) -> dict[str, dict]:
    """Contenders of each part; those that cannot run here are named."""
    drawers, missing = mixed_drawing.contenders(n_components)
    found = {
        "drawing": drawers,
        "imputation": dict(mixed_imputing.IMPUTERS),
        "conditional": {"CART, rejection": cart_rejected},
    }
    found["imputation"]["skae"] = mixed_imputing.Skae(n_components)
    found["conditional"] |= {
        "skae, rejection": Conditional(n_components, True),
        "skae, given": Conditional(n_components, False),
    }
    if missing:
        print(f"left out, as not there: {', '.join(missing)}")
    return {
        part: {n: c for n, c in own.items() if chosen is None or n in chosen}
        for part, own in found.items()
    }


def done(records: list[dict], name: str, seed: int) -> set[str]:
    """Contenders that have records of this table and seed."""
    return {
        record["contender"]
        for record in records
        if (record["table"], record["seed"]) == (name, seed)
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=LOADERS, default=list(LOADERS))
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=list(_PARTS))
    parser.add_argument("--contenders", nargs="+", metavar="NAME")
    parser.add_argument("--components", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS / "tables.json")
    parser.add_argument(
        "--resume", action="store_true", help="keep the records that the output has"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    warnings.simplefilter("ignore", ConvergenceWarning)  # of IterativeImputer
    results = {part: [] for part in _PARTS}
    if arguments.resume and arguments.output.exists():
        results |= json.loads(arguments.output.read_text())
    results["environment"] = environment()
    own = contenders(arguments.components, arguments.contenders)
    for seed in range(arguments.seeds):
        for name in arguments.tables:
            for part in arguments.parts:
                before = done(results[part], name, seed)
                new = {n: c for n, c in own[part].items() if n not in before}
                for record in _PARTS[part](name, seed, new):
                    if record["contender"] not in before:
                        results[part].append(record)
                        write_json(arguments.output, results)
                print(f"{name}, {part}, seed {seed}", flush=True)
    for part in arguments.parts:
        if results[part]:
            print(f"\n{part}")
            print_means(results[part], *_PRINTED[part])


if __name__ == "__main__":
    main()
