"""Tables of mixed columns: made ones, and real ones that come with other packages.

Each is a pandas frame whose dtypes say what a column is. Made tables are drawn anew, of
any size, so that the truth about rare events is known; rules between their columns hold
in each row.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes, load_iris, load_wine

# Rows of a made table, half of which train.
N_MADE = 6000
_N_RANDHIE = 5000

_DAY = np.timedelta64(1, "D")


def _ordered(codes, levels) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, levels, ordered=True)


def _levels(rng, names, weights, n) -> pd.Categorical:
    weights = np.asarray(weights, float)
    codes = rng.choice(len(names), n, p=weights / weights.sum())
    return pd.Categorical.from_codes(codes, names)


def _cut(values, quantiles) -> np.ndarray:
    """Numbers of the intervals between quantiles of a standard normal variable."""
    return np.searchsorted(quantiles, values)


def adults(n: int = N_MADE, seed: int = 0) -> pd.DataFrame:
    """Spikes, rare levels, rounded amounts; hired 18 years after the birth or later."""
    rng = np.random.default_rng(seed)
    names = [f"city {i}" for i in range(12)]
    city = _levels(rng, names, 1 / np.arange(1, 13) ** 1.7, n)
    ability = rng.normal(size=n)
    education = _cut(ability + 0.3 * rng.normal(size=n), [-1.2, 0.2, 0.9, 1.9])
    age = 18 + 60 * rng.beta(1.6, 2.2, n)
    born = np.datetime64("2026-01-01") - (age * 365.25).astype(int) * _DAY
    # The day of the 18th birthday or later, and not in the future.
    years_of_work = (age - 18.02).clip(0) * rng.beta(2.5, 1, n)
    hired = np.datetime64("2026-01-01") - (years_of_work * 365.25).astype(int) * _DAY
    hired = np.where(rng.random(n) < 0.15, np.datetime64("NaT"), hired)
    hours = np.where(rng.random(n) < 0.5, 40, rng.normal(36, 10, n).clip(1, 80))
    level = 9.6 + 0.25 * education + 0.012 * age + 0.15 * (city.codes == 0)
    income = np.exp(level + 0.01 * hours + 0.35 * rng.normal(size=n)).round(-2)
    gain = np.where(rng.random(n) < 0.91, 0, np.exp(7 + 0.3 * education))
    gain = (gain * np.exp(0.8 * rng.normal(size=n))).round()
    married = rng.random(n) < 1 / (1 + np.exp(-(age - 32) / 6))
    children = rng.poisson(np.where(married, 1.4, 0.2))
    # The rich answer less often.
    is_silent = rng.random(n) < np.where(income > 45_000, 0.25, 0.06)
    return pd.DataFrame(
        {
            "city": city,
            "education": _ordered(education, ["none", "school", "college", "ba", "ma"]),
            "born": born,
            "hired": hired,
            "hours": hours.round().astype(int),
            "income": np.where(is_silent, np.nan, income),
            "gain": gain.astype(int),
            "married": married,
            "children": children,
            "health": (1.5 * ability - 0.04 * age + rng.normal(size=n)).round(3),
        }
    )


_PRODUCTS = [f"product {i}" for i in range(40)]
_PRICES = np.random.default_rng(1).lognormal(3, 1, len(_PRODUCTS)).round(2)


def orders(n: int = N_MADE, seed: int = 0) -> pd.DataFrame:
    """Forty products, each with a price of its own; totals are products."""
    rng = np.random.default_rng(seed)
    product = _levels(rng, _PRODUCTS, 1 / np.arange(1, len(_PRODUCTS) + 1), n)
    price = _PRICES[product.codes]
    channel = _levels(rng, ["web", "shop", "phone"], [6, 3, 1], n)
    discount = rng.choice([0, 0.05, 0.1, 0.5], n, p=[0.7, 0.15, 0.13, 0.02])
    quantity = 1 + rng.negative_binomial(1, np.where(price > 30, 0.8, 0.3))
    minutes = (rng.beta(3, 2, n) * 365).astype(int) * 1440 + (
        rng.normal(14, 3, n).clip(0, 23.9) * 60
    ).astype(int)
    placed = np.datetime64("2025-01-01", "s") + minutes.astype("timedelta64[m]")
    took = (rng.gamma(2, np.where(channel.codes == 1, 0.2, 1.5)) * 86_400).round()
    took = np.where(rng.random(n) < 0.05, np.nan, took)
    is_returned = rng.random(n) < 0.03 + 0.2 * (channel.codes == 0) * (discount == 0)
    total = (quantity * price * (1 - discount)).round(2)
    return pd.DataFrame(
        {
            "product": product,
            "channel": channel,
            "placed": placed,
            "took": pd.to_timedelta(took, unit="s"),
            "quantity": quantity,
            "discount": discount,
            "total": total,
            "returned": pd.array(is_returned, dtype="boolean"),
        }
    )


def machines(n: int = N_MADE, seed: int = 0) -> pd.DataFrame:
    """Clusters on curves; one kind has no humidity, and load stops at a bound."""
    rng = np.random.default_rng(seed)
    kind = _levels(rng, ["pump", "fan", "dry", "mixer"], [4, 3, 2, 1], n)
    phase = rng.uniform(0, 2 * np.pi, n)
    radius = 1 + 0.5 * kind.codes
    speed = 1000 * radius + 120 * np.cos(phase) + 20 * rng.normal(size=n)
    vibration = np.exp(0.6 * np.sin(phase) * radius + 0.15 * rng.normal(size=n))
    load = (60 + 25 * np.sin(2 * phase) + 12 * rng.normal(size=n)).clip(0, 100)
    temperature = 20 + 0.4 * load + 8 * kind.codes + 2 * rng.normal(size=n)
    humidity = np.where(kind.codes == 2, np.nan, 40 + 15 * np.cos(phase - kind.codes))
    wear = _cut((vibration - 1.2) + 0.3 * rng.normal(size=n), [-0.3, 0.3, 1.0])
    is_stopped = rng.random(n) < 1 / (1 + np.exp(-(temperature - 75) / 4))
    return pd.DataFrame(
        {
            "kind": kind,
            "speed": speed,
            "vibration": vibration,
            "load": load,
            "temperature": temperature.round(1),
            "humidity": humidity + rng.normal(size=n),
            "wear": _ordered(wear, ["low", "medium", "high", "worn"]),
            "stopped": is_stopped,
        }
    )


def patients(n: int = N_MADE, seed: int = 0) -> pd.DataFrame:
    """Eight questions on two factors; a district lies in one region."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, 2))
    loadings = np.random.default_rng(2).normal(0.8, 0.3, (2, 8)) * (
        np.arange(8) // 4 == np.arange(2)[:, None]
    )
    answers = _cut(factors @ loadings + 0.7 * rng.normal(size=(n, 8)), [-1, 0, 1, 2])
    levels = ["never", "seldom", "sometimes", "often", "always"]
    district = rng.choice(24, n, p=np.arange(24, 0, -1) / 300)
    logits = np.column_stack([np.zeros(n), factors - 1, factors.sum(1) - 2])
    diagnosis = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    age = rng.integers(18, 90, n)
    visits = rng.negative_binomial(1, 1 / (1 + np.exp(0.6 * factors[:, 0])))
    questions = {f"q{i + 1}": _ordered(answers[:, i], levels) for i in range(8)}
    is_skipped = rng.random(n) < 0.08
    questions["q8"] = _ordered(np.where(is_skipped, -1, answers[:, 7]), levels)
    return pd.DataFrame(
        {
            **questions,
            "district": pd.Categorical([f"d{i}" for i in district]),
            "region": pd.Categorical([f"r{i // 6}" for i in district]),
            "diagnosis": pd.Categorical.from_codes(diagnosis, ["a", "b", "c", "d"]),
            "age": age,
            "visits": visits,
            "smoker": rng.random(n) < 0.15 + 0.2 * (factors[:, 1] > 0.5),
        }
    )


