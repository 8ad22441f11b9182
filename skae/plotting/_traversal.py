"""Rows decoded along each latent."""

import numpy as np

from skae._sklearn import check_is_fitted
from skae.plotting._estimators import (
    CodeDensity,
    by_information,
    checked_latents,
    checked_limits,
    decoder,
    encoded,
    last_step,
)
from skae.plotting._layout import make_layout
from skae.plotting._style import axes_for
from skae.plotting._tiles import (
    MAX_NAMES,
    draw_heat_maps,
    draw_tiles,
    draw_title,
    figure_size,
    label_tiles,
)


class TraversalDisplay:
    """Rows decoded along each latent, the others staying as they are.

    A line for each latent, the most informative on top: what it does to a row as it
    goes through the quantiles of its density. Of tables, each latent has a heat map of
    the features, in standard deviations over the decoded rows.

    It is recommended to create it by `from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    rows : ndarray of shape (n_latents, n_steps, n_features)
        Decoded rows.
    probabilities : ndarray of shape (n_steps,)
        Probabilities of the steps.
    latents : tuple of int
        Latents, from the top.
    density : str
        Name of the density.
    layout : object
        How a row is drawn.
    name : str, default=None
        Name of the estimator.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of all lines.
    figure_ : matplotlib Figure
        Figure of the axes.
    axes_ : list of matplotlib Axes
        These, and those of the other latents for tables.
    tiles_ : list of matplotlib artist
        The decoded rows: an image, the lines of series, or for tables a heat map for
        each latent.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import VAETransformer
    >>> from skae.plotting import TraversalDisplay
    >>> vae = VAETransformer(4, max_iter=5, random_state=0).fit(load_digits().data)
    >>> display = TraversalDisplay.from_estimator(vae, sample_shape=(8, 8))
    >>> display.rows.shape
    (4, 9, 64)
    """

    def __init__(self, *, rows, probabilities, latents, density, layout, name=None):
        self.rows = rows
        self.probabilities = probabilities
        self.latents = latents
        self.density = density
        self.layout = layout
        self.name = name

    def plot(self, ax=None, *, name=None, tile_kwargs=None):
        """Draw the lines.

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
        display : TraversalDisplay
            This object.
        """
        names = [f"Latent {latent}" for latent in self.latents]
        if self.layout.kind == "table":
            self._plot_features(ax, names, tile_kwargs)
        else:
            size = figure_size(self.rows, self.layout)
            self.axes_ = [axes_for(ax, "TraversalDisplay.plot", figsize=size)]
            # The first line is the topmost.
            rows = self.rows[::-1]
            self.tiles_ = [draw_tiles(self.axes_[0], rows, self.layout, tile_kwargs)]
            self.axes_[0].set_yticks(range(len(names))[::-1], names)
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        # Small panels have no room for more.
        is_single = len(self.axes_) == 1
        label = f"Latent {self.density}" if is_single else "Quantile"
        for panel in self.axes_:
            n_ticks = 5 if is_single else 3
            label_tiles(panel.set_xticks, self.probabilities, "{:.0%}", n_ticks)
            panel.set_xlabel(label)
        draw_title(ax, self.axes_, name or self.name)
        return self

    def _plot_features(self, ax, names, kwargs):
        """A heat map of the features for each latent, the first feature on top."""
        values = self.layout.pictures(self.rows).swapaxes(1, 2)[:, ::-1]
        self.axes_, self.tiles_ = draw_heat_maps(
            ax, "TraversalDisplay.plot", values, names, kwargs
        )
        features = self.layout.names
        if len(features) <= MAX_NAMES:
            size = "medium" if len(features) <= 10 else "small"
            places = range(len(features))[::-1]
            self.axes_[0].set_yticks(places, features, fontsize=size)
        for panel in self.axes_:
            if panel.get_subplotspec().is_first_col():
                panel.set_ylabel("Feature")

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X=None,
        *,
        row=None,
        latents=None,
        max_latents=8,
        n_steps=9,
        limits=(0.02, 0.98),
        sample_shape=None,
        ax=None,
        name=None,
        tile_kwargs=None,
    ):
        """Draw what a fitted transformer decodes along each latent.

        Parameters
        ----------
        estimator : transformer or Pipeline
            Fitted, with `inverse_transform`.
        X : array-like of shape (n_samples, n_features), default=None
            Rows whose codes have the quantiles, as in :class:`ManifoldDisplay`.
        row : array-like of shape (1, n_features), default=None
            Row whose code has the values of the other latents. None is their medians.
        latents : sequence of int, default=None
            Latents to draw. None is the most informative ones.
        max_latents : int, default=8
            How many of them, at most.
        n_steps : int, default=9
            Number of codes along each latent.
        limits : pair of float, default=(0.02, 0.98)
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
        display : TraversalDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there are no such latents, or no density without X.
        """
        check_is_fitted(estimator)
        density = CodeDensity(estimator, X)
        if latents is None:
            latents = by_information(estimator, density.spread)[:max_latents]
        latents = checked_latents(latents, density.n_components)
        probabilities = np.linspace(*checked_limits(limits), n_steps)
        quantiles = density.quantiles(probabilities)
        centre = density.quantiles([0.5]) if row is None else encoded(estimator, row)
        codes = np.tile(centre[:1], (len(latents), n_steps, 1))
        for line, latent in enumerate(latents):
            codes[line, :, latent] = quantiles[:, latent]
        rows = decoder(estimator)(codes.reshape(-1, codes.shape[-1]))
        display = cls(
            rows=rows.reshape(len(latents), n_steps, -1),
            probabilities=probabilities,
            latents=latents,
            density=density.label,
            layout=make_layout(estimator, rows, sample_shape),
            name=type(last_step(estimator)).__name__ if name is None else name,
        )
        return display.plot(ax, tile_kwargs=tile_kwargs)
