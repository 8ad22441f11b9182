"""The report on drawn rows of mixed tables: measures beside SciPy, pandas and loops."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from skae.tables import _measures as measures
from skae.tables import report
from skae.tables._frames import encode, read

N = 240


def people(n=N, seed=0):
    """Rows of all kinds of columns; income and plan depend on the age."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, n)
    plan = np.digitize(age + rng.normal(0, 5, n), [35, 60])
    income = np.where(rng.random(n) < 0.2, np.nan, 100.0 * age + rng.normal(0, 50, n))
    born = pd.Timestamp("2026-01-01") - pd.to_timedelta(age * 365, unit="D")
    city = rng.choice(
        np.array(["Oslo", "Rome", None], dtype=object), n, p=[0.5, 0.4, 0.1]
    )
    return pd.DataFrame(
        {
            "age": age,
            "income": income,
            "born": born,
            "plan": pd.Categorical.from_codes(plan, ["s", "m", "l"], ordered=True),
            "city": pd.Series(city, dtype=object),
            "member": rng.random(n) < age / 100,
        }
    )


TRAIN, TEST, NEW = (people(seed=i) for i in range(3))


def shuffled(frame, seed=0):
    """The same columns, independent of each other."""
    rng = np.random.default_rng(seed)
    return frame.apply(lambda column: column.array[rng.permutation(len(frame))])


@pytest.fixture(scope="module")
def found():
    return report(TRAIN, TEST, NEW, by_column=True, random_state=0)


@pytest.fixture(scope="module")
def encoded():
    return encode(read(TRAIN, TEST, NEW))


# Measures.


def test_distances_are_those_of_scipy_and_of_counts(encoded):
    (train, test, _), is_category = encoded
    distances = measures.column_distances(train, test, is_category)
    for name, distance in zip(TRAIN.columns, distances):
        a, b = TRAIN[name].dropna(), TEST[name].dropna()
        if name in ("plan", "city", "member"):
            frequencies = [x.astype(str).value_counts(normalize=True) for x in (a, b)]
            truth = frequencies[0].sub(frequencies[1], fill_value=0).abs().sum() / 2
        else:
            truth = stats.ks_2samp(a.astype("int64"), b.astype("int64")).statistic
        assert distance == pytest.approx(truth)


def test_equal_rows_are_at_no_distance(encoded):
    (train, *_), is_category = encoded
    assert not measures.column_distances(train, train, is_category).any()
    assert not measures.missing_differences(train, train).any()
    assert measures.association_difference(train, train, train, is_category) == 0


def test_a_column_that_only_one_side_observes_is_at_distance_one():
    a, b = np.full((5, 2), np.nan), np.ones((5, 2))
    is_category = np.array([True, False])
    assert measures.column_distances(a, b, is_category).tolist() == [1, 1]
    assert measures.column_distances(a, a, is_category).tolist() == [0, 0]
    assert measures.missing_differences(a, b).tolist() == [1, 1]


def test_associations_are_cramers_v_of_the_counts(encoded):
    (train, *_), is_category = encoded
    bins = measures.binned(train, train, is_category)
    found = measures.associations(bins)
    i, j = list(TRAIN.columns).index("plan"), list(TRAIN.columns).index("member")
    counts = pd.crosstab(TRAIN["plan"], TRAIN["member"]).to_numpy()
    chi2 = stats.chi2_contingency(counts, correction=False).statistic
    pairs = [(a, b) for a in range(6) for b in range(a + 1, 6)]
    assert found[pairs.index((i, j))] == pytest.approx(np.sqrt(chi2 / len(TRAIN)))
    assert measures.associations(bins[:, [0, 0]]) == pytest.approx(1)
    assert measures.associations(np.zeros_like(bins))[0] == 0  # a single level


def test_bins_are_quantiles_and_frequent_levels():
    rng = np.random.default_rng(0)
    numbers = rng.permutation(np.arange(800.0))
    levels = np.repeat(np.arange(20.0), np.arange(40, 20, -1))[:600]
    X = np.column_stack([numbers[:600], levels])
    X[:7, 0] = np.nan
    bins = measures.binned(X, X, np.array([False, True]))
    counts = np.unique(bins[:, 0], return_counts=True)[1]
    # Eight bins of nearly equal numbers of rows, and the missing entries.
    assert counts[0] == 7 and len(counts) == 9
    assert np.ptp(counts[1:]) <= 1
    # The seven most frequent levels and the rest.
    assert np.unique(bins[:, 1]).tolist() == [*range(7), np.inf]