def trips(n: int = N_MADE, seed: int = 0) -> pd.DataFrame:
    """Heavy tails, and arrivals after departures."""
    rng = np.random.default_rng(seed)
    mode = _levels(
        rng, ["car", "bus", "train", "foot", "ferry"], [50, 20, 15, 14, 1], n
    )
    speed = np.array([45, 25, 80, 5, 20])[mode.codes] * rng.lognormal(0, 0.2, n)
    scale = np.array([2.0, 1.6, 3.4, 0.4, 1.5])[mode.codes]
    distance = rng.lognormal(scale, 0.9)
    seconds = (distance / speed * 3600).round().clip(30)
    rush = np.where(rng.random(n) < 0.5, 8, 17) + rng.normal(0, 1.5, n)
    begun = rng.integers(365, size=n) * 86_400 + (rush.clip(0, 23.9) * 3600).astype(int)
    departed = np.datetime64("2025-01-01", "s") + begun.astype("timedelta64[s]")
    fare = np.where(np.isin(mode.codes, [1, 2, 4]), 2 + 0.15 * distance, 0).round(1)
    return pd.DataFrame(
        {
            "mode": mode,
            "departed": departed,
            "arrived": departed + seconds.astype("timedelta64[s]"),
            "km": distance.round(2),
            "fare": fare,
            "people": pd.array(1 + rng.poisson(0.5 * (mode.codes == 0)), dtype="Int64"),
            "ticket": pd.Series(
                np.where(fare > 0, rng.choice(["single", "month", "year"], n), None)
            ).astype("str"),
        }
    )


