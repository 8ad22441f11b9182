"""How each latent moves each feature."""

import numpy as np

from skae._sklearn import check_is_fitted
from skae.plotting._estimators import (
    array,
    as_seen_by_last_step,
    by_information,
    encoded,
    feature_names,
    last_step,
)
from skae.plotting._layout import make_layout
from skae.plotting._style import DIVERGING, PANEL, merged, palette, panels, text_colour
from skae.plotting._tiles import name_features

# Panels of images side by side, at most.
_MAX_COLUMNS = 4


class LoadingsDisplay:
    """Loadings: the mean derivative of each feature by each latent.

    They are the `components_` of a transformer: of a linear autoencoder those of PCA.
    For tables they are a heat map, for series and images a panel for each latent.

    It is recommended to create it by `from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    components : ndarray of shape (n_latents, n_features)
        Loadings.
    latents : tuple of int
        Number of the latent of each line.
    layout : object
        How a row is drawn.
    unit : str
        Label of the loadings, with their unit.
    name : str, default=None
        Name of the estimator.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the first panel.
    axes_ : list of matplotlib Axes
        All panels.
    figure_ : matplotlib Figure
        Figure of the panels.
    images_ : list of matplotlib AxesImage
        The heat map, or the images of the latents.
    lines_ : list of matplotlib Line2D
        Lines of series.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae import AutoencoderTransformer
    >>> from skae.plotting import LoadingsDisplay
    >>> model = AutoencoderTransformer(2, max_iter=5, random_state=0)
    >>> display = LoadingsDisplay.from_estimator(model.fit(load_iris().data))
    >>> display.components.shape
    (2, 4)
    """

    def __init__(self, *, components, latents, layout, unit, name=None):
        self.components = components
        self.latents = latents
        self.layout = layout
        self.unit = unit
        self.name = name

    def plot(self, ax=None, *, name=None, image_kwargs=None, line_kwargs=None):
        """Draw the loadings.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on, or whose place the panels take. None makes a new figure.
        name : str, default=None
            Title, in the place of `name`.
        image_kwargs : dict, default=None
            Keyword arguments of heat map and images, for `matplotlib.axes.Axes.imshow`.
        line_kwargs : dict, default=None
            Those of series, for `matplotlib.axes.Axes.plot`.

        Returns
        -------
        display : LoadingsDisplay
            This object.
        """
        self.images_, self.lines_ = [], []
        largest = float(np.abs(self.components).max()) or 1.0
        options = {"cmap": DIVERGING, "vmin": -largest, "vmax": largest}
        options = merged(options, image_kwargs)
        if self.layout.kind == "table":
            self._plot_table(ax, options)
        elif self.layout.kind == "series":
            self._plot_series(ax, merged({"linewidth": 1.3}, line_kwargs))
        else:
            self._plot_images(ax, options)
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        if self.images_:
            self.colorbar_ = self.figure_.colorbar(
                self.images_[0], ax=self.axes_, label=self.unit
            )
        if ax is None:
            self.figure_.suptitle(name or self.name or "")
        return self

    def _plot_table(self, ax, options):
        n_latents, n_features = self.components.shape
        size = (
            float(np.clip(0.35 * n_features + 2, 4.5, 12)),
            float(np.clip(0.4 * n_latents + 2, 3.4, 8)),
        )
        grid = panels(ax, "LoadingsDisplay.plot", 1, 1, size=size)
        self.axes_ = list(grid[0])
        panel = self.axes_[0]
        self.images_.append(panel.imshow(self.components, aspect="auto", **options))
        names = [f"Latent {latent}" for latent in self.latents]
        panel.set_yticks(range(n_latents), names)
        name_features(panel, self.layout.names)

    def _plot_series(self, ax, options):
        n = len(self.latents)
        grid = panels(
            ax,
            "LoadingsDisplay.plot",
            n,
            1,
            size=(2.2 * PANEL, max(0.7 * PANEL, 2 * PANEL / n)),
            sharex=True,
            sharey=True,
        )
        self.axes_ = list(grid[:, 0])
        for panel, row, latent in zip(self.axes_, self.components, self.latents):
            panel.axhline(0, color=text_colour(), linewidth=0.6)
            for channel, line in enumerate(self.layout.pictures(row).T):
                colours = palette(panel)
                colour = {"color": colours[channel % len(colours)]}
                self.lines_ += panel.plot(line, **colour | options)
            panel.set_ylabel(f"Loading, latent {latent}")
        self.axes_[-1].set_xlabel("Step")

    def _plot_images(self, ax, options):
        n, (height, width, _) = len(self.latents), self.layout.shape
        n_columns = min(n, _MAX_COLUMNS)
        # One or two panels are larger, so that title and key have room.
        side = max(0.7 * PANEL, 4.0 / n_columns)
        size = (side, max(side * height / width + 0.3, 2.4))
        grid = panels(
            ax, "LoadingsDisplay.plot", -(-n // n_columns), n_columns, size=size
        )
        self.axes_ = list(grid.flat)[:n]
        for panel in list(grid.flat)[n:]:
            panel.set_axis_off()
        for panel, row, latent in zip(self.axes_, self.components, self.latents):
            # Of channels the mean: a derivative has no colour.
            picture = self.layout.pictures(row).mean(-1)
            self.images_.append(panel.imshow(picture, **options))
            panel.set(xticks=[], yticks=[])
            panel.set_title(f"Latent {latent}", fontsize="medium")

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X=None,
        *,
        latents=None,
        max_latents=8,
        sample_shape=None,
        ax=None,
        name=None,
        image_kwargs=None,
        line_kwargs=None,
    ):
        """Draw the loadings of a fitted transformer.

        Parameters
        ----------
        estimator : transformer or Pipeline
            Fitted, with `components_`; PCA will do. Of a pipeline the last step, in the
            units of what it gets from the others.
        X : array-like of shape (n_samples, n_features), default=None
            Rows by whose standard deviations the loadings are divided, and by those of
            whose codes they are multiplied: features and latents then have no unit.
        latents : sequence of int, default=None
            Latents to draw. None is the most informative ones, in their order.
        max_latents : int, default=8
            How many of them, at most.
        sample_shape : tuple of int, default=None
            Shape of a row, as described in :class:`ReconstructionDisplay`.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Title. None is the name of the class.
        image_kwargs, line_kwargs : dict, default=None
            Keyword arguments of artists, as in `plot`.

        Returns
        -------
        display : LoadingsDisplay
            The display, drawn.
        """
        check_is_fitted(estimator)
        last = last_step(estimator)
        components, unit = array(last.components_), "Loading"
        if X is not None:
            rows, codes = (
                array(as_seen_by_last_step(estimator, X)),
                encoded(estimator, X),
            )
            scale = rows.std(0)
            components = components * codes.std(0)[:, None]
            components /= np.where(scale > 0, scale, 1.0)
            unit = "Loading (std. dev.)"
        if latents is None:
            # Without rows, by the size of the loadings.
            order = by_information(estimator, np.linalg.norm(components, axis=1))
            latents = sorted(order[:max_latents])
        latents = tuple(int(latent) for latent in latents)
        layout = make_layout(estimator, components, sample_shape)
        layout.names = feature_names(last, components.shape[1])
        if not hasattr(last, "feature_names_in_"):
            layout.names = feature_names(estimator, components.shape[1])
        display = cls(
            components=components[list(latents)],
            latents=latents,
            layout=layout,
            unit=unit,
            name=type(last).__name__ if name is None else name,
        )
        return display.plot(ax, image_kwargs=image_kwargs, line_kwargs=line_kwargs)
