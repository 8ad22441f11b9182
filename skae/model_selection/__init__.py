"""Cross-validation of models that are fitted to partly labelled rows.

Imported by users; no other folder needs it. May import NumPy, scikit-learn and
`semi_supervised`, which defines which rows are labelled.
"""

from skae.model_selection._labelled_folds import LabelledFolds

__all__ = ["LabelledFolds"]
