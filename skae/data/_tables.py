"""Mixed tables: dataframes as rows of numbers for a network, and back.

Kinds of columns come from their dtypes. Categories, and numbers of few different
values, become one-hot groups; other numbers, dates among them, become the normal
quantiles of their ranks. So whatever a model draws is a value of the right kind.
"""

import warnings
from collections.abc import Iterator

import numpy as np

from skae.data._column_encoders import Ranks
from skae.data._frames import (
    Dtypes,
    from_native,
    has_numbers_alone,
    is_frame,
    with_observed,
)
from skae.data._table_columns import Column, ColumnInfo
from skae.io import storable

# Entries of encoded rows up to which they are float64: half a gigabyte.
_MOST_DOUBLE = 2**26

storable(Dtypes)


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
