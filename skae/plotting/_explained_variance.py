"""Variance that ordered latents explain, beside PCA."""

import numpy as np
from sklearn.decomposition import PCA

from skae._sklearn import check_is_fitted
from skae.plotting._estimators import array, as_seen_by_last_step, last_step
from skae.plotting._style import axes_for, merged, palette


class ExplainedVarianceDisplay:
    """Explained variance ratio of the first latents of an ordered code, beside PCA.

    It is recommended to create it by `from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    explained_variance_ratio : ndarray of shape (n_components,)
        Fraction of the variance that each latent explains beyond those before it.
    pca_explained_variance_ratio : ndarray of shape (n_components,), default=None
        The same of PCA.
    name : str, default=None
        Name of the estimator.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the curves.
    figure_ : matplotlib Figure
        Figure of the axes.
    line_ : matplotlib Line2D
        Cumulative ratio of the latents.
    pca_line_ : matplotlib Line2D or None
        That of PCA.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoencoderTransformer
    >>> from skae.plotting import ExplainedVarianceDisplay
    >>> X = load_digits().data
    >>> model = AutoencoderTransformer(4, ordered=True, max_iter=5, random_state=0)
    >>> display = ExplainedVarianceDisplay.from_estimator(model.fit(X), X)
    >>> display.explained_variance_ratio.shape
    (4,)
    """

    def __init__(
        self,
        *,
        explained_variance_ratio,
        pca_explained_variance_ratio=None,
        name=None,
    ):
        self.explained_variance_ratio = explained_variance_ratio
        self.pca_explained_variance_ratio = pca_explained_variance_ratio
        self.name = name

    def plot(self, ax=None, *, name=None, curve_kwargs=None, pca_kwargs=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Label of the curve, in the place of `name`.
        curve_kwargs, pca_kwargs : dict, default=None
            Keyword arguments of the curves, for `matplotlib.axes.Axes.plot`.

        Returns
        -------
        display : ExplainedVarianceDisplay
            This object.
        """
        self.ax_ = axes_for(ax, "ExplainedVarianceDisplay.plot", figsize=(5.2, 3.8))
        self.figure_ = self.ax_.figure
        options = {"color": palette(self.ax_)[0], "marker": "o", "markersize": 4}
        options |= {"label": name or self.name or "latents"}
        ratios = self.explained_variance_ratio
        self.line_ = self._draw(ratios, merged(options, curve_kwargs))
        self.pca_line_ = None
        if self.pca_explained_variance_ratio is not None:
            options |= {"color": palette(self.ax_)[1], "marker": "s", "label": "PCA"}
            options |= {"linestyle": "--"}
            ratios = self.pca_explained_variance_ratio
            self.pca_line_ = self._draw(ratios, merged(options, pca_kwargs))
        self.ax_.set(
            xlabel="Number of latents", ylabel="Explained variance ratio, cumulative"
        )
        self.ax_.set_ylim(min(0, *self.ax_.get_ylim()), 1.02)
        self.ax_.xaxis.get_major_locator().set_params(integer=True)
        self.ax_.legend()
        return self

    def _draw(self, ratios, options):
        sizes = np.arange(1, len(ratios) + 1)
        return self.ax_.plot(sizes, np.cumsum(ratios), **options)[0]

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X=None,
        *,
        ax=None,
        name=None,
        curve_kwargs=None,
        pca_kwargs=None,
    ):
        """Draw the ratios of a fitted transformer.

        Parameters
        ----------
        estimator : transformer or Pipeline
            Fitted, with ``ordered=True`` or a ratio as `n_components`.
        X : array-like of shape (n_samples, n_features), default=None
            Rows on which the first latents are compared with as many components of PCA,
            which is fitted to the same rows: no linear code of them has a higher ratio.
            None draws `explained_variance_ratio_` alone, that of validation rows.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Label of the curve. None is the name of the class.
        curve_kwargs, pca_kwargs : dict, default=None
            Keyword arguments of artists, as in `plot`.

        Returns
        -------
        display : ExplainedVarianceDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the latents are not ordered.
        """
        check_is_fitted(estimator)
        last = last_step(estimator)
        if not hasattr(last, "explained_variance_ratio_"):
            raise ValueError(
                "ExplainedVarianceDisplay needs ordered latents: fit the transformer "
                "with ordered=True."
            )
        ratios, of_pca = array(last.explained_variance_ratio_).ravel(), None
        if X is not None:
            rows = as_seen_by_last_step(estimator, X)
            ratios = _ratios(last, rows)
            of_pca = PCA(min(len(ratios), *array(rows).shape)).fit(array(rows))
            of_pca = of_pca.explained_variance_ratio_
        name = type(last).__name__ if name is None else name
        return cls(
            explained_variance_ratio=ratios,
            pca_explained_variance_ratio=of_pca,
            name=name,
        ).plot(ax, curve_kwargs=curve_kwargs, pca_kwargs=pca_kwargs)


def _ratios(transformer, rows):
    """Fraction (k,) of the variance of rows that each latent adds."""
    codes, X = array(transformer.transform(rows)), array(rows)
    left = [np.square(X - X.mean(0)).sum()]
    for size in range(1, transformer.n_components_ + 1):
        prefix = codes.copy()
        # A code that ends in zeros is one of fewer latents.
        prefix[:, size:] = 0
        residual = array(transformer.inverse_transform(prefix)) - X
        left.append(np.square(residual).sum())
    return -np.diff(left) / left[0]
