"""Dataframes of any package that narwhals knows: their columns as numbers, and back."""

import importlib
from datetime import date, datetime, time, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

# Kinds of columns, by the names of narwhals' dtypes beside the numeric ones.
_KINDS = {
    "Boolean": "boolean",
    "String": "categorical",
    "Categorical": "categorical",
    "Enum": "ordinal",
    "Date": "date",
    "Datetime": "date",
    "Duration": "date",
}

# Types of the values of columns of objects.
_OBJECTS = {"categorical": str, "boolean": (bool, np.bool_)}

_NUMBERS = int, float, np.integer, np.floating

# Largest whole number up to which float64 has all others.
LARGEST_WHOLE = 2**53


def from_native(X):
    """The dataframe as narwhals has it.

    Raises
    ------
    ValueError
        If names of columns are not different.
    """
    import narwhals.stable.v2 as nw

    return nw.from_native(X, eager_only=True)


def is_frame(X) -> bool:
    """Whether X is a dataframe of a package that narwhals knows."""
    # Without arrays having to wait for the import.
    if not (hasattr(X, "columns") or hasattr(X, "column_names")):
        return False
    import narwhals.stable.v2 as nw

    return nw.dependencies.is_into_dataframe(X)


def has_numbers_alone(X) -> bool:
    """Whether a dataframe has no column but those that become an array of numbers."""
    from narwhals.exceptions import DuplicateError

    try:
        frame = from_native(X)
    except DuplicateError:
        # Arrays have no names that could be equal.
        if any(getattr(dtype, "kind", "O") not in "biuf" for dtype in X.dtypes):
            raise
        return True
    # Not by names: numbers among them would be rows.
    return all(map(_is_numeric, frame.iter_columns()))


def _is_numeric(series) -> bool:
    name = _name(series.dtype)
    if name == "Object":
        return not any(
            isinstance(value, (str, bytes)) for value in series.drop_nulls().to_list()
        )
    # Of dtypes that narwhals does not know, pandas' sparse one is an array's too.
    return series.dtype.is_numeric() or name in ("Boolean", "Unknown")


def _name(dtype) -> str:
    return type(dtype).__name__


def kind_of(series) -> str:
    """Kind of a column: "number", "categorical", "ordinal", "boolean" or "date".

    Raises
    ------
    TypeError
        If it is none of them.
    """
    import narwhals.stable.v2 as nw

    name = _name(series.dtype)
    if name == "Object":
        return _kind_of_objects(series)
    if series.dtype.is_numeric() and name != "Decimal":
        return "number"
    native = getattr(series.to_native(), "dtype", series.dtype)
    # pandas cannot name the dtype of Arrow's dictionaries, nor find its categories.
    if name not in _KINDS or str(native).startswith("dictionary"):
        raise TypeError(
            f"Column {series.name!r} has the dtype {native}: columns hold numbers, "
            "text, categories, booleans, dates or durations."
        )
    is_ordered = name == "Categorical" and nw.is_ordered_categorical(series)
    return "ordinal" if is_ordered else _KINDS[name]


def _kind_of_objects(series) -> str:
    values = series.drop_nulls().to_list()
    for kind, types in _OBJECTS.items():
        if values and all(isinstance(value, types) for value in values):
            return kind
    if all(isinstance(v, _NUMBERS) and not isinstance(v, bool) for v in values):
        return "number"
    found = sorted({type(value).__name__ for value in values})
    raise TypeError(
        f"Column {series.name!r} holds objects of the types {', '.join(found)}; they "
        "must be all text, all numbers or all booleans."
    )


def numbers_of(series) -> np.ndarray:
    """Values (n,) of a column of numbers, float64; NaN where they are missing.

    Raises
    ------
    ValueError
        If one is infinite.
    """
    import narwhals.stable.v2 as nw

    values = series.cast(nw.Float64).to_numpy().astype(np.float64)
    if np.isinf(values).any():
        raise ValueError(f"Column {series.name!r} contains infinity.")
    return values


def check_exact(series, values: np.ndarray) -> None:
    """Raise where whole numbers of a column are too large for float64.

    Raises
    ------
    ValueError
        If they are.
    """
    is_large = np.abs(values) > LARGEST_WHOLE
    if series.dtype.is_integer() and is_large.any():
        raise ValueError(
            f"Column {series.name!r} has whole numbers beyond 2**53, which float64 "
            "does not have: leave it out, or convert it to floats."
        )


def labels_of(series) -> list:
    """Values of a column of categories, None where they are missing."""
    missing = series.is_null().to_numpy()
    return [None if m else value for m, value in zip(missing, series.to_list())]


def categories_of(series) -> list:
    """Categories of an ordered dtype, in their order."""
    return series.cat.get_categories().to_list()


