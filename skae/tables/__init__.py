"""Tables of mixed columns: how close drawn rows are to real ones.

Imported by users; no other folder needs it. May import NumPy, SciPy, scikit-learn and
`data`; not the transformers, so that rows drawn by anything can be compared. Frames are
read through narwhals, which scikit-learn brings from version 1.9 on.
"""

from skae.tables._report import report

__all__ = ["report"]
