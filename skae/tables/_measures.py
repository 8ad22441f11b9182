"""How two sets of rows of a table differ, on encoded arrays.

Shapes: n rows, d columns. Numbers are as they are, categories are numbered, missing
entries are NaN (`skae.tables._frames.encode`).
"""

from itertools import combinations

import numpy as np
from scipy.stats import ks_2samp
from scipy.stats.contingency import association, crosstab
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.neighbors import NearestNeighbors

# Bins of a column whose association with others is measured; a number's by quantiles, a
# category's the most frequent levels and the rest.
_N_BINS = 8

# Of the booster that tells rows apart: one of few trees, as earlier measurements had;
# more trees tell all rows better, and a bootstrap by its repeated rows, so that values
# compare within one report alone. Leaves of scikit-learn's 20 rows would be blind in
# tables of less than a hundred.
_N_BOOSTED, _ROWS_A_LEAF, _LEAVES = 30, 20, 10

# Forests predict columns: the time of a booster grows with the number of levels.
_FOREST = {"n_estimators": 30, "min_samples_leaf": 5, "random_state": 0}

# Rows of each kind whose distances are computed: all pairs of them.
_MOST_NEIGHBOURS = 5000


def ks_distance(a, b):
    """Largest difference of the distribution functions of the observed entries."""
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    if not len(a) or not len(b):
        return float(len(a) != len(b))
    # Only the statistic is used, and the exact p-value takes long.
    return float(ks_2samp(a, b, method="asymp").statistic)


def total_variation(a, b):
    """Half the sum of absolute differences of the frequencies of observed levels."""
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    if not len(a) or not len(b):
        return float(len(a) != len(b))
    levels = np.union1d(a, b)
    counts = [
        np.bincount(np.searchsorted(levels, x), minlength=len(levels)) for x in (a, b)
    ]
    return float(np.abs(counts[0] / len(a) - counts[1] / len(b)).sum() / 2)


def column_distances(A, B, is_category):
    """Distance (d,) of each column: total variation of categories, else KS."""
    measures = np.where(is_category, total_variation, ks_distance)
    return np.array([measure(a, b) for measure, a, b in zip(measures, A.T, B.T)])


def missing_differences(A, B):
    """Absolute differences (d,) of the fractions of missing entries."""
    return np.abs(np.isnan(A).mean(0) - np.isnan(B).mean(0))


def association_difference(A, B, reference, is_category):
    """Mean absolute difference of Cramer's V over the pairs of columns."""
    found = [associations(binned(X, reference, is_category)) for X in (A, B)]
    # A single column has no pairs.
    return float(np.abs(found[0] - found[1]).mean()) if len(found[0]) else np.nan


def binned(X, reference, is_category):
    """Bins (n, d) of entries, those of missing ones apart.

    Numbers are cut at the quantiles of the reference rows; of categories, their most
    frequent levels are bins.
    """
    return np.column_stack(
        [
            _frequent_levels(x, r) if category else _quantile_bins(x, r)
            for x, r, category in zip(X.T, reference.T, is_category)
        ]
    )


def _quantile_bins(x, reference):
    observed = reference[~np.isnan(reference)]
    if not len(observed):
        return np.isnan(x).astype(int)
    inner = np.linspace(0, 1, _N_BINS + 1)[1:-1]
    edges = np.unique(np.quantile(observed, inner, method="inverted_cdf"))
    return np.where(np.isnan(x), -1, np.searchsorted(edges, x, side="right"))


def _frequent_levels(x, reference):
    levels, counts = np.unique(reference[~np.isnan(reference)], return_counts=True)
    frequent = levels[np.argsort(-counts, kind="stable")[: _N_BINS - 1]]
    return np.where(np.isnan(x), -1, np.where(np.isin(x, frequent), x, np.inf))


def associations(bins):
    """Cramer's V (d (d - 1) / 2,) of each pair of columns of bins (n, d)."""
    return np.array([_cramers_v(a, b) for a, b in combinations(bins.T, 2)])


def _cramers_v(a, b):
    counts = crosstab(a, b).count
    # A column of one level says nothing of others.
    return association(counts, method="cramer") if min(counts.shape) > 1 else 0.0


