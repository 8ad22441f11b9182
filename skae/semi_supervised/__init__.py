"""Features from all rows, a classifier from the labelled ones.

Takes any transformer by its public methods.
"""

from skae.semi_supervised._classifier import SemiSupervisedClassifier

__all__ = ["SemiSupervisedClassifier"]
