"""Rows of Parquet files, and of other data sets of pyarrow, read by row groups.

The values of a row group are compressed together: one of its rows takes as long to read
as all of them.
"""

import sys
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import accumulate

import numpy as np

from skae.data._streams import Stream, is_small

# Row groups that stay in memory: a buffer of rows begins and ends within one.
_N_KEPT = 2


def opened(X):
    """A data set of pyarrow as a stream, or as a table where it is for memory; anything
    else as it is."""
    # Whoever has such an object has imported its module.
    kinds = ("dataset", "Dataset"), ("parquet", "ParquetFile")
    modules = [(sys.modules.get(f"pyarrow.{module}"), name) for module, name in kinds]
    if not any(
        module and isinstance(X, getattr(module, name)) for module, name in modules
    ):
        return X
    stream = ParquetStream(X)
    return stream.table() if is_small(stream) else stream


class ParquetStream(Stream):
    """Rows of a data set of pyarrow, or of a Parquet file.

    Parameters
    ----------
    X : pyarrow.dataset.Dataset or pyarrow.parquet.ParquetFile
        All columns are numeric.

    Raises
    ------
    TypeError
        If a column is not.
    """

    def __init__(self, X):
        is_file = hasattr(X, "schema_arrow")
        self.source, schema = X, X.schema_arrow if is_file else X.schema
        self.schema = schema
        numbers = _common_dtype(schema)
        sizes, self._readers = _of_file(X) if is_file else _of_data_set(X)
        self._groups = [0, *accumulate(sizes)]
        self._set_kind((self._groups[-1], len(schema)), numbers)
        # Of this object alone, so that it is freed with it.
        self._group = lru_cache(_N_KEPT)(self._read_group)

    @property
    def groups(self) -> list[int]:
        return self._groups

    @property
    def header(self):
        return self.schema.empty_table()

    def table(self):
        """All rows, in memory."""
        X = self.source
        return X.read() if hasattr(X, "read") else X.to_table()

    def _fill(self, rows: np.ndarray, start: int) -> None:
        stop = start + len(rows)
        # Of the groups that begin within the rows, and the one before them.
        first = int(np.searchsorted(self._groups, start, side="right")) - 1
        last = int(np.searchsorted(self._groups, stop))
        for group in range(first, last):
            begin = self._groups[group]
            values = self._group(group)[max(start - begin, 0) : stop - begin]
            place = max(begin - start, 0)
            rows[place : place + len(values)] = values

    def _read_group(self, group: int) -> np.ndarray:
        """Rows (m, d) of a row group; NaN where a value is missing."""
        columns = self._readers[group]().columns
        rows = np.empty((len(columns[0]), len(columns)), self._numbers)
        for j, column in enumerate(columns):
            rows[:, j] = column.to_numpy()
        return rows


Readers = tuple[list[int], list[Callable]]


def _of_file(file) -> Readers:
    """Sizes of the row groups of a Parquet file, and functions that read them."""
    groups = range(file.num_row_groups)
    sizes = [file.metadata.row_group(i).num_rows for i in groups]
    return sizes, [partial(file.read_row_group, i) for i in groups]


def _of_data_set(data_set) -> Readers:
    """The same of the files of a data set, some of which may be no Parquet."""
    sizes, readers = [], []
    for fragment in data_set.get_fragments():
        has_groups = hasattr(fragment, "split_by_row_group")
        for part in fragment.split_by_row_group() if has_groups else [fragment]:
            # `count_rows` of a row group counts the whole file.
            n = part.row_groups[0].num_rows if has_groups else part.count_rows()
            sizes.append(n)
            # By the schema of the data set, which has what folders are named for.
            read = partial(part.to_table, schema=data_set.schema)
            readers.append(read)
    return sizes, readers


def _common_dtype(schema) -> np.dtype:
    """Dtype that holds the values of all columns."""
    from pyarrow import types

    tests = types.is_integer, types.is_floating, types.is_boolean
    other = [f.name for f in schema if not any(is_kind(f.type) for is_kind in tests)]
    if other or not len(schema):
        raise TypeError(
            "X must have numeric columns alone; others are "
            f"{', '.join(map(repr, other)) or 'none'}. A data set without them: "
            "X.replace_schema(schema of the numeric columns)."
        )
    return np.result_type(*(field.type.to_pandas_dtype() for field in schema))
