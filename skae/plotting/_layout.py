"""How a row is drawn: as an image, as a series, or as the entries of a table."""

from dataclasses import dataclass

import numpy as np

from skae.plotting._estimators import feature_names, last_step
from skae.plotting._style import grey, merged


@dataclass
class Layout:
    """Shape and names of the rows of a display.

    Attributes
    ----------
    kind : {"image", "series", "table"}
    shape : tuple of int
        (height, width, channels), (length, channels) or (n_features,).
    channels_first : bool
        Whether a flat row holds its channels one after another.
    names : list of str
        Of the features.
    centre, scale : ndarray of shape (n_features,)
        Units in which entries of a table are drawn: those of features may differ.
    """

    kind: str
    shape: tuple
    channels_first: bool
    names: list
    centre: np.ndarray
    scale: np.ndarray

    def pictures(self, rows):
        """Flat rows (..., d) in the shape that is drawn, (..., *shape)."""
        if self.kind == "table":
            return (rows - self.centre) / self.scale
        if not self.channels_first:
            return rows.reshape(*rows.shape[:-1], *self.shape)
        *space, n_channels = self.shape
        shaped = rows.reshape(*rows.shape[:-1], n_channels, *space)
        return np.moveaxis(shaped, rows.ndim - 1, -1)

    def residuals(self, rows):
        """The same of differences of rows."""
        return self.pictures(rows + self.centre if self.kind == "table" else rows)

    @property
    def unit(self):
        """Label of the values of a row."""
        return "Standard deviations" if self.kind == "table" else "Value"

    @property
    def axis_name(self):
        """Label of what the values of a series or table stand along."""
        return "Step" if self.kind == "series" else "Feature"


def make_layout(estimator=None, rows=None, sample_shape=None):
    """Layout of the rows of an estimator.

    Parameters
    ----------
    estimator : transformer or pipeline
    rows : ndarray of shape (n, d)
        Of which a table has its centre and scale.
    sample_shape : tuple of int or None
        (length,) is a series, (height, width) or (channels, height, width) an image.
        None is that of the estimator, where two numbers are a series; without any, rows
        are those of a table.

    Raises
    ------
    ValueError
        If rows have not so many features.
    """
    n_features = rows.shape[1]
    kind, shape, first = _shape(estimator, n_features, sample_shape)
    if np.prod(shape) != n_features:
        raise ValueError(
            f"sample_shape={sample_shape!r} has {np.prod(shape)} values, but rows have "
            f"{n_features} features."
        )
    scale = rows.std(0)
    names = feature_names(estimator, n_features)
    centre = rows.mean(0)
    return Layout(kind, shape, first, names, centre, np.where(scale > 0, scale, 1.0))


def _shape(estimator, n_features, sample_shape):
    """Kind, shape and place of the channels."""
    last = last_step(estimator)
    own = getattr(last, "sample_shape", None)
    if sample_shape is None and own is not None and len(own) == 2:
        if getattr(last, "architecture", None) in ("recurrent", "attention"):
            return "series", tuple(own), False  # (length, features)
        channels, length = own
        return "series", (length, channels), True
    shape = own if sample_shape is None else sample_shape
    if shape is None:
        return "table", (n_features,), False
    shape = tuple(int(size) for size in np.atleast_1d(shape))
    if len(shape) == 1:
        return "series", (*shape, 1), True
    if len(shape) == 2:
        return "image", (*shape, 1), True
    if len(shape) == 3:
        channels, height, width = shape
        return "image", (height, width, channels), True
    raise ValueError(
        "sample_shape must be (length,), (height, width) or (channels, height, width); "
        f"got {sample_shape!r}."
    )


def colour_range(layout, pictures, quantiles=(0.0, 1.0)):
    """Limits of the grey of images; those of colours are 0 and 1, or 255."""
    if layout.shape[-1] in (3, 4):
        return 0.0, 1.0 if pictures.max() <= 1.5 else 255.0
    low, high = np.nanquantile(pictures, quantiles)
    return float(low), float(high)


def as_image(picture, limits):
    """Picture (..., h, w, c) as matplotlib draws it: grey, or colours within 0 and 1.

    Channels that are no colours are averaged.
    """
    if picture.shape[-1] in (3, 4):
        return (picture / limits[1]).clip(0, 1)
    return picture.mean(-1)


def draw_image(ax, picture, limits, kwargs=None):
    """One image without ticks; returns the artist."""
    image = as_image(picture, limits)
    options = {"cmap": grey(ax), "vmin": limits[0], "vmax": limits[1]}
    artist = ax.imshow(image, **merged(options, kwargs))
    ax.set(xticks=[], yticks=[])
    return artist
