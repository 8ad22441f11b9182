"""What the benchmark of few labels gives to a classifier, and how it counts."""

import importlib
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def benchmark_module(monkeypatch):
    folder = Path(__file__).parent.parent / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    return importlib.import_module


def test_labels_are_shares_of_each_class_and_nested(benchmark_module):
    few_labels = benchmark_module("few_labels")
    y = np.repeat([0, 1, 2], [400, 100, 10])
    smaller = None
    for share, counts in ((0.05, [20, 5, 2]), (0.25, [100, 25, 2])):
        rows = few_labels.labelled_rows(y, share, seed=3)
        assert len(np.unique(rows)) == len(rows)
        np.testing.assert_array_equal(np.bincount(y[rows]), counts)
        assert smaller is None or smaller <= set(rows)
        smaller = set(rows)


def test_counts_of_tables_better_level_and_worse(benchmark_module):
    """Against the best of raw and PCA: 0.9 of a whitened PCA on the last table."""
    report = benchmark_module("few_labels_report")
    figures = {"a": (0.5, 0.5, 0.7), "b": (0.6, 0.5, 0.6), "c": (0.5, 0.9, 0.8)}
    rows = []
    for table, values in figures.items():
        names = ("raw", "PCA whitened", "AE swap")
        found = {
            name: dict.fromkeys(report.MEASURES, value)
            for name, value in zip(names, values)
        }
        found["PCA"] = found["raw"]
        rows += [{"table": table, "split": s, "measures": found} for s in range(2)]
    found = report.summary(rows, tuned=("a",))
    counts = found["all"]["auroc"]["AE swap"]["against"]
    assert list(counts["raw"].values()) == [2, 1, 0, 2, 0]
    assert list(counts["best of raw and PCA"].values()) == [1, 1, 1, 1, 1]
    assert found["unseen"]["n_tables"] == 2
