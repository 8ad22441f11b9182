"""A page that decodes the code under the pointer, from a grid decoded before."""

import base64
import json
from importlib.resources import files

import numpy as np

from skae.plotting._layout import as_image, colour_range
from skae.plotting._style import COLOURS, class_colours
from skae.plotting._targets import make_targets

# Width of the margin around the points, in units of their range.
_MARGIN = 0.05

# Rows of a table on the page: those whose decoded values differ most.
_MAX_FEATURES = 30

_LEVELS = 255


def explorer_page(display, latents, n_grid, n_rows):
    """The page, as text; `LatentDisplay.to_html` describes the arguments."""
    codes, targets = display.codes, make_targets(display.y, len(display.codes))
    chosen = np.sort(np.random.RandomState(0).permutation(len(codes))[:n_rows])
    x = codes[:, latents[0]]
    y = codes[:, latents[1]] if len(latents) == 2 else targets.strips()
    axes = [_limits(x), _limits(y)]
    n_y = n_grid if len(latents) == 2 else 1
    decoded = display.decode(_grid(codes, latents, axes, n_grid))
    data = {
        "name": display.name or "",
        "labels": [f"Latent {latent}" for latent in latents],
        "axes": axes,
        "grid": [n_grid, n_y],
        "x": _rounded(x[chosen]),
        "y": _rounded(y[chosen]),
        "rows": chosen.tolist(),
    }
    data |= _targets(targets, chosen)
    data |= _values(display.layout, decoded, display.X[chosen])
    # "<" would end the element, or begin a comment, if a name had it.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    template = files("skae.plotting").joinpath("explorer.html").read_text("utf-8")
    return template.replace("{{data}}", text)


def _limits(values):
    span = np.ptp(values) or 1.0
    return [
        float(values.min() - _MARGIN * span),
        float(values.max() + _MARGIN * span),
    ]


def _grid(codes, latents, axes, n):
    """Codes of the grid, row by row from the lowest; other latents at their medians."""
    lines = [np.linspace(*limits, n) for _, limits in zip(latents, axes)]
    points = np.stack(np.meshgrid(*lines), -1).reshape(-1, len(latents))
    grid = np.tile(np.median(codes, axis=0), (len(points), 1))
    grid[:, latents] = points
    return grid


def _rounded(values):
    return [float(f"{value:.4g}") for value in values]


def _targets(targets, chosen):
    """What the page needs of the targets: colours and names of the points."""
    if targets.ranks is None:
        numbers = targets.numbers[chosen]
        return {
            "target": targets.label,
            "numbers": _rounded(numbers),
            "range": _rounded([targets.numbers.min(), targets.numbers.max()]),
        }
    n_classes = len(targets.classes)
    colours = COLOURS if n_classes <= len(COLOURS) else _many_colours(n_classes)
    return {
        "target": targets.label,
        "classes": targets.classes,
        "ranks": targets.ranks[chosen].tolist(),
        "colours": colours[:n_classes],
    }


def _many_colours(n_classes):
    from matplotlib.figure import Figure

    return class_colours(n_classes, Figure().add_subplot())


def _values(layout, decoded, rows):
    """Decoded and real rows, as bytes, and how they are drawn."""
    if layout.kind == "table":
        return _table_values(layout, decoded, rows)
    both = layout.pictures(np.concatenate([decoded, rows]))
    low, high = colour_range(layout, both)
    if layout.kind == "image":
        # The black and white of real rows: decoded values beyond them are cut.
        low, high = colour_range(layout, layout.pictures(rows))
        both = as_image(both, (low, high))
        low, high = (0.0, 1.0) if both.ndim == 4 else (low, high)
    levels = _quantised(both, low, high)
    return {
        "kind": layout.kind,
        "shape": list(both.shape[1:]),
        "low": [low],
        "high": [high],
        "decoded": _base64(levels[: len(decoded)]),
        "real": _base64(levels[len(decoded) :]),
        "palette": COLOURS,
    }


def _table_values(layout, decoded, rows):
    varied = (decoded / layout.scale).std(0)
    shown = np.sort(np.argsort(-varied, kind="stable")[:_MAX_FEATURES])
    decoded, rows = decoded[:, shown], rows[:, shown]
    both = np.concatenate([decoded, rows])
    low, high = both.min(0), both.max(0)
    return {
        "kind": "table",
        "shape": [len(shown)],
        "names": [layout.names[i] for i in shown],
        "low": low.tolist(),
        "high": high.tolist(),
        "decoded": _base64(_quantised(decoded, low, high)),
        "real": _base64(_quantised(rows, low, high)),
    }


def _quantised(values, low, high):
    span = np.where(np.subtract(high, low) > 0, np.subtract(high, low), 1.0)
    return np.rint((values - low) / span * _LEVELS).clip(0, _LEVELS).astype(np.uint8)


def _base64(levels):
    return base64.b64encode(levels.tobytes()).decode("ascii")
