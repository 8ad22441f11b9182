"""The one place that imports private or version-dependent names of scikit-learn.

Any folder but `nn` and `training` may import it; it imports scikit-learn alone.
"""

from sklearn.base import _fit_context
from sklearn.utils._array_api import get_namespace

try:
    from sklearn.utils._array_api import check_same_namespace
except ImportError:  # scikit-learn < 1.8 does not compare the namespaces

    def check_same_namespace(X, estimator, *, attribute, method):
        pass


try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn < 1.9 has no callbacks

    class CallbackSupportMixin:
        def _init_callback_context(self, **options):
            return None


# Below the fallbacks, which have to follow their own imports.
from sklearn.utils import _safe_indexing
from sklearn.utils._indexing import _get_column_indices
from sklearn.utils._missing import is_pandas_na, is_scalar_nan
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils._set_output import ADAPTERS_MANAGER
from sklearn.utils.metadata_routing import _raise_for_params, _routing_enabled
from sklearn.utils.validation import (
    _check_method_params,
    _check_sample_weight,
    _get_feature_names,
    check_array,
    check_is_fitted,
    validate_data,
)

# What `_fit_context` reads after a fit, also after one that failed, to end callbacks.
CALLBACK_STATE = {"_callback_fit_ctx", "_skl_callbacks_to_teardown"}

__all__ = [
    "ADAPTERS_MANAGER",
    "CALLBACK_STATE",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "StrOptions",
    "_check_method_params",
    "_check_sample_weight",
    "_fit_context",
    "_get_column_indices",
    "_get_feature_names",
    "_raise_for_params",
    "_routing_enabled",
    "_safe_indexing",
    "check_array",
    "check_is_fitted",
    "check_same_namespace",
    "get_namespace",
    "is_pandas_na",
    "is_scalar_nan",
    "validate_data",
]
