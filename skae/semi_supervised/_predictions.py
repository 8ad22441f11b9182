"""What a fitted semi-supervised classifier says of rows."""

import warnings

import numpy as np
from scipy import sparse
from sklearn.utils import indexable
from sklearn.utils.metaestimators import available_if

from skae._sklearn import _safe_indexing, check_is_fitted, validate_data
from skae.data._frames import is_frame
from skae.data._tables import Table
from skae.semi_supervised._checks import GRAPHS, last_step
from skae.semi_supervised._labels import split_labels


def _classifier_has(name):
    """Check for `available_if`: the classifier, fitted or not, has the method."""

    def check(self):
        # An AttributeError of `getattr` names the classifier in the error message.
        getattr(getattr(self, "classifier_", self._classifier()), name)
        return True

    return check


class PredictionMixin:
    """Predictions on the features that a transformer makes of rows."""

    _table: Table | None = None  # that encodes dataframes of mixed columns

    def predict(self, X):
        """Predict the classes of rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Their classes.
        """
        features = self._check_features(X)
        if isinstance(last_step(self.classifier_), GRAPHS):
            # As it does, but rows without a class of their own are warned of.
            return self.classes_[self._predict_proba(features).argmax(1)]
        predicted = self.classifier_.predict(features)
        return self.classes_[predicted] if self._sees_all else predicted

    @available_if(_classifier_has("predict_proba"))
    def predict_proba(self, X):
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; all equal, with a warning, in a row that the
            classifier says nothing of: far from all labelled rows of a graph.
        """
        return self._predict_proba(self._check_features(X))

    @available_if(_classifier_has("predict_log_proba"))
    def predict_log_proba(self, X):
        """Return the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        features = self._check_features(X)
        return self.classifier_.predict_log_proba(features)

    @available_if(_classifier_has("decision_function"))
    def decision_function(self, X):
        """Return the classifier's decision function.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            One number for two classes, positive for the second; otherwise one a class.
        """
        features = self._check_features(X)
        return self.classifier_.decision_function(features)

    def score(self, X, y, sample_weight=None):
        """Return the accuracy on the labelled rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Labels; rows without one are left out.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            Fraction of the labelled rows whose class is predicted, weighted.

        Raises
        ------
        ValueError
            If no row has a label.
        """
        check_is_fitted(self)
        X, y, sample_weight = indexable(X, y, sample_weight)
        is_labelled, labels = split_labels(y, self.unlabeled, self.classes_)
        if not len(labels):
            raise ValueError("y has no label to score by: all rows are unlabelled.")
        rows = np.flatnonzero(is_labelled)
        if sample_weight is not None:
            sample_weight = _safe_indexing(sample_weight, rows)
        return super().score(_safe_indexing(X, rows), labels, sample_weight)

    def _predict_proba(self, features):
        """Probabilities of the classes (n, n_classes), equal ones in place of NaN."""
        with np.errstate(invalid="ignore"):  # graphs divide by the sum of no weights
            found = self.classifier_.predict_proba(features)
        is_lost = np.isnan(found).any(axis=1)
        if not is_lost.any():
            return found
        warnings.warn(
            f"{type(last_step(self.classifier_)).__name__} has no probabilities for "
            f"{is_lost.sum()} of {len(found)} rows, which are far from all that have a "
            "label: those of all classes are equal there, and the first is predicted.",
            UserWarning,
            stacklevel=3,
        )
        return np.where(is_lost[:, None], 1 / found.shape[1], found)

    def _check_features(self, X):
        """Features of rows that were passed to a public method."""
        check_is_fitted(self)
        # Arrays of other dimensions are refused by the transformer, in better words.
        if getattr(X, "ndim", 2) == 2:
            validate_data(self, X, reset=False, skip_check_array=True)
        return self._features(X if self._table is None else self._encoded(X))

    def _encoded(self, X):
        """Rows (n, width) of a mixed table."""
        if not is_frame(X):
            raise TypeError("The classifier was fitted to a dataframe: pass one.")
        return self._table.encode(X, takes_nan=False)

    def _features(self, X):
        """Columns for the classifier: features, and with `passthrough` those of X."""
        return self._columns(self.transformer_, X)

    def _columns(self, transformer, X):
        features = transformer.transform(X)
        if not self.passthrough:
            return features
        if sparse.issparse(X) or sparse.issparse(features):
            return sparse.hstack([features, X], format="csr")
        return np.hstack([features, np.asarray(X)])
