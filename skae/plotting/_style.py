"""Colours and axes of all displays, in light and in dark styles.

matplotlib is imported where it is needed: plain installations do not have it.
"""

import math

import numpy as np

# Ten colours that people with colour-vision deficiency tell apart, on white and on
# black (Petroff, M. A. (2021). Accessible color sequences for data visualization).
COLOURS = [
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
]

# Smallest contrast of these with the background: less is hard to see.
MIN_CONTRAST = 2.5

# From blue over white to red: safe for all kinds of colour vision.
DIVERGING = "RdBu_r"

# Inches of one panel of several.
PANEL = 2.4


def pyplot(caller):
    """Return matplotlib's pyplot.

    Raises
    ------
    ImportError
        If matplotlib is not installed; `caller` needs it.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib; install skae[plot] or matplotlib."
        ) from error
    return plt


def axes_for(ax, caller, *, figsize=None):
    """The axes to draw on: those that are given, or of a new figure."""
    plt = pyplot(caller)
    if ax is None:
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    return ax


def panels(ax, caller, n_rows, n_columns, *, size=(PANEL, PANEL), **options):
    """Array (n_rows, n_columns) of axes in the place of one, or in a new figure.

    Parameters
    ----------
    ax : Axes or None
        It is switched off, and the panels take its place.
    caller : str
    n_rows, n_columns : int
    size : pair of float
        Inches of a panel of a new figure.
    **options
        `sharex`, `sharey` and ratios, of `matplotlib.gridspec`.
    """
    plt = pyplot(caller)
    shared = {k: options.pop(k) for k in ("sharex", "sharey") if k in options}
    if ax is None:
        width, height = size
        figure = plt.figure(
            figsize=(n_columns * width, n_rows * height), layout="constrained"
        )
        grid = figure.add_gridspec(n_rows, n_columns, **options)
    else:
        ax.set_axis_off()
        grid = ax.get_subplotspec().subgridspec(n_rows, n_columns, **options)
    return grid.subplots(squeeze=False, **shared)


def merged(defaults, given):
    """Keyword arguments of an artist: the defaults, replaced by those of a user."""
    return {**defaults, **(given or {})}


def palette(ax):
    """The ten colours, moved away from the background of axes where they are near."""
    return [_contrasting(colour, background(ax)) for colour in COLOURS]


def _contrasting(colour, behind):
    """A colour, mixed with black or white until it has the smallest contrast."""
    from matplotlib.colors import to_hex, to_rgb

    mixed, ink = np.array(to_rgb(colour)), float(_luminance(behind) < 0.5)
    while _contrast(mixed, behind) < MIN_CONTRAST:
        mixed = mixed + 0.1 * (ink - mixed)
    return to_hex(mixed)


def _contrast(colour, other):
    """Contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    dark, light = sorted((_luminance(colour), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour):
    """Relative luminance of a colour of sRGB, within 0 and 1."""
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def background(ax):
    """Colour behind axes, which may be transparent themselves."""
    drawn = [ax.get_facecolor(), ax.figure.get_facecolor()]
    return next((colour for colour in drawn if colour[3] > 0), (1, 1, 1, 1))


def text_colour():
    """Colour of text in the current style: readable on its background."""
    return pyplot("A display").rcParams["text.color"]


def is_dark(ax):
    """Whether the background of axes is dark."""
    return _luminance(background(ax)) < 0.5


def sequential(ax):
    """Colour map of numbers, without the end that the background would swallow."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    ends = (0.25, 1.0) if is_dark(ax) else (0.0, 0.85)
    return ListedColormap(colormaps["viridis"](np.linspace(*ends, 256)))


def grey(ax):
    """Colour map of grey images: a value of zero is the background."""
    return "gray" if is_dark(ax) else "gray_r"


def class_colours(n_classes, ax):
    """A colour for each class: of ten that differ most, or else of a sequence."""
    if n_classes <= len(COLOURS):
        return palette(ax)[:n_classes]
    from matplotlib.colors import to_hex

    return [to_hex(c) for c in sequential(ax)(np.linspace(0, 1, n_classes))]


def legend(ax, n_entries):
    """A legend, beside the axes where it would hide points and the layout has room."""
    if n_entries > 4 and ax.figure.get_layout_engine() is not None:
        return ax.legend(
            loc="center left", bbox_to_anchor=(1, 0.5), ncols=math.ceil(n_entries / 15)
        )
    return ax.legend(ncols=math.ceil(n_entries / 5))