def test_ranks_are_those_of_scipy():
    x = np.random.default_rng(0).integers(20, size=100).astype(float)
    truth = (stats.rankdata(x) - 0.5) / len(x)
    np.testing.assert_allclose(measures.ranks(x, x), truth)
    assert np.isnan(measures.ranks(np.array([np.nan]), x)).all()


def gower(a, b, train, is_category):
    """Distance of two rows, entry by entry."""
    total = 0.0
    for x, y, known, category in zip(a, b, train.T, is_category):
        if category:
            total += not (x == y or (np.isnan(x) and np.isnan(y)))
        else:
            x, y = (measures.ranks(np.array([v]), known)[0] for v in (x, y))
            total += abs(np.nan_to_num(x, nan=0.5) - np.nan_to_num(y, nan=0.5))
            total += 0.5 * (np.isnan(x) != np.isnan(y))
    return total


def test_coordinates_give_gowers_distances(encoded):
    (train, test, _), is_category = encoded
    sets = [train[:12], test[:15]]
    a, b = measures.gower_coordinates(sets, train, is_category)
    truth = [[gower(x, y, train, is_category) for y in sets[1]] for x in sets[0]]
    np.testing.assert_allclose(cdist(a, b, "cityblock"), truth, atol=1e-12)


def test_nearer_rows_are_counted(encoded):
    (train, test, new), is_category = encoded

    a, b, *drawn = measures.gower_coordinates(
        [train, test, train, test, new], train, is_category
    )
    for rows, coordinates in zip((train, test, new), drawn):
        found = measures.nearer_train(
            rows, test, train, is_category, np.random.RandomState(0)
        )
        nearest = [cdist(coordinates, x, "cityblock").min(1) for x in (a, b)]
        is_tied = np.isclose(*nearest)
        is_nearer = ~is_tied & (nearest[0] < nearest[1])
        assert found == pytest.approx(is_nearer.mean() + is_tied.mean() / 2)
        if rows is not new:  # equal rows are in both sets
            assert found == pytest.approx(float(rows is train), abs=0.01)


def test_copies_are_those_of_a_merge():
    columns = ["plan", "city", "member"]
    train, new = TRAIN[columns].iloc[:40], NEW[columns]
    (a, _, c), _ = encode(read(train, TEST[columns], new))
    truth = new.merge(train.drop_duplicates(), on=columns, how="inner")
    assert 0 < len(truth) < len(new)
    assert measures.copies(c, a) == pytest.approx(len(truth) / len(new))


def test_invalid_rows_are_counted():
    new = TRAIN.copy().iloc[:10].astype({"age": float})
    new.loc[0, "age"] = 17.0  # below the range
    new.loc[1, "age"] = 40.5  # no whole number
    new.loc[2, "city"] = "Bonn"
    new.loc[3, "plan"] = np.nan  # of a complete column
    new.loc[4, "city"] = np.nan  # of one that is not
    new.loc[5, "income"] = np.nan
    new.loc[6, "born"] = pd.Timestamp("2100-01-01")
    new.loc[6, "age"] = 200.0  # twice in one row
    (train, _, new), is_category = encode(read(TRAIN, TEST, new))
    assert measures.invalid_rows(new, train, is_category) == pytest.approx(0.5)
    assert measures.invalid_rows(train, train, is_category) == 0


def test_declared_levels_that_no_row_has_are_invalid():
    train = pd.DataFrame(
        {"a": pd.Categorical(["x", "y"] * 5, categories=["z", "y", "x"])}
    )
    new = train.copy()
    new.loc[0, "a"] = "z"
    (a, _, c), is_category = encode(read(train, train, new))
    assert measures.invalid_rows(c, a, is_category) == pytest.approx(0.1)


def test_detection_is_blind_to_equal_distributions_and_sees_a_shift():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 2000, 2))
    auroc = measures.detection(a, b, np.random.RandomState(0))
    assert auroc == pytest.approx(0.5, abs=0.03)
    b[:, 0] += 1  # the best rule ranks by the first column: Phi(1 / sqrt(2))
    auroc = measures.detection(a, b, np.random.RandomState(0))
    assert auroc == pytest.approx(stats.norm.cdf(2**-0.5), abs=0.03)


def test_predictions_know_what_the_columns_say():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 3))
    X[:, 1] = np.exp(X[:, 0])
    X[:, 2] = X[:, 0] > 0
    parts = X[:300], X[300:600], X[600:]
    is_category = np.array([False, False, True])
    scores = measures.prediction_scores(*parts, is_category, [1, 2])
    assert np.isnan(scores[0]) and (scores[1:] > 0.97).all()
    # What is learned from the opposite is wrong.
    for j, opposite, worst in (1, 1 / X[:, 1], -1), (2, 1 - X[:, 2], 0.03):
        wrong = X.copy()
        wrong[:, j] = opposite
        scores = measures.prediction_scores(wrong[:300], *parts[1:], is_category, [j])
        assert scores[j] < worst


