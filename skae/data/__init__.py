"""Data on their way in and out: arrays, mixed tables, rows, their moments and axes.

Imported by `training` and the folders of users; nothing here is for users. May import
torch, NumPy, scikit-learn, `io` and `nn`; knows of no estimator and of no training.
"""