def with_observed(written, observed, is_observed: np.ndarray):
    """The column `written`, with exactly the observed values of another one.

    In the dtype of `written`, except for values that this does not have.
    """
    import narwhals.stable.v2 as nw

    own, values = observed.to_list(), written.to_list()
    where = np.flatnonzero(is_observed).tolist()
    if all(own[i] == values[i] for i in where):
        return written
    if len(where) == len(own):
        return observed
    # As integers among decimals, so that there is one type.
    convert = float if observed.dtype.is_float() else lambda value: value
    missing = written.is_null().to_list()
    values = [None if m else convert(v) for m, v in zip(missing, values)]
    for i in where:
        values[i] = own[i]
    return nw.new_series(written.name, values, backend=written.implementation)


class Dates:
    """Dates or durations as whole numbers, from the first one on.

    Parameters
    ----------
    series : Series
        Column of the training rows, which have the unit and the time zone.

    Attributes
    ----------
    unit : str
        Of NumPy's dtype, such as ``"datetime64[us]"``.
    origin, step : int
        The first date, and the greatest distance of which all from it are multiples,
        in that unit.
    """

    def __init__(self, series):
        times = _times_of(series)
        self.unit, self.zone = str(times.dtype), _zone_of(series)
        found = times[~np.isnat(times)].astype(np.int64)
        if len(found) and int(found.max()) - int(found.min()) >= 2**63:
            raise ValueError(
                f"Column {series.name!r} has dates too far apart for {self.unit}: "
                "convert it to a larger unit."
            )
        self.origin = int(found.min()) if len(found) else 0
        self.step = int(np.gcd.reduce(found - self.origin)) if len(found) else 0
        self.step = self.step or 1

    def read(self, series) -> np.ndarray:
        """Numbers (n,) of a column, float64; NaN where a date is missing."""
        times = _times_of(series)
        self._check_like(series, times)
        near = times.astype(self.unit).astype(np.int64)
        whole = (near - self.origin) / self.step
        # Of a larger unit there are dates that this one does not reach.
        unit = np.array(1, times.dtype.str.replace("M8", "m8")) / np.array(
            1, self.unit.replace("datetime", "timedelta")
        )
        far = times.astype(np.int64) * unit - self.origin
        whole = np.where(np.abs(far) > 2.0**62, far / self.step, whole)
        return np.where(np.isnat(times), np.nan, whole)

    def _check_like(self, series, times) -> None:
        is_duration, has_zone = times.dtype.kind == "m", _zone_of(series) is not None
        if (is_duration, has_zone) != (self.is_duration, self.zone is not None):
            raise TypeError(
                f"Column {series.name!r} has the dtype {series.dtype}, but was "
                f"{self.unit} in fit"
                + (f", with the time zone {self.zone}." if self.zone else ".")
            )

    def read_values(self, values: list) -> np.ndarray:
        """Numbers of dates or durations as users write them: objects, or text.

        Raises
        ------
        TypeError, ValueError
            If they are neither.
        """
        # NumPy's durations are integers.
        if any(
            isinstance(value, _NUMBERS) and not isinstance(value, np.timedelta64)
            for value in values
        ):
            raise TypeError("A number has no unit of time.")
        if not self.is_duration:
            values = [_in_utc(value, self.zone) for value in values]
        times = np.array(values, dtype=self.unit.split("[")[0]).astype(self.unit)
        return (times.astype(np.int64) - self.origin) / self.step

    def write(self, values: np.ndarray) -> np.ndarray:
        """Dates (n,) of such numbers, NaT of NaN."""
        is_missing = np.isnan(values)
        whole = np.where(is_missing, 0, values).round().astype(np.int64)
        times = (self.origin + whole * self.step).astype(self.unit)
        times[is_missing] = np.timedelta64("NaT") if self.is_duration else "NaT"
        return times

    @property
    def in_seconds(self) -> tuple[float, float]:
        """Factor of such numbers, and what is added, for seconds since 1970."""
        unit = np.array(1, self.unit.replace("datetime", "timedelta"))
        second = float(unit / np.timedelta64(1, "s"))
        return self.step * second, self.origin * second

    @property
    def is_duration(self) -> bool:
        return self.unit.startswith("timedelta")


def _zone_of(series) -> str | None:
    return getattr(series.dtype, "time_zone", None)


def _in_utc(value, zone: str | None):
    """A date without time zone, in Coordinated Universal Time where columns have a
    zone."""
    if isinstance(value, np.datetime64):
        return value
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if zone is None or not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        value = value.replace(tzinfo=ZoneInfo(zone))
    return value.astimezone(timezone.utc).replace(tzinfo=None)


def _times_of(series) -> np.ndarray:
    """Dates (n,) in Coordinated Universal Time, of NumPy's dtype."""
    import narwhals.stable.v2 as nw

    if _name(series.dtype) == "Date":
        # Of which pandas makes objects.
        series = series.cast(nw.Datetime("ms"))
    if _zone_of(series) is not None:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return series.to_numpy()