# Frames.


def test_kinds_are_read_from_dtypes(encoded):
    (train, *_), is_category = encoded
    assert is_category.tolist() == [False, False, False, True, True, True]
    np.testing.assert_array_equal(train[:, 0], TRAIN["age"])
    np.testing.assert_array_equal(train[:, 1], TRAIN["income"])
    assert all(x < y for x, y in pairwise(np.unique(train[:, 2])))
    np.testing.assert_array_equal(train[:, 3], TRAIN["plan"].cat.codes)
    is_missing = TRAIN["city"].isna()
    np.testing.assert_array_equal(np.isnan(train[:, 4]), is_missing)
    np.testing.assert_array_equal(
        train[~is_missing, 4] == 0, TRAIN.city.dropna() == "Oslo"
    )


def test_frames_of_polars_give_the_same():
    pl = pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    plans = pl.col("plan").cast(pl.Enum(["s", "m", "l"]))
    frames = [pl.from_pandas(f).with_columns(plans) for f in (TRAIN, TEST, NEW)]
    found = report(*frames, target="plan", random_state=0)
    truth = report(TRAIN, TEST, NEW, target="plan", random_state=0)
    assert isinstance(found, pl.DataFrame)
    assert found["measure"].to_list() == truth.index.tolist()
    np.testing.assert_allclose(found.drop("measure"), truth, rtol=1e-12)


def test_nullable_and_temporal_columns():
    def frame(seed):
        rng = np.random.default_rng(seed)
        return pd.DataFrame(
            {
                "count": pd.array([None, *rng.integers(9, size=59)], dtype="Int64"),
                "flag": pd.array([None, *(rng.random(59) < 0.5)], dtype="boolean"),
                "took": pd.to_timedelta([None, *rng.random(59)], unit="s"),
                "at": pd.Series(
                    pd.to_datetime([None, *rng.integers(9, size=59)], unit="D")
                ).dt.tz_localize("Europe/Oslo"),
            }
        )

    (train, *_), is_category = encode(read(frame(0), frame(1), frame(2)))
    assert np.isnan(train).sum(0).tolist() == [1, 1, 1, 1]
    assert is_category.tolist() == [False, True, False, False]
    assert report(frame(0), frame(1), frame(2), random_state=0).notna().to_numpy().all()


def test_levels_that_are_whole_numbers_stay_so_beside_missing_ones():
    """pandas turns a column of whole numbers with a missing one to floats."""
    train = pd.DataFrame({"a": pd.Categorical([1, 2, 3] * 4, ordered=True)})
    new = train.copy()
    new.loc[0, "a"] = np.nan
    (known, _, drawn), _ = encode(read(train, train, new))
    np.testing.assert_array_equal(drawn[1:], known[1:])
    assert np.isnan(drawn[0])


# The report.


def test_lines_and_columns(found):
    assert found.columns.tolist() == ["new", "fresh", "bootstrap", "ideal"]
    assert found.index.name == "measure"
    assert found.loc["copies", "bootstrap"] == 1
    # A few rows have their like in both.
    assert found.loc["nearer_train", "bootstrap"] > 0.98
    assert found.loc["invalid_rows", "bootstrap"] == 0
    assert (found.loc["changed_dtypes"] == 0).all()


def test_lines_are_means_of_those_of_their_columns(found):
    for measure in (
        "kolmogorov_smirnov",
        "total_variation",
        "missing",
        "prediction_r2",
    ):
        own = found[found.index.str.startswith(measure + ": ")]
        assert len(own) == (6 if measure == "missing" else 3)
        np.testing.assert_allclose(own.mean(), found.loc[measure])


def test_fresh_rows_and_rows_of_the_same_law_are_near_the_ideal(found):
    near = found.loc[["detection_auroc", "nearer_train"], ["new", "fresh"]]
    np.testing.assert_allclose(near, 0.5, atol=0.12)
    far = (found["new"] - found["ideal"]).abs() - (
        found["fresh"] - found["ideal"]
    ).abs()
    assert far.loc["kolmogorov_smirnov":"association"].abs().max() < 0.05


def test_independent_columns_keep_distances_and_lose_the_pairs(found):
    loose = report(TRAIN, TEST, shuffled(NEW), random_state=0)
    distances = ["kolmogorov_smirnov", "total_variation", "missing"]
    difference = loose.loc[distances, "new"] - found.loc[distances, "new"]
    assert difference.abs().max() < 0.03
    assert loose.loc["association", "new"] > 3 * loose.loc["association", "fresh"]
    assert loose.loc["detection_auroc", "new"] > 0.8
    assert loose.loc["prediction_auroc", "new"] < found.loc["prediction_auroc", "new"]
    assert loose.loc["prediction_r2", "new"] < 0.1 < found.loc["prediction_r2", "new"]


