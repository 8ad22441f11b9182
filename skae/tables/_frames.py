"""From data frames of mixed columns to arrays, and back to a frame of results."""

from itertools import chain

import numpy as np

_NAMES = ("train", "test", "new")

# Rows of so many different categories are named, not described.
_MOST_DIFFERENT = 100


def read(train, test, new):
    """Return the frames in narwhals, with the columns in the order of `train`."""
    frames = [_as_frame(frame, name) for frame, name in zip((train, test, new), _NAMES)]
    first = frames[0]
    for frame, name in zip(frames[1:], _NAMES[1:]):
        if frame.implementation is not first.implementation:
            raise TypeError(f"train and {name} are frames of different libraries.")
        if set(frame.columns) != set(first.columns):
            odd = sorted(set(frame.columns) ^ set(first.columns), key=str)
            raise ValueError(f"train and {name} differ in the columns {odd}.")
    for frame, name in zip(frames, _NAMES):
        if len(frame) < 2:
            raise ValueError(
                f"{name} has {len(frame)} rows, and 2 at least are needed."
            )
    return [frame.select(first.columns) for frame in frames]


def _as_frame(frame, name):
    try:
        import narwhals as nw
    except ImportError as error:
        raise ImportError(
            "skae.tables reads data frames through narwhals, which is not installed: "
            "pip install 'skae[tables]'."
        ) from error
    try:
        return nw.from_native(frame, eager_only=True)
    except TypeError as error:
        raise TypeError(
            f"{name} has to be a data frame (pandas, polars, ...), in which each "
            f"column has a type; got {type(frame).__name__}."
        ) from error


def encode(frames):
    """Return arrays (n, d) of frames of equal columns, and a mask (d,) of categories.

    Numbers are as they are, dates and durations in microseconds; categories are
    numbered in their declared order, else by name, those of the first frame before
    all others. Missing entries are NaN. What is a category, the first frame decides.
    """
    names = frames[0].columns
    is_category = np.array([_is_category(frames[0][name]) for name in names])
    columns = [
        _codes(column) if category else [_numbers(series) for series in column]
        for column, category in zip(
            ([frame[name] for frame in frames] for name in names), is_category
        )
    ]
    return [np.column_stack(values) for values in zip(*columns)], is_category


def _is_category(series):
    import narwhals as nw

    return series.dtype in (nw.Boolean, nw.String, nw.Categorical, nw.Enum)


def _codes(all_series):
    """Numbers (n,) of the levels of a column in several frames, compared as strings."""
    import narwhals as nw

    values = [series.cast(nw.String).to_list() for series in all_series]
    missing = [series.is_null().to_list() for series in all_series]
    levels = [
        sorted({v for v, is_missing in zip(*both) if not is_missing})
        for both in zip(values, missing)
    ]
    if len(levels[0]) == len(all_series[0]) > _MOST_DIFFERENT:
        raise ValueError(
            f"Column {all_series[0].name!r} looks like a key, as all its entries in "
            "train differ: leave it out."
        )
    dtype = all_series[0].dtype
    declared = map(str, dtype.categories) if dtype == nw.Enum else ()
    # Repeated keys keep their first place.
    order = dict.fromkeys(chain(declared, *levels))
    codes = {level: float(code) for code, level in enumerate(order)}
    # Whatever stands for a missing entry is no level.
    return [np.array([codes.get(v, np.nan) for v in column]) for column in values]


def _numbers(series):
    """Values (n,) of a column of numbers, dates or durations."""
    import narwhals as nw

    dtype = series.dtype
    if dtype in (nw.Date, nw.Datetime):
        series = series.dt.timestamp("us")
    elif dtype == nw.Duration:
        series = series.dt.total_microseconds()
    elif not dtype.is_numeric():
        raise TypeError(
            f"Column {series.name!r} is of type {dtype}, and numbers, booleans, "
            "strings, categories, dates and durations can be compared."
        )
    values = series.cast(nw.Float64).to_numpy().astype(float)
    if np.isinf(values).any():
        raise ValueError(f"Column {series.name!r} has infinite entries.")
    return values


def changed_dtypes(frame, other):
    """One (d,) for each column whose dtypes differ in two frames, else zero."""
    return np.array(
        [float(frame[name].dtype != other[name].dtype) for name in frame.columns]
    )


def to_frame(lines, columns, like):
    """Return a frame of lines, ``{measure: values}``, of the same library as `like`.

    The measures are its index, or its first column where frames have no index.
    """
    import narwhals as nw

    content = {"measure": list(lines)}
    content |= {name: [line[name] for line in lines.values()] for name in columns}
    frame = nw.from_dict(content, backend=like.implementation)
    return nw.maybe_set_index(frame, "measure").to_native()
