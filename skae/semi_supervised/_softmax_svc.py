"""A support vector machine with probabilities."""

import numpy as np
from scipy.special import log_softmax
from sklearn.svm import SVC

from skae.io import storable


@storable
class SoftmaxSVC(SVC):
    """:class:`~sklearn.svm.SVC` whose probabilities are a softmax of its decisions.

    One slope for all classes, chosen on held-out rows by whoever fits this: Platt's
    scaling needs a fit for each class, which few labels do not bear.

    Parameters
    ----------
    C : float, default=1.0
        As in SVC.
    slope : float, default=1.0
        Factor of the decisions.
    """

    def __init__(self, C=1.0, slope=1.0):
        # Of ties of votes the decisions decide, as they do in the probabilities. The
        # seed changes nothing; None would draw from NumPy's global generator.
        super().__init__(C=C, break_ties=True, random_state=0)
        self.slope = slope

    def predict_log_proba(self, X):
        """Return the logarithms of the probabilities (n_samples, n_classes)."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            scores = np.stack([-scores, scores], axis=1) / 2
        return log_softmax(self.slope * scores, axis=1)

    def predict_proba(self, X):
        """Return the probabilities (n_samples, n_classes)."""
        return np.exp(self.predict_log_proba(X))
