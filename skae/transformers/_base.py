"""What the two transformers share: everything but the latent."""

import copy
from abc import abstractmethod
from functools import partial
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state

from skae._sklearn import (
    Interval,
    StrOptions,
    _fit_context,
    check_array,
    check_is_fitted,
    check_same_namespace,
    get_namespace,
    validate_data,
)
from skae.data._arrays import as_tensor, float_dtypes, like
from skae.data._rows import CHUNK
from skae.nn._activations import ACTIVATIONS
from skae.nn._corruption import NOISES
from skae.nn._imputation import conditional_draws, conditional_mean, rows_at_once
from skae.nn._model import frozen
from skae.nn._params import is_count
from skae.nn.architectures import ARCHITECTURES
from skae.nn.likelihoods import Columns
from skae.nn.penalties import PENALTIES
from skae.nn.priors import Normal
from skae.transformers._fitting import Fitting
from skae.transformers._likelihood_spec import check_categories


class BaseAutoencoder(
    Fitting, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Base of the transformers; a subclass names its latent, likelihood and prior."""

    _parameter_constraints: dict = {
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
        ],
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "architecture": [StrOptions(set(ARCHITECTURES)), callable],
        "sample_shape": ["array-like", None],
        "noise": [None, StrOptions(set(NOISES)), callable],
        "noise_level": [Interval(Real, 0, None, closed="left")],
        "transform_layers": [None, StrOptions({"all"})],
        "penalty": [None, StrOptions(set(PENALTIES)), callable, list, tuple],
        "penalty_weight": [Interval(Real, 0, None, closed="left"), "array-like"],
        "ordered": ["boolean"],
        "init": [StrOptions({"pca", "random"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "early_stopping": [StrOptions({"auto"}), "boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "allow_nan": ["boolean"],
        "warm_start": ["boolean"],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "device": [str],
        "callbacks": [None, list],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Fit the model to X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        previous = self._fitted_model() if self.warm_start else None
        return self._train(X, previous, incremental=False)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Train for one pass over the rows of X.

        The first call sets the number of features, the scale and the linear start: give
        it several times as many rows as components. No row is held out. Parameters may
        change between calls, but for those that the model is made of.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The next rows.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The transformer, fitted to all rows so far.
        """
        return self._train(X, self._fitted_model(), incremental=True)

    def transform(self, X):
        """Encode X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_components)
            Codes; for a variational model the posterior means. Nothing is drawn. With
            ``transform_layers="all"`` more columns follow: the hidden layers.
        """
        X = self._validate_rows(X, "transform")
        return self._map_rows(X, self._code if self._is_narrow else self._wide_code)

    def inverse_transform(self, X):
        """Decode codes into rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes, as `transform` returns them; of the columns of hidden layers nothing
            is needed.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            Reconstructed rows, in the units of the training data.
        """
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="mean_", method="inverse_transform")
        Z = check_array(X, dtype=float_dtypes(X), input_name="X")
        if Z.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {Z.shape[1]} columns, but {type(self).__name__} decodes codes "
                f"of {self._n_features_out} components."
            )
        Z = Z[:, : self.n_components_]
        return self._map_rows(Z, lambda model, z: model.reconstruct(z))

    def sample(
        self, n_samples=1, random_state=None, *, density=None, observation_noise=None
    ):
        """Draw new rows.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Of the draws; pass an int for the same rows each time.
        density : {"prior", "mixture"} or None, default=None
            Where codes are drawn from: the prior of a variational model, or a Gaussian
            mixture fitted on codes of training rows [1]_. None is the prior of a
            variational model, otherwise the mixture. An autoencoder has a prior with
            the penalties "mmd" and "adversarial": the standard normal law.
        observation_noise : bool or None, default=None
            Whether rows are drawn from the likelihood around the decoded codes: counts,
            categories, values with noise. Otherwise they are its means. None draws
            where columns have likelihoods of their own: the mean of a category is no
            row of such a table.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            New rows, in the units of the training data.

        References
        ----------
        .. [1] Ghosh, P. et al. (2020). From variational to deterministic autoencoders.
           ICLR.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be an integer >= 1; got {n_samples!r}.")
        if density not in (None, *self._densities):
            known = ", ".join(map(repr, self._densities))
            raise ValueError(
                f"density={density!r} is not one of {known} of {type(self).__name__}."
            )
        likelihood = self.net_.module_.likelihood
        if observation_noise is None:
            observation_noise = isinstance(likelihood, Columns)
        if observation_noise and not likelihood.is_density:
            raise ValueError(
                "observation_noise=True needs a likelihood, which says how large the "
                "noise is; this model was fitted with an error alone."
            )
        random_state = check_random_state(random_state)
        draw = self._densities[density or next(iter(self._densities))]
        codes = like(draw(self, n_samples, random_state), self.mean_)
        if not observation_noise:
            return self._map_rows(codes, lambda model, z: model.reconstruct(z))
        generator = self._generator(random_state)
        return self._map_rows(codes, lambda model, z: model.draw(z, generator))

    def impute(self, X, *, n_imputations=None, random_state=None):
        """Fill the missing cells of X.

        Their law is a mixture of the model's and of the normal law that completes rows
        for the encoder; the shares are learned at the end of `fit`, on cells that are
        hidden for it. An autoencoder fills in its reconstruction of the completed row;
        a variational one importance-weighted means of its reconstructions [1]_.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; NaN marks a missing cell. A row without a value gets the means of
            rows.
        n_imputations : int or None, default=None
            None fills in conditional means. A number returns as many tables, their
            cells drawn from the conditional law: what differs between them is what the
            observed cells leave open (multiple imputation [2]_). Of an autoencoder, it
            is what the normal law leaves open. The spread is learned on the cells that
            are hidden: where most lie near the means and few far, so do draws.
        random_state : int, RandomState instance or None, default=None
            Of the imputations that are drawn; means are the same in every call.

        Returns
        -------
        X_filled : ndarray of shape (n_samples, n_features) or \
                (n_imputations, n_samples, n_features)
            X, with its observed values as they are.

        Raises
        ------
        ValueError
            If the model was fitted with ``allow_nan=False``, or a row has a part of the
            columns of a category.

        References
        ----------
        .. [1] Mattei, P.-A. and Frellsen, J. (2019). MIWAE: deep generative modelling
           and imputation of incomplete data sets. ICML.
        .. [2] Rubin, D. B. (1987). Multiple imputation for nonresponse in surveys.
           Wiley.
        """
        X = self._validate_rows(X, "impute")
        if self.net_.module_.law is None:
            raise ValueError(
                "impute needs a model that was fitted with allow_nan=True."
            )
        if n_imputations is None:
            return self._impute(X, conditional_mean, 1)
        if not is_count(n_imputations):
            raise ValueError(
                f"n_imputations must be an integer >= 1; got {n_imputations!r}."
            )
        n_imputations = int(n_imputations)
        draws = partial(
            conditional_draws,
            n_imputations=n_imputations,
            generator=self._generator(check_random_state(random_state)),
        )
        xp, _ = get_namespace(X)
        return xp.moveaxis(self._impute(X, draws, n_imputations), 1, 0)

    def _impute(self, X, conditional, n_values):
        """Fill X by ``conditional(model, x, noise, n_steps)``, with `n_values` each."""
        noise = self._imputation_noise()

        def fill(model, rows):
            size = rows_at_once(model, max(len(noise), n_values))
            draws = noise.to(rows.device, rows.dtype)
            x = model.standardize(rows)
            pieces = [
                conditional(model, chunk, draws, self._n_code_steps)
                for chunk in x.split(size)
            ]
            values = torch.cat(pieces)
            if values.ndim > rows.ndim:
                rows = rows[:, None]
            return torch.where(rows.isnan(), values, rows)

        return self._map_rows(X, fill)

    def truncate(self, n_components):
        """Return a smaller transformer with the first latents; nothing is trained.

        Parameters
        ----------
        n_components : int
            Number of latents to keep.

        Returns
        -------
        transformer : object
            A fitted copy. This one stays as it is.

        Raises
        ------
        ValueError
            If the latents are not ordered, or not so many.
        """
        check_is_fitted(self)
        if not self.net_.module_.is_ordered:
            raise ValueError(
                "truncate needs a model that was fitted with ordered=True."
            )
        is_size = isinstance(n_components, Integral) and n_components is not True
        if not is_size or not 1 <= n_components <= self.n_components_:
            raise ValueError(
                f"n_components must be an integer within 1 and {self.n_components_}; "
                f"got {n_components!r}."
            )
        k = int(n_components)
        short = copy.deepcopy(self).set_params(n_components=k, ordered=True)
        short._shorten(k)
        return short

    @abstractmethod
    def score_samples(self, X):
        """Return the score of each row."""

    def score(self, X, y=None):
        """Mean of `score_samples`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.

        Returns
        -------
        score : float
            Higher is better.
        """
        scores = self.score_samples(X)
        xp, _ = get_namespace(scores)
        return float(xp.mean(scores))

    def _code(self, model, x):
        return model.code(model.standardize(x), self._n_code_steps)

    def _wide_code(self, model, x):
        return model.wide_code(model.standardize(x), self._n_code_steps)

    @property
    def _is_narrow(self):
        return self.transform_layers is None

    @property
    def _n_features_out(self):
        n_hidden = 0 if self._is_narrow else self.net_.module_.n_hidden
        return self.n_components_ + n_hidden

    def _validate(self, X, *, reset):
        """`reset` begins a new fit; otherwise the fitted model says what it takes."""
        takes_nan = self.allow_nan if reset else self._fitted_model().law is not None
        return validate_data(
            self,
            X,
            dtype=float_dtypes(X),
            order="C",
            ensure_all_finite="allow-nan" if takes_nan else True,
            reset=reset,
        )

    def _validate_rows(self, X, method):
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="mean_", method=method)
        X, model = self._validate(X, reset=False), self.net_.module_
        if model.law is not None:
            names = getattr(self, "feature_names_in_", None)
            check_categories(model.likelihood, as_tensor(X), names)
        return X

    @torch.inference_mode(False)
    @torch.no_grad()
    def _map_rows(self, X, function):
        """Apply ``function(model, rows)`` by chunks, in the kind and dtype of X."""
        model = frozen(self.net_.module_)
        rows = as_tensor(X)
        if rows.dtype == torch.float64:
            model = model.double()
        device, size = model.shift.device, model.rows_at_once(CHUNK)
        values = [function(model, chunk.to(device)) for chunk in rows.split(size)]
        return like(torch.cat(values), X)

    def _generator(self, random_state):
        """A torch generator on the model's device."""
        generator = torch.Generator(self.net_.module_.shift.device)
        return generator.manual_seed(random_state.randint(np.iinfo(np.int32).max))

    def _draw_from_mixture(self, n_samples, random_state):
        return self._mixture.sample(n_samples, random_state)

    def _draw_from_prior(self, n_samples, random_state):
        """Of a model without one, the standard normal law that penalties ask for."""
        model, generator = self.net_.module_, self._generator(random_state)
        prior = model.current_prior() or Normal(model.n_components).to(model.shift)
        return prior.sample(n_samples, generator).detach().double()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.input_tags.allow_nan = self.allow_nan
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
