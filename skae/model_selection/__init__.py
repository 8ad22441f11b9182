"""Splitters for searches over partly labelled rows."""

from skae.model_selection._labelled_folds import LabelledFolds

__all__ = ["LabelledFolds"]
