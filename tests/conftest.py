"""Data that several rooms test on."""

import os
import zlib
from pathlib import Path

# scikit-learn's array-API checks are skipped without it, and SciPy reads it when it is
# first imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# Small networks gain nothing from more threads, and several test processes that each
# start as many threads as there are cores slow each other down tenfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)

# scikit-learn's checks ask only whether torch was built for GPUs, as it mostly is, and
# then fail on machines without one.
torch.backends.cuda.is_built = torch.cuda.is_available

# Cases of each law of test_fuzz.py: the same few in every run, and many by `make fuzz`.
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
_FUZZ = {"deadline": None, "database": None, "suppress_health_check": _SLOW}
settings.register_profile("suite", max_examples=8, **_FUZZ)
settings.register_profile("fuzz", max_examples=1700, **_FUZZ)
settings.load_profile("suite")

LOADERS = {
    "breast_cancer": load_breast_cancer,
    "diabetes": load_diabetes,
    "digits": load_digits,
    "iris": load_iris,
    "wine": load_wine,
}


@pytest.fixture(autouse=True)
def equal_draws_in_each_run(request):
    """Seeds what `random_state=None` draws from, by the test's name."""
    np.random.seed(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(params=sorted(LOADERS))
def table(request):
    """Each real table that comes with scikit-learn, centred, in its own units."""
    X, _ = LOADERS[request.param](return_X_y=True)
    return X - X.mean(0)


@pytest.fixture(scope="session")
def real_tables():
    """Further real tables, from the folder that SKAE_DATA names: name -> X, centred.

    Up to 500 rows and 200 features, for which `PCA` takes an exact solver.
    """
    folder = os.environ.get("SKAE_DATA")
    paths = sorted(Path(folder).glob("adbench/*.npz")) if folder else []
    if not paths:
        pytest.skip("SKAE_DATA names no folder with adbench/*.npz: no further tables")
    tables = {p.stem: np.load(p)["X"].astype(np.float64)[:500] for p in paths}
    return {n: X - X.mean(0) for n, X in tables.items() if X.shape[1] <= 200}


@pytest.fixture
def collected_checks(request):
    """Function that finds the checks that a test was collected for; none may fail."""
    option = request.config.option
    if option.keyword or option.markexpr or any("::" in a for a in request.config.args):
        pytest.skip("only a part of this file was selected")

    def find(test):
        items = [i for i in request.session.items if i.name.startswith(f"{test}[")]
        assert not [i.name for i in items if i.get_closest_marker("xfail")]
        return [i.callspec.id for i in items]

    return find


@pytest.fixture(scope="session")
def iris():
    return load_iris(return_X_y=True)[0]


@pytest.fixture(scope="session")
def digits():
    """300 rows of digits, values in [0, 1]."""
    return load_digits(return_X_y=True)[0][:300] / 16


@pytest.fixture(scope="session")
def curved():
    """400 noisy rows on a curved two-dimensional surface in eight dimensions."""
    rng = np.random.default_rng(0)
    z = rng.uniform(-2, 2, (400, 2))
    waves = np.sin(z @ rng.normal(size=(2, 4)) * 0.7)
    X = np.hstack([z @ rng.normal(size=(2, 4)), 2 * waves])
    return X + 0.05 * rng.normal(size=X.shape)
