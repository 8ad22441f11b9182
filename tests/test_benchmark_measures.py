"""The benchmarks' measures, on samples and codes whose values are known."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

_PATH = Path(__file__).parent.parent / "benchmarks" / "measures.py"
_SPEC = importlib.util.spec_from_file_location("measures", _PATH)
measures = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(measures)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_frechet_distance_of_normal_laws(rng):
    """Closed form: squared distance of the means, and of the deviations when the axes
    agree."""
    X = rng.normal(size=(200_000, 3)) * [1, 2, 3]
    Y = rng.normal(size=(200_000, 3)) * [2, 2, 1] + [1, 0, 0]
    assert measures.frechet_distance(X, Y) == pytest.approx(1 + 1 + 4, rel=0.02)
    assert measures.frechet_distance(X, X) == pytest.approx(0, abs=1e-6)


def test_two_sample_accuracy_is_that_of_the_best_rule(rng):
    X, Y = rng.normal(size=(3000, 2)), rng.normal(size=(3000, 2))
    assert measures.two_sample_accuracy(X, Y) == pytest.approx(0.5, abs=0.03)
    Y[:, 0] += 2  # the best rule errs with probability Phi(-1)
    assert measures.two_sample_accuracy(X, Y) == pytest.approx(0.84, abs=0.02)


def test_gap_of_a_code_that_is_its_factors(rng):
    factors = rng.integers(5, size=(20_000, 2))
    noise = rng.normal(size=(20_000, 1))
    code = np.hstack([factors, noise])
    np.testing.assert_allclose(
        measures.mutual_information_gap(code, factors), 1, atol=0.02
    )


def test_gap_of_a_factor_that_two_latents_share(rng):
    factors = rng.integers(5, size=(20_000, 2))
    code = np.hstack([factors, factors[:, :1]])
    shared, own = measures.mutual_information_gap(code, factors)
    assert shared == pytest.approx(0, abs=1e-6) and own == pytest.approx(1, abs=0.02)


def test_gap_of_a_coin_seen_through_noise(rng):
    """A bit that is flipped in a tenth of the rows: 1 - H(0.1) of its bit is left."""
    factor = rng.integers(2, size=(50_000, 1))
    code = np.hstack(
        [factor ^ (rng.random((50_000, 1)) < 0.1), rng.normal(size=(50_000, 1))]
    )
    truth = 1 + 0.1 * np.log2(0.1) + 0.9 * np.log2(0.9)
    gap = measures.mutual_information_gap(code, factor)
    assert gap[0] == pytest.approx(truth, abs=0.01)
