"""How close drawn rows of a mixed table are to real ones."""

import numpy as np
from sklearn.utils import check_random_state

from skae.tables._frames import changed_dtypes, encode, read, to_frame
from skae.tables._measures import (
    association_difference,
    choose,
    column_distances,
    copies,
    detection,
    invalid_rows,
    missing_differences,
    nearer_train,
    prediction_scores,
)

__all__ = ["report"]

# Rows of `test`, whose halves are compared.
_FEWEST = 4

# Measure: its value where drawn rows are as good as fresh ones. Models that learn from
# training rows set the ideal of predictions.
_IDEAL = {
    "kolmogorov_smirnov": 0.0,
    "total_variation": 0.0,
    "missing": 0.0,
    "association": 0.0,
    "detection_auroc": 0.5,
    "prediction_auroc": float("nan"),
    "prediction_r2": float("nan"),
    "nearer_train": 0.5,
    "copies": 0.0,
    "invalid_rows": 0.0,
    "changed_dtypes": 0.0,
}


def report(train, test, new, *, target=None, by_column=False, random_state=None):
    """Compare drawn rows of a table of mixed columns with real ones.

    Each measure stands beside that of fresh rows, one half of `test` against the other,
    and of a bootstrap, rows of `train` drawn with replacement: good rows are as far
    from `test` as fresh ones, and no nearer to `train`.

    Parameters
    ----------
    train : data frame of shape (n_train, n_columns)
        Rows that the model was fitted to, in a frame of pandas, polars or another
        library that narwhals reads. What a column is comes from its dtype: numbers,
        dates and durations are numbers; booleans, strings and categories are
        categories.
    test : data frame of shape (n_test, n_columns)
        Real rows that the model has not seen, of the same columns.
    new : data frame of shape (n_new, n_columns)
        Drawn rows, of the same columns; best as many as those of `test`.
    target : str or list of str, default=None
        Columns to predict from the others; None predicts each of them, an empty list
        none, which takes a fifth of the time.
    by_column : bool, default=False
        Whether a line for each column follows the lines of all, for the measures that
        have one: "kolmogorov_smirnov: age".
    random_state : int, RandomState instance or None, default=None
        Halves of `test`, the bootstrap and the folds.

    Returns
    -------
    report : data frame of shape (n_measures, 4)
        Of the library of `train`, indexed by the measure (in polars, its first column
        is "measure"), with the columns "new", "fresh", "bootstrap" and "ideal". NaN
        where there is nothing to measure, such as distances of categories in a table
        of numbers.

        - ``kolmogorov_smirnov``: largest difference of the distribution functions,
          mean over the columns of numbers, observed entries only.
        - ``total_variation``: half the sum of absolute differences of the levels'
          frequencies, mean over the columns of categories.
        - ``missing``: absolute difference of the fractions of missing entries, mean
          over the columns.
        - ``association``: absolute difference of Cramer's V, mean over the pairs of
          columns. Numbers are cut into eight bins at the quantiles of `train`, rare
          levels are one, missing entries another.
        - ``detection_auroc``: how well gradient boosting tells the rows from held-out
          ones, cross-validated; 0.5 for rows that are no different.
        - ``prediction_auroc`` and ``prediction_r2``: how well random forests that
          learn from the rows predict held-out ones, mean over the targets that are
          categories (AUROC of each level against the others) or numbers (R2 of their
          ranks). The ideal is that of rows of `train`.
        - ``nearer_train``: fraction of the rows nearer to a row of `train` than to a
          held-out one, by Gower's distance; above 0.5, they copy.
        - ``copies``: fraction of the rows that are equal to a row of `train`; by
          chance, some fresh ones are as well.
        - ``invalid_rows``: fraction of the rows with an entry that `train` rules out: a
          level that it lacks, a number beyond its range, a fraction among its whole
          numbers, a missing entry in a complete column.
        - ``changed_dtypes``: fraction of the columns whose dtype is not that of
          `train`.

    Raises
    ------
    TypeError
        If `train`, `test` or `new` is no data frame, frames are of different libraries,
        a column is neither number, date, duration, boolean, string nor category, or of
        another kind in another frame.
    ValueError
        If the columns differ, a target is none of them, a number is infinite, all
        entries of a column of more than 100 categories differ, or `test` has fewer than
        four rows or another frame fewer than two.

    Notes
    -----
    Distances, associations and predictions depend on the number of rows. For these,
    equally many rows of each kind, half of `test`'s at most, are compared with the same
    half of `test`; and once more with the halves exchanged. The other measures take all
    rows, but of fresh ones.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skae.tables import report
    >>> rng = np.random.default_rng(0)
    >>> age = rng.integers(18, 80, 900)
    >>> plan = np.where(rng.random(900) < age / 100, "full", "basic")
    >>> people = pd.DataFrame({"age": age, "plan": pd.Categorical(plan)})
    >>> train, test, rest = people[:300], people[300:600], people[600:]
    >>> shuffled = rest.assign(plan=rest["plan"].sample(frac=1, random_state=0).array)
    >>> found = report(train, test, shuffled, random_state=0)
    >>> pairs = found.loc[["kolmogorov_smirnov", "association", "prediction_auroc"]]
    >>> print(pairs.round(2).to_string(index_names=False))
                         new  fresh  bootstrap  ideal
    kolmogorov_smirnov  0.08   0.09       0.09   0.00
    association         0.27   0.02       0.06   0.00
    prediction_auroc    0.46   0.70       0.75   0.72
    """
    frames = read(train, test, new)
    if len(frames[1]) < _FEWEST:
        raise ValueError(
            f"test has {len(frames[1])} rows, and {_FEWEST} at least are needed."
        )
    targets = _places(target, frames[0].columns)
    (train, test, new), is_category = encode(frames)
    random_state = check_random_state(random_state)
    halves = np.array_split(random_state.permutation(test), 2)
    size = min(len(new), *map(len, halves))

    def beside_halves(rows):
        return [(choose(rows, size, random_state), half) for half in halves]

    def measure(pairs, drawn, held_out, dtypes_of):
        return {
            **_halves_compared(pairs, train, is_category),
            **_predictions(pairs, train, is_category, targets),
            "detection_auroc": detection(held_out, drawn, random_state),
            "nearer_train": nearer_train(
                drawn, held_out, train, is_category, random_state
            ),
            "copies": copies(drawn, train),
            "invalid_rows": invalid_rows(drawn, train, is_category),
            "changed_dtypes": changed_dtypes(frames[0], dtypes_of),
        }

    exchanged = [(half[:size], other) for half, other in zip(halves, halves[::-1])]
    bootstrap = train[random_state.randint(len(train), size=len(test))]
    values = {
        "new": measure(beside_halves(new), new, test, frames[2]),
        "fresh": measure(exchanged, *halves, frames[1]),
        "bootstrap": measure(beside_halves(bootstrap), bootstrap, test, frames[0]),
        "ideal": _IDEAL
        | _predictions(beside_halves(train), train, is_category, targets),
    }
    lines = _mean_lines(values)
    if by_column:
        lines |= _column_lines(values, frames[0].columns)
    return to_frame(lines, list(values), frames[0])


