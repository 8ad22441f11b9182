"""Dataframes of mixed columns: in, out, and what is drawn and filled."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import ks_2samp, norm
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import skae
from skae import (
    AutoencoderDetector,
    AutoencoderImputer,
    AutoencoderTransformer,
    SemiSupervisedClassifier,
    VAETransformer,
)
from skae.data._column_encoders import Levels, Ranks
from skae.data._tables import Table

both = pytest.mark.parametrize("estimator", [AutoencoderTransformer, VAETransformer])
packages = pytest.mark.parametrize("package", ["pandas", "polars"])
FAST = {"hidden_layer_sizes": (32,), "max_iter": 5, "random_state": 0}
N = 400


def people(n=N, seed=0):
    """Ints, strings, ordered categories, booleans, dates and holes."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    age = (40 + 12 * size + 3 * rng.normal(size=n)).round().astype(int)
    paid = np.where(rng.random(n) < 0.4, 0.0, np.exp(6 + size).round(2))
    grade = np.digitize(size + 0.5 * rng.normal(size=n), [-1, 0, 1])
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(
        (10_000 + 3000 * size).astype(int), unit="D"
    )
    frame = pd.DataFrame(
        {
            "age": age,
            "paid": paid,
            "visits": pd.array(rng.poisson(3 + np.exp(size)), dtype="Int64"),
            "city": rng.choice(["Oslo", "Bergen", "Moss"], n, p=[0.6, 0.3, 0.1]),
            "grade": pd.Categorical.from_codes(
                grade, ["low", "fair", "good", "best"], ordered=True
            ),
            "kind": pd.Categorical(
                rng.choice(["a", "b"], n), categories=["b", "a", "z"]
            ),
            "ok": rng.random(n) < norm.cdf(size),
            "born": born,
            "seen": pd.Timestamp("2020-01-01", tz="Europe/Oslo")
            + pd.to_timedelta(rng.integers(0, 5000, n), unit="h"),
            "weight": rng.normal(size=n).astype("float32"),
        }
    )
    frame.loc[rng.random(n) < 0.1, "visits"] = pd.NA
    frame.loc[rng.random(n) < 0.1, "city"] = None
    frame.loc[rng.random(n) < 0.1, "born"] = pd.NaT
    return frame


def made(package, **options):
    frame = people(**options)
    return pl.from_pandas(frame) if package == "polars" else frame


def dtypes_of(frame):
    return dict(frame.schema) if isinstance(frame, pl.DataFrame) else dict(frame.dtypes)


def column(frame, name):
    return pd.Series(frame[name].to_list(), dtype=object)


@pytest.fixture(scope="module")
def fitted():
    return VAETransformer(
        4, allow_nan=True, hidden_layer_sizes=(32,), max_iter=30, random_state=0
    ).fit(people())


@packages
@both
def test_frames_come_back_with_their_columns_and_dtypes(estimator, package):
    frame = made(package)
    model = estimator(3, allow_nan=True, **FAST).fit(frame)
    codes = model.transform(frame)
    assert codes.shape == (N, 3) and codes.dtype == np.float64
    for back in (
        model.sample(50, random_state=0),
        model.sample(50, random_state=0, missing=True),
        model.inverse_transform(codes),
        model.reconstruct(frame),
        model.impute(frame),
        *model.impute(frame, n_imputations=2, random_state=0),
    ):
        assert type(back) is type(frame)
        assert dtypes_of(back) == dtypes_of(frame)
    assert len(model.columns_) == model.n_features_in_ == frame.shape[1]


@packages
def test_what_is_drawn_is_a_value_of_its_column(package):
    frame = made(package)
    model = VAETransformer(3, allow_nan=True, **FAST | {"max_iter": 30}).fit(frame)
    drawn = model.sample(2000, random_state=0)
    for name in ("city", "grade", "kind", "ok", "visits"):
        seen = set(column(frame, name).dropna())
        assert set(column(drawn, name)) <= seen
    for name in ("age", "paid", "born", "seen", "weight"):
        values, known = column(drawn, name), column(frame, name).dropna()
        assert values.between(known.min(), known.max()).all()
    cents = column(drawn, "paid").astype(float) * 100
    assert np.allclose(cents, cents.round())
    # Days, not moments.
    assert (
        (pd.to_datetime(column(drawn, "born")).dt.normalize())
        .eq(pd.to_datetime(column(drawn, "born")))
        .all()
    )
    assert column(drawn, "paid").eq(0).mean() == pytest.approx(0.4, abs=0.08)


