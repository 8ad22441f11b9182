"""Filling the missing entries of rows."""

from functools import partial

import torch
from sklearn.utils import check_random_state

from skae._sklearn import get_namespace
from skae.nn._imputation import (
    conditional_draws,
    conditional_mean,
    conditional_moments,
    filled,
)
from skae.nn._params import is_count
from skae.transformers._bounds import clipped


class ImputerMixin:
    """`impute` of a transformer that was fitted with ``allow_nan=True``."""

    def impute(self, X, *, n_imputations=None, random_state=None, bounds=None):
        """Fill the missing entries of X.

        Their conditional distribution is a mixture of the model's own and of that of
        the multivariate normal that completes rows for the encoder; the weights are
        learned at the end of `fit`, on masked entries. The model's own mean is the
        reconstruction of the completed row for an autoencoder, the importance-weighted
        mean of reconstructions for a variational one [1]_.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows; NaN marks a missing entry. A row without any value gets the means of
            the features.
        n_imputations : int or None, default=None
            None fills in conditional means. A number returns as many tables, with
            entries drawn from the conditional distribution (multiple imputation [2]_);
            for an autoencoder, their variances are the normal's. Deviations from the
            means are calibrated on the masked entries.
        random_state : int, RandomState instance or None, default=None
            Generator of the draws; conditional means are the same in every call.
        bounds : None, "observed" or pair of float or array-like of shape \
                (n_features,), default=None
            Range of the filled entries; values outside become its nearer end.
            "observed" is the range of the training rows, feature by feature; a pair
            holds the lowest and the highest value, each a number or one for each
            feature.

        Returns
        -------
        X_filled : ndarray of shape (n_samples, n_features) or \
                (n_imputations, n_samples, n_features)
            X with its observed values unchanged.

        Raises
        ------
        ValueError
            If the model was fitted with ``allow_nan=False``, a row lacks some but not
            all one-hot columns of a category, or `bounds` has none of these forms.

        References
        ----------
        .. [1] Mattei, P.-A. and Frellsen, J. (2019). MIWAE: deep generative modelling
           and imputation of incomplete data sets. ICML.
        .. [2] Rubin, D. B. (1987). Multiple imputation for nonresponse in surveys.
           Wiley.
        """
        frame, X = X, self._validate_rows(X, "impute")
        if self.net_.module_.imputer is None:
            raise ValueError(
                "impute needs a model that was fitted with allow_nan=True."
            )
        bounds = self._bounds(bounds)
        if n_imputations is None:
            if self._table is not None:
                mean, above = self._impute(X, conditional_moments, 2).swapaxes(0, 1)
                return self._table.fill(frame, mean, std=above - mean)
            return clipped(self._impute(X, conditional_mean, 1), bounds, keep=X)
        if not is_count(n_imputations):
            raise ValueError(
                f"n_imputations must be an integer >= 1; got {n_imputations!r}."
            )
        generator, m = self._generator(random_state), int(n_imputations)
        draws = partial(conditional_draws, n_imputations=m, generator=generator)
        xp, _ = get_namespace(X)
        # (n, m, d) -> (m, n, d)
        tables = xp.moveaxis(self._impute(X, draws, m), 1, 0)
        if self._table is not None:
            draw = check_random_state(random_state)
            return [self._table.fill(frame, rows, generator=draw) for rows in tables]
        return clipped(tables, bounds, keep=X)

    def _imputed_once(self, X, random_state):
        """Rows X (n, d) with missing entries drawn, one draw of each."""
        generator = self._generator(random_state)
        draws = partial(conditional_draws, n_imputations=1, generator=generator)
        return self._impute(X, draws, 1)[:, 0]

    def _impute(self, X, conditional, n_values):
        base_samples = self._imputation_base_samples(self.n_components_, self._seed)
        if self._table is not None:
            # Ranks are known to half a row, and float64 takes twice the time.
            X = X.astype("float32")
        return self._map_rows(
            X,
            lambda model, rows: filled(
                model, rows, conditional, base_samples, self._n_code_steps, n_values
            ),
        )

    def _imputation_base_samples(self, n_components, seed):
        """Base samples (s, k) of a posterior; a point code has none."""
        return torch.empty(0, n_components, dtype=torch.float32, device="cpu")
