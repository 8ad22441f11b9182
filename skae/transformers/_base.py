"""The base of the transformers: public methods that check, convert and call."""

import warnings
from abc import abstractmethod

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state

from skae._sklearn import (
    CallbackSupportMixin,
    _check_sample_weight,
    _fit_context,
    check_array,
    check_is_fitted,
    check_same_namespace,
    get_namespace,
)
from skae.data._arrays import as_tensor, float_dtypes
from skae.data._parquet import ParquetStream, opened
from skae.data._sparse import SparseStream
from skae.data._streams import is_small, stream_of
from skae.io import FileMixin
from skae.nn._log_density import rows_log_density
from skae.nn._modules import Decoder, Encoder, n_hidden
from skae.training._determinism import ordinary_torch
from skae.training._device import resolve_device
from skae.training._interrupts import noting_interrupts, warn_of_interrupt
from skae.transformers._apply import map_rows, unchanged_on_failure
from skae.transformers._checkpoint import open_checkpoint
from skae.transformers._components import ComponentsMixin
from skae.transformers._fitting import fit_estimator
from skae.transformers._impute import ImputerMixin
from skae.transformers._input import (
    first_rows,
    flat_rows,
    in_order_of_names,
    validated,
    validated_sparse,
    validated_stream,
)
from skae.transformers._likelihood_spec import (
    check_categories,
    check_support,
)
from skae.transformers._mixed import TableMixin
from skae.transformers._monitoring import monitor
from skae.transformers._onnx import OnnxMixin
from skae.transformers._parameters import COMMON_CONSTRAINTS, check_parameters
from skae.transformers._sampling import SampleMixin
from skae.transformers._start import Start, next_pass
from skae.transformers._truncate import OrderedMixin
from skae.transformers._weights import repeated


