"""Outlier scores, their threshold, and what makes the most outlying rows so."""

import numpy as np

from skae.plotting._estimators import (
    array,
    as_seen_by_last_step,
    check_has,
    feature_names,
    last_step,
)
from skae.plotting._style import PANEL, merged, palette, panels, sequential, text_colour

# Features whose contributions are drawn, at most.
_MAX_FEATURES = 12

# Letters of the name of a row beyond which it is upright.
_LONG = 3


class OutlierDisplay:
    """Outlier scores with their threshold, and the reasons of the highest ones.

    A histogram of the scores, and beside it the contributions of the features to those
    of the most outlying rows.

    It is recommended to create it by `from_estimator` or `from_predictions`. All
    parameters are stored as attributes.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Outlier scores: higher is more outlying.
    threshold : float, default=None
        Score above which rows are outliers.
    contributions : ndarray of shape (n_samples, n_features), default=None
        Contributions of the features to the scores.
    feature_names : list of str, default=None
        Names of the features.
    row_names : sequence, default=None
        Names of the rows. None are their numbers.
    name : str, default=None
        Name of the estimator.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the histogram.
    axes_ : list of matplotlib Axes
        These, and those of the contributions where there are any.
    figure_ : matplotlib Figure
        Figure of the axes.
    histogram_ : list of matplotlib BarContainer
        Bars of inliers, and of outliers.
    threshold_line_ : matplotlib Line2D or None
        Line at the threshold.
    contributions_ : matplotlib AxesImage or None
        Contributions of features, from top to bottom, to the scores of rows, the most
        outlying first.
    top_rows_ : ndarray of int
        Numbers of these rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae import AutoencoderDetector, AutoencoderTransformer
    >>> from skae.plotting import OutlierDisplay
    >>> X = load_iris().data
    >>> transformer = AutoencoderTransformer(2, max_iter=5)
    >>> detector = AutoencoderDetector(transformer, random_state=0).fit(X)
    >>> display = OutlierDisplay.from_estimator(detector, X)
    >>> len(display.top_rows_)
    8
    """

    def __init__(
        self,
        *,
        scores,
        threshold=None,
        contributions=None,
        feature_names=None,
        row_names=None,
        name=None,
    ):
        self.scores = scores
        self.threshold = threshold
        self.contributions = contributions
        self.feature_names = feature_names
        self.row_names = row_names
        self.name = name

    def plot(
        self,
        ax=None,
        *,
        n_top=8,
        name=None,
        histogram_kwargs=None,
        threshold_kwargs=None,
        image_kwargs=None,
    ):
        """Draw scores and contributions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes whose place the panels take. None makes a new figure.
        n_top : int, default=8
            Number of rows whose contributions are drawn.
        name : str, default=None
            Title, in the place of `name`.
        histogram_kwargs : dict, default=None
            Keyword arguments of the histogram, for `matplotlib.axes.Axes.hist`.
        threshold_kwargs : dict, default=None
            Those of the line at the threshold, for `matplotlib.axes.Axes.axvline`.
        image_kwargs : dict, default=None
            Those of the contributions, for `matplotlib.axes.Axes.imshow`.

        Returns
        -------
        display : OutlierDisplay
            This object.
        """
        n_panels = 1 if self.contributions is None else 2
        grid = panels(
            ax,
            "OutlierDisplay.plot",
            1,
            n_panels,
            size=(2.2 * PANEL, 1.8 * PANEL),
        )
        self.axes_ = list(grid[0])
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        self._draw_scores(histogram_kwargs, threshold_kwargs)
        self.ax_.set_title(name or self.name or "")
        self.top_rows_ = np.argsort(-self.scores, kind="stable")[:n_top]
        self.contributions_ = None
        if self.contributions is not None:
            self._draw_contributions(self.axes_[1], image_kwargs)
        return self

    def _draw_scores(self, kwargs, threshold_kwargs):
        bins = np.histogram_bin_edges(self.scores, "auto")
        above = np.full(len(self.scores), False)
        if self.threshold is not None:
            above = self.scores > self.threshold
        groups = {"inliers": ~above, "outliers": above}
        options = merged({"bins": bins, "stacked": True}, kwargs)
        # Stacked, so that no bar hides another.
        _, _, bars = self.ax_.hist(
            [self.scores[is_in] for is_in in groups.values()],
            color=palette(self.ax_)[:3:2],
            label=[f"{name}: {is_in.sum()}" for name, is_in in groups.items()],
            **options,
        )
        self.histogram_, self.threshold_line_ = list(bars), None
        if self.threshold is not None:
            options = {"color": text_colour(), "linestyle": "--", "linewidth": 1.2}
            options |= {"label": f"threshold: {self.threshold:.3g}"}
            options = merged(options, threshold_kwargs)
            self.threshold_line_ = self.ax_.axvline(self.threshold, **options)
            self.ax_.legend()
        # A few rows far out are what the picture is for: also one row is a bar.
        self.ax_.set_yscale("symlog", linthresh=1)
        self.ax_.set_ylim(0, None)
        self.ax_.yaxis.set_major_formatter("{x:g}")
        self.ax_.set(xlabel="Outlier score", ylabel="Number of rows")

    def _draw_contributions(self, ax, kwargs):
        top = self.contributions[self.top_rows_]
        shown = np.sort(np.argsort(-top.sum(0), kind="stable")[:_MAX_FEATURES])
        top = top[:, shown]
        options = {"cmap": sequential(ax), "aspect": "auto", "vmin": 0}
        self.contributions_ = ax.imshow(top.T, **merged(options, kwargs))
        ax.figure.colorbar(
            self.contributions_, ax=ax, label="Contribution to the score"
        )
        names = self.feature_names
        names = [f"Feature {i}" if names is None else names[i] for i in shown]
        ax.set_yticks(range(len(names)), names)
        rows = self.top_rows_
        if self.row_names is not None:
            rows = [str(self.row_names[i]) for i in rows]
        is_long = max((len(str(row)) for row in rows), default=0) > _LONG
        ax.set_xticks(range(len(rows)), rows, rotation=90 if is_long else 0)
        ax.set_xlabel("Row, the most outlying first")

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        n_top=8,
        ax=None,
        name=None,
        histogram_kwargs=None,
        threshold_kwargs=None,
        image_kwargs=None,
    ):
        """Draw the outlier scores of rows under a fitted detector.

        Parameters
        ----------
        estimator : outlier detector
            Fitted, with `score_samples` and `offset_`. Contributions are drawn where it
            has an `explain`, as :class:`~skae.AutoencoderDetector` has.
        X : array-like of shape (n_samples, n_features)
            Rows.
        n_top : int, default=8
            Number of rows whose contributions are drawn.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Title. None is the name of the class.
        histogram_kwargs, threshold_kwargs, image_kwargs : dict, default=None
            Keyword arguments of artists, as in `plot`.

        Returns
        -------
        display : OutlierDisplay
            The display, drawn.
        """
        check_has(estimator, "offset_", "an outlier detector")
        X, estimator = as_seen_by_last_step(estimator, X), last_step(estimator)
        has_parts = hasattr(estimator, "explain")
        contributions = array(estimator.explain(X)) if has_parts else None
        index = getattr(X, "index", None)
        display = cls(
            scores=-np.asarray(estimator.score_samples(X), dtype=float),
            threshold=-float(estimator.offset_),
            contributions=contributions,
            feature_names=feature_names(estimator, estimator.n_features_in_),
            # Of a pandas frame; that of a list is a method.
            row_names=None if index is None or callable(index) else list(index),
            name=type(estimator).__name__ if name is None else name,
        )
        return display.plot(
            ax,
            n_top=n_top,
            histogram_kwargs=histogram_kwargs,
            threshold_kwargs=threshold_kwargs,
            image_kwargs=image_kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        scores,
        threshold=None,
        *,
        contributions=None,
        feature_names=None,
        n_top=8,
        ax=None,
        name=None,
        histogram_kwargs=None,
        threshold_kwargs=None,
        image_kwargs=None,
    ):
        """Draw outlier scores.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Outlier scores, higher for outliers: minus `score_samples`.
        threshold : float, default=None
            Score above which rows are outliers: minus `offset_`.
        contributions : array-like of shape (n_samples, n_features), default=None
            Contributions of the features to the scores, as `explain` returns them.
        feature_names : list of str, default=None
            Names of the features.
        n_top : int, default=8
            Number of rows whose contributions are drawn.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Title.
        histogram_kwargs, threshold_kwargs, image_kwargs : dict, default=None
            Keyword arguments of artists, as in `plot`.

        Returns
        -------
        display : OutlierDisplay
            The display, drawn.
        """
        return cls(
            scores=np.asarray(scores, dtype=float),
            threshold=threshold,
            contributions=None if contributions is None else array(contributions),
            feature_names=feature_names,
            name=name,
        ).plot(
            ax,
            n_top=n_top,
            histogram_kwargs=histogram_kwargs,
            threshold_kwargs=threshold_kwargs,
            image_kwargs=image_kwargs,
        )