def _places(target, names):
    """Indices of the targets."""
    if target is None:
        return range(len(names))
    targets = [target] if isinstance(target, str) else list(target)
    if unknown := [name for name in targets if name not in names]:
        raise ValueError(f"target has {unknown}, which are no columns of train.")
    return [names.index(name) for name in targets]


def _halves_compared(pairs, train, is_category):
    """What depends on the number of rows, mean over pairs of drawn and held-out rows.

    Values (d,) of columns, NaN where a measure is not theirs, but for associations.
    """
    distances = _mean(column_distances(*pair, is_category) for pair in pairs)
    return {
        "kolmogorov_smirnov": np.where(is_category, np.nan, distances),
        "total_variation": np.where(is_category, distances, np.nan),
        "missing": _mean(missing_differences(*pair) for pair in pairs),
        "association": _mean(
            association_difference(*pair, train, is_category) for pair in pairs
        ),
    }


def _predictions(pairs, train, is_category, targets):
    """Scores (d,) of targets that models predict, mean over pairs of rows."""
    scores = _mean(
        prediction_scores(*pair, train, is_category, targets) for pair in pairs
    )
    return {
        "prediction_auroc": np.where(is_category, scores, np.nan),
        "prediction_r2": np.where(is_category, np.nan, scores),
    }


def _mean(values):
    return np.mean(list(values), axis=0)


def _mean_lines(values):
    """Lines of all measures, means over the columns that have a value."""
    return {
        measure: {name: _mean_of_known(own[measure]) for name, own in values.items()}
        for measure in _IDEAL
    }


def _mean_of_known(values):
    values = np.atleast_1d(values)
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _column_lines(values, columns):
    """Lines of single columns, of the measures that have some."""
    by_column = {m: v for m, v in values["new"].items() if np.ndim(v)}
    return {
        f"{measure}: {column}": {
            name: float(np.broadcast_to(own[measure], len(columns))[j])
            for name, own in values.items()
        }
        for measure, known in by_column.items()
        for j, column in enumerate(columns)
        if not np.isnan(known[j])
    }