def test_columns_are_understood_from_their_dtypes(fitted):
    kinds = {info.name: info.kind for info in fitted.columns_}
    assert kinds == {
        "age": "number",
        "paid": "number",
        "visits": "number",
        "city": "categorical",
        "grade": "ordinal",
        "kind": "categorical",
        "ok": "boolean",
        "born": "date",
        "seen": "date",
        "weight": "number",
    }
    info = {info.name: info for info in fitted.columns_}
    assert info["city"].categories == ["Bergen", "Moss", "Oslo"]
    assert info["grade"].categories == ["low", "fair", "good", "best"]
    assert info["paid"].decimals == 2
    assert info["age"].bounds == (people().age.min(), people().age.max())


def test_arrays_and_frames_of_numbers_do_not_enter_the_path():
    X = np.random.default_rng(0).normal(size=(60, 3))
    frame = pd.DataFrame(X, columns=list("abc")).assign(flag=X[:, 0] > 0)
    array = np.column_stack([X, X[:, 0] > 0])
    model = VAETransformer(2, **FAST).fit(frame)
    plain = VAETransformer(2, **FAST).fit(array)
    np.testing.assert_array_equal(model.transform(frame), plain.transform(array))
    assert not hasattr(model, "columns_") and isinstance(model.sample(2), np.ndarray)
    asked = VAETransformer(2, likelihood="from_dtype", **FAST).fit(frame)
    assert isinstance(asked.sample(2), pd.DataFrame)
    with pytest.raises(TypeError, match="needs a dataframe"):
        VAETransformer(2, likelihood="from_dtype", **FAST).fit(array)


def test_ranks_are_the_quantiles_of_a_normal():
    rng = np.random.default_rng(0)
    values = rng.lognormal(size=5000)
    ranks = Ranks(values)
    z = ranks.encode(values)[:, 0]
    assert ks_2samp(z, rng.normal(size=100_000)).pvalue > 0.1
    # The way back is exact, but for values between knots.
    np.testing.assert_allclose(ranks.decode(z[:, None]), values, rtol=1e-6)
    draws = ranks.decode(rng.normal(size=(5000, 1)))
    assert ks_2samp(draws, values).pvalue > 0.1
    assert draws.min() >= values.min() and draws.max() <= values.max()


def test_ranks_keep_spikes_and_whole_numbers():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(5000) < 0.3, 0, rng.poisson(200, 5000)).astype(float)
    ranks = Ranks(values)
    spread = ranks.encode(values, rng)[:, 0]
    assert ks_2samp(spread, rng.normal(size=100_000)).pvalue > 0.1
    np.testing.assert_array_equal(ranks.decode(spread[:, None]), values)
    # The middle of its ranks stands for a value, in the same way each time.
    np.testing.assert_array_equal(ranks.decode(ranks.encode(values)), values)
    draws = ranks.decode(rng.normal(size=(5000, 1)))
    assert abs((draws == 0).mean() - 0.3) < 0.02
    assert set(draws) <= set(values)


def test_the_slope_of_ranks_makes_their_density_that_of_the_values():
    rng = np.random.default_rng(0)
    ranks = Ranks(rng.exponential(size=20_000))
    values = rng.exponential(size=20_000)
    log_density = norm.logpdf(ranks.encode(values)[:, 0]) + ranks.log_slope(values)
    # The mean log-density of an exponential variable is -1.
    assert log_density.mean() == pytest.approx(-1, abs=0.05)
    # Of two values, that of their probabilities.
    coins = Ranks((rng.random(2000) < 0.3).astype(float))
    log_mass = coins.log_slope(np.array([0.0, 1.0]))
    z = coins.encode(np.array([0.0, 1.0]))[:, 0]
    assert coins.is_discrete and np.isfinite(log_mass + norm.logpdf(z)).all()


def test_numbers_outside_go_on_as_far_as_they_are():
    ranks = Ranks(np.random.default_rng(0).normal(size=3000))
    values = np.array([5.0, 10.0, 100.0, 1e9, -1e9])
    z = ranks.encode(values)[:, 0]
    assert (np.diff(z[:4]) > 0.5).all() and z[3] > 15 and z[4] < -15
    # The slope is the derivative.
    higher = ranks.encode(values * 1.001)[:, 0]
    slope = np.log((higher - z) / (values * 0.001))
    np.testing.assert_allclose(ranks.log_slope(values * 1.0005), slope, atol=1e-3)


