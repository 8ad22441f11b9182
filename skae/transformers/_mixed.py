"""Mixed tables of a transformer: dataframes in, rows of numbers for the model, and
dataframes out."""

from skae._sklearn import validate_data
from skae.data._arrays import as_tensor
from skae.data._tables import Table, is_table, warn_of_unknown
from skae.transformers._density_ratio import DensityRatio

# Choices of the likelihood with which a dataframe may have columns of other kinds: the
# defaults, which then are by columns as well.
_BY_DTYPE = "from_dtype", "gaussian", "squared_error"


class TableMixin:
    """What a transformer does with dataframes whose columns are not all numbers."""

    _table: Table | None = None
    # Of a mixed table; None where `sample` takes all draws as they come.
    _density_ratio: DensityRatio | None = None

    @property
    def columns_(self):
        """List of :class:`skae.tables.ColumnInfo` of a mixed table: name, kind, dtype,
        and categories or bounds of each column."""
        # Absent before a fit, and after a fit to an array, by `hasattr` too.
        if self._table is None:
            raise AttributeError(
                f"{type(self).__name__} was not fitted to a mixed table."
            )
        return self._table.info

    def _takes_table(self, X, *, reset: bool) -> bool:
        """Whether X is encoded: for a new fit, or else as for the last one.

        Raises
        ------
        TypeError
            If it should be a dataframe and is none.
        """
        choice, _ = self._likelihood_choice()
        if not reset:
            return self._table is not None and is_table(X, always=True)
        if not is_table(X, always=choice == "from_dtype"):
            return False
        if choice not in _BY_DTYPE:
            raise ValueError(
                f"A dataframe with columns that are not numbers has the likelihood of "
                f"each column's dtype: set 'from_dtype' in the place of {choice!r}."
            )
        return True

    def _encoded(self, X, *, reset: bool, takes_nan: bool, for_score=False, draws=None):
        """Rows (n, width) of a dataframe, float64."""
        if reset:
            validate_data(self, X, skip_check_array=True, reset=True)
            self._table = Table(X, self.max_categories)
        table = self._table
        unknown = self.handle_unknown
        if unknown == "missing" and for_score:
            unknown = "missing" if takes_nan else "rarest"
            consequence = "left out." if takes_nan else "taken for the rarest level."
            warn_of_unknown(table.unknown(X), f"In the score these are {consequence}")
        return table.encode(X, takes_nan=takes_nan, unknown=unknown, generator=draws)

    def _decoded(self, rows, *, like=None):
        """Rows (n, width) as the dataframe that they stand for; of an array, rows."""
        if self._table is None:
            return rows
        rows = as_tensor(rows).double().numpy(force=True)
        return self._table.decode(rows, like=like)

    @property
    def _names_of_features(self):
        """Names of the model's features, or None."""
        if self._table is not None:
            return self._table.encoded_names
        return getattr(self, "feature_names_in_", None)