def test_rows_of_train_are_called_copies():
    copied = report(TRAIN, TEST, TRAIN, target=[], random_state=0)
    assert copied.loc["copies", "new"] == 1
    assert copied.loc["nearer_train", "new"] > 0.98


def test_equal_seeds_give_equal_reports_and_frames_stay(found):
    before = [frame.copy() for frame in (TRAIN, TEST, NEW)]
    again = report(TRAIN, TEST, NEW, by_column=True, random_state=0)
    pd.testing.assert_frame_equal(again, found)
    for frame, copy in zip((TRAIN, TEST, NEW), before):
        pd.testing.assert_frame_equal(frame, copy)


def test_columns_are_found_by_name(found):
    reordered = TEST[TEST.columns[::-1]], NEW[NEW.columns[1:].append(NEW.columns[:1])]
    again = report(TRAIN, *reordered, target=[], random_state=0).dropna()
    pd.testing.assert_frame_equal(again, found.loc[again.index])


def test_target_chooses_what_is_predicted():
    one = report(TRAIN, TEST, NEW, target="plan", by_column=True, random_state=0)
    predicted = one[one.index.str.startswith("prediction")]
    assert predicted.index.tolist() == [
        "prediction_auroc",
        "prediction_r2",
        "prediction_auroc: plan",
    ]
    assert predicted.loc["prediction_r2"].isna().all()
    assert one.loc["prediction_auroc", "ideal"] > 0.8


def test_changed_dtypes_are_counted():
    new = NEW.astype({"age": float, "city": "category"})
    found = report(TRAIN, TEST, new, target=[], random_state=0)
    assert found.loc["prediction_auroc":"prediction_r2"].isna().to_numpy().all()
    assert found.loc["changed_dtypes", "new"] == pytest.approx(2 / 6)
    assert found.loc["changed_dtypes", "fresh"] == 0


def test_a_table_of_one_column_and_few_rows():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]})
    found = report(frame, frame, frame, random_state=0)
    assert found.loc[["total_variation", "association"]].isna().to_numpy()[:, :3].all()


# Errors.


def test_arrays_are_refused():
    with pytest.raises(TypeError, match=r"test has to be a data frame.*got ndarray"):
        report(TRAIN, TEST.to_numpy(), NEW)


def test_other_columns_are_refused():
    with pytest.raises(ValueError, match=r"train and new differ.*\['age', 'years'\]"):
        report(TRAIN, TEST, NEW.rename(columns={"age": "years"}))


def test_frames_of_two_libraries_are_refused():
    pl = pytest.importorskip("polars")
    with pytest.raises(TypeError, match="train and new are frames of different"):
        report(TRAIN, TEST, pl.DataFrame({name: [1, 2] for name in TRAIN.columns}))


@pytest.mark.parametrize("which", range(3))
def test_few_rows_are_refused(which):
    frames = [TRAIN, TEST, NEW]
    frames[which] = frames[which][:1]
    with pytest.raises(ValueError, match="has 1 rows"):
        report(*frames)


def test_three_rows_to_compare_with_are_refused():
    with pytest.raises(ValueError, match="test has 3 rows, and 4 at least"):
        report(TRAIN, TEST[:3], NEW)


def test_columns_of_mixed_objects_are_refused():
    odd = [frame.assign(odd=[1, "a"] * (N // 2)) for frame in (TRAIN, TEST, NEW)]
    with pytest.raises(
        TypeError, match="Column 'odd' holds objects of the types int, str"
    ):
        report(*odd)


def test_text_among_numbers_is_refused():
    with pytest.raises(TypeError, match="Column 'age' is of the kind number in train"):
        report(TRAIN, TEST, NEW.astype({"age": str}))


def test_infinite_numbers_are_refused():
    with pytest.raises(ValueError, match="Column 'income' contains infinity"):
        report(TRAIN, TEST, NEW.assign(income=np.inf))


def test_keys_are_refused():
    named = [f.assign(name=[f"n{i}" for i in range(N)]) for f in (TRAIN, TEST, NEW)]
    with pytest.raises(ValueError, match="Column 'name' looks like a key"):
        report(*named)


def test_unknown_targets_are_refused():
    with pytest.raises(ValueError, match=r"target has \['job'\]"):
        report(TRAIN, TEST, NEW, target=["plan", "job"])