def from_columns(columns: dict, package: str):
    """Native dataframe of lists or arrays by name."""
    import narwhals.stable.v2 as nw

    return nw.from_dict(columns, backend=package).to_native()


class Dtypes:
    """Package and dtypes of a dataframe, by which rows become such a dataframe.

    Text and lists, so that files have them: a dtype of pandas is its name, one of
    polars is that of narwhals, and categories stand beside.

    Parameters
    ----------
    frame : DataFrame
        Of narwhals.
    """

    def __init__(self, frame):
        package = frame.implementation.to_native_namespace().__name__
        self.package = package.split(".")[0]
        self.names = list(frame.columns)
        describe = _describe_pandas if self._is_pandas else _describe
        self.dtypes = [describe(frame[name]) for name in self.names]

    @property
    def _is_pandas(self) -> bool:
        # Modin's and cuDF's are as pandas'.
        return self.package not in ("polars", "pyarrow")

    def frame(self, columns: list, index_of=None):
        """The dataframe of these columns.

        Parameters
        ----------
        columns : list of list or ndarray
            Values of each column; None, NaN or NaT where they are missing.
        index_of : DataFrame or None
            Native dataframe with the index of the rows, where its package has one.
        """
        import narwhals.stable.v2 as nw

        series = {
            name: self._cast(
                nw.new_series(
                    name, _plain(values, not self._is_pandas), backend=self.package
                ),
                dtype,
            )
            for name, values, dtype in zip(self.names, columns, self.dtypes)
        }
        frame = nw.from_dict(series).to_native()
        if hasattr(frame, "index") and hasattr(index_of, "index"):
            frame.index = index_of.index
        return frame

    def _cast(self, series, dtype: dict):
        import narwhals.stable.v2 as nw

        if not self._is_pandas:
            return _in_zone(series, dtype).cast(_make(dtype))
        native = series.to_native()
        zone = dtype.get("time_zone")
        if zone is not None:
            native = native.dt.tz_localize("UTC").dt.tz_convert(zone)
        kind = _pandas_dtype(dtype, self.package)
        if series.is_null().any() and getattr(kind, "kind", "O") in "iub":
            # NumPy's integers and booleans have no missing values, pandas' own have.
            name = "boolean" if kind.kind == "b" else _capital(str(kind))
            kind = native.astype("object").astype(name).dtype
        return nw.from_native(native.astype(kind), series_only=True)


def _capital(name: str) -> str:
    """Name of the dtype of pandas that has missing values: Int64 of int64."""
    return name.replace("uint", "UInt").replace("int", "Int")


def _plain(values, has_nulls: bool) -> Any:
    """Values of which a package makes a column, None in the place of NaN where it
    `has_nulls`."""
    if not isinstance(values, np.ndarray):
        return list(values)
    if not has_nulls or values.dtype.kind != "f" or not np.isnan(values).any():
        return values
    return [None if value != value else value for value in values.tolist()]


def _describe_pandas(series) -> dict:
    dtype = series.to_native().dtype
    if str(dtype) != "category":
        zone = getattr(dtype, "tz", None)
        return {
            "name": str(dtype),
            "time_zone": None if zone is None else str(zone),
            "storage": getattr(dtype, "storage", None),
        }
    return {
        "name": "category",
        "categories": dtype.categories.to_list(),
        "of": str(dtype.categories.dtype),
        "ordered": bool(dtype.ordered),
    }


def _pandas_dtype(described: dict, package: str):
    pandas, plain = (importlib.import_module(name) for name in (package, "pandas"))
    name, storage = described["name"], described.get("storage")
    # By these names pandas has text of another storage.
    if name == "string[pyarrow]":
        return plain.ArrowDtype(importlib.import_module("pyarrow").string())
    if name == "string" and storage:
        return plain.StringDtype(storage)
    if name == "str" and storage:
        return plain.StringDtype(storage, na_value=np.nan)
    if name != "category":
        return plain.api.types.pandas_dtype(name)
    categories = pandas.Index(described["categories"], dtype=described["of"])
    return pandas.CategoricalDtype(categories, described["ordered"])


def _describe(series) -> dict:
    dtype = series.dtype
    options = {
        name: getattr(dtype, name)
        for name in ("categories", "time_unit", "time_zone")
        if hasattr(dtype, name)
    }
    if "categories" in options:
        options["categories"] = list(options["categories"])
    return {"name": _name(dtype)} | options


def _make(described: dict):
    import narwhals.stable.v2 as nw

    options = {key: value for key, value in described.items() if key != "name"}
    kind = getattr(nw, described["name"])
    return kind(**options) if options else kind()


def _in_zone(series, described: dict):
    zone = described.get("time_zone")
    if zone is None:
        return series
    return series.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
