"""Mixed tables: dataframes as rows of numbers for a network, and back.

Kinds of columns come from their dtypes. Categories, and numbers of few different
values, become one-hot groups; other numbers, dates among them, become the normal
quantiles of their ranks. So whatever a model draws is a value of the right kind.
"""

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from skae.data._frames import (
    LARGEST_WHOLE,
    Dates,
    Dtypes,
    categories_of,
    check_exact,
    from_native,
    has_numbers_alone,
    is_frame,
    kind_of,
    labels_of,
    numbers_of,
    with_observed,
)
from skae.data._table_columns import MOST_LEVELS, Levels, Ranks
from skae.io import storable

# Different texts of as many rows, from which on they are a key.
_LEAST_KEYS = 100

# Entries of encoded rows up to which they are float64: half a gigabyte.
_MOST_DOUBLE = 2**26

# Kinds of columns whose values have no order.
NOMINAL = "categorical", "boolean"

storable(Dates)
storable(Dtypes)


class ColumnInfo(NamedTuple):
    """What was understood of a column of a mixed table.

    Attributes
    ----------
    name : str
    kind : {"number", "categorical", "ordinal", "boolean", "date"}
    dtype : str
    categories : list or None
        Values of columns that have few; those of `infrequent` levels come last.
    bounds : tuple or None
        Lowest and highest value of other columns.
    decimals : int or None
        Digits after the point that numbers have; None of those that have any.
    """

    name: str
    kind: str
    dtype: str
    categories: list | None
    bounds: tuple | None
    decimals: int | None


@storable
class Column:
    """One column of a table: how it is read, encoded, decoded and written.

    Parameters
    ----------
    series : Series
        Training values.
    max_categories : int
        Columns of a one-hot group, at most.

    Raises
    ------
    TypeError, ValueError
        If it is no column of values, or of text that is different in all rows.
    """

    def __init__(self, series, max_categories: int):
        self.name, self.kind = series.name, kind_of(series)
        self.labels: list | None = None
        self.dates: Dates | None = None
        if self.kind in NOMINAL:
            self.labels = _labels(series)
        elif self.kind == "ordinal":
            self.labels = categories_of(series)
        elif self.kind == "date":
            self.dates = Dates(series)
        values = self.read(series)
        if self.kind == "number":
            check_exact(series, values)
        self.missing_fraction = float(np.isnan(values).mean())
        n_different = len(np.unique(values[~np.isnan(values)]))
        is_nominal = self.kind in NOMINAL
        few = min(MOST_LEVELS, max_categories)
        self.encoder: Levels | Ranks
        if is_nominal or n_different <= few:
            self.encoder = Levels(values, not is_nominal, max_categories)
        else:
            self.encoder = Ranks(values)

    @property
    def width(self) -> int:
        """Columns of the network."""
        return self.encoder.width

    @property
    def is_group(self) -> bool:
        return isinstance(self.encoder, Levels)

    def read(self, series) -> np.ndarray:
        """Numbers (n,), NaN where the value is missing, -1 of an unknown label.

        Raises
        ------
        TypeError
            If the values are of another kind.
        """
        found = kind_of(series) if len(series) else self.kind
        is_label = self.labels is not None
        # A column of missing values alone has any dtype.
        if not series.is_null().all() and is_label != (found not in ("number", "date")):
            raise TypeError(
                f"Column {self.name!r} is {found}, but was {self.kind} in fit."
            )
        if self.labels is not None:
            place = {label: i for i, label in enumerate(self.labels)} | {None: np.nan}
            values = labels_of(series)
            if {_is_text(self.labels), _is_text(values)} == {True, False}:
                raise TypeError(
                    f"Column {self.name!r} has text, or had text in fit, but not both."
                )
            return np.array([place.get(v, -1) for v in values], dtype=float)
        if series.is_null().all():
            return np.full(len(series), np.nan)
        if (found == "date") != (self.dates is not None):
            raise TypeError(
                f"Column {self.name!r} is {found}, but was {self.kind} in fit."
            )
        return numbers_of(series) if self.dates is None else self.dates.read(series)

    def read_values(self, values: list) -> np.ndarray:
        """Numbers of values as users write them.

        Raises
        ------
        ValueError
            If they are of another kind.
        """
        if self.labels is not None:
            known = {label: i for i, label in enumerate(self.labels)}
            return np.array([known.get(value, -1) for value in values], dtype=float)
        try:
            if self.dates is not None:
                return self.dates.read_values(values)
            return np.array(values, dtype=float)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Column {self.name!r} is {self.kind}; got {values!r}."
            ) from error

    def write(self, values: np.ndarray):
        """Values of the column's kind from numbers (n,)."""
        if self.dates is not None:
            return self.dates.write(values)
        if self.labels is None:
            return values
        missing = np.isnan(values)
        places = np.where(missing, 0, values).astype(int)
        return [None if m else self.labels[i] for m, i in zip(missing.tolist(), places)]

    def is_unknown(self, values: np.ndarray) -> np.ndarray:
        """Mask (n,) of the values that no training row had, where they were few."""
        if isinstance(self.encoder, Levels):
            return self.encoder.is_unknown(values)
        return np.zeros(len(values), dtype=bool)

    def info(self, dtype: str) -> ColumnInfo:
        encoder = self.encoder
        if isinstance(encoder, Levels):
            levels = self._shown(encoder.levels)
            return ColumnInfo(self.name, self.kind, dtype, levels, None, None)
        low, high = self._shown(encoder.knots[[0, -1]])
        decimals = encoder.decimals if self.kind == "number" else None
        return ColumnInfo(self.name, self.kind, dtype, None, (low, high), decimals)

    def _shown(self, values: np.ndarray) -> list:
        """Values as people write them: whole numbers without a point."""
        is_whole = (values == values.round()) & (np.abs(values) <= LARGEST_WHOLE)
        if self.kind == "number" and is_whole.all():
            return values.astype(int).tolist()
        return list(np.asarray(self.write(values)).tolist())


