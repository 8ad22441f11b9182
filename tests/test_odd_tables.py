"""Mixed tables of rare dtypes, values and calls: right, or refused by name."""

import datetime

import numpy as np
import pandas as pd
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
