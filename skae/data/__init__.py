"""Data on their way in and out: arrays, rows, their moments and principal axes.

Imported by `training` and `transformers`; nothing here is for users. May import torch,
NumPy, scikit-learn and `nn`; knows of no estimator and of no training.
"""