def detection(held_out, drawn, random_state):
    """AUROC of a classifier that tells drawn rows from held-out ones, cross-validated.

    Equally many of both; five times, one half of the rows is classified by what is
    learned of the other [1]_.

    References
    ----------
    .. [1] Lopez-Paz, D. and Oquab, M. (2017). Revisiting classifier two-sample tests.
       ICLR.
    """
    n = min(len(held_out), len(drawn))
    X = np.concatenate([choose(rows, n, random_state) for rows in (held_out, drawn)])
    is_drawn = np.repeat([0, 1], n)
    folds = RepeatedStratifiedKFold(n_splits=2, n_repeats=5, random_state=random_state)
    booster = HistGradientBoostingClassifier(
        max_iter=_N_BOOSTED,
        min_samples_leaf=max(1, min(_ROWS_A_LEAF, n // _LEAVES)),
        random_state=0,
    )
    scores = cross_val_score(booster, X, is_drawn, cv=folds, scoring="roc_auc")
    return float(scores.mean())


def choose(rows, n, random_state):
    """`n` of the rows, without replacement; all, where there are fewer."""
    return rows[random_state.permutation(len(rows))[:n]]


def prediction_scores(drawn, held_out, train, is_category, targets):
    """Scores (d,) of models that learn each target from drawn rows, on held-out ones.

    AUROC of categories, each level against the others, weighted by frequency; R2 of
    numbers, in ranks among the training rows, which far values do not dominate. NaN
    where nothing can be scored, and of columns that are no target.
    """
    scores = np.full(len(is_category), np.nan)
    # A single column has no others to be predicted from.
    for j in targets if len(scores) > 1 else ():
        score = _auroc if is_category[j] else _r2
        parts = [_features_and_target(X, j) for X in (drawn, held_out)]
        if all(len(np.unique(y)) > 1 for _, y in parts):
            scores[j] = score(*parts[0], *parts[1], train[:, j])
    return scores


def _features_and_target(X, j):
    """The other columns, and column j, of the rows where j is observed."""
    X = X[~np.isnan(X[:, j])]
    return np.delete(X, j, axis=1), X[:, j]


def _auroc(X, y, X_new, y_new, _):
    forest = RandomForestClassifier(**_FOREST).fit(X, y)
    columns = dict(zip(forest.classes_, forest.predict_proba(X_new).T))
    levels, counts = np.unique(y_new, return_counts=True)
    # Nothing has been learned of a level that is not in the drawn rows.
    unknown = np.zeros(len(y_new))
    scores = [roc_auc_score(y_new == k, columns.get(k, unknown)) for k in levels]
    return np.average(scores, weights=counts)


def _r2(X, y, X_new, y_new, train):
    forest = RandomForestRegressor(**_FOREST).fit(X, ranks(y, train))
    return r2_score(ranks(y_new, train), forest.predict(X_new))


def ranks(x, reference):
    """Ranks of values among those of the reference, from 0 to 1; ties share theirs."""
    reference = np.sort(reference[~np.isnan(reference)])
    below, up_to = (np.searchsorted(reference, x, side) for side in ("left", "right"))
    # NaN sorts behind all numbers.
    return np.where(np.isnan(x), np.nan, (below + up_to) / 2 / max(1, len(reference)))


def nearer_train(drawn, held_out, train, is_category, random_state):
    """Fraction of drawn rows nearer to a training row than to a held-out one.

    Of equally many of both; where both are equally near, half of the row counts. The
    distance is Gower's [1]_: sums of differences of ranks, and of one for another
    category.

    References
    ----------
    .. [1] Gower, J. C. (1971). A general coefficient of similarity and some of its
       properties. Biometrics, 27(4), 857-871.
    """
    n = min(len(train), len(held_out), _MOST_NEIGHBOURS)
    sets = [choose(X, n, random_state) for X in (train, held_out, drawn)]
    *known, drawn = gower_coordinates(sets, train, is_category)
    near, far = (
        NearestNeighbors(n_neighbors=1, metric="manhattan").fit(X).kneighbors(drawn)[0]
        for X in known
    )
    # Sums that are equal but for rounding are ties.
    difference = np.where(np.isclose(near, far), 0, far - near)
    return float((np.sign(difference) + 1).mean() / 2)


def gower_coordinates(arrays, train, is_category):
    """Coordinates whose sums of absolute differences are Gower's distances.

    A category is one of its level's columns, of a half; a number its rank. Missing is
    a level of a category, and one half beside the middle rank of a number.
    """
    stacked = np.concatenate(arrays)
    blocks = [
        _level_columns(x) if category else _rank_columns(x, r)
        for x, r, category in zip(stacked.T, train.T, is_category)
    ]
    ends = np.cumsum([len(X) for X in arrays])[:-1]
    return np.split(np.hstack(blocks), ends)


def _level_columns(x):
    # NaN are equal to each other.
    levels, codes = np.unique(x, return_inverse=True)
    columns = np.zeros((len(x), len(levels)))
    columns[np.arange(len(x)), codes] = 0.5
    return columns


def _rank_columns(x, reference):
    is_missing = np.isnan(x)
    x = np.where(is_missing, 0.5, ranks(x, reference))
    return np.column_stack([x, is_missing / 2])


def copies(drawn, train):
    """Fraction of drawn rows that are equal to a training row, missing entries too."""
    known = set(_bytes_of_rows(train))
    return float(np.mean([row in known for row in _bytes_of_rows(drawn)]))


def _bytes_of_rows(X):
    # One pattern of bits for NaN, and for zero.
    return [row.tobytes() for row in np.where(np.isnan(X), np.nan, X) + 0.0]


def invalid_rows(drawn, train, is_category):
    """Fraction of drawn rows with an entry that no training row could have.

    A level that no training row has, a number beyond theirs, a fraction among whole
    numbers, a missing entry in a complete column.
    """
    by_column = [
        _is_invalid(x, known, category)
        for x, known, category in zip(drawn.T, train.T, is_category)
    ]
    return float(np.any(by_column, axis=0).mean())


def _is_invalid(x, known, category):
    is_missing = np.isnan(x)
    observed = known[~np.isnan(known)]
    if len(observed) == 0:
        return ~is_missing
    is_known_missing = len(observed) < len(known)
    if category:
        is_odd = ~np.isin(x, observed)
    else:
        is_whole = (observed == np.rint(observed)).all()
        is_odd = (x < observed.min()) | (x > observed.max())
        is_odd |= is_whole & (x != np.rint(x))
    return np.where(is_missing, not is_known_missing, is_odd)