def _is_text(labels: list) -> bool | None:
    """Whether some of the labels are text; None where there are no labels."""
    labels = [label for label in labels if label is not None]
    return any(isinstance(label, str) for label in labels) if labels else None


def _labels(series) -> list:
    """Different values of a column of categories.

    Raises
    ------
    ValueError
        If they look like a key.
    """
    values = [value for value in labels_of(series) if value is not None]
    counts = dict.fromkeys(values)
    if len(counts) == len(values) >= _LEAST_KEYS:
        raise ValueError(
            f"Column {series.name!r} looks like a key: its {len(values)} values are "
            "all different. Leave it out."
        )
    try:
        return sorted(counts)
    except TypeError:  # of types that do not compare
        return sorted(counts, key=str)


@storable
class Table:
    """From dataframes of mixed columns to rows of numbers, and back.

    Parameters
    ----------
    X : dataframe of shape (n, c)
        Training rows.
    max_categories : int
        Columns of a one-hot group, at most.

    Attributes
    ----------
    columns : list of Column
    dtypes : Dtypes

    Raises
    ------
    TypeError, ValueError
        If a column cannot be taken, by its name, or none varies.
    """

    def __init__(self, X, max_categories: int):
        frame = from_native(X)
        names = frame.columns
        if not all(isinstance(name, str) for name in names):
            raise TypeError("The columns of a mixed table need names that are text.")
        self.columns = [Column(frame[name], max_categories) for name in names]
        self.dtypes = Dtypes(frame)
        if not self.width:
            raise ValueError(
                "No column of X varies: there must be two rows that differ."
            )

    @property
    def width(self) -> int:
        """Columns of the network."""
        return sum(column.width for column in self.columns)

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def encoded_names(self) -> list[str]:
        """Names of the columns of the network: of a group, with the level."""
        names = []
        for column in self.columns:
            if not column.is_group:
                names.append(column.name)
            else:
                levels = column._shown(column.encoder.levels)[: column.width]
                names += [f"{column.name}={level}" for level in levels]
        return names

    @property
    def info(self) -> list[ColumnInfo]:
        """`ColumnInfo` of each column."""
        dtypes = [dtype["name"] for dtype in self.dtypes.dtypes]
        return [column.info(name) for column, name in zip(self.columns, dtypes)]

    def parts(self) -> Iterator[tuple[Column, slice]]:
        """Columns, and those of the network that each has."""
        start = 0
        for column in self.columns:
            yield column, slice(start, start + column.width)
            start += column.width

    def likelihood(self) -> list[tuple[str, list[int]]]:
        """Likelihoods by names, and their columns of the network."""
        spans = [
            (column, list(range(part.start, part.stop)))
            for column, part in self.parts()
            if column.width
        ]
        numbers = [j for column, span in spans if not column.is_group for j in span]
        groups = [("categorical", span) for column, span in spans if column.is_group]
        return ([("diagonal_gaussian", numbers)] if numbers else []) + groups

    def read(self, X, *, is_partial: bool = False) -> list[np.ndarray]:
        """Numbers (n,) of each column of a dataframe with the same names, NaN of those
        that one which `is_partial` lacks.

        Raises
        ------
        ValueError
            If names differ.
        """
        frame = from_native(X)
        missing = [name for name in self.names if name not in frame.columns]
        if is_partial:
            absent, missing = set(missing), []
        else:
            absent = set()
        others = [name for name in frame.columns if name not in self.names]
        if missing or others:
            raise ValueError(
                "The columns of X should match those that were passed during fit."
                + (f"\nUnseen at fit time: {', '.join(others)}." if others else "")
                + (f"\nSeen at fit time: {', '.join(missing)}." if missing else "")
            )
        return [
            np.full(len(frame), np.nan)
            if column.name in absent
            else column.read(frame[column.name])
            for column in self.columns
        ]

    def encode(
        self,
        X,
        *,
        takes_nan: bool,
        unknown: str = "missing",
        generator=None,
        is_partial: bool = False,
        hint: str = "allow_nan=True",
    ) -> np.ndarray:
        """Rows (n, width) of a dataframe: float64, or float32 where they are many.

        Parameters
        ----------
        X : dataframe of shape (n, c)
        takes_nan : bool
            Whether values may be missing: they are NaN.
        unknown : {"missing", "rarest", "error"}
            What stands for a value that no training row had in a column of few: of a
            number the nearest level, of others NaN, or zeros where none may be missing;
            the rarest level; an error.
        generator : numpy.random.Generator or None
            Spreads equal numbers over the quantiles that they stand for.
        is_partial : bool
            Whether columns may be absent: their values are missing.
        hint : str
            With what missing values are taken.

        Raises
        ------
        ValueError
            If values are missing, or unknown, that may not be.
        """
        read = self.read(X, is_partial=is_partial)
        n_rows = len(read[0])
        if not n_rows:
            raise ValueError("Found a dataframe with 0 rows while 1 is required.")
        is_large = n_rows * self.width > _MOST_DOUBLE
        encoded = np.empty((n_rows, self.width), np.float32 if is_large else np.float64)
        for (column, part), values in zip(self.parts(), read):
            if not takes_nan and np.isnan(values).any():
                raise ValueError(
                    f"Column {column.name!r} has missing values; they are taken with "
                    f"{hint}."
                )
            rows = column.encoder.encode(values, generator, encoded[:, part])
            is_unknown = column.is_unknown(values)
            if is_unknown.any():
                _check_unknown(column, values, is_unknown, unknown)
                if unknown == "rarest" and column.width:
                    rows[is_unknown] = np.eye(column.width)[column.encoder.rarest]
                    continue
            if column.labels is not None:
                rows[values == -1] = np.nan if takes_nan else 0.0
        return encoded

    def unknown(self, X) -> list[str]:
        """Names of the columns of categories that no training row had."""
        return [
            column.name
            for column, values in zip(self.columns, self.read(X, is_partial=True))
            if column.labels is not None and (values == -1).any()
        ]

    def decode(self, rows: np.ndarray, *, generator=None, missing=None, like=None):
        """A dataframe of rows (n, width), in the dtypes of training.

        Parameters
        ----------
        rows : ndarray of shape (n, width)
            Quantiles and probabilities.
        generator : numpy.random.Generator or None
            Draws infrequent levels; None takes the most frequent of them.
        missing : ndarray of shape (n, c) or None
            Mask of values that are missing.
        like : dataframe of n rows or None
            With the index of the rows.
        """
        columns = [
            column.encoder.decode(rows[:, part], generator)
            for column, part in self.parts()
        ]
        return self._written(columns, missing, like)

    def fill(self, X, rows: np.ndarray, *, std=None, generator=None, missing=None):
        """The dataframe X (n, c) with its missing values, also of columns that it
        lacks, from rows (n, width), except for a mask (n, c) of those that stay.

        With standard deviations `std` (n, width) of quantiles, rows are means, and
        numbers are those of the values, not the values at the mean of the quantiles.
        """
        read = self.read(X, is_partial=True)
        filled = []
        for (column, part), values in zip(self.parts(), read):
            if std is not None and column.kind == "number":
                drawn = column.encoder.mean(rows[:, part], std[:, part])
            else:
                drawn = column.encoder.decode(rows[:, part], generator)
            # What is unknown comes from X itself.
            filled.append(np.where(np.isnan(values) | (values == -1), drawn, values))
        if missing is not None:
            missing &= np.isnan(np.transpose(read))
        frame, written = from_native(X), from_native(self._written(filled, missing, X))
        for column, values in zip(self.columns, read):
            if not np.isnan(values).all():
                observed = frame[column.name]
                series = with_observed(
                    written[column.name], observed, ~np.isnan(values)
                )
                written = written.with_columns(series)
        return written.to_native()

    def _written(self, columns, missing, like):
        if missing is not None:
            columns = [
                np.where(mask, np.nan, values)
                for values, mask in zip(columns, missing.T)
            ]
        values = [column.write(v) for column, v in zip(self.columns, columns)]
        return self.dtypes.frame(values, like)

    def log_slope(self, X) -> np.ndarray:
        """Logarithms (n,) of how steep the maps of the numbers are, summed."""
        return sum(
            column.encoder.log_slope(values)
            for column, values in zip(self.columns, self.read(X))
            if isinstance(column.encoder, Ranks)
        ) + np.zeros(len(from_native(X)))


def _check_unknown(column, values, is_unknown, unknown: str) -> None:
    if unknown == "error":
        row = int(np.flatnonzero(is_unknown)[0])
        raise ValueError(
            f"Column {column.name!r} has a value in row {row} that it did not have in "
            "fit."
        )


def warn_of_unknown(names: list[str], consequence: str) -> None:
    """Warn where columns have values that no training row had."""
    if names:
        warnings.warn(
            f"Columns with values that they did not have in fit: {', '.join(names)}. "
            f"{consequence}",
            UserWarning,
            stacklevel=7,
        )


def is_table(X, *, always: bool) -> bool:
    """Whether X is a dataframe that is encoded: of columns that are not all numbers,
    or `always`.

    Raises
    ------
    TypeError
        If it must be one and is none.
    """
    if not is_frame(X):
        if always:
            raise TypeError(
                "'from_dtype' needs a dataframe, whose columns have dtypes; got "
                f"{type(X).__name__}."
            )
        return False
    return always or not has_numbers_alone(X)
