"""The one place that imports private or version-dependent names of scikit-learn."""

from sklearn.base import _fit_context
from sklearn.utils._array_api import get_namespace
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

__all__ = [
    "Interval",
    "StrOptions",
    "_fit_context",
    "check_array",
    "check_is_fitted",
    "get_namespace",
    "validate_data",
]
