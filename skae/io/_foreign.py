"""Objects of other packages that estimators hold, beside estimators themselves."""

import numpy as np
from scipy import sparse
from sklearn.neighbors import BallTree, KDTree
from sklearn.utils.metadata_routing import MetadataRequest

from skae.io._codec import CannotBeWrittenError, register


def _get_random_state(value):
    return value.get_state(legacy=False)


def _make_random_state(state):
    made = np.random.RandomState()
    made.set_state(state)
    return made


def _get_sparse(value):
    return [value.data, value.indices, value.indptr, value.shape]


def _make_sparse(kind):
    return lambda state: kind(tuple(state[:3]), shape=state[3])


def _get_tree(value):
    rows, _, _, _, leaf_size, *_, metric, _ = value.__getstate__()
    # The default's; others have parameters that nothing shows.
    if type(metric).__name__ != "EuclideanDistance64":
        raise CannotBeWrittenError(f"a tree of neighbours by {type(metric).__name__}")
    return {"rows": np.asarray(rows), "leaf_size": leaf_size}


def _make_tree(kind):
    # Of the same rows the same tree.
    return lambda state: kind(state["rows"], leaf_size=state["leaf_size"])


def _get_requests(value):
    methods = {name for name in vars(value) if name != "owner"}
    requests = {name: getattr(value, name).requests for name in sorted(methods)}
    # An estimator, or its name; only shown.
    owner = value.owner if isinstance(value.owner, str) else type(value.owner).__name__
    return {"owner": owner, "requests": requests}


def _make_requests(state):
    made = MetadataRequest(owner=state["owner"])
    for method, requests in state["requests"].items():
        for name, alias in requests.items():
            getattr(made, method).add_request(param=name, alias=alias)
    return made


register(np.random.RandomState, _get_random_state, _make_random_state)
register(MetadataRequest, _get_requests, _make_requests)
for _kind in (KDTree, BallTree):
    register(_kind, _get_tree, _make_tree(_kind))
for _kind in (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.csc_array):
    register(_kind, _get_sparse, _make_sparse(_kind))
