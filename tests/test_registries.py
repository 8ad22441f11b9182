"""What is registered works in an estimator, alone and with all the rest."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from skae import AutoencoderTransformer, VAETransformer
from skae.nn._corruption import NOISES
from skae.nn.architectures import ARCHITECTURES, make_bodies
from skae.nn.penalties import PENALTIES, Penalty

TINY = {
    "hidden_layer_sizes": (6,),
    "batch_size": 50,
    "max_iter": 2,
    "random_state": 0,
}
N_ARCHITECTURES = len(ARCHITECTURES)
CODES = ["plain", "ordered"]


def estimator(architecture, noise, penalty, **params):
    """Of the class that can have the penalty, with a small network."""
    needs_posterior = PENALTIES[penalty].needs_posterior
    kind = VAETransformer if needs_posterior else AutoencoderTransformer
    return kind(
        architecture=architecture, noise=noise, penalty=penalty, **TINY, **params
    )


def combinations():
    """All pairs of an architecture, a noise, a penalty and kinds of codes."""
    for i, noise in enumerate(NOISES):
        for j, penalty in enumerate(PENALTIES):
            architecture = list(ARCHITECTURES)[(i + j) % N_ARCHITECTURES]
            yield architecture, noise, penalty, CODES[(i + j // 2) % 2]


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
    registries = ARCHITECTURES, NOISES, PENALTIES, CODES
    for a, registry in enumerate(registries):
        assert a == 3 or {c[a] for c in COVERING} == set(registry)
        for b in range(a):
            pairs = {(c[a], c[b]) for c in COMBINATIONS}
            assert len(pairs) == len(registry) * len(registries[b])


@pytest.mark.parametrize("names", COMBINATIONS, ids="-".join)
def test_pairs_map_each_row_by_itself(names, iris):
    """Whatever it was trained with, nothing is drawn, and rows are not mixed."""
    *parts, code = names
    model = estimator(*parts, n_components=3, ordered=code == "ordered").fit(iris)
    assert len(model.loss_curve_) == 2 and np.isfinite(model.loss_curve_).all()
    for method in (model.transform, model.score_samples):
        together = method(iris)
        alone = np.concatenate([method(rows) for rows in np.array_split(iris, 40)])
        np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-6)
    assert model.score(iris) == pytest.approx(model.score_samples(iris).mean())


@pytest.mark.parametrize("names", COVERING, ids="-".join)
def test_entries_keep_the_contract_of_estimators(names, iris):
    model = estimator(*names).fit(iris)
    same = clone(model).fit(iris)
    again = pickle.loads(pickle.dumps(model))
    for other in (same, again):
        assert np.array_equal(other.transform(iris), model.transform(iris))
        assert np.array_equal(other.score_samples(iris), model.score_samples(iris))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
# The contract of an estimator does not depend on its penalty: two stand for all.
@pytest.mark.parametrize("names", [COVERING[0], COVERING[-2]], ids="-".join)
def test_entries_pass_scikit_learns_checks(names):
    results = check_estimator(estimator(*names), on_fail=None)
    failed = [r["check_name"] for r in results if r["status"] == "failed"]
    assert failed == [] and len(results) >= 45


class Users(Penalty):
    """A penalty without options, as users write it."""

    def forward(self, model, x, terms):
        return terms.z.square().sum(1)


@pytest.mark.parametrize("kind", [*PENALTIES.values(), Users])
def test_penalties_are_cloned_and_printed(kind):
    assert repr(kind()) == f"{kind.__name__}()"
    assert isinstance(clone(kind()), kind)
    with pytest.raises(ValueError, match=f"'loudness' .* {kind.__name__}; there are"):
        kind().set_params(loudness=3)
    for penalty in (kind(), [kind()]):
        model = AutoencoderTransformer(penalty=penalty)
        assert f"{kind.__name__}()" in repr(clone(model))
        params = model.get_params()
        assert params["penalty"] is penalty
    own = AutoencoderTransformer(penalty=kind()).get_params()
    assert {f"penalty__{name}" for name in kind().get_params()} <= own.keys()


def of_numpy(value):
    """An option as a grid of NumPy holds it; shares that float32 knows exactly."""
    if isinstance(value, float):
        return np.float32(value or 0.5)
    if isinstance(value, bool | int | tuple):
        value = np.asarray(value)
        return value if value.ndim else value[()]
    return value


def of_python(value):
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def with_options(kind, convert):
    options = {name: of_numpy(value) for name, value in kind().get_params().items()}
    return kind(**{name: convert(value) for name, value in options.items()})


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_options_of_architectures_may_be_numpys(name):
    def outputs(convert):
        torch.manual_seed(0)
        architecture = with_options(type(ARCHITECTURES[name]), convert)
        bodies = make_bodies(architecture, (6, 2), (8,), "silu", (12, 2), (2, 12))
        sides = zip(bodies, (12, 2))
        return [body.eval()(torch.ones(3, n_in)) for body, n_in in sides]

    with torch.random.fork_rng([]):
        for found, expected in zip(outputs(lambda value: value), outputs(of_python)):
            assert torch.equal(found, expected)


@pytest.mark.parametrize("name", PENALTIES)
def test_options_of_penalties_may_be_numpys(name, iris):
    kind = PENALTIES[name]
    estimator = VAETransformer if kind.needs_posterior else AutoencoderTransformer

    def curve(convert):
        penalty = with_options(kind, convert)
        return estimator(2, penalty=penalty, **TINY).fit(iris).loss_curve_

    assert curve(lambda value: value) == pytest.approx(curve(of_python), rel=1e-6)
