"""Likelihoods as users specify them, and checks of the data against them."""

import math
from collections.abc import Callable

import torch
from scipy import stats
from torch import Tensor, nn

from skae._sklearn import _get_column_indices
from skae.data._rows import exact_split
from skae.data._streams import Stream
from skae.nn._params import make_own
from skae.nn.likelihoods import Categorical, Columns, Likelihood
from skae.nn.likelihoods._base import is_whole
from skae.transformers._input import column_name

# Rows on disk that a likelihood is chosen by; all of them are checked against it.
_N_TO_CHOOSE = 10_000

# Standard errors by which the ratio of counts' variance to their mean may be below one,
# that of a Poisson distribution.
_N_STANDARD_ERRORS = 3.0

# Fraction of the draws of a count that may lie outside the range of its column, and a
# number of rows: two are expected of any distribution, five are rare.
_MAX_OUTSIDE, _MAX_ROWS_OUTSIDE = 0.01, 4

# Nats by which a normal distribution may suit all rows of a count better. A Poisson
# distribution of a large mean is nearly normal, so that a few are chance.
_MAX_LOG_RATIO = 4.0

# Largest count: in single precision the factorials of larger ones are off by 0.1 nats.
_LARGEST_COUNT = 1e5

# Variance over mean above which counts are negative binomial. A Poisson distribution
# has one; a little more is sampling error, or explained by the code.
_OVERDISPERSED = 1.5


def make_likelihood(
    choice: str | list | tuple | nn.Module | Callable, registry: dict, frame, X: Tensor
) -> Likelihood:
    """Return the likelihood that `choice` stands for.

    Parameters
    ----------
    choice : str, list or tuple of pairs, module or callable
        A name in `registry`, "auto", pairs of such a choice and its columns, a module
        to copy, or a callable that makes one from the number of features.
    registry : dict
        Classes of likelihoods by name.
    frame : array-like or dataframe of shape (n, d)
        Rows as users passed them: names and callables refer to its columns.
    X : Tensor of shape (n, d)
        The same rows, validated.

    Raises
    ------
    TypeError, ValueError
        If `choice` is none of these, or columns have no likelihood or two.
    """
    if choice == "auto":
        # Of rows on disk, so many show of what kind a column is.
        sample = X.sample(_N_TO_CHOOSE, seed=0) if isinstance(X, Stream) else X
        choice = choose(sample)
    if isinstance(choice, list | tuple):
        return _by_columns(choice, registry, frame, X)
    return _make(choice, registry, X.shape[1])


def choose(X: Tensor) -> list[tuple[str, list[int]]]:
    """A likelihood for each column, by its values.

    Neighbouring columns of zeros and ones that sum to one are a category, other zeros
    and ones binary, integers that vary like counts and have no bound but zero counts,
    other integers whole numbers within their range, everything else measures.
    """
    # Columns of one kind have one likelihood, wherever they are; each category has one.
    kinds: dict[str, list[int]] = {}
    groups = []
    j, n_features = 0, X.shape[1]
    while j < n_features:
        # Categories first: each of their columns alone looks binary.
        width = _one_hot_width(X, j)
        if width:
            groups.append(("categorical", list(range(j, j + width))))
        else:
            kinds.setdefault(_kind(X[:, j]), []).append(j)
        j += max(width, 1)
    return [*kinds.items(), *groups]


def _one_hot_width(X: Tensor, first: int) -> int:
    """Number of columns from `first` on that make one category, or 0."""
    # (n,), NaN in rows whose category is missing.
    total = torch.zeros_like(X[:, 0])
    for j in range(first, X.shape[1]):
        column = X[:, j]
        total = total + column
        if not _is_binary(column) or bool((total > 1).any()):
            return 0
        # One column of ones is a constant, not a category.
        if bool(((total == 1) | total.isnan()).all()):
            return j + 1 - first if j > first else 0
    return 0


def _is_binary(x: Tensor) -> bool:
    return bool(((x == 0) | (x == 1) | x.isnan()).all())


def _kind(x: Tensor) -> str:
    """Name of the likelihood for the values (n,) of one column."""
    x = x[~x.isnan()]
    if _is_binary(x):
        return "bernoulli"
    if not bool(is_whole(x).all()):
        return "diagonal_gaussian"
    mean, variance = float(x.mean()), float(x.var(correction=0))
    if not _is_count(x, mean, variance):
        return "discretized_normal"
    is_wide = variance > _OVERDISPERSED * mean
    return "negative_binomial" if is_wide else "poisson"


def _is_count(x: Tensor, mean: float, variance: float) -> bool:
    """Whether whole numbers (n,) vary like counts of that mean and variance, which have
    no bound but zero."""
    values, n_rows = x.unique(return_counts=True)
    lowest, highest, n = float(values[0]), float(values[-1]), len(x)
    # The standard error of a Poisson distribution's ratio is (2 / n)^(1/2).
    is_narrow = variance < (1 - _N_STANDARD_ERRORS * (2 / n) ** 0.5) * mean
    if lowest < 0 or highest > _LARGEST_COUNT or is_narrow:
        return False
    if variance > mean:
        size = mean**2 / (variance - mean)
        counts = stats.nbinom(size, size / (size + mean))
    else:
        counts = stats.poisson(mean)
    outside = counts.cdf(lowest - 1) + counts.sf(highest)
    if outside > _MAX_OUTSIDE + _MAX_ROWS_OUTSIDE / n:
        return False
    # A bell without the skew of counts: log-likelihoods, that of a normal distribution
    # in closed form. Sheppard's correction is for the rounding.
    own = float((n_rows.cpu().numpy() * counts.logpmf(values.numpy(force=True))).sum())
    normal = -0.5 * n * math.log(2 * math.pi * math.e * (variance + 1 / 12))
    return own >= normal - _MAX_LOG_RATIO


