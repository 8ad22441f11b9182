"""scikit-learn's own tests of PCA, isolation forest and LOF, on what skae has of these.

Its test modules are imported, and find adapters instead of its estimators: thin ones,
which take its parameters and have its attributes. A test that is in no list below runs;
the others are skipped for the reason that stands beside them (`make test-clients`).
"""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.decomposition.tests import test_pca
from sklearn.ensemble.tests import test_iforest
from sklearn.neighbors.tests import test_lof

from skae import AutoencoderDetector, AutoencoderTransformer, VAETransformer

# scikit-learn's tests leave warnings of theirs alone.
pytestmark = pytest.mark.filterwarnings("default")


def with_parameters_of(parent):
    """Decorator of an adapter of `parent`, whose constructor takes other parameters."""

    def decorate(adapter):
        adapter._get_param_names = parent._get_param_names
        return adapter

    return decorate


class _PCA:
    """Attributes of PCA, from the codes of the training rows."""

    def fit(self, X, y=None):
        super().fit(X)
        codes = self.transform(X)
        self.explained_variance_ = codes.var(0, ddof=1)
        total = np.var(X, axis=0, ddof=1).sum()
        self.explained_variance_ratio_ = self.explained_variance_ / total
        self.singular_values_ = np.sqrt(((codes - codes.mean(0)) ** 2).sum(0))
        zero = np.zeros((1, self.n_features_in_), dtype=codes.dtype)
        step = np.eye(self.n_features_in_, dtype=codes.dtype)
        self.components_ = (self.transform(step) - self.transform(zero)).T
        return self

    def fit_transform(self, X, y=None):
        return self.fit(X).transform(X)


@with_parameters_of(AutoencoderTransformer)
class LinearAutoencoder(_PCA, AutoencoderTransformer):
    """An autoencoder that is not trained: PCA. All solvers are one."""

    def __init__(self, n_components=None, *, whiten=False, random_state=None, **solver):
        if whiten:
            pytest.skip("codes of a PCA are not whitened")
        taken = self._parameter_constraints["n_components"]
        if n_components is None and None not in taken:
            pytest.skip("n_components=None is not offered")
        super().__init__(n_components, max_iter=0, random_state=random_state)


@with_parameters_of(VAETransformer)
class LinearVAE(VAETransformer):
    """A VAE that is not trained: probabilistic PCA."""

    def __init__(self, n_components=None, *, random_state=None, **solver):
        super().__init__(n_components, max_iter=0, random_state=random_state)


def isolation_forest(contamination="auto", random_state=None, **others):
    """A detector over PCA; it has no trees, and no samples for these."""
    transformer = AutoencoderTransformer(1, max_iter=0)
    return AutoencoderDetector(
        transformer, contamination=contamination, random_state=random_state
    )


@with_parameters_of(AutoencoderDetector)
class LocalOutlierFactor(AutoencoderDetector):
    """A detector over PCA, fitted to all rows; it always has all methods."""

    def __init__(self, n_neighbors=20, contamination="auto", **others):
        transformer = AutoencoderTransformer(1, max_iter=0)
        super().__init__(
            transformer,
            n_neighbors=n_neighbors,
            contamination=contamination,
            random_state=0,
        )

    def fit(self, X, y=None):
        super().fit(X)
        self._fit_X = X
        self.negative_outlier_factor_ = self.score_samples(X)
        self._predict = lambda: self.predict(X)
        return self


MLE = "n_components='mle' is not offered"
SPARSE = "sparse rows are not taken"
ARRAY_API = "arrays of other libraries have tests of their own"
SOLVERS = "there is one solver"
PRIVATE = "tests private functions of scikit-learn's PCA"
TREES = "there are no trees, and no samples for them"
NOVELTY = "there is one kind of fit, and no method is hidden"

