"""An outlier detector over the transformers."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils import check_random_state

from skae._sklearn import (
    Interval,
    StrOptions,
    _fit_context,
    check_is_fitted,
    validate_data,
)
from skae.detection._scores import Outlyingness, most_concentrated
from skae.transformers import AutoencoderTransformer

# Interquartile ranges above the upper quartile of the training scores.
_FENCE = 1.5

# Values beyond it count as it: the fourth powers of larger ones have no sum.
_LARGEST = 1e60


class AutoencoderDetector(OutlierMixin, BaseEstimator):
    r"""Outlier detector: how unlike the training rows a row and its residual are.

    A row `x` has a reconstruction :math:`\hat x`, decoded from its code, and a residual
    :math:`r = x - \hat x`. Its outlyingness is

    .. math:: s(x) = (1 - t) \log_2 \left( 1 + \frac{q(\hat x, r)}{\bar q} \right)
        + t \log_2 \left( 1 + \frac{d(x)}{\bar d} \right)

    where `q` is the squared Mahalanobis distance of reconstruction and residual side by
    side, so that a residual counts by what is usual for it, and so does a code, and `d`
    is the mean squared distance from the nearest training rows [1]_, which follows
    densities of any shape. The bars are means over the rows learned from: a row at the
    mean of both has an outlyingness of 1. By the logarithms, neither distance drowns
    the other.

    The weight `t` is how far neighbours can be trusted: among the neighbours of the
    training rows in the farthest fifth by both distances, the share of rows in the
    farthest fifth by `q`. Where many features are noise, all rows have the same few,
    central rows for neighbours [4]_, and the share is low.

    The autoencoder and the neighbours see all training rows. The Mahalanobis distance
    is robust: it is learned without the training rows that are the farthest ones by
    such a distance [2]_.

    Like PCA, all this depends on the scale of the features: scale them in a step
    before.

    Parameters
    ----------
    transformer : transformer or None, default=None
        What encodes and decodes rows: :class:`AutoencoderTransformer`,
        :class:`VAETransformer`, or any other with `fit`, `transform` and
        `inverse_transform`. It is cloned, and its `random_state` is replaced. None is a
        denoising autoencoder, mostly with more latents than features, whose residual
        says how well each feature follows from the others:
        ``AutoencoderTransformer(64, hidden_layer_sizes=(256,), noise="swap",
        noise_level=0.2)``.
    n_neighbors : int, default=5
        Training rows that a row is compared with. Few see the finest structure; a
        group of outliers that is larger than this hides its members.
    trim : float, default=0.2
        Share of the training rows, the farthest ones, that the Mahalanobis distance is
        learned without, within [0, 0.5). A group that is smaller, a rare category say,
        may be left out as a whole, and is outlying then. 0 is for training rows that
        are known to be clean.
    n_estimators : int, default=1
        Autoencoders, each from a seed of its own, whose distances are averaged.
    contamination : "auto" or float, default="auto"
        Share of the training rows to call outliers, within (0, 0.5]. "auto" calls those
        outliers whose outlyingness is above the upper fence of the training rows [3]_:
        1.5 interquartile ranges above the upper quartile, of what they would score as
        new rows, by cross-validation of the Mahalanobis distance.
    random_state : int, RandomState instance or None, default=None
        Of the autoencoders. An int gives equal bits on the same machine.

    Attributes
    ----------
    transformers_ : list of transformers
        The fitted ones, `n_estimators` of them.
    offset_ : float
        Scores below it are outliers': ``decision_function`` is ``score_samples`` minus
        this.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where X has string names for all.

    See Also
    --------
    sklearn.neighbors.LocalOutlierFactor : Density relative to that of neighbours.
    sklearn.covariance.EllipticEnvelope : Mahalanobis distance, robustly.

    Notes
    -----
    With ``max_iter=0`` the transformer is PCA. With as many components as features
    there is no residual, and `q` is the Mahalanobis distance of the row, its covariance
    shrunk towards a multiple of the identity (Ledoit and Wolf). Of more than 10,000
    training rows, as many are drawn for the others to be compared with. A training row
    is not compared with itself, nor is a new row with one that equals it. Where `trim`
    would leave fewer than two rows a feature, it leaves out none: the distances of so
    few rows from themselves say little. Values beyond 1e60 count as 1e60.

    References
    ----------
    .. [1] Ramaswamy, S., Rastogi, R. and Shim, K. (2000). Efficient algorithms for
       mining outliers from large data sets. SIGMOD Record, 29(2), 427-438.
    .. [2] Rousseeuw, P. J. and Van Driessen, K. (1999). A fast algorithm for the
       minimum covariance determinant estimator. Technometrics, 41(3), 212-223.
    .. [3] Tukey, J. W. (1977). Exploratory data analysis. Addison-Wesley.
    .. [4] Radovanovic, M., Nanopoulos, A. and Ivanovic, M. (2010). Hubs in space:
       popular nearest neighbors in high-dimensional data. Journal of Machine Learning
       Research, 11, 2487-2531.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from skae import AutoencoderDetector
    >>> X = load_iris().data
    >>> strange = [[5.0, 3.5, 6.0, 0.2]]  # the petal as long as one three times as wide
    >>> detector = AutoencoderDetector(random_state=0).fit(X)
    >>> detector.predict(strange)
    array([-1])
    >>> bool(detector.score_samples(strange)[0] < detector.score_samples(X).min())
    True
    >>> int(np.argmax(detector.explain(strange)))
    2
    """

    _parameter_constraints: dict = {
        "transformer": [None, BaseEstimator],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "trim": [Interval(Real, 0, 0.5, closed="left")],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        transformer=None,
        *,
        n_neighbors=5,
        trim=0.2,
        n_estimators=1,
        contamination="auto",
        random_state=None,
    ):
        self.transformer = transformer
        self.n_neighbors = n_neighbors
        self.trim = trim
        self.n_estimators = n_estimators
        self.contamination = contamination
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Learn what usual rows are like.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows; a share of them may be outliers.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted detector.

        Raises
        ------
        TypeError
            If the transformer cannot decode.
        ValueError
            If X is not finite, dense and numeric, or has fewer than two rows.
        """
        X = self._validate(X, reset=True, ensure_min_samples=2)
        transformer = self._checked_transformer()
        random_state = check_random_state(self.random_state)
        rest = most_concentrated(X, self.trim)
        self.transformers_ = [
            _with_seed(transformer, random_state).fit(X)
            for _ in range(self.n_estimators)
        ]
        self._outlyingness = Outlyingness(self.n_neighbors)
        scores = self._outlyingness.fit(X, self._views(X), rest, random_state)
        self.offset_ = -self._threshold(*scores)
        return self

    def score_samples(self, X):
        """Return minus the outlyingness of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            About -1 for a usual row, lower for an outlier; no units.
        """
        return -self.explain(X).sum(1)

    def decision_function(self, X):
        """Return how far the score of each row is above the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        decisions : ndarray of shape (n_samples,)
            `score_samples` minus `offset_`: negative for outliers.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Tell outliers from inliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            -1 for outliers, 1 for inliers.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def explain(self, X):
        """Return what each feature adds to the outlyingness of each row.

        Distances from neighbours are sums over the features as they are. The
        Mahalanobis distance is the squared norm of a vector that has the features as
        its axes, the symmetric root of the precision times the row, so that each
        feature has its square [1]_; those of a feature's reconstruction and of its
        residual are added. The logarithm of a distance is shared among the features in
        proportion to what they add to the distance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        contributions : ndarray of shape (n_samples, n_features)
            None is negative. A row's sum is minus its `score_samples`.

        References
        ----------
        .. [1] Garthwaite, P. H. and Koch, I. (2016). Evaluating the contributions of
           individual variables to a quadratic form. Australian & New Zealand Journal
           of Statistics, 58(1), 99-119.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        return self._outlyingness.by_feature(X, self._views(X))

    def _validate(self, X, **options):
        X = validate_data(self, X, dtype=np.float64, order="C", **options)
        return X.clip(-_LARGEST, _LARGEST)

    def _checked_transformer(self):
        if self.transformer is None:
            return AutoencoderTransformer(
                64, hidden_layer_sizes=(256,), noise="swap", noise_level=0.2
            )
        for method in ("fit", "transform", "inverse_transform"):
            if not hasattr(self.transformer, method):
                raise TypeError(
                    f"transformer must have fit, transform and inverse_transform; "
                    f"{self.transformer!r} has no {method}."
                )
        return self.transformer

    def _views(self, X):
        """Reconstruction and residual side by side (n, 2 d), of each transformer."""
        decoded = [t.inverse_transform(t.transform(X)) for t in self.transformers_]
        return [np.hstack([R, X - R]) for R in decoded]

    def _threshold(self, scores, scores_as_new):
        """Outlyingness above which a row is an outlier."""
        if self.contamination != "auto":
            return np.quantile(scores, 1 - self.contamination)
        quartiles = np.quantile(scores_as_new, [0.25, 0.75])
        return quartiles[1] + _FENCE * (quartiles[1] - quartiles[0])


def _with_seed(transformer, random_state):
    """A clone whose generators, nested ones too, have seeds of their own."""
    transformer = clone(transformer)
    names = sorted(transformer.get_params())
    seeds = {
        name: random_state.randint(np.iinfo(np.int32).max)
        for name in names
        if name == "random_state" or name.endswith("__random_state")
    }
    return transformer.set_params(**seeds)
