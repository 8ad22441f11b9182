"""An imputer as a step of a pipeline."""

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils import check_random_state, get_tags

from skae._sklearn import _fit_context, check_is_fitted
from skae.io import FileMixin, storable
from skae.transformers._base import BaseAutoencoder
from skae.transformers._vae import VAETransformer

# Latents of the default model.
_MOST_COMPONENTS = 10


@storable
class AutoencoderImputer(
    FileMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    """Fill missing values by an autoencoder: a step of a pipeline.

    What `impute` of a transformer with ``allow_nan=True`` does, as `transform`.

    Parameters
    ----------
    transformer : AutoencoderTransformer, VAETransformer or None, default=None
        Model of the rows; it is cloned and takes missing values whatever its
        `allow_nan` is. None is a :class:`VAETransformer` with half as many components
        as there are features, at most 10; of a dataframe with columns beside numbers
        its likelihood is by dtype.
    sample_posterior : bool, default=False
        Whether values are drawn from their conditional distribution, for multiple
        imputation, in the place of its mean: of a category the mode, of a number of a
        mixed table the median.
    random_state : int, RandomState instance or None, default=None
        Generator of the model, where it has none of its own, and of the draws.

    Attributes
    ----------
    transformer_ : AutoencoderTransformer or VAETransformer
        The fitted model.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X has string names for all.

    See Also
    --------
    VAETransformer.impute : Several draws at once.
    sklearn.impute.IterativeImputer : Regression of each feature on the others.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skae import AutoencoderImputer
    >>> X, y = load_wine(return_X_y=True)
    >>> X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    >>> model = make_pipeline(
    ...     StandardScaler(), AutoencoderImputer(random_state=0), LogisticRegression()
    ... )
    >>> bool(model.fit(X, y).score(X, y) > 0.95)
    True
    """

    _parameter_constraints: dict = {
        "transformer": [BaseAutoencoder, None],
        "sample_posterior": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(self, transformer=None, *, sample_posterior=False, random_state=None):
        self.transformer = transformer
        self.sample_posterior = sample_posterior
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to X.

        Parameters
        ----------
        X : {array-like, sparse matrix} or dataframe of shape (n_samples, n_features)
            Rows; NaN, and None in a dataframe, marks a missing value.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            How often each row counts, as in :meth:`VAETransformer.fit`.

        Returns
        -------
        self : object
            The fitted imputer.
        """
        model = clone(self._model(X)).set_params(allow_nan=True)
        self.transformer_ = model.fit(X, sample_weight=sample_weight)
        # As the model has found them.
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))
        return self

    def transform(self, X):
        """Fill the missing values of X.

        Parameters
        ----------
        X : {array-like, sparse matrix} or dataframe of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        X_filled : ndarray or dataframe of shape (n_samples, n_features)
            X with its observed values unchanged; of a mixed table a dataframe of its
            columns and dtypes.
        """
        check_is_fitted(self)
        if not self.sample_posterior:
            return self.transformer_.impute(X)
        random_state = check_random_state(self.random_state)
        drawn = self.transformer_.impute(X, n_imputations=1, random_state=random_state)
        return drawn[0]

    def _model(self, X):
        if self.transformer is not None:
            return self.transformer
        # What is no table, the model refuses.
        n_features = (*np.shape(X), 1, 1)[1]
        n_components = min(max(n_features // 2, 1), _MOST_COMPONENTS)
        return VAETransformer(n_components, random_state=self.random_state)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        own = get_tags(
            VAETransformer() if self.transformer is None else self.transformer
        )
        tags.input_tags = own.input_tags
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
