"""Draws of a mixed table that follow the data: the ratio of densities, and rules."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

import skae
from skae import AutoencoderTransformer, VAETransformer
from skae.data._table_rules import NewPairs, Orders
from skae.data._tables import Table
from skae.transformers._density_ratio import _BOOSTER, DensityRatio

FAST = {"hidden_layer_sizes": (32,), "max_iter": 30, "random_state": 0}
TOWNS = {"Bergen": "NO", "Oslo": "NO", "Lund": "SE", "Malmo": "SE", "Turku": "FI"}


def jobs(n=600, seed=0):
    """Jobs end after their begin, a town lies in one country; some have not ended."""
    rng = np.random.default_rng(seed)
    town = rng.choice(list(TOWNS), n)
    begin = rng.integers(0, 3000, n)
    end = begin + rng.gamma(1, 300, n).astype(int)
    start = np.datetime64("2015-01-01")
    return pd.DataFrame(
        {
            "town": town,
            "country": [TOWNS[name] for name in town],
            "begin": start + begin.astype("timedelta64[D]"),
            "end": np.where(
                rng.random(n) < 0.2,
                np.datetime64("NaT"),
                start + end.astype("timedelta64[D]"),
            ),
            "pay": rng.lognormal(10 + 0.2 * (town == "Oslo"), 0.4).round(),
        }
    )


def broken(frame):
    """Fractions of the rows whose end is before the begin, or in the wrong country."""
    return (
        (frame.end < frame.begin).mean(),
        (frame.town.map(TOWNS) != frame.country).mean(),
    )


def numbers_of(table, frame):
    return np.column_stack(table.read(frame))


@pytest.fixture(scope="module")
def fitted():
    return VAETransformer(4, allow_nan=True, **FAST).fit(jobs())


def plainly(model):
    """The same model, whose draws are taken as they come."""
    plain = VAETransformer()
    vars(plain).update(vars(model) | {"_density_ratio": None})
    return plain


def test_it_is_the_ratio_of_two_densities():
    rng = np.random.default_rng(0)
    real, drawn = rng.normal(1, 1, (4000, 1)), rng.normal(0, 1, (16_000, 1))
    table = Table(pd.DataFrame({"x": real[:, 0]}), 255)
    x = np.linspace(-1, 2, 50)[:, None]
    found = DensityRatio(table, real, drawn, 0).log(table, x)
    # Of normal densities a unit apart; trees make steps around the line.
    np.testing.assert_allclose(np.polyfit(x[:, 0], found, 1), [1, -0.5], atol=0.1)


def test_its_sum_of_trees_is_the_boosters():
    rng = np.random.default_rng(0)
    real, drawn = rng.normal(size=(300, 3)), rng.normal(0.3, 1.2, size=(900, 3))
    for rows in real, drawn:
        rows[rng.random(rows.shape) < 0.2] = np.nan
    table = Table(pd.DataFrame(real, columns=list("abc")), 255)
    ratio = DensityRatio(table, real, drawn, 0)
    X = np.concatenate(
        [ratio._features(table, real, are_training=True), ratio._features(table, drawn)]
    )
    booster = HistGradientBoostingClassifier(**_BOOSTER, random_state=0)
    booster.fit(X, np.repeat([1, 0], [300, 900]))
    expected = booster.decision_function(X[300:]) - np.log(300 / 900)
    np.testing.assert_allclose(ratio.log(table, drawn), expected, atol=1e-10)


def test_rules_between_columns_hold_in_draws(fitted):
    plain = broken(plainly(fitted).sample(2000, random_state=0))
    assert min(plain) > 0.05  # so that there is something to mend
    assert max(broken(fitted.sample(2000, random_state=0))) < 0.02
    assert max(broken(fitted.sample(2000, random_state=0, missing=True))) < 0.02


def test_rules_hold_in_conditional_draws(fitted):
    given = {"town": "Lund", "begin": ("2017-01-01", "2018-06-30")}
    drawn = fitted.sample(500, random_state=0, given=given)
    assert (drawn.town == "Lund").all() and (drawn.begin.dt.year >= 2017).all()
    assert max(broken(drawn)) < 0.02
    rows = jobs(300, seed=1)[["town", "begin"]]
    drawn = fitted.sample(300, random_state=0, given=rows)
    pd.testing.assert_frame_equal(drawn[["town", "begin"]], rows)
    assert max(broken(drawn)) < 0.02


def test_draws_are_no_training_rows(fitted):
    known = set(jobs().itertuples(index=False, name=None))
    drawn = fitted.sample(2000, random_state=0).itertuples(index=False, name=None)
    assert not known & set(drawn)


def test_files_have_it(fitted, tmp_path):
    fitted.save(tmp_path / "jobs.safetensors")
    loaded = skae.load(tmp_path / "jobs.safetensors")
    pd.testing.assert_frame_equal(
        loaded.sample(100, random_state=3), fitted.sample(100, random_state=3)
    )


def test_it_is_for_the_draws_that_it_was_learned_of(fitted):
    """Other draws are as they come."""
    plain = plainly(fitted)
    for options in {"density": "prior"}, {"observation_noise": False}:
        pd.testing.assert_frame_equal(
            fitted.sample(50, random_state=0, **options),
            plain.sample(50, random_state=0, **options),
        )
    model = AutoencoderTransformer(3, ordered=True, allow_nan=True, **FAST).fit(jobs())
    assert model._density_ratio is not None
    assert model.truncate(2)._density_ratio is None
    # A pass over a few rows changes the model, not what is known of all.
    assert model.partial_fit(jobs(100))._density_ratio is None


def test_a_column_of_one_value_says_nothing():
    """Whether it is missing is drawn beside the code, and no reason to refuse rows."""
    frame = jobs(200).assign(unit=np.where(np.arange(200) % 2, "day", None))
    model = VAETransformer(3, allow_nan=True, **FAST).fit(frame)
    j = list(frame).index("unit")
    assert not (model._density_ratio.feature == j).any()
    share = model.sample(2000, random_state=0, missing=True).unit.isna().mean()
    assert abs(share - 0.5) < 0.05


# Rules.


def test_orders_are_found_whatever_the_units():
    rng = np.random.default_rng(0)
    days = rng.integers(0, 1000, 50)
    begin = np.datetime64("2020-01-01") + days.astype("timedelta64[D]")
    seconds = rng.integers(0, 10**7, 50)
    frame = pd.DataFrame(
        {
            "high": rng.uniform(size=50),
            "begin": begin.astype("datetime64[s]"),
            "end": begin.astype("datetime64[ns]") + seconds.astype("timedelta64[s]"),
            "zone": pd.Series(begin).dt.tz_localize("Europe/Oslo"),
            "took": seconds.astype("timedelta64[s]"),
            "kind": rng.choice(["a", "b"], 50),
        }
    ).assign(low=lambda d: d.high - 0.5 * rng.uniform(size=50), far=lambda d: d.low - 9)
    table = Table(frame, 255)
    numbers = numbers_of(table, frame)
    orders = Orders(table, numbers)
    found = {
        (table.names[i], table.names[j]) for i, j in zip(orders.lower, orders.upper)
    }
    # "far" is below all others anyway.
    assert found == {("low", "high"), ("begin", "end")}
    j = list(orders.lower).index(table.names.index("begin"))
    np.testing.assert_allclose(orders(numbers)[:, j], seconds, atol=1e-5)


def test_new_pairs_are_counted_as_often_as_they_are_expected():
    frame = pd.DataFrame({"a": list("xxxxyyyy"), "b": list("ppppqqqp")})
    table = Table(frame, 255)
    numbers = numbers_of(table, frame)
    pairs = NewPairs(table, numbers)
    # Half of the rows have x, and three of eight q: 8 / 2 * 3 / 8 rows.
    new = pd.DataFrame({"a": ["x", "y", None], "b": ["q", "p", "q"]})
    found = pairs(table, numbers_of(table, new), are_training=False)
    np.testing.assert_allclose(found[:, 0], [1.5, 0, 0])
    # To all others, the only row of y and p is new: 8 / 2 * 5 / 8 rows.
    found = pairs(table, numbers, are_training=True)
    np.testing.assert_allclose(found[:, 0], [0] * 7 + [2.5])
