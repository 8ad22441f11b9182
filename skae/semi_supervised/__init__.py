"""Semi-supervised learning: features from all rows, a classifier from labelled ones.

Imported by users, and by `model_selection`, which needs to know the labelled rows. May
import NumPy, SciPy, scikit-learn and the public names of `transformers`; not torch, so
that any transformer will do.
"""

from skae.semi_supervised._classifier import SemiSupervisedClassifier

__all__ = ["SemiSupervisedClassifier"]
