"""Values by which points are coloured: classes, numbers, or none."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import type_of_target

from skae.plotting._style import class_colours, sequential

# Different whole numbers up to which they are classes.
_MAX_CLASSES = 20

# Widths of a strip by which its points are moved apart, in units of the distance
# between two of them.
_SPREAD = 0.6


@dataclass
class Targets:
    """Targets of n rows.

    Attributes
    ----------
    ranks : ndarray of shape (n,) or None
        Number of the class of each row.
    classes : list of str
        Their names; a single one without a name where there is no target.
    numbers : ndarray of shape (n,) or None
        Numbers in the place of classes.
    label : str
        Name of the target.
    """

    ranks: np.ndarray | None
    classes: list
    numbers: np.ndarray | None
    label: str

    def colours(self, ax):
        """A colour for each row."""
        if self.ranks is None:
            return sequential(ax)(_in_unit(self.numbers))
        return np.array(self.class_colours(ax))[self.ranks]

    def class_colours(self, ax):
        """A colour for each class."""
        return class_colours(len(self.classes), ax)

    def strips(self):
        """Second coordinate (n,) of points with one latent: numbers as they are, a
        strip for each class, in which points lie apart."""
        if self.ranks is None:
            return self.numbers
        # Additive recurrence by the golden ratio: even, and the same in each call.
        apart = np.arange(len(self.ranks)) * 0.6180339887498949 % 1 - 0.5
        return self.ranks + _SPREAD * apart


def make_targets(y, n):
    """Targets of n rows from what users pass as y, None for none."""
    if y is None:
        return Targets(np.zeros(n, int), [""], None, "")
    label = str(getattr(y, "name", None) or "y")
    y = np.asarray(y)
    check_consistent_length(y, np.empty(n))
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError("y has NaN or infinity, for which there is no colour.")
    values, ranks = np.unique(y, return_inverse=True)
    is_number = y.dtype.kind in "iuf" and (
        type_of_target(y) == "continuous" or len(values) > _MAX_CLASSES
    )
    if is_number:
        return Targets(None, [], y.astype(float), label)
    return Targets(ranks, [str(v) for v in values], None, label)


def _in_unit(values):
    span = np.ptp(values)
    return (values - values.min()) / (span or 1.0)


def scatter(ax, x, y, targets, **options):
    """Points coloured by their targets: an artist for each class, or one."""
    if targets.ranks is None:
        return [ax.scatter(x, y, c=targets.numbers, cmap=sequential(ax), **options)]
    colours = targets.class_colours(ax)
    if targets.classes == [""]:
        return [ax.scatter(x, y, **{"color": colours[0]} | options)]
    return [
        ax.scatter(
            x[targets.ranks == rank],
            y[targets.ranks == rank],
            label=name,
            **{"color": colours[rank]} | options,
        )
        for rank, name in enumerate(targets.classes)
    ]
