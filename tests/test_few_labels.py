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


def test_mnist_draws_are_balanced_and_differ(benchmark_module):
    few_labels_mnist = benchmark_module("few_labels_mnist")
    y = np.random.default_rng(0).integers(0, 10, 3000)
    first, second = (few_labels_mnist.draw_labels(y, 100, seed) for seed in (0, 1))
    for partly in (first, second):
        known = partly >= 0
        np.testing.assert_array_equal(np.bincount(partly[known]), np.full(10, 10))
        np.testing.assert_array_equal(partly[known], y[known])
    assert ((first >= 0) & (second >= 0)).sum() < 30


def test_mnist_summary_is_mean_and_spread_of_the_draws(benchmark_module):
    few_labels_mnist = benchmark_module("few_labels_mnist")
    case = {"features": "PCA", "classifier": "SVC", "n_labels": 100, "seed": 0}
    rows = [case | {"error_percent": e, "seconds": 1.0} for e in (1.0, 3.0, 5.0)]
    other = case | {"n_labels": 1000, "error_percent": 7.0, "seconds": 2.0}
    found = few_labels_mnist.summary([*rows, other])
    assert [row["mean"] for row in found] == [3.0, 7.0]
    assert found[0]["sd"] == 2.0 and found[0]["draws"] == 3
    assert found[1]["sd"] is None


def test_default_beside_a_rival_by_paired_standard_errors(benchmark_module):
    few_labels_default = benchmark_module("few_labels_default")

    def row(own, rival, excess):
        of_rival = {"error": rival, "excess": excess, "standard_error": 0.02}
        return {"measures": {"default": {"error": own}, "raw": of_rival}}

    rows = [row(0.1, 0.2, -0.1), row(0.3, 0.29, 0.01), row(0.3, 0.2, 0.1)]
    (found,) = few_labels_default.summary(rows)
    assert (found["worse"], found["better"], found["cases"]) == (1, 1, 3)
    np.testing.assert_allclose(found["error_percent"], [70 / 3, 23])
    ratios = [0.105 / 0.205, 0.305 / 0.295, 0.305 / 0.205]
    assert found["error_ratio"] == pytest.approx(np.prod(ratios) ** (1 / 3))
    assert found["missed_ratio"] is None