SKIPPED = {
    test_pca: {
        "test_pca": "no get_covariance; transform is covered by the others",
        "test_pca_sparse": SPARSE,
        "test_pca_sparse_fit_transform": SPARSE,
        "test_sparse_pca_solver_error": SPARSE,
        "test_sparse_pca_auto_arpack_singular_values_consistency": SPARSE,
        "test_pca_validation": SOLVERS,
        "test_pca_svd_solver_auto": SOLVERS,
        "test_pca_randomized_svd_n_oversamples": SOLVERS,
        "test_n_components_none": SOLVERS,
        "test_n_components_mle": MLE,
        "test_n_components_mle_error": MLE,
        "test_pca_dim": MLE,
        "test_mle_redundant_data": MLE,
        "test_fit_mle_too_few_samples": MLE,
        "test_mle_simple_case": MLE,
        "test_assess_dimension_bad_rank": PRIVATE,
        "test_small_eigenvalues_mle": PRIVATE,
        "test_assess_dimension_rank_one": PRIVATE,
        "test_pca_score": "compares with whiten=True at the end",
        "test_pca_score3": "a model without latents is refused",
        "test_pca_zero_noise_variance_edge_cases": "a VAE has a noise above zero",
        "test_pca_sanity_noise_variance": "an autoencoder has no noise_variance_",
        "test_feature_names_out": "names start with the name of the class",
        "test_pca_array_api_compliance": ARRAY_API,
        "test_pca_mle_array_api_compliance": ARRAY_API,
        "test_array_api_error_and_warnings_on_unsupported_params": ARRAY_API,
    },
    test_iforest: {
        "test_iforest_sparse": SPARSE,
        "test_iforest_sparse_input_float_contamination": SPARSE,
        "test_iforest_with_n_jobs_does_not_segfault": SPARSE,
        "test_iforest_error": TREES,
        "test_recalculate_max_depth": TREES,
        "test_max_samples_attribute": TREES,
        "test_max_samples_consistency": TREES,
        "test_iforest_parallel_regression": TREES,
        "test_iforest_subsampled_features": TREES,
        "test_iforest_average_path_length": TREES,
        "test_score_samples": TREES,
        "test_iforest_warm_start": TREES,
        "test_iforest_chunks_works1": TREES,
        "test_iforest_chunks_works2": TREES,
        "test_iforest_preserve_feature_names": "fewer neighbours than five warn",
        "test_iforest_with_uniform_data": "rows unlike equal rows are outliers",
    },
    test_lof: {
        "test_lof_values": "states values of local outlier factors",
        "test_lof_precomputed": "distances are not taken",
        "test_novelty_errors": NOVELTY,
        "test_hasattr_prediction": NOVELTY,
        "test_novelty_true_common_tests": "run by test_sklearn_checks.py",
        "test_sparse": SPARSE,
        "test_lof_error_n_neighbors_too_large": "there is no kneighbors",
        "test_lof_duplicate_samples": "warns of copies, which have finite scores here",
    },
}

ADAPTERS = {
    test_pca: ("PCA", LinearAutoencoder),
    test_iforest: ("IsolationForest", isolation_forest),
    test_lof: ("neighbors", SimpleNamespace(LocalOutlierFactor=LocalOutlierFactor)),
}

# Those that speak of the density, which an autoencoder lacks.
OF_DENSITIES = {"test_pca_score_consistency_solvers"}


@pytest.fixture(autouse=True)
def adapters(request, monkeypatch):
    for module, (name, adapter) in ADAPTERS.items():
        monkeypatch.setattr(module, name, adapter)
    if request.node.originalname in OF_DENSITIES:
        monkeypatch.setattr(test_pca, "PCA", LinearVAE)


def _collect():
    """Put the tests of the modules into classes of this one, since names recur."""
    for module, skipped in SKIPPED.items():
        found = dict(inspect.getmembers(module, inspect.isfunction))
        tests = {name: f for name, f in found.items() if name.startswith("test_")}
        for name in skipped.keys() & tests.keys():
            tests[name] = _skipped(skipped[name])
        title = "Test" + module.__name__.rpartition("test_")[2].title()
        static = {name: staticmethod(test) for name, test in tests.items()}
        globals()[title] = type(title, (), static)


def _skipped(reason):
    """A skipped test, without the parameters of the one in whose place it is."""

    @pytest.mark.skip(reason=reason)
    def test():
        pass

    return test


_collect()


@pytest.mark.parametrize("module", SKIPPED, ids=lambda m: m.__name__)
def test_some_run_and_no_reason_is_of_a_test_that_is_gone(module):
    tests = {name for name in vars(module) if name.startswith("test_")}
    assert SKIPPED[module].keys() < tests