_REGIONS = {f"d{i}": f"r{i // 6}" for i in range(24)}


def _is_product(d: pd.DataFrame) -> pd.Series:
    """Totals are quantity times price less discount, to a cent."""
    price = d["product"].astype(str).map(dict(zip(_PRODUCTS, _PRICES))).astype(float)
    return (d.total - d.quantity * price * (1 - d.discount)).abs() < 0.011


# Rows that keep to what holds in each row of a made table.
RULES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "adults": lambda d: d.hired.isna() | (d.hired >= d.born + pd.DateOffset(years=18)),
    "machines": lambda d: (d.kind == "dry") == d.humidity.isna(),
    "orders": lambda d: _is_product(d),
    "patients": lambda d: d.region.astype(str) == d.district.astype(str).map(_REGIONS),
    "trips": lambda d: d.arrived > d.departed,
}


def _statsmodels(name: str) -> pd.DataFrame:
    import statsmodels.api as sm

    return getattr(sm.datasets, name).load_pandas().data


def _typed(frame, *, category=(), ordered=(), flag=(), whole=()) -> pd.DataFrame:
    """The frame with columns of these kinds."""
    frame = frame.copy()
    for name in category:
        frame[name] = frame[name].astype(int).astype(str).astype("category")
    for name in ordered:
        frame[name] = _ordered(
            *np.unique(frame[name].astype(int), return_inverse=True)[::-1]
        )
    for name in flag:
        frame[name] = frame[name].astype(bool)
    for name in whole:
        frame[name] = frame[name].astype(int)
    return frame


def fair() -> pd.DataFrame:
    return _typed(
        _statsmodels("fair"),
        category=["occupation", "occupation_husb"],
        ordered=["rate_marriage", "religious"],
        whole=["educ"],
    )


def anes() -> pd.DataFrame:
    return _typed(
        _statsmodels("anes96").drop(columns="logpopul"),
        ordered=["selfLR", "ClinLR", "DoleLR", "PID", "educ", "income"],
        flag=["vote"],
        whole=["popul", "TVnews", "age"],
    )


def modechoice() -> pd.DataFrame:
    return _typed(
        _statsmodels("modechoice").drop(columns="individual"),
        category=["mode"],
        flag=["choice"],
        whole=["ttme", "invc", "invt", "gc", "hinc", "psize"],
    )


def randhie() -> pd.DataFrame:
    frame = _statsmodels("randhie").sample(
        _N_RANDHIE, random_state=0, ignore_index=True
    )
    return _typed(frame, flag=["idp", "hlthg", "hlthf", "hlthp"], whole=["mdvis"])


def grunfeld() -> pd.DataFrame:
    frame = _statsmodels("grunfeld")
    frame["firm"] = frame["firm"].astype("category")
    return _typed(frame, whole=["year"])


def ccard() -> pd.DataFrame:
    return _typed(_statsmodels("ccard"), flag=["OWNRENT"], whole=["AGE"])


def spector() -> pd.DataFrame:
    return _typed(_statsmodels("spector"), flag=["PSI", "GRADE"], whole=["TUCE"])


def _with_kind(load) -> pd.DataFrame:
    bunch = load(as_frame=True)
    kinds = pd.Categorical.from_codes(bunch.target, list(map(str, bunch.target_names)))
    return bunch.data.assign(kind=kinds)


def iris() -> pd.DataFrame:
    return _with_kind(load_iris)


def wine() -> pd.DataFrame:
    return _with_kind(load_wine)


def diabetes() -> pd.DataFrame:
    frame = load_diabetes(as_frame=True, scaled=False).frame
    frame["sex"] = frame["sex"].astype(int).astype(str).astype("category")
    return _typed(frame, whole=["age", "target"])


MADE = {f.__name__: f for f in (adults, orders, machines, patients, trips)}
REAL = {
    f.__name__: f
    for f in (
        fair,
        anes,
        modechoice,
        randhie,
        grunfeld,
        ccard,
        spector,
        iris,
        wine,
        diabetes,
    )
}
LOADERS: dict[str, Callable[[], pd.DataFrame]] = MADE | REAL


def halves(frame: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to train on, and rows to compare with."""
    order = np.random.default_rng(seed).permutation(len(frame))
    middle = len(frame) // 2
    parts = order[:middle], order[middle:]
    return tuple(frame.iloc[part].reset_index(drop=True) for part in parts)
