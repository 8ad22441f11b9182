"""Rows decoded from a grid of codes."""

import numpy as np

from skae._sklearn import check_is_fitted
from skae.plotting._estimators import (
    CodeDensity,
    by_information,
    checked_latents,
    checked_limits,
    decoder,
    last_step,
)
from skae.plotting._layout import make_layout
from skae.plotting._style import axes_for
from skae.plotting._tiles import (
    draw_heat_maps,
    draw_tiles,
    draw_title,
    figure_size,
    label_tiles,
)

# Features of a table that are drawn, at most.
_MAX_FEATURES = 8


class ManifoldDisplay:
    """Rows decoded from a grid of codes through the quantiles of their density.

    Equal steps along the grid are equal probabilities: of the prior of a variational
    model, otherwise of the mixture that `sample` draws from, or of the codes of rows.
    Further latents stay at their medians. Of tables, the features that differ most are
    heat maps over the grid, each in standard deviations over the decoded rows.

    It is recommended to create it by `from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    rows : ndarray of shape (n_y, n_x, n_features)
        Decoded rows; `n_y` is one for a single latent.
    values : list of ndarray
        Values of the latents along the grid, of shape (n_x,), and (n_y,).
    latents : tuple of int
        Latents that span the grid, one or two.
    density : str
        Name of the density.
    layout : object
        How a row is drawn.
    name : str, default=None
        Name of the estimator.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the grid.
    figure_ : matplotlib Figure
        Figure of the axes.
    axes_ : list of matplotlib Axes
        These, and those of the other features of a table.
    tiles_ : list of matplotlib artist
        The decoded rows: an image, the lines of series, or for tables a heat map of
        each feature.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import VAETransformer
    >>> from skae.plotting import ManifoldDisplay
    >>> vae = VAETransformer(2, max_iter=5, random_state=0).fit(load_digits().data)
    >>> display = ManifoldDisplay.from_estimator(vae, sample_shape=(8, 8))
    >>> display.rows.shape
    (12, 12, 64)
    """

    def __init__(self, *, rows, values, latents, density, layout, name=None):
        self.rows = rows
        self.values = values
        self.latents = latents
        self.density = density
        self.layout = layout
        self.name = name

    def plot(self, ax=None, *, name=None, tile_kwargs=None):
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Title, in the place of `name`.
        tile_kwargs : dict, default=None
            Keyword arguments for `matplotlib.axes.Axes.imshow`, or for
            `matplotlib.collections.LineCollection` of series and tables.

        Returns
        -------
        display : ManifoldDisplay
            This object.
        """
        if self.layout.kind == "table":
            self._plot_features(ax, tile_kwargs)
        else:
            size = figure_size(self.rows, self.layout)
            self.axes_ = [axes_for(ax, "ManifoldDisplay.plot", figsize=size)]
            tiles = draw_tiles(self.axes_[0], self.rows, self.layout, tile_kwargs)
            self.tiles_ = [tiles]
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        self._label(self.axes_)
        draw_title(ax, self.axes_, name or self.name)
        return self

    def _plot_features(self, ax, kwargs):
        """A heat map for each of the features that differ most."""
        values = np.moveaxis(self.layout.pictures(self.rows), -1, 0)
        varied = self.rows.std((0, 1)) / self.layout.scale
        shown = np.sort(np.argsort(-varied, kind="stable")[:_MAX_FEATURES])
        names = [self.layout.names[i] for i in shown]
        self.axes_, self.tiles_ = draw_heat_maps(
            ax, "ManifoldDisplay.plot", values[shown], names, kwargs
        )

    def _label(self, axes):
        # Small panels have no room for more than the name.
        is_single = len(axes) == 1
        density, n_ticks = (f", {self.density}", 5) if is_single else ("", 3)
        names = [f"Latent {latent}{density}" for latent in self.latents]
        for panel in axes:
            label_tiles(panel.set_xticks, self.values[0], n_ticks=n_ticks)
            panel.set_xlabel(names[0])
            if len(self.latents) == 1:
                panel.set_yticks([])
                continue
            label_tiles(panel.set_yticks, self.values[1], n_ticks=n_ticks)
            if panel.get_subplotspec().is_first_col() or is_single:
                panel.set_ylabel(names[1])

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X=None,
        *,
        latents=None,
        n_grid=12,
        limits=(0.05, 0.95),
        sample_shape=None,
        ax=None,
        name=None,
        tile_kwargs=None,
    ):
        """Draw what a fitted transformer decodes from a grid of codes.

        Parameters
        ----------
        estimator : transformer or Pipeline
            Fitted, with `inverse_transform`.
        X : array-like of shape (n_samples, n_features), default=None
            Rows whose codes have the quantiles of the grid. None takes those of the
            prior, or of the mixture of codes where there is no prior.
        latents : sequence of int, default=None
            One latent or two. None is the two most informative ones, or the only one.
        n_grid : int, default=12
            Number of codes along each latent.
        limits : pair of float, default=(0.05, 0.95)
            Probabilities of the first and the last code.
        sample_shape : tuple of int, default=None
            Shape of a row, as described in :class:`ReconstructionDisplay`.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Title. None is the name of the class.
        tile_kwargs : dict, default=None
            Keyword arguments of artists, as in `plot`.

        Returns
        -------
        display : ManifoldDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there are no such latents, or no density without X.
        """
        check_is_fitted(estimator)
        density = CodeDensity(estimator, X)
        if latents is None:
            latents = sorted(by_information(estimator, density.spread)[:2])
        latents = checked_latents(latents, density.n_components, at_most=2)
        quantiles = density.quantiles(np.linspace(*checked_limits(limits), n_grid))
        values = [quantiles[:, latent] for latent in latents]
        grid = np.stack(np.meshgrid(*values), -1)  # (n_y, n_x, 2), or (n_x, 1)
        codes = np.tile(density.quantiles([0.5])[0], (grid.size // len(latents), 1))
        codes[:, latents] = grid.reshape(-1, len(latents))
        rows = decoder(estimator)(codes)
        display = cls(
            rows=rows.reshape(-1, n_grid, rows.shape[1]),
            values=values,
            latents=latents,
            density=density.label,
            layout=make_layout(estimator, rows, sample_shape),
            name=type(last_step(estimator)).__name__ if name is None else name,
        )
        return display.plot(ax, tile_kwargs=tile_kwargs)