def _by_columns(pairs: list | tuple, registry: dict, frame, X: Tensor) -> Columns:
    """A likelihood of parts, each for some columns; every column has one."""
    parts, indices, owner = [], [], {}
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(
                "A list of likelihoods must hold pairs (likelihood, columns); got "
                f"{pair!r}."
            )
        choice, columns = pair
        if callable(columns):
            columns = columns(frame)
        found = [int(j) for j in _get_column_indices(frame, columns)]
        if not found:
            raise ValueError(f"{choice!r} has no columns: {columns!r}.")
        for j in found:
            if j in owner:
                raise ValueError(
                    f"Column {j} is given twice: to {owner[j]!r} and to {choice!r}."
                )
            owner[j] = choice
        part = _make(choice, registry, len(found))
        # Log-densities add up in nats; an error has units of the data.
        if not part.is_density:
            raise ValueError(
                f"{choice!r} has no density and cannot stand among others; use a "
                "likelihood."
            )
        parts.append(part)
        indices.append(found)
    missing = sorted(set(range(X.shape[1])) - set(owner))
    if missing:
        raise ValueError(f"No likelihood is given for the columns {missing}.")
    return Columns(parts, indices)


def _make(choice, registry: dict, n_features: int) -> Likelihood:
    if isinstance(choice, str):
        if choice not in registry:
            known = ", ".join(map(repr, registry))
            raise ValueError(f"{choice!r} is not one of {known}.")
        return registry[choice](n_features)
    made = make_own("likelihood", choice, Likelihood, n_features)
    if made.n_features != n_features:
        raise ValueError(
            f"likelihood={choice!r} is for {made.n_features} features, but gets "
            f"{n_features}."
        )
    return made


def check_support(
    likelihood: Likelihood,
    X: Tensor,
    names: list[str] | None,
    *,
    to_encode: bool = False,
) -> None:
    """Raise where a value of X (n, d) is outside the support of its likelihood.

    A model `to_encode` with takes an unknown category as well.
    """
    for part, columns in likelihood.by_columns():
        # Validated rows are finite.
        if type(part).contains is Likelihood.contains:
            continue
        accepts = part.encodes if to_encode else part.contains
        # By chunks: the checks copy what they see.
        for rows in exact_split(X):
            values = rows[:, columns.to(rows.device)]
            _check_part(part, accepts(values), values, columns, names)


def _check_part(
    part: Likelihood,
    accepted: Tensor,
    values: Tensor,
    columns: Tensor,
    names: list[str] | None,
) -> None:
    # (m, 2), rows and columns; missing entries have no support to leave.
    outside = (~(accepted | values.isnan())).nonzero()
    if not len(outside):
        return
    row, position = outside[0].tolist()
    raise ValueError(
        f"{type(part).__name__} likelihood needs {part.support}; column "
        f"{column_name(int(columns[position]), names)} has {values[row, position]:g}."
    )


def check_missing(likelihood: Likelihood, X: Tensor, names: list[str] | None) -> None:
    """Raise where the likelihood has no density of rows X (n, d) with missing entries,
    or a row lacks a part of a category."""
    # The density of the observed entries is a sum over them: it needs the summands.
    for part, _ in likelihood.by_columns():
        if type(part).log_probs is Likelihood.log_probs:
            raise ValueError(
                f"allow_nan=True needs {type(part).__name__}.log_probs, what each "
                "feature adds to the log-density."
            )
    check_categories(likelihood, X, names)


def check_categories(
    likelihood: Likelihood, X: Tensor, names: list[str] | None
) -> None:
    """Raise where a row lacks some, but not all, one-hot columns of a category."""
    for part, columns in likelihood.by_columns():
        is_missing = X[:, columns].isnan()
        is_partly = is_missing.any(1) & ~is_missing.all(1)
        if isinstance(part, Categorical) and is_partly.any():
            row = int(is_partly.nonzero()[0])
            column = int(columns[is_missing[row]][0])
            raise ValueError(
                f"A category is missing in all of its columns or in none; row {row} "
                f"lacks column {column_name(column, names)} alone, or with some others."
            )


def draws_noise(likelihood: Likelihood, observation_noise: bool | None) -> bool:
    """Whether new rows are drawn around their means; None is wherever it is possible.

    Raises
    ------
    ValueError
        If `observation_noise` is True and the "likelihood" is an error.
    """
    if observation_noise is None:
        return likelihood.is_density
    if observation_noise and not likelihood.is_density:
        raise ValueError(
            "observation_noise=True needs a likelihood, which says how large the "
            "noise is; this model was fitted with an error alone."
        )
    return observation_noise