def test_infrequent_levels_share_a_column():
    rng = np.random.default_rng(0)
    values = np.append(rng.integers(0, 5, 900), np.arange(5, 105)).astype(float)
    levels = Levels(values, is_ordered=False, max_categories=6)
    rows = levels.encode(values)
    assert levels.width == 6 and (rows.sum(1) == 1).all()
    assert rows[:, -1].sum() == 100
    drawn = levels.decode(np.repeat(rows[-1:], 500, 0), rng)
    assert set(drawn) <= set(np.arange(5.0, 105.0)) and len(set(drawn)) > 50


def test_weights_count_as_rows_that_come_again():
    frame = people(120)
    weight = np.random.default_rng(0).integers(0, 3, 120)
    repeated = frame.loc[frame.index.repeat(weight)]
    options = {"allow_nan": True, **FAST}
    model = VAETransformer(2, **options).fit(frame, sample_weight=weight)
    other = VAETransformer(2, **options).fit(repeated)
    np.testing.assert_array_equal(model.transform(frame), other.transform(frame))


@pytest.mark.parametrize("n_passes", [0, 2])
def test_large_tables_are_encoded_in_float32(monkeypatch, n_passes):
    """Their rows become the standardized ones, which changes no code by more than
    rounding does; a first pass of several keeps its rows."""
    frame, models = people(), []
    for most in (10**9, 0):
        monkeypatch.setattr("skae.data._tables._MOST_DOUBLE", most)
        model = VAETransformer(3, allow_nan=True, **FAST | {"max_iter": 0})
        if not n_passes:
            model.fit(frame)
        for _ in range(n_passes):
            model.partial_fit(frame)
        models.append(model)
    first, second = (model.transform(frame) for model in models)
    np.testing.assert_allclose(second, first, atol=0.01 if n_passes else 1e-3)


def test_columns_may_come_in_another_order(fitted):
    frame = people()
    np.testing.assert_array_equal(
        fitted.transform(frame), fitted.transform(frame[frame.columns[::-1]])
    )
    with pytest.raises(ValueError, match="Unseen at fit time: town"):
        fitted.transform(frame.rename(columns={"city": "town"}))
    with pytest.raises(TypeError, match="dataframe"):
        fitted.transform(np.zeros((3, 10)))


def test_imputation_changes_no_observed_value(fitted):
    frame = people(seed=1).set_axis(range(1000, 1000 + N))
    filled = fitted.impute(frame)
    assert filled.index.equals(frame.index) and not filled.isna().any().any()
    for name in frame:
        seen = frame[name].notna()
        assert filled.loc[seen, name].eq(frame.loc[seen, name]).all()


def test_missing_values_are_drawn_as_often_as_they_were(fitted):
    frame = people()
    drawn = fitted.sample(4000, random_state=0, missing=True)
    np.testing.assert_allclose(drawn.isna().mean(), frame.isna().mean(), atol=0.03)
    assert not fitted.sample(100, random_state=0).isna().any().any()


def test_a_missing_pattern_follows_the_code():
    frame = people(1000)
    frame["visits"] = frame["visits"].mask(frame["age"] > 50)
    model = VAETransformer(4, allow_nan=True, max_iter=20, random_state=0).fit(frame)
    drawn = model.sample(3000, random_state=0, missing=True)
    is_missing = drawn["visits"].isna()
    assert drawn["age"][is_missing].mean() > drawn["age"][~is_missing].mean() + 10


def test_unknown_categories(fitted):
    frame = people().iloc[:20].assign(city="Paris")
    nothing = people().iloc[:20].assign(city=None)
    np.testing.assert_array_equal(fitted.transform(frame), fitted.transform(nothing))
    with pytest.warns(UserWarning, match="city.*left out"):
        scores = fitted.score_samples(frame)
    np.testing.assert_array_equal(scores, fitted.score_samples(nothing))
    strict = clone(fitted).set_params(handle_unknown="error").fit(people())
    with pytest.raises(ValueError, match="'city' has a value in row 0"):
        strict.transform(frame)
    complete = people().drop(columns=["visits", "born"]).dropna()
    model = VAETransformer(2, **FAST).fit(complete)
    other = complete.iloc[:20].assign(city="Paris")
    assert np.isfinite(model.transform(other)).all()
    with pytest.warns(UserWarning, match="rarest level"):
        unknown = model.score_samples(other)
    rarest = model.score_samples(complete.iloc[:20].assign(city="Moss"))
    np.testing.assert_array_equal(unknown, rarest)


