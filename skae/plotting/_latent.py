"""Codes of rows in the plane of two latents."""

from itertools import combinations
from pathlib import Path

import numpy as np
from sklearn.utils import check_consistent_length

from skae.plotting._estimators import (
    array,
    by_information,
    check_has,
    checked_latents,
    decoder,
    encoded,
    last_step,
    posterior_std,
)
from skae.plotting._explorer import explorer_page
from skae.plotting._layout import make_layout
from skae.plotting._style import axes_for, legend, merged, panels
from skae.plotting._targets import make_targets, scatter

# Area of a point, in square points, of few rows and of many.
_LARGEST, _SMALLEST, _AREA = 24.0, 6.0, 12000.0


class LatentDisplay:
    """Codes of rows, coloured by y, with the widths of their posteriors.

    Two latents span a plane, in which an ellipse around each code shows one standard
    deviation of its posterior. A single latent is drawn as a strip for each class of y.
    More than two are drawn as a grid of all pairs.

    It is recommended to create it by `from_estimator` or `from_codes`. All parameters
    are stored as attributes.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, n_components)
        Codes.
    y : array-like of shape (n_samples,), default=None
        Classes or numbers by which the codes are coloured.
    std : ndarray of shape (n_samples, n_components), default=None
        Standard deviations of the posteriors.
    order : sequence of int, default=None
        Latents, the most informative first. None is by the variance of the codes.
    X : ndarray of shape (n_samples, n_features), default=None
        The rows, for `to_html`.
    decode : callable, default=None
        From codes to rows, for `to_html`.
    layout : object, default=None
        How a row is drawn, for `to_html`.
    name : str, default=None
        Name of the estimator.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the first pair of latents.
    axes_ : list of matplotlib Axes
        Axes of all pairs.
    figure_ : matplotlib Figure
        Figure of the axes.
    scatters_ : list of matplotlib PathCollection
        Points, an artist for each class on each of the axes.
    ellipses_ : list of matplotlib Collection
        Widths of the posteriors on each of the axes.
    latents_ : tuple of int
        Latents that are drawn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae import VAETransformer
    >>> from skae.plotting import LatentDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> vae = VAETransformer(3, max_iter=5, random_state=0).fit(X)
    >>> display = LatentDisplay.from_estimator(vae, X, y)
    >>> display.ax_.get_xlabel()
    'Latent 0'
    """

    def __init__(
        self,
        *,
        codes,
        y=None,
        std=None,
        order=None,
        X=None,
        decode=None,
        layout=None,
        name=None,
    ):
        self.codes = codes
        self.y = y
        self.std = std
        self.order = order
        self.X = X
        self.decode = decode
        self.layout = layout
        self.name = name

    def plot(
        self,
        ax=None,
        *,
        latents=None,
        name=None,
        scatter_kwargs=None,
        ellipse_kwargs=None,
    ):
        """Draw the codes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        latents : sequence of int, default=None
            Latents to draw: one, two, or more for a grid of all pairs. None is the two
            most informative ones, or the only one.
        name : str, default=None
            Title, in the place of `name`.
        scatter_kwargs : dict, default=None
            Keyword arguments of the points, for `matplotlib.axes.Axes.scatter`.
        ellipse_kwargs : dict, default=None
            Those of the widths of posteriors, for `matplotlib.collections.Collection`.

        Returns
        -------
        display : LatentDisplay
            This object.
        """
        self.latents_ = self._chosen(latents)
        self._targets = make_targets(self.y, len(self.codes))
        self._options = merged(
            {"s": self._area(), "alpha": 0.8, "linewidths": 0}, scatter_kwargs
        )
        self._ellipse_options = merged({"alpha": 0.15, "zorder": 0.5}, ellipse_kwargs)
        self.scatters_, self.ellipses_ = [], []
        if len(self.latents_) > 2:
            self._plot_grid(ax)
        else:
            self.axes_ = [axes_for(ax, "LatentDisplay.plot", figsize=(5.6, 4.4))]
            draw = self._draw_pair if len(self.latents_) == 2 else self._draw_strips
            draw(self.axes_[0], *self.latents_)
            self._add_key(self.axes_[0])
            self.axes_[0].set_title(name or self.name or "")
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        if len(self.latents_) > 2 and ax is None:
            self.figure_.suptitle(name or self.name or "")
        return self

    def _chosen(self, latents):
        n_components = self.codes.shape[1]
        if latents is None:
            order = self.order
            if order is None:
                order = np.argsort(-self.codes.std(0), kind="stable")
            latents = sorted(order[:2])
        return checked_latents(latents, n_components)

    def _area(self):
        return float(np.clip(_AREA / len(self.codes), _SMALLEST, _LARGEST))

    def _plot_grid(self, ax):
        """Panels of all pairs, below the diagonal."""
        n = len(self.latents_) - 1
        grid = panels(ax, "LatentDisplay.plot", n, n, sharex="col", sharey="row")
        self.axes_ = []
        for j, i in combinations(range(n + 1), 2):
            panel = grid[i - 1, j]
            self._draw_pair(panel, self.latents_[j], self.latents_[i])
            panel.label_outer()
            self.axes_.append(panel)
        for panel in grid[np.triu_indices(n, 1)]:
            panel.set_axis_off()
        # Above the diagonal nothing is drawn.
        self._add_key(grid[0, -1], self.axes_[0])

    def _draw_pair(self, ax, first, second):
        x, y = self.codes[:, first], self.codes[:, second]
        if self.std is not None:
            self._draw_ellipses(ax, x, y, self.std[:, first], self.std[:, second])
        self.scatters_ += scatter(ax, x, y, self._targets, **self._options)
        ax.set(xlabel=f"Latent {first}", ylabel=f"Latent {second}")

    def _draw_ellipses(self, ax, x, y, x_std, y_std):
        from matplotlib.collections import EllipseCollection

        ellipses = EllipseCollection(
            2 * x_std,
            2 * y_std,
            np.zeros_like(x),
            units="xy",
            offsets=np.column_stack([x, y]),
            offset_transform=ax.transData,
            **{"facecolors": self._targets.colours(ax)} | self._ellipse_options,
        )
        self.ellipses_.append(ax.add_collection(ellipses, autolim=False))

    def _draw_strips(self, ax, latent):
        x, y = self.codes[:, latent], self._targets.strips()
        if self.std is not None:
            std, colours = self.std[:, latent], self._targets.colours(ax)
            options = {"colors": colours, "linewidths": 1.5} | self._ellipse_options
            self.ellipses_.append(ax.hlines(y, x - std, x + std, **options))
        self.scatters_ += scatter(ax, x, y, self._targets, **self._options)
        ax.set(xlabel=f"Latent {latent}", ylabel=self._targets.label)
        if self._targets.ranks is not None:
            classes = self._targets.classes
            # Without targets there is one strip, which has no name.
            names = [name for name in classes if name]
            ax.set_yticks(range(len(names)), names)

    def _add_key(self, ax, owner=None):
        """Legend or colour bar; the names of strips stand at their axis."""
        if len(self.latents_) == 1 or self._targets.label == "":
            return
        if self._targets.ranks is None:
            self.colorbar_ = ax.figure.colorbar(
                self.scatters_[0],
                ax=ax if owner is None else self.axes_,
                label=self._targets.label,
            )
            self.colorbar_.solids.set_alpha(1)
            return
        n_classes = len(self._targets.classes)
        if owner is None:
            self.legend_ = legend(ax, n_classes)
        else:
            handles, labels = owner.get_legend_handles_labels()
            self.legend_ = ax.legend(
                handles, labels, loc="center", ncols=1 + n_classes // 8
            )
        self.legend_.set_title(self._targets.label)
        for handle in self.legend_.legend_handles:
            handle.set(alpha=1, sizes=[_LARGEST])

    def to_html(self, path=None, *, latents=None, n_grid=24, n_rows=300):
        """Write a page that decodes the code under the pointer.

        It is one file without references to others: it works from a disk, in a
        notebook (``IPython.display.IFrame(path, 800, 600)``) and on a phone. Pointing
        into the plane of two latents shows the decoded row, interpolated between those
        of a grid, and beside it the nearest of the rows. The other latents stay at
        their medians. Values are rounded to 256 levels of their range.

        Parameters
        ----------
        path : path-like, default=None
            File to write. None returns the page.
        latents : sequence of int, default=None
            One latent or two. None is the two most informative ones, or the only one.
        n_grid : int, default=24
            Codes along each latent that are decoded.
        n_rows : int, default=300
            Rows that are on the page, at most, drawn at random from all.

        Returns
        -------
        page : str or None
            The page, if `path` is None.

        Raises
        ------
        ValueError
            If the display was not made by `from_estimator`, which knows the decoder, or
            for more than two latents.
        """
        if self.decode is None or self.X is None:
            raise ValueError(
                "to_html needs rows and a decoder: create the display by "
                "LatentDisplay.from_estimator."
            )
        latents = self._chosen(latents)
        checked_latents(latents, self.codes.shape[1], at_most=2)
        page = explorer_page(self, latents, n_grid, n_rows)
        if path is None:
            return page
        Path(path).write_text(page, encoding="utf-8")
        return None

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        sample_shape=None,
        latents=None,
        ax=None,
        name=None,
        scatter_kwargs=None,
        ellipse_kwargs=None,
    ):
        """Draw the codes of rows under a fitted transformer.

        Parameters
        ----------
        estimator : transformer or Pipeline
            Fitted. `to_html` needs its `inverse_transform`.
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Classes or numbers by which the codes are coloured.
        sample_shape : tuple of int, default=None
            Shape of a row in `to_html`, as described in :class:`ReconstructionDisplay`.
        latents : sequence of int, default=None
            Latents to draw, as in `plot`.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Title. None is the name of the class.
        scatter_kwargs, ellipse_kwargs : dict, default=None
            Keyword arguments of artists, as in `plot`.

        Returns
        -------
        display : LatentDisplay
            The display, drawn.
        """
        check_has(estimator, "transform", "a transformer")
        codes = encoded(estimator, X)
        # Of a mixed table codes are drawn, not rows.
        is_mixed = hasattr(last_step(estimator), "columns_")
        rows = None if is_mixed else array(X)
        display = cls(
            codes=codes,
            y=y,
            std=posterior_std(estimator, X),
            order=by_information(estimator, codes.std(0)),
            X=rows,
            decode=None if is_mixed else decoder(estimator),
            layout=None if is_mixed else make_layout(estimator, rows, sample_shape),
            name=type(last_step(estimator)).__name__ if name is None else name,
        )
        return display.plot(
            ax,
            latents=latents,
            scatter_kwargs=scatter_kwargs,
            ellipse_kwargs=ellipse_kwargs,
        )

    @classmethod
    def from_codes(
        cls,
        codes,
        y=None,
        *,
        std=None,
        latents=None,
        ax=None,
        name=None,
        scatter_kwargs=None,
        ellipse_kwargs=None,
    ):
        """Draw codes.

        Parameters
        ----------
        codes : array-like of shape (n_samples, n_components)
            Codes, as `transform` returns them.
        y : array-like of shape (n_samples,), default=None
            Classes or numbers by which they are coloured.
        std : array-like of shape (n_samples, n_components), default=None
            Standard deviations of their posteriors.
        latents : sequence of int, default=None
            Latents to draw, as in `plot`.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Title.
        scatter_kwargs, ellipse_kwargs : dict, default=None
            Keyword arguments of artists, as in `plot`.

        Returns
        -------
        display : LatentDisplay
            The display, drawn.
        """
        check_consistent_length(codes, std, y)
        std = None if std is None else array(std)
        return cls(codes=array(codes), y=y, std=std, name=name).plot(
            ax,
            latents=latents,
            scatter_kwargs=scatter_kwargs,
            ellipse_kwargs=ellipse_kwargs,
        )
