"""What is registered works in an estimator, alone and with all the rest."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from skae import AutoencoderTransformer, VAETransformer
from skae.nn._corruption import NOISES
from skae.nn.architectures import ARCHITECTURES
from skae.nn.penalties import PENALTIES

TINY = {
    "hidden_layer_sizes": (6,),
    "batch_size": 50,
    "max_iter": 2,
    "random_state": 0,
}
N_ARCHITECTURES = len(ARCHITECTURES)


def estimator(architecture, noise, penalty, **params):
    """Of the class that can have the penalty, with a small network."""
    needs_posterior = PENALTIES[penalty].needs_posterior
    kind = VAETransformer if needs_posterior else AutoencoderTransformer
    return kind(
        architecture=architecture, noise=noise, penalty=penalty, **TINY, **params
    )


def combinations():
    """All pairs of a noise, a penalty and an architecture."""
    for i, noise in enumerate(NOISES):
        for j, penalty in enumerate(PENALTIES):
            architecture = list(ARCHITECTURES)[(i + j) % N_ARCHITECTURES]
            yield architecture, noise, penalty


COMBINATIONS = list(combinations())

# Enough of them for each entry of each registry.
COVERING = [
    (
        list(ARCHITECTURES)[i % N_ARCHITECTURES],
        list(NOISES)[i % len(NOISES)],
        penalty,
    )
    for i, penalty in enumerate(PENALTIES)
]


def test_all_pairs_are_there():
    registries = ARCHITECTURES, NOISES, PENALTIES
    for a in range(3):
        assert {c[a] for c in COVERING} == set(registries[a])
        for b in range(a):
            pairs = {(c[a], c[b]) for c in COMBINATIONS}
            assert len(pairs) == len(registries[a]) * len(registries[b])


@pytest.mark.parametrize("names", COMBINATIONS, ids="-".join)
@pytest.mark.parametrize("ordered", [False, True])
def test_pairs_train_to_finite_losses(names, ordered, iris):
    model = estimator(*names, n_components=3, ordered=ordered).fit(iris)
    assert len(model.loss_curve_) == 2 and np.isfinite(model.loss_curve_).all()
    assert np.isfinite(model.inverse_transform(model.transform(iris))).all()


@pytest.mark.parametrize("names", COVERING, ids="-".join)
def test_entries_keep_the_contract_of_estimators(names, iris):
    model = estimator(*names).fit(iris)
    same = clone(model).fit(iris)
    again = pickle.loads(pickle.dumps(model))
    for other in (same, again):
        assert np.array_equal(other.transform(iris), model.transform(iris))
        assert np.array_equal(other.score_samples(iris), model.score_samples(iris))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("names", COVERING, ids="-".join)
def test_entries_pass_scikit_learns_checks(names):
    results = check_estimator(estimator(*names), on_fail=None)
    failed = [r["check_name"] for r in results if r["status"] == "failed"]
    assert failed == [] and len(results) >= 45
