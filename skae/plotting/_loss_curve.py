"""Losses of a fit by epoch."""

import numpy as np

from skae.plotting._estimators import check_has, last_step
from skae.plotting._style import PANEL, merged, palette, panels, text_colour

_TITLES = {"loss": "Loss", "rate": "Rate", "distortion": "Distortion"}

# Names of the units of errors; those of likelihoods are nats.
_ERRORS = {"squared_error": "squared units of X", "absolute_error": "units of X"}


class LossCurveDisplay:
    """Losses of one fit or several, epoch by epoch.

    Training and validation loss, the loss of the initial model and the epoch that was
    kept; of a variational model, in panels below, the rate and the distortion of the
    validation rows, whose sum is their loss where `beta` is 1.

    It is recommended to create it by `from_estimator` or `from_cv_results`. All
    parameters are stored as attributes, each a list with an element for each fit.

    Parameters
    ----------
    loss : list of array-like of shape (n_epochs,)
        Mean training loss of a row.
    validation_loss : list of array-like of shape (n_epochs,), default=None
        The same of validation rows.
    initial_loss : list of float, default=None
        Validation loss of the initial model; None where it is not known.
    best_iter : list of int, default=None
        Number of the epoch that was kept, from one; 0 is the initial model.
    rate, distortion : list of array-like of shape (n_epochs,), default=None
        Divergence of the posterior from the prior, and minus the log-likelihood, of
        validation rows, in nats.
    unit : str, default=None
        Unit of the loss.
    name : str, default=None
        Name of the estimator.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Panel of the losses.
    axes_ : ndarray of matplotlib Axes
        All panels.
    figure_ : matplotlib Figure
        Figure of the panels.
    lines_ : list of matplotlib Line2D
        Curves of the loss.
    best_lines_ : list of matplotlib Line2D
        Vertical lines at the epochs that were kept.

    See Also
    --------
    sklearn.model_selection.ValidationCurveDisplay : Scores by the size of the code.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae import VAETransformer
    >>> from skae.plotting import LossCurveDisplay
    >>> vae = VAETransformer(max_iter=5, random_state=0).fit(load_iris().data)
    >>> display = LossCurveDisplay.from_estimator(vae)
    >>> len(display.axes_)
    3
    """

    def __init__(
        self,
        *,
        loss,
        validation_loss=None,
        initial_loss=None,
        best_iter=None,
        rate=None,
        distortion=None,
        unit=None,
        name=None,
    ):
        self.loss = loss
        self.validation_loss = validation_loss
        self.initial_loss = initial_loss
        self.best_iter = best_iter
        self.rate = rate
        self.distortion = distortion
        self.unit = unit
        self.name = name

    def plot(self, ax=None, *, name=None, curve_kwargs=None, best_kwargs=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; several panels share its place. None makes a new figure.
        name : str, default=None
            Title, in the place of `name`.
        curve_kwargs : dict, default=None
            Keyword arguments of all curves, for `matplotlib.axes.Axes.plot`.
        best_kwargs : dict, default=None
            Those of the line at the epoch that was kept.

        Returns
        -------
        display : LossCurveDisplay
            This object.
        """
        terms = [t for t in ("rate", "distortion") if getattr(self, t) is not None]
        heights = [2.0] + [1.0] * len(terms)
        size = (2.2 * PANEL, PANEL if terms else 1.5 * PANEL)
        axes = panels(
            ax,
            "LossCurveDisplay.plot",
            len(heights),
            1,
            size=size,
            height_ratios=heights,
            sharex="col",
        )
        self.axes_ = axes[:, 0]
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        colours = palette(self.ax_)
        self._draw_losses(colours, curve_kwargs)
        self._draw_best(best_kwargs)
        for panel, term in zip(self.axes_[1:], terms):
            self._draw(panel, getattr(self, term), colours[1], None, curve_kwargs)
            panel.set_ylabel(f"{_TITLES[term]} (nats)")
        self.ax_.set_ylabel(f"Loss of a row ({self.unit})" if self.unit else "Loss")
        self.ax_.set_title(name or self.name or "")
        self.axes_[-1].set_xlabel("Epoch")
        self.axes_[-1].xaxis.get_major_locator().set_params(integer=True)
        self.ax_.legend()
        return self

    def _draw_losses(self, colours, kwargs):
        self.lines_ = self._draw(self.ax_, self.loss, colours[0], "training", kwargs)
        if self.validation_loss is not None:
            label = "validation"
            losses = self.validation_loss
            self.lines_ += self._draw(self.ax_, losses, colours[1], label, kwargs)
        known = [v for v in self.initial_loss or [] if v is not None]
        if known:
            self.initial_points_ = self.ax_.plot(
                np.zeros(len(known)),
                known,
                linestyle="",
                marker="D",
                color=colours[2] if len(known) == 1 else colours[1],
                label="initial model",
            )

    def _draw(self, ax, curves, colour, label, kwargs):
        """One curve for each fit, the first of which is in the legend."""
        alpha = 1.0 if len(curves) == 1 else 0.6
        options = merged({"color": colour, "alpha": alpha}, kwargs)
        # A single epoch is a point, not a line.
        options.setdefault("marker", "o" if max(map(len, curves)) == 1 else None)
        return [
            ax.plot(
                range(1, len(curve) + 1), curve, label=None if i else label, **options
            )[0]
            for i, curve in enumerate(curves)
        ]

    def _draw_best(self, kwargs):
        options = {"color": text_colour(), "linestyle": ":", "linewidth": 1.2}
        self.best_lines_ = [
            panel.axvline(
                epoch,
                label=None if i else "epoch that was kept",
                **merged(options, kwargs),
            )
            for panel in self.axes_
            for i, epoch in enumerate(self.best_iter or [])
        ]

    @classmethod
    def from_estimator(
        cls, estimator, *, ax=None, name=None, curve_kwargs=None, best_kwargs=None
    ):
        """Draw the losses of a fitted transformer.

        Parameters
        ----------
        estimator : transformer or Pipeline
            Fitted; of a pipeline the last step.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Title. None is the name of the class.
        curve_kwargs, best_kwargs : dict, default=None
            Keyword arguments of artists, as in `plot`.

        Returns
        -------
        display : LossCurveDisplay
            The display, drawn.
        """
        return cls._of([estimator], name).plot(
            ax, curve_kwargs=curve_kwargs, best_kwargs=best_kwargs
        )

    @classmethod
    def from_cv_results(
        cls, cv_results, *, ax=None, name=None, curve_kwargs=None, best_kwargs=None
    ):
        """Draw the losses of the fits of a cross-validation.

        Parameters
        ----------
        cv_results : dict
            What :func:`~sklearn.model_selection.cross_validate` returns with
            ``return_estimator=True``.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Title.
        curve_kwargs, best_kwargs : dict, default=None
            Keyword arguments of artists, as in `plot`.

        Returns
        -------
        display : LossCurveDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `cv_results` has no estimators.
        """
        if "estimator" not in cv_results:
            raise ValueError(
                "cv_results has no 'estimator': call cross_validate with "
                "return_estimator=True."
            )
        return cls._of(cv_results["estimator"], name).plot(
            ax, curve_kwargs=curve_kwargs, best_kwargs=best_kwargs
        )

    @classmethod
    def _of(cls, estimators, name):
        for estimator in estimators:
            check_has(estimator, "loss_curve_", "a transformer of skae")
        fits = [last_step(estimator) for estimator in estimators]
        name = type(fits[0]).__name__ if name is None else name
        return cls(
            loss=[fit.loss_curve_ for fit in fits],
            validation_loss=_all_of(fits, "validation_loss_curve_"),
            initial_loss=[fit.initial_loss_ for fit in fits],
            best_iter=[fit.best_iter_ for fit in fits],
            rate=_history(fits, "valid_rate"),
            distortion=_history(fits, "valid_distortion"),
            unit=_unit(fits[0]),
            name=name if len(fits) == 1 else f"{name}, {len(fits)} fits",
        )


def _all_of(fits, name):
    """An attribute of all fits, or None where one has none."""
    return [getattr(f, name) for f in fits] if hasattr(fits[0], name) else None


def _history(fits, name):
    """Values of all epochs, or None where they were not recorded."""
    curves = [[e[name] for e in fit.net_.history if name in e] for fit in fits]
    return curves if all(curves) else None


def _unit(fit):
    loss = getattr(fit, "loss", None)
    return _ERRORS.get(loss, "nats") if isinstance(loss, str) else "nats"