def test_missing_values_need_allow_nan():
    with pytest.raises(ValueError, match=r"'visits' has missing values.*allow_nan"):
        VAETransformer(2, **FAST).fit(people())


@pytest.mark.parametrize(
    ("given", "is_met"),
    [
        ({"city": "Oslo"}, lambda d: d.city == "Oslo"),
        ({"age": (30, 40)}, lambda d: d.age.between(30, 40)),
        ({"grade": {"low", "best"}}, lambda d: d.grade.isin(["low", "best"])),
        ({"grade": ("good", "best")}, lambda d: d.grade.isin(["good", "best"])),
        ({"paid": 0.0, "ok": True}, lambda d: (d.paid == 0) & d.ok),
        (
            {"born": ("1980-01-01", "1981-12-31")},
            lambda d: d.born.dt.year.isin([1980, 1981]),
        ),
        (
            {"seen": (pd.Timestamp("2020-02-01", tz="Europe/Oslo"), "2020-02-02")},
            lambda d: d.seen.between("2020-02-01", "2020-02-02"),
        ),
        ({"age": 44}, lambda d: d.age == 44),
    ],
    ids=["level", "range", "set", "ordered range", "spike", "dates", "zone", "value"],
)
def test_draws_have_what_is_given(fitted, given, is_met):
    drawn = fitted.sample(200, given=given, random_state=0)
    assert len(drawn) == 200 and is_met(drawn).all()


def test_conditional_draws_are_as_those_that_are_kept_of_many(fitted):
    many = fitted.sample(60_000, random_state=1)
    kept = many[many.age.between(55, 60)]
    drawn = fitted.sample(2000, given={"age": (55, 60)}, random_state=0)
    for name in ("paid", "weight", "visits", "age"):
        distance = ks_2samp(kept[name].astype(float), drawn[name].astype(float))
        assert distance.statistic < 0.05, name
    for name in ("city", "grade", "ok"):
        shares = (
            kept[name].value_counts(normalize=True),
            drawn[name].value_counts(normalize=True),
        )
        assert np.abs(shares[0].sub(shares[1], fill_value=0)).sum() < 0.08, name


def test_rows_may_have_values_of_their_own(fitted):
    given = people(seed=3).drop(columns=["paid", "ok"])
    drawn = fitted.sample(N, given=given, random_state=0)
    for name in given:
        seen = given[name].notna()
        assert drawn.loc[seen, name].eq(given.loc[seen, name]).all()
    assert not drawn.isna().any().any()
    ages = np.arange(30, 50)
    drawn = fitted.sample(20, given={"age": ages, "ok": True}, random_state=0)
    np.testing.assert_array_equal(drawn["age"], ages)
    assert drawn["ok"].all()


def test_values_of_rows_without_allow_nan():
    complete = people(1000).drop(columns=["visits", "born"]).dropna()
    model = VAETransformer(4, max_iter=30, random_state=0).fit(complete)
    ages = np.repeat([25, 60], 200)
    drawn = model.sample(400, given={"age": ages}, random_state=0)
    np.testing.assert_array_equal(drawn["age"], ages)
    # The grade rises with the age.
    rank = drawn["grade"].cat.codes
    assert rank[200:].mean() > rank[:200].mean() + 0.5


