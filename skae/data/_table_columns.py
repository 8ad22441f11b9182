"""Columns of mixed tables: how each is read, encoded, decoded and written."""

from typing import NamedTuple

import numpy as np

from skae.data._column_encoders import MOST_LEVELS, Levels, Ranks
from skae.data._frames import (
    LARGEST_WHOLE,
    Dates,
    categories_of,
    check_exact,
    kind_of,
    labels_of,
    numbers_of,
)
from skae.io import storable

# Different texts of as many rows, from which on they are a key.
_LEAST_KEYS = 100

# Kinds of columns whose values have no order.
NOMINAL = "categorical", "boolean"

storable(Dates)


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
