"""The benchmark of mixed tables: its tables, contenders and measures."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pandas", minversion="2.2")

_FOLDER = str(Path(__file__).parent.parent / "benchmarks")


@pytest.fixture(scope="module")
def benchmark():
    """The modules, which import each other by name."""
    sys.path.insert(0, _FOLDER)
    import mixed_drawing
    import mixed_imputing
    import mixed_tables

    yield mixed_tables, mixed_drawing, mixed_imputing
    sys.path.remove(_FOLDER)


@pytest.mark.parametrize("name", ["adults", "orders", "machines", "patients", "trips"])
def test_rules_hold_in_made_tables_and_break_in_shuffled_ones(benchmark, name):
    tables = benchmark[0]
    frame = tables.MADE[name](400, seed=3)
    assert tables.RULES[name](frame).all()
    rng = np.random.default_rng(0)
    loose = frame.apply(lambda column: column.array[rng.permutation(len(frame))])
    assert 0 < tables.RULES[name](loose).mean() < 1


def test_cart_draws_entries_of_train_of_its_dtypes_and_keeps_what_is_determined(
    benchmark,
):
    tables, drawing, _ = benchmark
    train, _ = tables.halves(tables.patients(600), 0)
    new = drawing.cart(train, 300, 0)
    assert new.dtypes.equals(train.dtypes)
    assert all(new[name].isin(train[name].unique()).all() for name in train)
    assert tables.RULES["patients"](new).mean() > 0.95
    pd.testing.assert_frame_equal(drawing.cart(train, 300, 0), new)


@pytest.mark.parametrize("name", ["adults", "orders", "machines", "trips"])
def test_complete_frames_come_back_as_the_table(benchmark, name):
    tables, drawing, _ = benchmark
    frame = tables.MADE[name](200)
    complete, levels = drawing.plain(frame)
    assert not complete.isna().any().any()
    back = drawing.mixed(complete, frame)
    pd.testing.assert_frame_equal(back, frame, check_dtype=True)
    assert set(levels) >= set(frame.columns[frame.dtypes == "category"])


def test_masked_entries_are_those_that_were_known(benchmark):
    tables, _, imputing = benchmark
    frame = tables.adults(500)
    holes, mask = imputing.hide(frame, 0.3, 0)
    known = frame.notna().to_numpy()
    np.testing.assert_array_equal(mask, known & holes.isna().to_numpy())
    assert mask.sum() / known.sum() == pytest.approx(0.3, abs=0.03)


def test_measures_of_filled_entries(benchmark):
    """A number off by one deviation; two of three levels right, with probability .8."""
    imputing = benchmark[2]
    truth = np.array([[0.0, 0], [2, 1], [0, 2], [2, 0]])
    mask = np.array([[True, True], [True, True], [True, True], [False, False]])
    X = np.array([[1.0, 0], [1, 1], [1, 0], [2, 0]])
    p = np.array([[0.8, 0.2, 0], [0.2, 0.8, 0], [1, 0, 0], [1, 0, 0]])
    filled = imputing.Filled(X, {1: p}, np.stack([X - 1.5] * 10 + [X + 0.5] * 10))
    found = imputing.measures(filled, truth, mask, [False, True])
    assert found["error"] == pytest.approx(1)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["brier"] == pytest.approx((0.08 + 0.08 + 2) / 3)
    assert found["coverage"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", ["KNNImputer", "IterativeImputer", "missForest"])
def test_imputers_find_what_another_column_says(benchmark, name):
    imputing = benchmark[2]
    rng = np.random.default_rng(0)
    level = rng.integers(3, size=300).astype(float)
    truth = np.column_stack([level, 10 * level, rng.permuted(level)])
    mask = np.zeros(truth.shape, bool)
    mask[:60, 1] = True
    filled = imputing.IMPUTERS[name](np.where(mask, np.nan, truth), {0: 3, 2: 3}, 0)
    found = imputing.measures(filled, truth, mask, [True, False, True])
    assert found["error"] < 0.2
    np.testing.assert_array_equal(filled.X[~mask], truth[~mask])
