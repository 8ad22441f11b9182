"""An outlier detector over the transformers."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.model_selection import KFold
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.metaestimators import available_if

from skae._sklearn import (
    ADAPTERS_MANAGER,
    CallbackSupportMixin,
    Interval,
    StrOptions,
    _fit_context,
    check_is_fitted,
    validate_data,
)
from skae.data._frames import is_frame
from skae.data._tables import Table, is_table
from skae.detection._scores import SCORES, threshold
from skae.detection._transformers import make_transformer, with_seed
from skae.io import FileMixin, storable
from skae.transformers._apply import all_or_nothing
from skae.transformers._monitoring import fit_part, fit_tasks
from skae.transformers._weights import in_order, repeated

# Parts of the rows, each of which is scored by what is fitted to the others: two, so
# that a fit takes at most twice as long.
_N_PARTS = 2

# Of up to so few rows each is a part, scored by what the same transformers make of it:
# a fifth of them may be what the others hang on, and networks learn nothing of half.
_FEW_ROWS = 20

# Columns that a category of a mixed table has at most.
_MOST_CATEGORIES = 255

# A detector of rows with missing values.
_TAKES_MISSING = "a transformer that takes them, such as VAETransformer(allow_nan=True)"

# Largest absolute value of an entry. Squared covariances are fourth powers of entries,
# and must have a sum in float64, whose largest number is 1.8e308.
LARGEST = 1e60


def _explains(detector):
    """Check for `available_if`: only a likelihood isn't a sum over features."""
    if detector.outlier_score == "likelihood":
        raise AttributeError(
            'outlier_score="likelihood" has no explain: '
            "a likelihood is no sum over features."
        )
    return True


