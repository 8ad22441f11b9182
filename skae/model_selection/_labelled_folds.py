"""Cross-validation with unlabelled rows."""

import numpy as np
from sklearn.model_selection import BaseCrossValidator, check_cv
from sklearn.utils import indexable
from sklearn.utils.metadata_routing import get_routing_for_object

from skae.semi_supervised._labels import split_labels

__all__ = ["LabelledFolds"]


class LabelledFolds(BaseCrossValidator):
    """Folds of the labelled rows; the unlabelled ones are in every training set.

    For `cv` of :class:`~sklearn.model_selection.GridSearchCV`,
    :func:`~sklearn.model_selection.cross_validate` and the like: any scorer then sees
    labelled rows only, and each class is divided among the folds.

    Parameters
    ----------
    cv : int or cross-validation splitter, default=5
        Splitter of the labelled rows, or the number of folds of
        :class:`~sklearn.model_selection.StratifiedKFold`.
    unlabeled : "auto", number, str or None, default="auto"
        Mark of unlabelled rows, as in :class:`~skae.SemiSupervisedClassifier`, which
        should have the same one.

    See Also
    --------
    skae.SemiSupervisedClassifier : Estimator for such rows; the meaning of `y`.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.model_selection import LabelledFolds
    >>> y = np.array([0, 0, 1, 1, -1, -1])
    >>> for train, test in LabelledFolds(2, unlabeled=-1).split(y, y):
    ...     print(train, test)
    [1 3 4 5] [0 2]
    [0 2 4 5] [1 3]
    """

    def __init__(self, cv=5, *, unlabeled="auto"):
        self.cv = cv
        self.unlabeled = unlabeled

    def split(self, X, y, groups=None):
        """Generate the rows of the training and of the test sets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Labels; None, NaN or the mark where there is none.
        groups : array-like of shape (n_samples,), default=None
            Groups that stay together, if `cv` wants them.

        Yields
        ------
        train : ndarray
            Indices of the training set, with all unlabelled rows.
        test : ndarray
            Indices of the test set, all labelled.

        Raises
        ------
        ValueError
            If no row has a label, or `cv` cannot split those that have one.
        """
        rows, others, labels, groups = self._labelled(X, y, groups)
        folds = check_cv(self.cv, labels, classifier=True)
        # The splitter counts labelled rows alone: its indices are places in `rows`.
        for train, test in folds.split(rows, labels, groups):
            yield np.sort(np.concatenate([rows[train], others])), rows[test]

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of splits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), default=None
            Rows.
        y : array-like of shape (n_samples,), default=None
            Labels.
        groups : array-like of shape (n_samples,), default=None
            Groups.

        Returns
        -------
        n_splits : int
            Their number.
        """
        # Splitters of groups may not know their number without labels and groups.
        if y is None:
            return check_cv(self.cv, classifier=True).get_n_splits(X, y, groups)
        rows, _, labels, groups = self._labelled(X, y, groups)
        folds = check_cv(self.cv, labels, classifier=True)
        return folds.get_n_splits(rows, labels, groups)

    def get_metadata_routing(self):
        """Return what `split` requests, which is what `cv` does.

        Returns
        -------
        routing : MetadataRequest
            With `groups` where `cv` is a splitter of groups.
        """
        return get_routing_for_object(check_cv(self.cv))

    def _labelled(self, X, y, groups):
        """Indices of labelled and of other rows; labels and groups of the former."""
        is_labelled, labels = split_labels(y, self.unlabeled)
        if not len(labels):
            raise ValueError("y has no label: there is nothing to split.")
        indexable(X, y, groups)  # all of one length
        rows, others = np.flatnonzero(is_labelled), np.flatnonzero(~is_labelled)
        groups = None if groups is None else np.asarray(groups)[rows]
        return rows, others, labels, groups
