"""`partial_fit`: whatever the first rows are, the later ones count."""

import pickle
import warnings

import numpy as np
import pytest

from skae import AutoencoderTransformer, VAETransformer

both = pytest.mark.parametrize("estimator", [AutoencoderTransformer, VAETransformer])
SMALL = {"hidden_layer_sizes": (32, 16), "random_state": 0}
N_FEATURES, N_PASSES = 6, 20

# First batches, made of good rows.
FIRST = {
    "one row": lambda good: good[:1],
    "three rows": lambda good: good[:3],
    "six rows": lambda good: good[:6],
    "copies": lambda good: np.repeat(good[:1], 50, 0),
    "zeros": lambda good: np.zeros((200, N_FEATURES)),
    "a larger unit": lambda good: 1000 * good[:200],
    "a smaller unit": lambda good: 0.001 * good[:200],
    "another place": lambda good: good[:100] + 1e4,
    "noise": lambda good: 5 * np.random.default_rng(1).normal(size=good[:200].shape),
}


@pytest.fixture(scope="module")
def rows():
    """300 rows to fit, 300 to compare by: three curved latents."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(600, 3)) @ rng.normal(size=(3, N_FEATURES))
    X = 3 + 2 * np.tanh(z) + 0.1 * rng.normal(size=z.shape)
    return X[:300], X[300:]


def passes(model, good):
    for _ in range(N_PASSES):
        model.partial_fit(good)
    return model


@both
@pytest.mark.parametrize("first", FIRST)
def test_it_recovers_from_its_first_batch(estimator, first, rows):
    good, new = rows
    usual = passes(estimator(3, **SMALL), good).score(new)
    model = estimator(3, **SMALL)
    with warnings.catch_warnings():
        # Where the first rows were enough to start from, it says so.
        warnings.filterwarnings("ignore", "partial_fit starts anew", UserWarning)
        model.partial_fit(FIRST[first](good))
        score = passes(model, good).score(new)
    # A tenth of PCA's squared error, a sixth of what was gained, or a tenth of a nat
    # for each feature: the error still falls, and the order of rows says how fast.
    is_error = estimator is AutoencoderTransformer
    pca = estimator(3, **SMALL, max_iter=0).fit(good).score(new)
    assert score > usual - (-0.1 * pca if is_error else 0.1 * N_FEATURES)


@both
def test_a_start_that_was_wrong_is_told(estimator, rows):
    good, _ = rows
    model = estimator(3, **SMALL).partial_fit(1000 * good)
    with pytest.warns(UserWarning, match="partial_fit starts anew"):
        model.partial_fit(good)
    assert model.n_iter_ == 1


@both
def test_a_good_start_is_kept(estimator, rows):
    model = passes(estimator(3, **SMALL), rows[0])
    assert model.n_iter_ == N_PASSES
    # No row waits in it.
    assert model._start.is_settled and model._start.rows is None


@both
def test_few_rows_wait_for_more(estimator, rows):
    """All of them count, as if they had come together."""
    good, new = rows
    model = estimator(3, **SMALL)
    for row in good[:60]:
        model.partial_fit(row[None])
        assert np.isfinite(model.transform(new)).all()
    together = estimator(3, **SMALL).partial_fit(good[:60])
    np.testing.assert_array_equal(model.transform(new), together.transform(new))


def test_a_right_start_is_seldom_called_wrong():
    """Few rows without structure start a model as good as any other."""
    X = np.random.default_rng(0).normal(size=(6030, 2))
    for seed in range(75, 95):
        model = AutoencoderTransformer(1, batch_size=1000, random_state=seed)
        # A warning would be an error.
        model.partial_fit(X[:30]).partial_fit(X[30:])


@both
def test_steps_go_on_where_the_last_one_ended(estimator, rows):
    """A pass that began at the averages of the weights would take back what the last
    one had done."""
    good, new = rows
    going, returning = estimator(3, **SMALL), estimator(3, **SMALL)
    for _ in range(N_PASSES):
        for batch in np.array_split(good, 5):
            going.partial_fit(batch)
            returning.partial_fit(batch)
            returning.net_.last_weights_ = None
    # Error, or nats for each feature.
    is_error = estimator is AutoencoderTransformer
    gain = going.score(new) - returning.score(new)
    assert gain > (-0.05 * returning.score(new) if is_error else 0.05 * N_FEATURES)


@both
def test_a_pickle_goes_on_from_the_averages(estimator, rows):
    good, _ = rows
    model = pickle.loads(pickle.dumps(passes(estimator(3, **SMALL), good)))
    assert model.net_.last_weights_ is None
    assert np.isfinite(model.partial_fit(good).score(good))
