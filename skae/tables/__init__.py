"""Tables of mixed columns: how close drawn rows are to real ones.

Imported by users; no other folder needs it. May import NumPy, SciPy, scikit-learn and
`data`; not the transformers, so that rows drawn by anything can be compared.
"""

from skae.data._table_columns import ColumnInfo
from skae.tables._report import report

__all__ = ["ColumnInfo", "report"]