@storable
class AutoencoderDetector(CallbackSupportMixin, FileMixin, OutlierMixin, BaseEstimator):
    r"""Outlier detector by distances of a row and its residual from training rows.

    A row `x` has a reconstruction :math:`\hat x`, decoded from its code, and a residual
    :math:`r = x - \hat x`. Its outlier score is

    .. math:: s(x) = \tfrac{1}{2} \log_2 \left( 1 + \frac{q(\hat x, r)}{\bar q} \right)
        + \tfrac{1}{2} \log_2 \left( 1 + \frac{d(x, r)}{\bar d} \right)

    where `q` is the squared Mahalanobis distance of reconstruction and residual side by
    side, and `d` is the mean squared distance from the nearest training rows [1]_, of
    rows beside half of their residuals. The residual of a feature counts in the usual
    sizes of those of rows that the autoencoder has not seen. The bars are means over
    the rows that each distance is fitted to: a row at the mean of both has a score of
    1. With logarithms, neither distance hides the other.

    The autoencoder and the neighbours see all training rows. The Mahalanobis distance
    is robust: it is fitted without the training rows that are farthest by such a
    distance [2]_. It may lack a whole group then, the rows of a rare category say. So
    where most neighbours of a row are as far as the row, this is taken off its score,
    not below rows that are no outliers: groups of training rows larger than
    `n_neighbors` are none, however far, but stay farther than usual rows.

    What the autoencoder gives is little: untrained, where it is PCA, the mean AUROC of
    20 tables is nearly the same, but for one whose residuals are all that matters.
    The robust distance makes the difference from neighbours alone, where outliers are
    among the training rows.

    Like PCA, the scores depend on the scale of the features: scale these in a step
    before.

    Parameters
    ----------
    transformer : transformer or None, default=None
        Model that encodes and decodes rows: :class:`AutoencoderTransformer`,
        :class:`VAETransformer`, or any other with `fit`, `transform` and
        `inverse_transform`, or `score_samples` for a likelihood. It is cloned, and its
        `random_state` is replaced. None is a denoising autoencoder, mostly with more
        latents than features, whose residual says how well each feature follows from
        the others: ``AutoencoderTransformer(64, hidden_layer_sizes=(256,),
        noise="swap", noise_level=0.2)``. With other scores it is an
        :class:`AutoencoderTransformer` or, for a likelihood, a :class:`VAETransformer`,
        with a quarter as many latents as features.
    outlier_score : {"distances", "reconstruction", "likelihood"}, \
            default="distances"
        What the outlier score is:

        - "distances": `s` as above;
        - "reconstruction": the mean over features of the squared residual in its usual
          size, which is the mean of rows that the transformer has not seen;
        - "likelihood": minus the `score_samples` of the transformer.
    n_neighbors : int, default=5
        Nearest training rows that a row is compared with. Small numbers resolve the
        finest structure; a group of more outliers than this hides its members. Where
        there are fewer other rows, it is their number, with a warning. Only
        "distances" has any.
    trim : float, default=0.2
        Fraction of the training rows, the farthest ones, that the Mahalanobis distance
        is fitted without, or that usual sizes of residuals are means without, within
        [0, 0.5); their number is rounded. 0 is for training rows that are known to be
        clean. A likelihood has no such rows.
    n_estimators : int, default=1
        Transformers, each from a seed of its own, whose distances, squared residuals or
        likelihoods are averaged.
    contamination : "auto" or float, default="auto"
        Fraction of outliers among the training rows, within (0, 0.5]. "auto" sets the
        threshold to an upper fence of the outlier scores of training rows [3]_, 1.25
        interquartile ranges above the upper quartile, or 1.5 for other scores than
        distances. The scores are those of new rows: each half is scored by a fit to the
        other, for as long again. Of few rows, a quarter may be outliers.
    random_state : int, RandomState instance or None, default=None
        Generator of the seeds of the transformers, of references and of halves. An int
        gives equal bits on the same machine.

    Attributes
    ----------
    transformers_ : list of transformers
        The fitted transformers, `n_estimators` of them.
    n_neighbors_ : int
        Nearest training rows that a row is compared with; only with "distances".
    offset_ : float
        Threshold of `score_samples`, below which rows are outliers;
        ``decision_function`` is ``score_samples`` minus this.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X has string names for all.

    See Also
    --------
    sklearn.neighbors.LocalOutlierFactor : Density relative to that of neighbours.
    sklearn.covariance.EllipticEnvelope : Robust Mahalanobis distance.

    Notes
    -----
    With ``max_iter=0`` the transformer is PCA. With as many components as features
    there is no residual, and `q` is the Mahalanobis distance of the row, its covariance
    shrunk towards a multiple of the identity (Ledoit and Wolf). Neighbours are searched
    among at most 10,000 training rows, drawn at random. A training row is not compared
    with itself, which is its nearest one, nor any row with its very nearest one: a row
    next to a training row scores like that. Up to 20 rows are not halved; each is
    scored by distances fitted to the others. Where `trim` would leave
    fewer than two rows a feature, it leaves out none: so few rows do not show which of
    them are far. Where the transformer takes missing entries, they have no residual,
    and distances are those of rows that its `impute` completes. Values beyond 1e60
    count as 1e60. All is computed in float64; scores of float32 rows are float32. A
    transformer may name columns where X is a frame.

    References
    ----------
    .. [1] Ramaswamy, S., Rastogi, R. and Shim, K. (2000). Efficient algorithms for
       mining outliers from large data sets. SIGMOD Record, 29(2), 427-438.
    .. [2] Rousseeuw, P. J. and Van Driessen, K. (1999). A fast algorithm for the
       minimum covariance determinant estimator. Technometrics, 41(3), 212-223.
    .. [3] Tukey, J. W. (1977). Exploratory data analysis. Addison-Wesley.

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
        "outlier_score": [StrOptions(set(SCORES))],
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
        outlier_score="distances",
        n_neighbors=5,
        trim=0.2,
        n_estimators=1,
        contamination="auto",
        random_state=None,
    ):
        self.transformer = transformer
        self.outlier_score = outlier_score
        self.n_neighbors = n_neighbors
        self.trim = trim
        self.n_estimators = n_estimators
        self.contamination = contamination
        self.random_state = random_state

    _table: Table | None = None  # that encodes dataframes of mixed columns

    @_fit_context(prefer_skip_nested_validation=False)
    @all_or_nothing
    def fit(self, X, y=None, sample_weight=None):
        """Fit the transformers, both distances and the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows; a part of them may be outliers. A dataframe with columns
            beside numbers is taken by their dtypes, as :class:`VAETransformer` takes
            it, and encoded for the transformer.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            How often each row counts: 2 is the row twice, 0 its absence. Weights that
            are no whole numbers, or stand for more than ten times as many rows, are
            scaled to as many rows as there are and rounded at random, to their values
            on average.

        Returns
        -------
        self : object
            The fitted detector.

        Raises
        ------
        TypeError
            If the transformer cannot decode.
        ValueError
            If X is not finite, dense and numeric, or has fewer than two rows. NaN may
            be in it where the transformer takes it, and has `impute` for distances.
        """
        # Of "pandas" or "polars", where `_validate` finds names for the columns too.
        package = type(X).__module__.split(".")[0]
        self._frames = package if package in ADAPTERS_MANAGER.adapters else None
        self._takes_nan = self.__sklearn_tags__().input_tags.allow_nan
        self._table = None
        if is_table(X, always=False):
            validate_data(self, X, skip_check_array=True, ensure_min_samples=2)
            self._table, self._frames = Table(X, _MOST_CATEGORIES), None
        X = self._validate(X, reset=True, ensure_min_samples=2)
        transformer = make_transformer(
            self.transformer, self.outlier_score, X.shape[1], self._table
        )
        random_state = check_random_state(self.random_state)
        X = in_order(repeated(X, sample_weight, random_state))
        # On all rows: unlike a covariance, a network hardly learns a few outliers.
        n_fits = 1 if len(X) <= _FEW_ROWS else 1 + _N_PARTS
        with fit_tasks(self, n_fits * self.n_estimators, X, y) as tasks:
            self.transformers_ = self._fitted(transformer, X, random_state, tasks)
            views = self._views(X, self.transformers_)
            unseen, as_new = self._as_new(transformer, X, views, random_state, tasks)
        X = self._completed(X, self.transformers_)
        self._fitted_score = self._new_score().fit(X, views, unseen, random_state)
        scores_as_new = self._fitted_score.calibrate(X, views, as_new)
        scores = self._fitted_score.total(X, views)
        n_ranges = self._fitted_score.n_ranges
        highest = threshold(scores, scores_as_new, n_ranges, self.contamination)
        # A Python float, which leaves scores of float32 as they are.
        self.offset_ = -float(highest)
        if self.outlier_score == "distances":
            self._count_neighbors()
        return self

    def _count_neighbors(self):
        """Learn how many neighbours there are; warn where they are fewer than asked."""
        self.n_neighbors_ = self._fitted_score.n_neighbors_
        if self.n_neighbors_ < self.n_neighbors:
            warnings.warn(
                f"n_neighbors ({self.n_neighbors}) is greater than the number of other "
                "rows. n_neighbors will be set to (n_samples - 1), "
                f"{self.n_neighbors_}.",
                UserWarning,
                stacklevel=4,
            )

    def score_samples(self, X):
        """Return minus the outlier score of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            About -1 for a usual row, lower for an outlier, without units; for
            ``outlier_score="likelihood"`` the mean log likelihood. float32 where X is,
            or else float64.
        """
        return _in_dtype_of(X, self._score_samples(X))

    def decision_function(self, X):
        """Return the score of each row above the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        decisions : ndarray of shape (n_samples,)
            `score_samples` minus `offset_`: negative for outliers.
        """
        # Rounded last: the sign must not depend on the dtype.
        return _in_dtype_of(X, self._score_samples(X) - self.offset_)

    def predict(self, X):
        """Predict which rows are outliers.

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

    @available_if(_explains)
    def explain(self, X):
        """Return the contributions of features to the outlier score of each row.

        With ``outlier_score="reconstruction"`` they are the squared residuals in usual
        sizes. A likelihood is no sum over features, and has no `explain`.

        Squared distances from neighbours are sums over features already. The squared
        Mahalanobis distance is the squared norm of the row times the symmetric root of
        the precision, a vector with an entry for each feature, whose square is the
        contribution [1]_; those of a feature's reconstruction and of its residual are
        added. The logarithm of a distance is divided among the features in proportion
        to their contributions to the distance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        contributions : ndarray of shape (n_samples, n_features)
            Without units; no entry is negative. The sum of a row is minus its
            `score_samples`.

        References
        ----------
        .. [1] Garthwaite, P. H. and Koch, I. (2016). Evaluating the contributions of
           individual variables to a quadratic form. Australian & New Zealand Journal
           of Statistics, 58(1), 99-119.
        """
        rows, views = self._rows_and_views(X)
        parts = self._fitted_score.by_feature(rows, views)
        if self._table is not None:
            spans = [part for _, part in self._table.parts()]
            parts = np.stack([parts[:, span].sum(1) for span in spans], 1)
        return _in_dtype_of(X, parts)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # Distances compare rows that are completed.
        completes = self.outlier_score != "distances" or hasattr(
            self.transformer, "impute"
        )
        tags.input_tags.allow_nan = (
            self.transformer is not None
            and completes
            and get_tags(self.transformer).input_tags.allow_nan
        )
        return tags

    def _score_samples(self, X):
        """`score_samples` in float64."""
        X, views = self._rows_and_views(X)
        return -self._fitted_score.total(X, views)

    def _rows_and_views(self, X):
        """X (n, d) as it is compared, and its views."""
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        views = self._views(X, self.transformers_)
        return self._completed(X, self.transformers_), views

    def _validate(self, X, **options):
        """Rows (n, d), float64, clipped to the range in which distances are finite."""
        options["ensure_all_finite"] = "allow-nan" if self._takes_nan else True
        if self._table is not None:
            if not is_frame(X):
                raise TypeError("The detector was fitted to a dataframe: pass one.")
            # A value that no training row had is as rare as the rarest.
            return self._table.encode(
                X, takes_nan=self._takes_nan, unknown="rarest", hint=_TAKES_MISSING
            )
        X = validate_data(self, X, dtype=np.float64, order="C", **options)
        return X.clip(-LARGEST, LARGEST)

    def _completed(self, X, transformers):
        """X (n, d) with the means of what transformers impute for missing entries."""
        # Only distances compare rows, beside what is made of them.
        if self.outlier_score != "distances" or not np.isnan(X).any():
            return X
        rows = self._named(X)
        return np.mean([np.asarray(t.impute(rows)) for t in transformers], axis=0)

    def _named(self, X):
        """X (n, d) as a frame, where the detector was fitted to one with names."""
        if self._frames is None or not hasattr(self, "feature_names_in_"):
            return X
        adapter = ADAPTERS_MANAGER.adapters[self._frames]
        return adapter.create_container(X, X, columns=self.feature_names_in_)

    def _fitted(self, transformer, X, random_state, tasks):
        """List of clones of the transformer, with seeds of their own, fitted to X."""
        rows = self._named(X)
        # With a y, which frozen estimators ask for.
        return [
            fit_part(
                self,
                tasks,
                with_seed(transformer, random_state),
                "fit-transformer",
                rows,
                None,
            )
            for _ in range(self.n_estimators)
        ]

    def _new_score(self):
        """The score, not fitted."""
        return SCORES[self.outlier_score](self.n_neighbors, self.trim)

    def _views(self, X, transformers):
        """List of what the score is of for rows X (n, d), from each transformer."""
        rows = self._named(X)
        return [SCORES[self.outlier_score].view(t, X, rows) for t in transformers]

    def _as_new(self, transformer, X, views, random_state, tasks):
        """What new rows would have, for each row of X (n, d) by a fit to other rows.

        Returns the list of their views by transformers that have not seen them, and the
        terms (n, ...) of their scores.
        """
        is_few = len(X) <= _FEW_ROWS
        unseen = [np.empty_like(view) for view in views]
        terms = [None] * len(X)
        parts = KFold(
            len(X) if is_few else _N_PARTS, shuffle=True, random_state=random_state
        )
        for kept, others in parts.split(X):
            if is_few:
                fitted = self.transformers_
                seen, new = ([view[rows] for view in views] for rows in (kept, others))
            else:
                fitted = self._fitted(transformer, X[kept], random_state, tasks)
                seen, new = (self._views(X[rows], fitted) for rows in (kept, others))
            kept, asked = (self._completed(X[rows], fitted) for rows in (kept, others))
            score = self._new_score()
            score.fit(kept, seen, seen if is_few else new, random_state)
            for row, found in zip(others, score.terms(asked, new)):
                terms[row] = found
            for view, found in zip(unseen, new):
                view[others] = found
        return unseen, np.stack(terms)


def _in_dtype_of(X, scores):
    """Scores in float32 for rows X of this dtype, where it has them."""
    dtypes = getattr(X, "dtypes", getattr(X, "dtype", None))
    is_single = np.size(dtypes) > 0 and all(
        str(d).lower() == "float32" for d in np.atleast_1d(dtypes)
    )
    with np.errstate(over="ignore"):
        return scores.astype(np.float32 if is_single else np.float64, copy=False)