def test_impossible_conditions_are_named(fitted):
    for given, message in (
        ({"city": "Paris"}, "No training row has 'Paris' in column 'city'"),
        ({"age": (200, 300)}, "No training row has"),
        ({"town": "Oslo"}, "columns that X did not have"),
        ({"age": "old"}, "Column 'age' is number"),
        ({"age": [1, 2]}, "2 values of column 'age' for n_samples=5"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.sample(5, given=given)
    with pytest.raises(ValueError, match="models of a mixed table"):
        VAETransformer(2, **FAST).fit(np.eye(20)).sample(5, given={"age": 3})


def test_rows_that_are_not_accepted_are_drawn_again(fitted):
    drawn = fitted.sample(300, accept=lambda d: d.age % 5 == 0, random_state=0)
    assert len(drawn) == 300 and (drawn.age % 5 == 0).all()
    assert drawn.index.equals(pd.RangeIndex(300))
    given = people(seed=3)[["city"]].fillna("Oslo")
    drawn = fitted.sample(N, given=given, accept=lambda d: d.ok, random_state=0)
    assert drawn.ok.all() and drawn.city.eq(given.city).all()
    with pytest.raises(ValueError, match="0 of 10 were found"):
        fitted.sample(10, accept=lambda d: d.age > 1000, random_state=0)


def test_scores_of_two_models_are_of_one_table():
    frame = people(600)
    options = {"allow_nan": True, "random_state": 0}
    better = VAETransformer(5, max_iter=30, **options).fit(frame)
    worse = VAETransformer(1, max_iter=0, **options).fit(frame)
    assert better.score(people(seed=1)) > worse.score(people(seed=1))
    # In the units of the table: of numbers ten times as large, the density of a tenth.
    larger = frame.assign(weight=frame.weight * 10)
    other = VAETransformer(5, max_iter=30, **options).fit(larger)
    assert other.score(larger) == pytest.approx(
        better.score(frame) - np.log(10), abs=0.02
    )


def test_files_and_pickles_have_the_table(fitted, tmp_path):
    import pickle

    frame = people()
    fitted.save(tmp_path / "people.safetensors")
    for loaded in (
        skae.load(tmp_path / "people.safetensors"),
        pickle.loads(pickle.dumps(fitted)),
    ):
        np.testing.assert_array_equal(loaded.transform(frame), fitted.transform(frame))
        again = loaded.sample(20, random_state=0, missing=True)
        pd.testing.assert_frame_equal(
            again, fitted.sample(20, random_state=0, missing=True)
        )
        assert loaded.columns_ == fitted.columns_


def test_a_polars_file(tmp_path):
    frame = made("polars")
    model = VAETransformer(2, allow_nan=True, **FAST).fit(frame)
    model.save(tmp_path / "people.safetensors")
    loaded = skae.load(tmp_path / "people.safetensors")
    assert loaded.sample(20, random_state=0).equals(model.sample(20, random_state=0))


def test_partial_fit_takes_frames():
    frame = people()
    model = VAETransformer(2, allow_nan=True, **FAST)
    for start in range(0, N, 100):
        model.partial_fit(frame[start : start + 100])
    assert isinstance(model.sample(5), pd.DataFrame)


def test_the_detector_finds_strange_rows_and_columns():
    frame = people(600).drop(columns=["visits", "born"]).dropna()
    detector = AutoencoderDetector(random_state=0).fit(frame)
    strange = frame.iloc[:4].copy().reset_index(drop=True)
    strange.loc[0, "age"] = 400
    strange.loc[1, "city"] = "Atlantis"
    strange.loc[2, "weight"] = 1e9
    contributions = detector.explain(strange)
    assert contributions.shape == (4, frame.shape[1])
    names = list(frame)
    assert names[contributions[0].argmax()] == "age"
    assert names[contributions[2].argmax()] == "weight"
    usual = detector.score_samples(frame)
    scores = detector.score_samples(strange)
    assert scores[0] < np.quantile(usual, 0.01)
    assert scores[2] < np.quantile(usual, 0.01)
    # An unknown city is as rare as the rarest.
    moss = detector.score_samples(strange.assign(city="Moss"))
    assert scores[1] == moss[1]
    with pytest.raises(TypeError, match="dataframe"):
        detector.predict(np.zeros((2, frame.shape[1])))


@pytest.mark.parametrize("score", ["likelihood", "reconstruction"])
def test_other_scores_of_frames(score):
    frame = people(300).drop(columns=["visits", "born"]).dropna()
    detector = AutoencoderDetector(outlier_score=score, random_state=0).fit(frame)
    far = frame.assign(age=500)
    assert detector.score_samples(far).mean() < detector.score_samples(frame).mean()


def test_the_classifier_takes_frames():
    frame = people(500).drop(columns=["visits", "born"]).dropna().reset_index(drop=True)
    y = frame.pop("ok").to_numpy().astype(int)
    seen = np.where(np.arange(len(y)) % 4 == 0, y, -1)
    chosen = SemiSupervisedClassifier(unlabeled=-1, random_state=0).fit(frame, seen)
    # Which is what it is by the rule that made them, in about three of four rows.
    assert chosen.score(frame, y) > 0.6
    model = VAETransformer(3, **FAST)
    given = SemiSupervisedClassifier(model, SVC(), unlabeled=-1).fit(frame, seen)
    assert given.score(frame, y) > 0.5


@packages
def test_an_imputer_is_a_step_of_a_pipeline(package):
    frame = made(package)
    y = column(frame, "ok").astype(int).to_numpy()
    frame = frame.drop("ok") if package == "polars" else frame.drop(columns="ok")
    imputer = AutoencoderImputer(VAETransformer(2, **FAST))
    filled = imputer.fit_transform(frame)
    assert dtypes_of(filled) == dtypes_of(frame)
    assert list(imputer.get_feature_names_out()) == list(frame.columns)
    pipeline = make_pipeline(imputer, VAETransformer(3, **FAST), SVC())
    assert cross_val_score(pipeline, frame, y, cv=3).mean() > 0.5
    drawn = clone(imputer).set_params(sample_posterior=True, random_state=0)
    assert dtypes_of(drawn.fit_transform(frame)) == dtypes_of(frame)


def test_an_imputer_of_arrays_is_the_models_impute():
    X = np.random.default_rng(0).normal(size=(80, 4))
    X[::5, 1] = np.nan
    imputer = AutoencoderImputer(VAETransformer(2, **FAST)).fit(X)
    model = VAETransformer(2, allow_nan=True, **FAST).fit(X)
    np.testing.assert_array_equal(imputer.transform(X), model.impute(X))


ODD = {
    "all missing column": lambda d: d.assign(none=np.nan),
    "one level": lambda d: d.assign(same="x"),
    "declared but unseen": lambda d: d.assign(
        c=pd.Categorical(["a", "b"] * (N // 2), categories=["z", "b", "a", "y"])
    ),
    "10,000 levels": lambda d: pd.DataFrame(
        {"many": [f"v{i % 10_000}" for i in range(10_200)], "n": np.arange(10_200)}
    ),
    "NaT": lambda d: d.assign(t=pd.Series([pd.NaT] * N, dtype="datetime64[ns]")),
    "wide": lambda d: pd.concat([d.add_suffix(str(i)) for i in range(15)], axis=1),
    "two rows": lambda d: d[:2],
    "nullable": lambda d: d.convert_dtypes(),
    "objects of text": lambda d: d.assign(city=d["city"].astype(object)),
    "integers as categories": lambda d: d.assign(c=pd.Categorical(d["age"] % 3)),
    "durations": lambda d: d.assign(t=pd.to_timedelta(d["age"], unit="h")),
    "tiny and huge": lambda d: d.assign(a=d["weight"] * 1e-200, b=d["weight"] * 1e30),
    "an index of text": lambda d: d.set_axis([f"r{i}" for i in range(len(d))]),
}
REFUSED = {
    "keys": (
        lambda d: d.assign(id=[f"k{i}" for i in range(N)]),
        "'id' looks like a key",
    ),
    "mixed objects": (
        lambda d: d.assign(m=pd.Series([1, "a"] * (N // 2), dtype=object)),
        "'m' holds objects of the types int, str",
    ),
    "infinity": (lambda d: d.assign(paid=np.inf), "'paid' contains infinity"),
    "one row": (lambda d: d[:1], "No column of X varies"),
    "nothing varies": (lambda d: d[["city"]].assign(city="x"), "No column of X varies"),
    "periods": (
        lambda d: d.assign(p=pd.period_range("2000", periods=N, freq="D")),
        "'p' has the dtype",
    ),
    "duplicate names": (
        lambda d: d.set_axis(["city"] * 2 + list(d.columns[2:]), axis=1),
        "(?i)duplicate|unique",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_frames_come_back(name):
    frame = ODD[name](people())
    options = {"hidden_layer_sizes": (16,), "max_iter": 1, "random_state": 0}
    model = VAETransformer(2, allow_nan=True, **options)
    with warnings.catch_warnings():
        # Of two rows there are none to hold out.
        warnings.simplefilter("ignore")
        model.fit(frame)
    drawn = model.sample(30, random_state=0)
    assert dtypes_of(drawn) == dtypes_of(frame)
    filled = model.impute(frame)
    assert filled.index.equals(frame.index)
    seen = frame.notna().any()
    assert not filled.loc[:, seen].isna().any().any()


@pytest.mark.parametrize("name", REFUSED)
def test_other_frames_are_refused_by_name(name):
    make, message = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=message):
        VAETransformer(2, allow_nan=True, **FAST).fit(make(people()))


def test_codes_of_the_table_are_those_of_its_encoded_rows():
    """The path ends in an array, which any model takes."""
    frame = people()
    table = Table(frame, 255)
    model = VAETransformer(3, allow_nan=True, **FAST).fit(frame)
    rows = table.encode(frame, takes_nan=True)
    np.testing.assert_array_equal(
        model.transform(frame),
        model._map_rows(rows, lambda module, x: skae.nn._modules.Encoder(module)(x)),
    )
