"""From data frames of mixed columns to arrays, and back to a frame of results."""

from itertools import chain

import numpy as np

from skae.data._frames import (
    Dates,
    categories_of,
    from_native,
    kind_of,
    labels_of,
    numbers_of,
)

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
        return from_native(frame)
    except TypeError as error:
        raise TypeError(
            f"{name} has to be a data frame (pandas, polars, ...), in which each "
            f"column has a type; got {type(frame).__name__}."
        ) from error


def encode(frames):
    """Return arrays (n, d) of frames of equal columns, and a mask (d,) of categories.

    Numbers are as they are, dates and durations whole numbers of a unit; categories
    are numbered in their declared order, else by name, those of the first frame before
    all others. Missing entries are NaN. What is a category, the first frame decides.
    """
    columns = [[frame[name] for frame in frames] for name in frames[0].columns]
    kinds = [kind_of(column[0]) for column in columns]
    arrays = [_ENCODERS[kind](column) for column, kind in zip(columns, kinds)]
    is_category = np.array([_ENCODERS[kind] is _codes for kind in kinds])
    return [np.column_stack(values) for values in zip(*arrays)], is_category


def _codes(column):
    """Numbers (n,) of the levels of a column in several frames, compared as strings."""
    labels = [
        [None if label is None else str(label) for label in labels_of(series)]
        for series in column
    ]
    levels = [sorted({label for label in own if label is not None}) for own in labels]
    if len(levels[0]) == len(column[0]) > _MOST_DIFFERENT:
        raise ValueError(
            f"Column {column[0].name!r} looks like a key, as all its entries in train "
            "differ: leave it out."
        )
    is_ordinal = kind_of(column[0]) == "ordinal"
    declared = map(str, categories_of(column[0])) if is_ordinal else ()
    # Repeated keys keep their first place.
    order = dict.fromkeys(chain(declared, *levels))
    codes = {level: float(code) for code, level in enumerate(order)}
    return [np.array([codes.get(label, np.nan) for label in own]) for own in labels]


def _numbers(column):
    _check_kinds(column)
    return [numbers_of(series) for series in column]


def _dates(column):
    """Units (n,) since the first date of the first frame."""
    _check_kinds(column)
    dates = Dates(column[0])
    return [dates.read(series) for series in column]


def _check_kinds(column):
    kinds = [kind_of(series) for series in column]
    for kind in kinds:
        if kind != kinds[0]:
            raise TypeError(
                f"Column {column[0].name!r} is of the kind {kinds[0]} in train, and of "
                f"the kind {kind} elsewhere."
            )


# Kind of a column: what makes numbers of it in several frames.
_ENCODERS = {
    "number": _numbers,
    "date": _dates,
    "categorical": _codes,
    "ordinal": _codes,
    "boolean": _codes,
}


def changed_dtypes(frame, other):
    """One (d,) for each column whose dtypes differ in two frames, else zero."""
    return np.array(
        [float(frame[name].dtype != other[name].dtype) for name in frame.columns]
    )


def to_frame(lines, columns, like):
    """Return a frame of lines, ``{measure: values}``, of the same library as `like`.

    The measures are its index, or its first column where frames have no index.
    """
    import narwhals.stable.v2 as nw

    content = {"measure": list(lines)}
    content |= {name: [line[name] for line in lines.values()] for name in columns}
    frame = nw.from_dict(content, backend=like.implementation)
    return nw.maybe_set_index(frame, "measure").to_native()
