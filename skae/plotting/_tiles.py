"""Decoded rows as small pictures side by side, and tables as heat maps."""

import numpy as np

from skae.plotting._layout import as_image, colour_range
from skae.plotting._style import (
    DIVERGING,
    background,
    grey,
    merged,
    palette,
    panels,
    text_colour,
)

# Quantiles of decoded values that are black and white: a few lie far out.
_QUANTILES = 0.02, 0.99

# Part of a tile that its picture takes.
_FILLED = 0.86

# Inches of a tile of a new figure, and of the margin for labels.
_TILE, _MARGIN = 0.5, 1.0

# Inches of a heat map, and how many of them are side by side, at most.
_MAP, _MAX_COLUMNS = 2.6, 4

# Features of a table up to which each has its name.
MAX_NAMES = 40

# Ticks along an axis, at most.
_MAX_TICKS = 5


def draw_tiles(ax, rows, layout, kwargs=None):
    """Images or series (r, c, d) as small pictures; returns the artist.

    The centre of the one in row i and column j is at (j, i), i upwards.
    """
    pictures = layout.pictures(rows)
    n_rows, n_columns = pictures.shape[:2]
    ax.set(xlim=(-0.5, n_columns - 0.5), ylim=(-0.5, n_rows - 0.5))
    if layout.kind == "image":
        return _image_tiles(ax, pictures, layout, kwargs)
    return _line_tiles(ax, pictures, kwargs)


def _image_tiles(ax, pictures, layout, kwargs):
    n_rows, n_columns, height, width = pictures.shape[:4]
    limits = colour_range(layout, pictures, _QUANTILES)
    images = as_image(pictures, limits)[::-1]  # (r, c, h, w, ...), downwards
    mosaic = images.swapaxes(1, 2).reshape(
        n_rows * height, n_columns * width, *images.shape[4:]
    )
    options = {"cmap": grey(ax), "vmin": limits[0], "vmax": limits[1]}
    extent = (-0.5, n_columns - 0.5, -0.5, n_rows - 0.5)
    artist = ax.imshow(mosaic, extent=extent, **merged(options, kwargs))
    ax.set_aspect(height / width)
    _draw_edges(ax, n_rows, n_columns, background(ax), 2.0)
    return artist


def _line_tiles(ax, pictures, kwargs):
    from matplotlib.collections import LineCollection

    n_rows, n_columns = pictures.shape[:2]
    low, high = float(pictures.min()), float(pictures.max())
    # Of all tiles, so that they compare.
    heights = (pictures - low) / ((high - low) or 1.0) - 0.5
    x = _FILLED * (np.linspace(0, 1, pictures.shape[2]) - 0.5)
    segments, colours, palette_ = [], [], palette(ax)
    for i in range(n_rows):
        for j in range(n_columns):
            values = _FILLED * heights[i, j] + i
            for channel, line in enumerate(values.T):
                segments.append(np.column_stack([x + j, line]))
                colours.append(palette_[channel % len(palette_)])
    artist = LineCollection(
        segments, **merged({"colors": colours, "linewidths": 1.2}, kwargs)
    )
    ax.add_collection(artist)
    _draw_edges(ax, n_rows, n_columns, text_colour(), 0.5, alpha=0.2)
    return artist


def _draw_edges(ax, n_rows, n_columns, colour, width, alpha=1.0):
    """Lines between tiles."""
    options = {"color": colour, "linewidth": width, "alpha": alpha}
    for edge in np.arange(0.5, n_columns - 1):
        ax.axvline(edge, **options)
    for edge in np.arange(0.5, n_rows - 1):
        ax.axhline(edge, **options)


def draw_heat_maps(ax, caller, maps, titles, kwargs=None):
    """A panel for each of the maps (n, r, c), with common colours; returns the list of
    axes and that of images."""
    n, n_columns = len(maps), min(len(maps), _MAX_COLUMNS)
    # One or two have room for the names of features.
    size = (max(_MAP, 3 * _MAP / n_columns), _MAP)
    grid = panels(ax, caller, -(-n // n_columns), n_columns, size=size, sharey=True)
    shown, spare = list(grid.flat)[:n], list(grid.flat)[n:]
    largest = float(np.abs(maps).max()) or 1.0
    options = {"cmap": DIVERGING, "vmin": -largest, "vmax": largest}
    options |= {"origin": "lower", "aspect": "auto"}
    images = []
    for panel, values, title in zip(shown, maps, titles):
        images.append(panel.imshow(values, **merged(options, kwargs)))
        panel.set_title(title, fontsize="medium")
        is_first = panel.get_subplotspec().is_first_col()
        panel.tick_params(labelleft=is_first)
    for panel in spare:
        panel.set_axis_off()
    shown[0].figure.colorbar(images[0], ax=shown, label="Value (std. dev.)")
    return shown, images


def figure_size(rows, layout):
    """Inches of a figure for tiles: those of images have their shape."""
    n_rows, n_columns = rows.shape[:2]
    if layout.kind == "image":
        height, width = layout.shape[:2]
        side = np.clip(7.0 / n_columns, 0.3, 0.9)
        return n_columns * side + _MARGIN, n_rows * side * height / width + _MARGIN
    wide = np.clip(9.0 / n_columns, 0.7, 2.0)
    return n_columns * wide + _MARGIN, n_rows * max(_TILE, 0.8 * wide) + _MARGIN


def label_tiles(set_ticks, values, form="{:.2g}", n_ticks=_MAX_TICKS):
    """Values at some of the places 0, 1, ... along an axis, the ends among them."""
    n = min(len(values), n_ticks)
    places = np.unique(np.linspace(0, len(values) - 1, n).round().astype(int))
    # A number that rounds to zero has no sign.
    set_ticks(places, [form.format(values[i] + 0.0) for i in places])


def name_features(ax, names):
    """Names of features below axes, or their numbers where they are many."""
    ax.set_xlabel("Feature")
    if len(names) > MAX_NAMES:
        return
    size = "medium" if len(names) <= 12 else "x-small"
    ax.set_xticks(range(len(names)), names, rotation=90, fontsize=size)


def draw_title(ax, axes, name):
    """Name of an estimator above a figure of its own, or above single axes."""
    if len(axes) == 1:
        axes[0].set_title(name or "")
    elif ax is None:
        axes[0].figure.suptitle(name or "")
