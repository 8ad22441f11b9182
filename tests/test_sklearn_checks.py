"""scikit-learn's own checks, and that they are all there."""

from sklearn.decomposition import PCA
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)

import skae

# The wrapper's variants are in test_semi_supervised.py. How long a network is trained
# is all the same to the checks.
ESTIMATORS = [
    skae.AutoencoderTransformer(max_iter=10),
    skae.VAETransformer(max_iter=10),
    skae.AutoencoderImputer(skae.VAETransformer(max_iter=3)),
    skae.AutoencoderDetector(skae.AutoencoderTransformer(max_iter=5)),
    skae.SemiSupervisedClassifier(PCA(), SVC()),
]

# scikit-learn 1.9 has 47 checks for each; its releases add and drop a few.
FEWEST_CHECKS = 45


@parametrize_with_checks(ESTIMATORS)
def test_estimator_check(estimator, check):
    check(estimator)


def test_no_check_is_missing_and_none_may_fail(collected_checks):
    found = collected_checks("test_estimator_check")
    for estimator in ESTIMATORS:
        expected = len(list(estimator_checks_generator(estimator)))
        mine = [i for i in found if i.startswith(f"{type(estimator).__name__}(")]
        assert len(mine) == expected >= FEWEST_CHECKS


def test_every_public_estimator_is_checked():
    assert {type(e).__name__ for e in ESTIMATORS} == set(skae.__all__) - {"load"}
