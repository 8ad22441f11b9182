"""Fixtures and markers of scikit-learn's tests."""

import numpy as np
import pytest


def pytest_configure(config):
    config.addinivalue_line("markers", "thread_unsafe: a test of scikit-learn's")


@pytest.fixture(params=[np.float32, np.float64])
def global_dtype(request):
    return request.param


@pytest.fixture
def global_random_seed():
    return 42
