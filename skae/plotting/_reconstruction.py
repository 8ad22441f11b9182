"""Rows, their reconstructions and the residuals."""

import numpy as np

from skae._sklearn import check_is_fitted
from skae.plotting._estimators import array, decoder, encoded, last_step
from skae.plotting._layout import colour_range, draw_image, make_layout
from skae.plotting._style import DIVERGING, PANEL, merged, palette, panels, text_colour
from skae.plotting._tiles import name_features

_TITLES = "original", "reconstruction", "residual"


class ReconstructionDisplay:
    """Rows beside their reconstructions and residuals, a column for each row.

    Images are drawn one above the other. Of a series, or of the entries of a table in
    standard deviations from their means, the upper panel has the row and its
    reconstruction and the lower one the residual.

    It is recommended to create it by `from_estimator` or `from_predictions`. All
    parameters are stored as attributes.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows that are drawn.
    X_reconstructed : ndarray of shape (n_samples, n_features)
        Their reconstructions.
    layout : object
        How a row is drawn.
    name : str, default=None
        Name of the estimator.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Panel of the first row.
    axes_ : ndarray of matplotlib Axes
        Panels: a line for each of original, reconstruction and residual of images; for
        series and tables the first two are one.
    figure_ : matplotlib Figure
        Figure of the panels.
    images_ : list of matplotlib AxesImage
        Images, those of originals first.
    lines_ : list of matplotlib Line2D
        Values of series and tables.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoencoderTransformer
    >>> from skae.plotting import ReconstructionDisplay
    >>> X = load_digits().data
    >>> autoencoder = AutoencoderTransformer(8, max_iter=5, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(
    ...     autoencoder, X[:5], sample_shape=(8, 8)
    ... )
    >>> display.axes_.shape
    (3, 5)
    """

    def __init__(self, *, X, X_reconstructed, layout, name=None):
        self.X = X
        self.X_reconstructed = X_reconstructed
        self.layout = layout
        self.name = name

    def plot(
        self,
        ax=None,
        *,
        name=None,
        image_kwargs=None,
        line_kwargs=None,
        residual_kwargs=None,
    ):
        """Draw the rows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes whose place the panels take. None makes a new figure.
        name : str, default=None
            Title, in the place of `name`.
        image_kwargs : dict, default=None
            Keyword arguments of images, for `matplotlib.axes.Axes.imshow`.
        line_kwargs : dict, default=None
            Those of series and tables, for `matplotlib.axes.Axes.plot`.
        residual_kwargs : dict, default=None
            Those of residuals, for either.

        Returns
        -------
        display : ReconstructionDisplay
            This object.
        """
        self.images_, self.lines_ = [], []
        if self.layout.kind == "image":
            self._plot_images(ax, image_kwargs, residual_kwargs)
        else:
            self._plot_lines(ax, line_kwargs, residual_kwargs)
        self.ax_, self.figure_ = self.axes_[0, 0], self.axes_[0, 0].figure
        if ax is None:
            self.figure_.suptitle(name or self.name or "")
        return self

    def _plot_images(self, ax, kwargs, residual_kwargs):
        n, (height, width, _) = len(self.X), self.layout.shape
        size = (0.55 * PANEL, 0.55 * PANEL * height / width)
        caller = "ReconstructionDisplay.plot"
        self.axes_ = panels(ax, caller, 3, n, size=size)
        rows = [self.layout.pictures(r) for r in (self.X, self.X_reconstructed)]
        # Colours of originals: what a reconstruction has beyond them is cut.
        limits = colour_range(self.layout, rows[0])
        for line, pictures in enumerate(rows):
            for panel, picture in zip(self.axes_[line], pictures):
                self.images_.append(draw_image(panel, picture, limits, kwargs))
        self._draw_residuals(rows[0] - rows[1], residual_kwargs)
        for panel, title in zip(self.axes_[:, 0], _TITLES):
            panel.set_ylabel(title)

    def _draw_residuals(self, pictures, kwargs):
        # Of colours the mean: a residual has no colour of its own.
        pictures = pictures.mean(-1)
        largest = float(np.abs(pictures).max()) or 1.0
        options = {"cmap": DIVERGING, "vmin": -largest, "vmax": largest}
        for panel, picture in zip(self.axes_[2], pictures):
            self.images_.append(panel.imshow(picture, **merged(options, kwargs)))
            panel.set(xticks=[], yticks=[])
        panel = self.axes_[2, -1]
        self.colorbar_ = panel.figure.colorbar(
            self.images_[-1], ax=list(self.axes_[2]), label="Residual", fraction=0.05
        )

    def _plot_lines(self, ax, kwargs, residual_kwargs):
        n, is_table = len(self.X), self.layout.kind == "table"
        self.axes_ = panels(
            ax,
            "ReconstructionDisplay.plot",
            2,
            n,
            size=(max(1.1 * PANEL, 2 * PANEL / n), PANEL if is_table else 0.8 * PANEL),
            sharex=True,
            sharey="row",
            height_ratios=(2, 1),
        )
        for column, panel in enumerate(self.axes_[0]):
            self._draw_row(panel, column, kwargs)
            panel.set_title(f"row {column}", fontsize="medium")
        for column, panel in enumerate(self.axes_[1]):
            self._draw_residual(panel, column, residual_kwargs)
        self.axes_[0, 0].set_ylabel(self.layout.unit)
        self.axes_[1, 0].set_ylabel("Residual")
        self.legend_ = self.axes_[0, 0].legend(fontsize="small")

    def _draw_row(self, panel, column, kwargs):
        rows = self.X[column], self.X_reconstructed[column]
        for row, title, colour, marker in zip(rows, _TITLES, palette(panel), "ox"):
            options = {"color": colour, "linewidth": 1.2}
            if self.layout.kind == "table":
                options |= {"linestyle": "", "marker": marker, "markersize": 5}
            options = merged(options, kwargs)
            lines = panel.plot(self.layout.pictures(row), **options)
            lines[0].set_label(title)
            self.lines_ += lines

    def _draw_residual(self, panel, column, kwargs):
        residual = self.layout.residuals(self.X[column] - self.X_reconstructed[column])
        panel.axhline(0, color=text_colour(), linewidth=0.6)
        options = merged({"color": palette(panel)[2]}, kwargs)
        if self.layout.kind == "series":
            self.lines_ += panel.plot(residual, **{"linewidth": 1.0} | options)
            panel.set_xlabel("Step")
            return
        panel.bar(np.arange(len(residual)), residual, **options)
        name_features(panel, self.layout.names)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        n_rows=5,
        sample_shape=None,
        ax=None,
        name=None,
        image_kwargs=None,
        line_kwargs=None,
        residual_kwargs=None,
    ):
        """Draw rows and what a fitted transformer makes of them.

        Parameters
        ----------
        estimator : transformer or Pipeline
            Fitted, with `inverse_transform`.
        X : array-like of shape (n_samples, n_features)
            Rows, of which the first are drawn. Entries of a table are drawn in standard
            deviations of all of them.
        n_rows : int, default=5
            Number of rows that are drawn, at most.
        sample_shape : tuple of int, default=None
            Shape of a row: (length,) is a series, (height, width) or
            (channels, height, width) an image. None is the `sample_shape` of the
            estimator, where two numbers are a series; without any, rows are those of a
            table.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Title. None is the name of the class.
        image_kwargs, line_kwargs, residual_kwargs : dict, default=None
            Keyword arguments of artists, as in `plot`.

        Returns
        -------
        display : ReconstructionDisplay
            The display, drawn.
        """
        check_is_fitted(estimator)
        rows = array(X)
        reconstructed = decoder(estimator)(encoded(estimator, X[:n_rows]))
        display = cls(
            X=rows[:n_rows],
            X_reconstructed=reconstructed,
            layout=make_layout(estimator, rows, sample_shape),
            name=type(last_step(estimator)).__name__ if name is None else name,
        )
        return display.plot(
            ax,
            image_kwargs=image_kwargs,
            line_kwargs=line_kwargs,
            residual_kwargs=residual_kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        X,
        X_reconstructed,
        *,
        n_rows=5,
        sample_shape=None,
        ax=None,
        name=None,
        image_kwargs=None,
        line_kwargs=None,
        residual_kwargs=None,
    ):
        """Draw rows and their reconstructions.

        Parameters
        ----------
        X, X_reconstructed : array-like of shape (n_samples, n_features)
            Rows and their reconstructions, of which the first are drawn.
        n_rows : int, default=5
            Number of rows that are drawn, at most.
        sample_shape : tuple of int, default=None
            Shape of a row, as in `from_estimator`.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Title.
        image_kwargs, line_kwargs, residual_kwargs : dict, default=None
            Keyword arguments of artists, as in `plot`.

        Returns
        -------
        display : ReconstructionDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the shapes differ.
        """
        rows, reconstructed = array(X), array(X_reconstructed)
        if rows.shape != reconstructed.shape:
            raise ValueError(
                f"X has the shape {rows.shape}, X_reconstructed {reconstructed.shape}."
            )
        return cls(
            X=rows[:n_rows],
            X_reconstructed=reconstructed[:n_rows],
            layout=make_layout(X, rows, sample_shape),
            name=name,
        ).plot(
            ax,
            image_kwargs=image_kwargs,
            line_kwargs=line_kwargs,
            residual_kwargs=residual_kwargs,
        )