class BaseAutoencoder(
    CallbackSupportMixin,
    ComponentsMixin,
    FileMixin,
    ImputerMixin,
    OnnxMixin,
    OrderedMixin,
    SampleMixin,
    TableMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Base of the transformers; a subclass chooses posterior and likelihood."""

    _parameter_constraints: dict = COMMON_CONSTRAINTS

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to X.

        Ctrl-C ends the training after the batch at hand, with a `ConvergenceWarning`:
        the best weights so far are kept, before the first epoch the initial model, and
        `stopped_by_` is "interrupt". A second one raises `KeyboardInterrupt` and leaves
        the estimator as it was. In a search, which goes on with the next fit after the
        first, as with scikit-learn's `MLPClassifier`, the second ends the search; so
        does the first with ``error_score="raise"`` where a filter turns the warning
        into an error.

        From scikit-learn 1.9 on, callbacks of :mod:`sklearn.callback`, set on the
        transformer or on a pipeline or search around it, see each epoch. Where y is
        None, they get X as the target, without which a
        :class:`~sklearn.callback.ScoringMonitor` computes no score.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. Where they have 256 MB or more in float32, sparse ones are
            made dense in parts, and those of a memory map, of an array of h5py or
            Zarr, or of a `pyarrow.dataset.Dataset` or `pyarrow.parquet.ParquetFile`,
            are read in parts.
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
            The fitted transformer.
        """
        goes_on = self.warm_start and hasattr(self, "net_")
        previous = self.net_ if goes_on else None
        with monitor(self, X, y, sample_weight) as epochs:
            self._fit(X, sample_weight, previous, is_incremental=False, monitor=epochs)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Train for one pass over the rows of X.

        The first rows set centre, scale and initial model. Until there are 20 different
        ones for each component, they are kept, and each call starts anew from all of
        them. Then a random sample of the next rows is kept, 200 for each component at
        most, until as many rows have come as before the start. If the model is worse
        for the sample than PCA of a part of it, training starts anew from the sample,
        with a warning; `n_iter_` and `loss_curve_` count from there.

        There are no validation rows. Parameters may change between calls, except for
        those that define the model. A pickle has the rows that are kept, but not the
        momentum of the optimiser.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The next rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            As in `fit`.

        Returns
        -------
        self : object
            The transformer, fitted to all rows so far.
        """
        previous = getattr(self, "net_", None)
        return self._fit(X, sample_weight, previous, is_incremental=True)

    def transform(self, X):
        """Encode X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_components)
            Codes; for a variational model the posterior means. Nothing is drawn. With
            ``transform_layers="all"`` more columns follow: the hidden layers.
        """
        X = self._validate_rows(X, "transform")
        with_hidden = self.transform_layers == "all"
        return self._map_rows(
            X, lambda model, x: Encoder(model, self._n_code_steps, with_hidden)(x)
        )

    def inverse_transform(self, X):
        """Decode codes into rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes, as `transform` returns them; columns of hidden layers are ignored. A
            dataframe may have its columns in any order.

        Returns
        -------
        X_original : ndarray or dataframe of shape (n_samples, n_features)
            Reconstructed rows, in the units of the training data. Of a model of a mixed
            table a dataframe like it: the mode of each category, the median of each
            number.
        """
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="mean_", method="inverse_transform")
        X = in_order_of_names(X, self.get_feature_names_out())
        Z = check_array(X, dtype=float_dtypes(X), input_name="X")
        if Z.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {Z.shape[1]} columns, but {type(self).__name__} decodes codes "
                f"of {self._n_features_out} components."
            )
        # (n, k): columns of hidden layers, where there are any, follow the code.
        Z = Z[:, : self.n_components_]
        rows = self._map_rows(Z, lambda model, code: Decoder(model)(code))
        return self._decoded(rows)

    def reconstruct(self, X):
        """Encode and decode X.

        Parameters
        ----------
        X : {array-like, sparse matrix} or dataframe of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        X_original : ndarray or dataframe of shape (n_samples, n_features)
            Reconstructed rows, as of `inverse_transform`.
        """
        rows = self._validate_rows(X, "reconstruct")
        n_steps = self._n_code_steps
        reconstructed = self._map_rows(
            rows, lambda model, x: Decoder(model)(Encoder(model, n_steps)(x))
        )
        return self._decoded(reconstructed, like=X)

    @abstractmethod
    def score_samples(self, X):
        """Return the score of each row."""

    def score(self, X, y=None, sample_weight=None):
        """Mean of `score_samples`.

        An autoencoder's, minus a loss, rises with `n_components` as PCA's explained
        variance does: it cannot choose their number. A log-likelihood can.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows in the mean.

        Returns
        -------
        score : float
            Higher is better. Minus infinity, with a warning that counts them, where X
            has rows whose density is zero.
        """
        scores = self.score_samples(X)
        xp, _ = get_namespace(scores)
        n_zero = int(as_tensor(scores).isneginf().sum())
        if n_zero:
            warnings.warn(
                f"The density of {n_zero} of {scores.shape[0]} rows is zero: they "
                "have values outside the support of the likelihood, or are out of "
                "range. The score is minus infinity.",
                RuntimeWarning,
                stacklevel=2,
            )
        if sample_weight is None:
            return float(xp.mean(scores))
        weight = _check_sample_weight(sample_weight, np.empty((scores.shape[0], 0)))
        return float(np.average(as_tensor(scores).numpy(force=True), weights=weight))

    @property
    def encoder_(self):
        """Torch module from rows (n, d) in data units to codes (n, k): the means."""
        return self._module(Encoder)

    @property
    def decoder_(self):
        """Torch module from codes (n, k) to rows (n, d) in data units: the means."""
        return self._module(Decoder)

    def _module(self, kind):
        # As scikit-learn's fitted attributes: absent before a fit, by `hasattr` too.
        if not hasattr(self, "net_"):
            raise AttributeError(f"{type(self).__name__} is not fitted yet.")
        return kind(self.net_.module_).eval()

    # The parts that differ between subclasses.

    _posterior: str  # name in skae.nn._posteriors.POSTERIORS
    _n_valid_draws = 0  # draws of the posterior for the validation loss, at least
    _clip = None  # largest norm of a gradient
    _n_code_steps = 0  # refinement steps from the encoder's code

    @abstractmethod
    def _log_density(self, model, x):
        """Log-densities (n,) of standardized rows, or minus losses."""

    @abstractmethod
    def _likelihood_choice(self):
        """The likelihood that the user chose, and the registry of names."""

    @abstractmethod
    def _make_prior(self, n_components, n_features):
        """Return a new prior module, or None for point codes."""

    def _objective_parameters(self):
        """Further parameters of the net: those of its objective."""
        return {}

    def _diagnose(self, model, rows, seed, like_X):
        """Further fitted attributes, from some standardized training rows."""
        return {}

    def _code_draws(self, model, x, generator):
        """Codes (n, k) of standardized rows, in the units that users see."""
        return model.units.to_users_code(model.best_code(x, self._n_code_steps))

    # Shared by the public methods.

    def _fit(self, X, sample_weight, previous, *, is_incremental, monitor=None):
        """Go on from the net `previous`, or fit a new one if it is None."""
        device = resolve_device(self.device)
        # One integer from the user's generator: each part of a fit derives its own.
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        with (
            noting_interrupts() as interrupts,
            unchanged_on_failure(self),
            ordinary_torch(),
        ):
            X = opened(X)
            reset, draws = previous is None, np.random.RandomState(seed)
            if is_table := self._takes_table(X, reset=reset):
                # First, so that ranks and levels are those of the weighted rows.
                X, sample_weight = repeated(X, sample_weight, draws), None
            frame, X = (
                getattr(X, "header", X),
                self._validate(
                    X,
                    reset=reset,
                    is_dense=is_incremental,
                    is_in_memory=is_incremental or sample_weight is not None,
                    draws=draws,
                ),
            )
            frame = X if is_table else frame
            self._check_parameters()
            X = repeated(X, sample_weight, draws)
            if previous is None:
                X = first_rows(self, X)
            start = Start(X.shape[0])
            if is_incremental:
                X, previous, start = next_pass(self, frame, X, device, seed)
            checkpoint = None
            if self.checkpoint is not None and not is_incremental:
                checkpoint = open_checkpoint(self, X, seed, previous)
                seed = checkpoint.seed
            fitted = fit_estimator(
                self,
                frame,
                X,
                device,
                seed,
                previous,
                is_incremental,
                checkpoint,
                monitor,
            )
            fitted["_start"] = start
            if interrupts.noted:  # also before training, or after it
                fitted["stopped_by_"] = "interrupt"
                warn_of_interrupt()
            # Attributes of an earlier fit that this one does not have.
            for name in _OPTIONAL & vars(self).keys():
                delattr(self, name)
            vars(self).update(fitted)
            # Of a fit that was interrupted, the same call goes on.
            if checkpoint and not interrupts.noted:
                checkpoint.remove()
        return self

    def _check_parameters(self):
        """Raise where parameters contradict one another."""
        check_parameters(self)

    @property
    def _n_features_out(self):
        is_wide = self.transform_layers == "all"
        return self.n_components_ + (n_hidden(self.net_.module_) if is_wide else 0)

    def _validate(
        self,
        X,
        *,
        reset,
        is_dense=False,
        is_in_memory=False,
        for_score=False,
        draws=None,
    ):
        """Rows (n, d) as a finite C-ordered array; NaN where it may be missing.

        Sparse rows, unless it `is_dense`, and rows on disk, unless it `is_in_memory`,
        are a `Stream` where they are many and complete.
        """
        # A fitted model takes what it was fitted for, whatever `allow_nan` is now.
        takes_nan = self.allow_nan if reset else self.net_.module_.imputer is not None
        if self._takes_table(X, reset=reset):
            return self._encoded(
                X, reset=reset, takes_nan=takes_nan, for_score=for_score, draws=draws
            )
        if reset:
            self._table = None
        # pandas has the accessor where all columns are sparse.
        if issparse(X) or hasattr(X, "sparse"):
            X = validated_sparse(self, X, takes_nan=takes_nan, reset=reset)
            is_dense = is_dense or takes_nan or is_small(X)
            return X.toarray() if is_dense else SparseStream(X)
        X = opened(X)
        stream = stream_of(flat_rows(X, self.sample_shape))
        if stream is not None and not (is_in_memory or takes_nan):
            return validated_stream(self, stream, reset=reset)
        X = X.table() if isinstance(X, ParquetStream) else X
        return validated(self, X, takes_nan=takes_nan, reset=reset)

    def _validate_rows(self, X, method, *, to_encode=True):
        """Rows (n, d) for a public method of a fitted model, in their own dtype."""
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="mean_", method=method)
        X = self._validate(X, reset=False, for_score=not to_encode)
        model = self.net_.module_
        tensor, names = as_tensor(X), self._names_of_features
        if model.imputer is not None:
            check_categories(model.likelihood, tensor, names)
        if to_encode:
            check_support(model.likelihood, tensor, names, to_encode=True)
        return X

    def _score_rows(self, X):
        """Values (n,) of `_log_density`, in the units of the data; rows that cannot be
        have a density of zero."""
        rows = self._validate_rows(X, "score_samples", to_encode=False)
        scores = self._map_rows(
            rows, lambda model, rows: rows_log_density(model, rows, self._log_density)
        )
        # Of the table's own values, not of their quantiles.
        return scores if self._table is None else scores + self._table.log_slope(X)

    def _map_rows(self, X, function):
        """Apply ``function(model, rows)`` by chunks, in the kind and dtype of X."""
        self._follow_device()
        return map_rows(self.net_.module_, X, function)

    def _follow_device(self):
        """Move the model where `device`, if it was set since, says."""
        if self.device != self._device:
            self.net_.to_device(str(resolve_device(self.device)))
            self._device = self.device

    def _generator(self, random_state):
        """A torch generator on the model's device, seeded by one of NumPy's."""
        self._follow_device()
        generator = torch.Generator(self.net_.module_.units.loc.device)
        seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
        return generator.manual_seed(seed)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.input_tags.allow_nan = self.allow_nan
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


# Fitted attributes that not every fit sets.
_OPTIONAL = {
    "_density_ratio",
    "_missing_pattern",
    "explained_variance_ratio_",
    "noise_variance_",
    "validation_loss_curve_",
}
