"""The one place that imports private or version-dependent names of scikit-learn."""

from sklearn.base import _fit_context
from sklearn.utils._array_api import get_namespace

try:
    from sklearn.utils._array_api import check_same_namespace
except ImportError:  # scikit-learn < 1.8 does not compare the namespaces

    def check_same_namespace(X, estimator, *, attribute, method):
        pass


from sklearn.utils._indexing import _get_column_indices
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

__all__ = [
    "Interval",
    "StrOptions",
    "_fit_context",
    "_get_column_indices",
    "check_array",
    "check_is_fitted",
    "check_same_namespace",
    "get_namespace",
    "validate_data",
]
