"""Mixed tables of rare dtypes, values and calls: right, or refused by name."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from skae import VAETransformer

N = 60
FAST = {"hidden_layer_sizes": (16,), "max_iter": 1, "random_state": 0}
DAYS = np.arange(N) % 40


def table():
    """Numbers, text, dates with and without time zone, and order."""
    rng = np.random.default_rng(0)
    date = pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(DAYS, unit="D"))
    grades = pd.Categorical.from_codes(DAYS % 3, ["low", "mid", "high"], ordered=True)
    return pd.DataFrame(
        {
            "a": rng.normal(size=N),
            "b": rng.permutation(N) * 10,
            "c": rng.choice(["x", "y", "z"], N),
            "few": DAYS % 4,
            "grade": grades,
            "date": date,
            "zone": date.dt.tz_localize("Europe/Oslo"),
            "took": pd.to_timedelta(DAYS, unit="h"),
            "same": 5,
        }
    )


def fitted_to(frame, **options):
    options = {"allow_nan": True} | FAST | options
    return VAETransformer(2, **options).fit(frame)


@pytest.fixture(scope="module")
def model():
    return fitted_to(table())


DTYPES = {
    "arrow text": pd.ArrowDtype(pa.string()),
    "large arrow text": pd.ArrowDtype(pa.large_string()),
    "text in Python": pd.StringDtype("python"),
    "text in Arrow": pd.StringDtype("pyarrow"),
    "arrow dates": pd.ArrowDtype(pa.date32()),
    "arrow times": pd.ArrowDtype(pa.timestamp("us", "Europe/Oslo")),
}


@pytest.mark.parametrize("name", DTYPES)
def test_dtypes_of_arrow_and_text_come_back(name):
    dtype = DTYPES[name]
    values = ["u", "v", None] * (N // 3)
    if "text" not in name:
        values = [pd.Timestamp("1500-01-01") + datetime.timedelta(int(d)) for d in DAYS]
        if dtype == DTYPES["arrow dates"]:
            values = [value.date() for value in values]
    frame = table()[["a", "c"]].assign(q=pd.Series(values, dtype=dtype))
    model = fitted_to(frame)
    assert model.sample(5, random_state=0)["q"].dtype == dtype
    assert model.impute(frame)["q"].dtype == dtype


REFUSED = {
    "2**53": (np.arange(N) + 2**60, "'q' has whole numbers beyond"),
    "uint64": (np.arange(N).astype("uint64") + 2**63, "'q' has whole numbers beyond"),
    "centuries of ns": (
        np.array([1 - 2**63, 2**63 - 1] * (N // 2), "datetime64[ns]"),
        "'q' has dates too far apart",
    ),
    "arrow dictionary": (
        pd.array(
            ["u", "v"] * (N // 2),
            dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())),
        ),
        "'q' has the dtype dictionary",
    ),
    "complex": (DAYS + 1j, "'q' has the dtype complex"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_exact_number_is_refused(name):
    values, message = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=message):
        fitted_to(table().assign(q=values))


def test_bounds_of_huge_numbers_are_shown():
    frame = table()[["c"]].assign(q=1e300 * np.arange(N))
    assert fitted_to(frame).columns_[1].bounds == (0.0, 1e300 * (N - 1))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("date", pd.Timedelta("1h")),
        ("date", pd.Timestamp("2020-01-01", tz="UTC")),
        ("zone", pd.Timestamp("2020-01-01")),
        ("took", pd.Timestamp("2020-01-01")),
    ],
)
def test_dates_of_another_kind_are_refused(model, name, other):
    with pytest.raises(TypeError, match=f"'{name}' has the dtype"):
        model.transform(table().assign(**{name: other}))


def test_an_unknown_ordered_category_is_missing(model):
    other = pd.Categorical(["best"] * N, ordered=True)
    np.testing.assert_array_equal(
        model.transform(table().assign(grade=other)),
        model.transform(table().assign(grade=None)),
    )


def test_booleans_are_no_text(model):
    with pytest.raises(TypeError, match="'c' has text, or had"):
        model.transform(table().assign(c=True))
    other = fitted_to(table().assign(ok=DAYS % 2 == 0))
    with pytest.raises(TypeError, match="'ok' has text, or had"):
        other.transform(table().assign(ok="True"))


def test_dates_that_a_unit_does_not_reach_are_early_or_late():
    frame = table()[["a", "c", "date"]].astype({"date": "datetime64[ns]"})
    model = fitted_to(frame)
    encoder = model._table.columns[2]
    dates = np.array(["1000-01-01", "1700-01-01", "2020-01-05"], "datetime64[s]")
    values = encoder.dates.read(_series(dates))
    assert values[0] < values[1] < values[2] == 4


def _series(values):
    import narwhals.stable.v2 as nw

    return nw.from_native(pd.Series(values), series_only=True)


def test_filling_changes_no_observed_value_of_any_kind(model):
    frame = table()
    frame["few"] = frame["few"].astype(object).where(DAYS > 3)
    frame["b"] = frame["b"].where(DAYS > 3) + 0.5
    frame["c"] = "unseen"
    frame.loc[DAYS < 3, "c"] = None
    frame["grade"] = pd.Categorical(["best"] * N).set_categories(["best"])
    filled = model.impute(frame)
    assert not filled.isna().any().any()
    for name in frame:
        seen = frame[name].notna()
        assert filled.loc[seen, name].tolist() == frame.loc[seen, name].tolist(), name
    assert set(filled.loc[frame["c"].isna(), "c"]) <= {"x", "y", "z"}


def test_filling_keeps_large_integers_and_nanoseconds():
    frame = table()[["a", "c"]].assign(n=DAYS)
    frame["t"] = pd.to_datetime(np.arange(N) ** 2 * 10**15 + 7)
    model = fitted_to(frame)
    later = frame.assign(n=pd.array(frame["n"] + 2**60 + 1, dtype="Int64"))
    later.loc[3, ["n", "t"]] = None
    filled = model.impute(later)
    seen = later["n"].notna()
    for name in ("n", "t"):
        assert filled.loc[seen, name].tolist() == later.loc[seen, name].tolist()
    assert filled.loc[3].notna().all()


def test_filling_a_frame_of_another_package():
    frame = table()[["a", "b", "c"]]
    frame.loc[DAYS < 3, ["b", "c"]] = None
    other = pl.from_pandas(frame)
    to_pandas, to_polars = fitted_to(frame), fitted_to(other)
    assert to_pandas.impute(other).equals(
        to_pandas.impute(frame).reset_index(drop=True)
    )
    assert to_polars.impute(frame).equals(to_polars.impute(other))


def test_no_rows(model):
    with pytest.raises(ValueError, match="0 rows"):
        model.impute(table()[:0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"b": (300, 100)}, "'b'.*lowest value is not below"),
        ({"b": (np.nan, 100)}, "'b'.*lowest value is not below"),
        ({"b": (1, 2, 3)}, "'b'.*not a pair"),
        ({"b": ()}, "'b'.*not a pair"),
        ({"b": 100.5}, "No training row has 100.5 in column 'b'"),
        ({"b": (100.2, 100.4)}, "No training row has .* in column 'b'"),
        ({"b": np.zeros((4, 2))}, "column 'b' in a table"),
        ({"c": ("x", "y")}, "'c'.*no order"),
        ({"c": ["x", "y", "unseen", None]}, "no training row had in c"),
        ({"grade": ("high", "low")}, "'grade'.*lowest value is not below"),
        ({"grade": ("low", "best")}, "No training row has .* in column 'grade'"),
        ({"took": 5}, "'took' is date"),
        ({"same": 6}, "No training row has 6 in column 'same'"),
        ("b", "dict or a dataframe; got str"),
    ],
    ids=[
        "falling",
        "nan",
        "three",
        "none",
        "half",
        "between",
        "2d",
        "nominal",
        "unseen",
        "order",
        "unknown",
        "unitless",
        "constant",
        "text",
    ],
)
def test_conditions_that_say_nothing_are_refused(model, given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        model.sample(4, given=given)


@pytest.mark.parametrize(
    ("given", "is_met"),
    [
        ({"b": (None, 100)}, lambda d: d.b <= 100),
        ({"b": (500, None)}, lambda d: d.b >= 500),
        ({"b": (100.4, 111.6)}, lambda d: d.b.between(101, 111)),
        ({"b": np.array(300)}, lambda d: d.b == 300),
        ({"c": frozenset({"x", "y"})}, lambda d: d.c.isin(["x", "y"])),
        ({"grade": (None, "mid")}, lambda d: d.grade < "high"),
        ({"same": 5}, lambda d: d.same == 5),
        ({"took": np.timedelta64(5, "h")}, lambda d: d.took == pd.Timedelta("5h")),
        (
            {"zone": datetime.date(2020, 2, 1)},
            lambda d: d.zone == pd.Timestamp("2020-02-01", tz="Europe/Oslo"),
        ),
    ],
    ids=[
        "up to",
        "from",
        "decimals",
        "0d",
        "frozenset",
        "order",
        "constant",
        "duration",
        "day",
    ],
)
def test_open_ends_and_numpys_values_are_taken(model, given, is_met):
    assert is_met(model.sample(40, given=given, random_state=0)).all()


@pytest.mark.parametrize(
    "accept",
    [lambda d: True, lambda d: None, lambda d: np.ones(99, bool), lambda d: d["b"]],
    ids=["scalar", "None", "long", "numbers"],
)
def test_accept_returns_one_boolean_a_row(model, accept):
    with pytest.raises(ValueError, match=r"mask of \d+ booleans"):
        model.sample(4, accept=accept)


def test_accept_may_return_pandas_own_booleans_in_any_index(model):
    drawn = model.sample(
        4,
        accept=lambda d: (d["b"].convert_dtypes() > 300).set_axis(d.index + 9),
        random_state=0,
    )
    assert (drawn["b"] > 300).all()


@pytest.mark.parametrize("given", [{"c": "x"}, {"c": ["x"] * 400}], ids=["all", "each"])
def test_what_is_given_is_never_missing(given):
    frame = table()
    frame.loc[DAYS % 2 == 0, "b"] = None
    frame.loc[DAYS % 5 < 2, "c"] = None
    drawn = fitted_to(frame).sample(400, given=given, missing=True, random_state=0)
    assert (drawn["c"] == "x").all()
    assert 0.3 < drawn["b"].isna().mean() < 0.7


def test_shorter_codes_have_the_pattern_of_missing_values():
    frame = table()
    frame.loc[DAYS % 2 == 0, "c"] = None
    short = fitted_to(frame, ordered=True).truncate(1)
    drawn = short.sample(400, missing=True, random_state=0)
    assert 0.3 < drawn["c"].isna().mean() < 0.7


def test_displays_draw_codes_of_mixed_rows_alone(model):
    from skae.plotting import LatentDisplay, TraversalDisplay

    with pytest.raises(TypeError, match="LatentDisplay draws their codes"):
        TraversalDisplay.from_estimator(model, table())
    display = LatentDisplay.from_estimator(model, table())
    np.testing.assert_array_equal(display.codes, model.transform(table()))
    with pytest.raises(ValueError, match="needs rows and a decoder"):
        display.to_html()
