"""The outlier detector: distances against independent truths, laws of its scores."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from skae import AutoencoderDetector, AutoencoderTransformer, VAETransformer
from skae.detection._distances import (
    NeighbourDistance,
    QuadraticDistance,
    most_concentrated,
)
from skae.transformers._weights import in_order


def linear(n_components=8):
    """The transformer at its start, PCA."""
    return AutoencoderTransformer(n_components, max_iter=0)


def detector(transformer=None, **parameters):
    transformer = linear() if transformer is None else transformer
    return AutoencoderDetector(transformer, random_state=0, **parameters)


def strange_rows(curved):
    """The plane of one row, the waves of another: strange only together."""
    return np.hstack([curved[:100, :4], curved[100:200, 4:]])


# Truths.


def test_without_a_residual_the_score_is_mahalanobis_and_neighbours(curved):
    X_train, X = curved[:300], np.vstack([curved[300:], strange_rows(curved)])
    scores = -detector(trim=0, n_neighbors=5).fit(X_train).score_samples(X)

    model = LedoitWolf().fit(np.hstack([X_train, np.zeros_like(X_train)]))
    quadratic = [
        model.mahalanobis(np.hstack([Z, np.zeros_like(Z)])) for Z in (X_train, X)
    ]
    # A training row is its own nearest one, and that of any row is left out.
    index = NearestNeighbors(n_neighbors=6).fit(X_train)
    near = [(index.kneighbors(Z)[0][:, 1:] ** 2).mean(1) for Z in (X_train, X)]
    truth = sum(
        weight * np.log2(1 + new / old.mean())
        for weight, (old, new) in ((0.5, quadratic), (0.5, near))
    )
    usual = truth < 1
    assert usual.sum() > 30
    np.testing.assert_allclose(scores[usual], truth[usual], rtol=1e-6)
    assert (scores[~usual] < truth[~usual] + 1e-6).all()
    # Their neighbours are usual: neither are they in a group.
    far = truth > np.quantile(truth, 0.95)
    np.testing.assert_allclose(scores[far], truth[far], rtol=0.1)


@pytest.mark.parametrize("n_rows", [5, 100])
def test_quadratic_distance_is_that_of_the_shrunk_covariance(n_rows):
    rng = np.random.default_rng(0)
    V = rng.normal(size=(n_rows, 7)) @ rng.normal(size=(7, 7))
    new = rng.normal(size=(20, 7))
    truth = LedoitWolf().fit(V).mahalanobis(new)
    squares = QuadraticDistance().fit(V).by_column(new)
    np.testing.assert_allclose(squares.sum(1), truth)


@pytest.mark.parametrize("axis", [[1, 0], [1, 1], [1, 0.3]])
@pytest.mark.parametrize("n_rows", [2, 40])
def test_rounding_is_near_and_what_leaves_the_span_is_far(n_rows, axis):
    """Rows of -1 and 1 shrink nothing: what is beside them did not count at all."""
    axis = 1e8 * np.array(axis)
    V = np.outer(np.tile([-1.0, 1.0], n_rows // 2), axis)
    model = QuadraticDistance().fit(V)
    beside = np.array([axis[1], -axis[0]])
    for distance, low, high in ((0, 1, 1), (1e-14, 1, 1), (1e-5, 30, np.inf)):
        squares = model.by_column(V + distance * beside).sum(1)
        assert low - 1e-6 <= squares.min() and squares.max() <= high + 1e-6


def test_a_row_is_not_its_own_neighbour():
    X = np.array([[0.0], [1.0], [3.0], [3.0]])
    near = NeighbourDistance(1).fit(X)
    squares, neighbours = near.find(X)
    assert_array_equal(squares[:, 0], [1, 1, 0, 0])
    assert_array_equal(neighbours[:, 0] % 3, [1, 0, 0, 0])  # 2 and 3 equal
    assert_array_equal(near.find(np.array([[5.0]]))[0], [[4]])


def test_usual_rows_have_an_outlier_score_of_about_one(curved):
    scores = -detector().fit(curved).score_samples(curved)
    assert np.median(scores) == pytest.approx(1, abs=0.2)


def test_training_sees_the_hole_of_a_ring():
    rng = np.random.default_rng(0)
    angles, along = rng.uniform(0, 2 * np.pi, 500), rng.normal(size=500)
    ring = np.stack([np.cos(angles), np.sin(angles), along], 1)
    ring += 0.05 * rng.normal(size=ring.shape)
    hole = np.hstack([0.2 * rng.normal(size=(100, 2)), rng.normal(size=(100, 1))])
    X, y = np.vstack([ring[400:], hole]), np.repeat([0, 1], 100)

    def auroc(transformer):
        model = detector(transformer, n_neighbors=200).fit(ring[:400])
        return roc_auc_score(y, -model.score_samples(X))

    assert auroc(AutoencoderTransformer(2)) > 0.9
    assert auroc(linear(2)) < 0.5


@pytest.mark.parametrize("scale", [0.1, 1, 5])
def test_a_group_of_outliers_is_trimmed(curved, scale):
    rng = np.random.default_rng(0)
    group = 10 + scale * rng.normal(size=(80, curved.shape[1]))
    X = np.vstack([curved, group])
    rest = most_concentrated(X, 80 / 480)
    np.testing.assert_array_equal(rest, np.arange(400))
    np.testing.assert_array_equal(most_concentrated(X, 0), np.arange(480))


def test_of_fewer_than_two_rows_a_feature_none_is_trimmed(curved):
    np.testing.assert_array_equal(most_concentrated(curved[:18], 0.2), np.arange(18))
    assert len(most_concentrated(curved[:20], 0.2)) == 16


# Laws.


@pytest.mark.parametrize(
    "transformer",
    [
        AutoencoderTransformer(3, max_iter=2),
        VAETransformer(3, max_iter=2),
        make_pipeline(StandardScaler(), AutoencoderTransformer(3, max_iter=2)),
        PCA(3),
    ],
    ids=["autoencoder", "vae", "pipeline", "PCA"],
)
def test_scores_do_not_depend_on_the_other_rows(curved, transformer):
    model = detector(transformer).fit(curved)
    X = np.vstack([curved[::7], strange_rows(curved)])
    whole = model.decision_function(X)
    np.testing.assert_array_equal(model.decision_function(X), whole)
    for rows in (slice(0, 1), slice(5, 40), slice(None, None, -3)):
        np.testing.assert_allclose(model.decision_function(X[rows]), whole[rows], 1e-9)


def test_contributions_sum_to_the_score_and_point_to_the_feature(curved):
    X = curved[:50].copy()
    features = np.arange(50) % X.shape[1]
    X[np.arange(50), features] += 20 * curved.std()
    model = detector(linear(2)).fit(curved)
    contributions = model.explain(X)
    assert contributions.min() >= 0
    np.testing.assert_allclose(contributions.sum(1), -model.score_samples(X))
    assert (contributions.argmax(1) == features).mean() > 0.95


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_contamination_is_the_share_of_training_rows_flagged(curved, share):
    model = detector(contamination=share)
    flags = model.fit_predict(curved)
    assert (flags == -1).mean() == pytest.approx(share, abs=2 / len(curved))
    np.testing.assert_array_equal(flags, model.predict(curved))


def test_auto_flags_few_of_clean_rows_and_most_of_strange_ones(curved):
    rng = np.random.default_rng(0)
    distances = rng.uniform(5, 20, size=(40, 1))  # no two are alike
    strange = curved[:40] + distances * curved.std(0) * rng.normal(size=(40, 8))
    X = np.vstack([curved, strange])
    flags = detector().fit_predict(X)
    assert (flags[:400] == -1).mean() < 0.1
    assert (flags[400:] == -1).mean() > 0.95
    assert (detector().fit(curved).predict(curved) == -1).mean() < 0.1


@pytest.mark.parametrize("n_features", [5, 50, 100, 200])
def test_auto_flags_few_new_rows_however_wide(n_features):
    X = np.random.default_rng(0).normal(size=(600, n_features))
    model = detector().fit(X[:300])
    assert (model.predict(X[300:]) == -1).mean() < 0.05
    assert (model.predict(3 * X[300:]) == -1).mean() > 0.5


def low_rank(rng, n, d):
    waves = np.sin(np.outer(np.arange(1, 6), np.arange(d)))
    return rng.normal(size=(n, 5)) @ waves + rng.normal(size=(n, d))


def bernoulli(rng, n, d):
    return (rng.random((n, d)) < np.linspace(0.1, 0.5, d)).astype(float)


def lognormal(rng, n, d):
    return np.exp(rng.normal(size=(n, d)))


def correlated(rng, n, d):
    return rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, d))


@pytest.mark.parametrize(
    "draw, n_features",
    [(low_rank, 200), (bernoulli, 20), (lognormal, 8), (correlated, 20)],
)
def test_auto_flags_few_new_rows_whatever_the_transformer_has_learned(draw, n_features):
    """The threshold knew how well the transformer knows training rows: 0.4 to 0.9."""
    rng = np.random.default_rng(0)
    X, new = draw(rng, 100, n_features), draw(rng, 400, n_features)
    overfitted = AutoencoderTransformer(60, max_iter=20, hidden_layer_sizes=(64,))
    assert (detector(overfitted).fit(X).predict(new) == -1).mean() < 0.1


def one_hot(rng, n, fraction):
    level = np.where(rng.random(n) < fraction, 2, rng.integers(0, 2, n))
    return np.hstack([rng.normal(size=(n, 6)), np.eye(3)[level] / 0.3]), level == 2


def small_cluster(rng, n, fraction):
    is_far = rng.random(n) < fraction
    return rng.normal(size=(n, 6)) + 5 * is_far[:, None], is_far


@pytest.mark.parametrize("draw", [one_hot, small_cluster])
@pytest.mark.parametrize("fraction", [0.05, 0.15])
def test_a_group_among_the_training_rows_is_not_outlying(draw, fraction):
    """All of a rare level's rows were outliers: the covariance had seen none."""
    rng = np.random.default_rng(0)
    X, _ = draw(rng, 500, fraction)
    new, is_rare = draw(rng, 2000, fraction)
    model = detector().fit(X)
    flags, scores = model.predict(new) == -1, -model.score_samples(new)
    assert flags[is_rare].mean() < 0.1 and flags[~is_rare].mean() < 0.05
    # Other far rows are outliers as before, and the group is farther than usual rows.
    far = new + 4 * rng.normal(size=new.shape)
    assert (model.predict(far) == -1).mean() > 0.9
    assert np.median(scores[is_rare]) > np.median(scores[~is_rare])


def test_a_row_next_to_a_training_row_scores_like_it(curved):
    """A copy was left out as if it were the row itself, a row 1e-9 away was not."""
    model = detector(PCA(3)).fit(curved)
    scores = model.score_samples(curved)
    np.testing.assert_allclose(model.score_samples(curved + 1e-9), scores, rtol=1e-6)


# Other scores.


def test_reconstruction_is_the_squared_residual_in_usual_sizes_of_new_rows(curved):
    """Against PCA by hand: usual sizes from halves that have not seen the rows."""
    X, new = curved[:300], curved[300:]
    scores = detector(PCA(3), outlier_score="reconstruction", trim=0).fit(X)
    pca = PCA(3).fit(X)
    squares = (new - pca.inverse_transform(pca.transform(new))) ** 2
    parts = scores.explain(new)
    sizes = squares / parts / X.shape[1]
    np.testing.assert_allclose(sizes, np.tile(sizes[0], (100, 1)))
    # PCA of other halves: about the same.
    np.testing.assert_allclose(sizes[0], squares.mean(0), rtol=0.4)
    np.testing.assert_allclose(parts.sum(1), -scores.score_samples(new))
    assert (scores.predict(new) == -1).mean() < 0.1
    assert (scores.predict(strange_rows(curved)) == -1).mean() > 0.5


@pytest.mark.parametrize(
    "transformer", [PCA(3), VAETransformer(2, max_iter=1, hidden_layer_sizes=(4,))]
)
def test_likelihood_is_that_of_the_transformer(curved, transformer):
    model = detector(transformer, outlier_score="likelihood", n_estimators=2).fit(
        curved
    )
    truth = np.mean([t.score_samples(curved) for t in model.transformers_], axis=0)
    np.testing.assert_allclose(model.score_samples(curved), truth)
    assert (model.predict(curved) == -1).mean() < 0.1
    assert not hasattr(model, "explain")
    with pytest.raises(AttributeError, match="no attribute 'explain'") as raised:
        model.explain(curved)
    assert "no sum over features" in str(raised.value.__cause__)


@pytest.mark.parametrize(
    "score, kind",
    [("reconstruction", AutoencoderTransformer), ("likelihood", VAETransformer)],
)
def test_a_score_has_a_transformer_of_its_own(curved, score, kind):
    model = AutoencoderDetector(outlier_score=score, random_state=0).fit(
        curved[:10, :4]
    )
    assert isinstance(model.transformers_[0], kind)
    assert model.transformers_[0].n_components == 1  # a quarter of the features


# The last two rows are outliers: the toy of scikit-learn's isolation forest and LOF.
TOY = [[-2, -1], [-1, -1], [-1, -2], [1, 1], [1, 2], [2, 1], [7, 4], [-5, 9]]


@pytest.mark.parametrize("contamination", [0.25, "auto"])
@pytest.mark.parametrize("seed", range(3))
def test_two_of_eight_rows_are_outliers(seed, contamination):
    """No row was: a trim of 1.6 rows left out one, and the upper quartile was high."""
    transformer = AutoencoderTransformer(2, hidden_layer_sizes=(8,), max_iter=2)
    model = AutoencoderDetector(
        transformer, contamination=contamination, random_state=seed
    )
    assert_array_equal(model.fit_predict(TOY), 6 * [1] + 2 * [-1])
    noisy = TOY + np.random.default_rng(seed).normal(0, 0.05, size=(8, 2))
    assert_array_equal(model.fit_predict(noisy), 6 * [1] + 2 * [-1])


def test_auto_flags_few_of_few_clean_rows():
    shares = []
    for seed in range(20):
        X = np.random.default_rng(seed).normal(size=(8, 2))
        shares.append((detector(PCA(1)).fit_predict(X) == -1).mean())
    assert np.mean(shares) < 0.06


def test_huge_values_are_outliers(curved):
    model = detector().fit(curved)
    huge = np.tile(curved[0], (3, 1))
    huge[:, 1] = [1e100, -1e200, np.finfo(float).max]
    with np.errstate(all="raise"):
        scores = model.score_samples(huge)
    assert np.isfinite(scores).all() and (model.predict(huge) == -1).all()
    both = np.vstack([curved, huge])
    assert np.isfinite(detector().fit(both).score_samples(both)).all()


def test_outliers_among_the_training_rows_cost_little():
    rng = np.random.default_rng(0)
    scales = 3.0 / np.arange(1, 9)
    inliers, new = (rng.normal(size=(n, 8)) * scales for n in (450, 300))
    # A dense group, which hides its members from their nearest neighbours.
    group = rng.normal([0, 0, 0, 0, 2, 2, -2, 2], 0.2, size=(150, 8))
    X, y = np.vstack([new, group[50:]]), np.repeat([0, 1], [300, 100])

    def auroc(X_train, trim):
        model = detector(linear(4), trim=trim).fit(X_train)
        return roc_auc_score(y, -model.score_samples(X))

    dirty = np.vstack([inliers, group[:50]])
    assert auroc(inliers, 0.3) > 0.98
    assert auroc(dirty, 0.3) > auroc(inliers, 0.3) - 0.03
    assert auroc(dirty, 0.3) > auroc(dirty, 0) + 0.2


def test_copies_of_an_outlier_do_not_hide_it(curved):
    strange = np.tile(curved[:1] + 6 * curved.std(0), (40, 1))
    X = np.vstack([curved, strange])
    scores = detector().fit(X).score_samples(X)
    assert roc_auc_score(np.repeat([0, 1], [400, 40]), -scores) > 0.95


def test_the_transformer_sees_all_training_rows(curved):
    model = detector(PCA(3), trim=0.4).fit(curved)
    assert model.transformers_[0].n_samples_ == len(curved)


def test_one_seed_gives_one_result_and_leaves_the_global_generators_alone(curved):
    transformer = AutoencoderTransformer(3, max_iter=2, random_state=1)
    np.random.seed(0)
    expected = np.random.RandomState(0).random_sample()
    a, b = (detector(transformer).fit(curved).score_samples(curved) for _ in range(2))
    assert np.random.random_sample() == expected
    np.testing.assert_array_equal(a, b)
    assert transformer.random_state == 1
    assert not hasattr(transformer, "net_")
    other = AutoencoderDetector(transformer, random_state=1).fit(curved)
    assert np.abs(other.score_samples(curved) - a).max() > 1e-3


def test_an_ensemble_averages_the_distances_of_its_members(curved):
    transformer = AutoencoderTransformer(3, max_iter=2)
    model = detector(transformer, n_estimators=3, trim=0).fit(curved)
    assert len(model.transformers_) == 3
    views = model._views(curved, model.transformers_)
    assert np.abs(views[0] - views[1]).max() > 1e-3
    truth = -model.score_samples(curved)
    squares = [QuadraticDistance().fit(view).by_column(view).sum(1) for view in views]
    score = model._fitted_score
    sizes = (score.terms(curved, views)[:, 1], np.mean(squares, axis=0))
    np.testing.assert_allclose(sizes[0], np.log2(1 + sizes[1] / sizes[1].mean()))
    assert np.median(truth) == pytest.approx(1, abs=0.2)


def test_of_many_rows_some_are_compared_with(monkeypatch, curved):
    monkeypatch.setattr("skae.detection._scores._N_REFERENCES", 100)
    model = detector(n_neighbors=5).fit(curved)
    assert len(model._fitted_score._near._rows) == 100
    again = detector(n_neighbors=5).fit(curved)
    np.testing.assert_array_equal(
        model.score_samples(curved), again.score_samples(curved)
    )


def test_copies_of_a_few_rows_have_finite_scores(curved):
    X = np.tile(curved[:3], (50, 1))
    scores = detector(linear(2), trim=0).fit(X).score_samples(np.vstack([X, curved]))
    assert np.isfinite(scores).all()
    assert scores[:150].min() > scores[150:].min()


@pytest.mark.parametrize("kind", [np.float32, pd.DataFrame], ids=["array", "frame"])
def test_scores_of_float32_rows_are_float32_with_the_signs_of_float64(curved, kind):
    X = curved.astype(np.float32)
    model = detector(contamination=0.5).fit(X)
    given = kind(X)
    for method in ("score_samples", "decision_function", "explain"):
        single, double = (getattr(model, method)(Z) for Z in (given, X.astype(float)))
        assert single.dtype == np.float32 and double.dtype == np.float64
        assert_array_equal(single, double.astype(np.float32))
        assert getattr(model, method)(X.tolist()).dtype == np.float64
    flags = model.predict(given)
    assert_array_equal(flags, np.where(model.decision_function(given) < 0, -1, 1))
    assert (flags == -1).mean() == 0.5


def test_more_neighbours_than_rows_are_all_other_rows_with_a_warning(curved):
    X = curved[:30]
    message = r"n_neighbors \(500\) is greater .* set to \(n_samples - 1\), 29"
    with pytest.warns(UserWarning, match=message):
        model = detector(n_neighbors=500).fit(X)
    assert model.n_neighbors_ == 29
    same = detector(n_neighbors=29).fit(X)
    assert same.n_neighbors_ == 29
    assert_array_equal(model.score_samples(curved), same.score_samples(curved))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_transformer_may_name_columns(curved, library):
    """Its columns were called unknown: it saw an array."""
    X = np.abs(curved).round()
    names = [f"count{i}" for i in range(4)] + [f"wave{i}" for i in range(4)]
    frame = pytest.importorskip(library).DataFrame(dict(zip(names, X.T)))

    def fitted(X, columns):
        likelihood = [("poisson", columns[:4]), ("gaussian", columns[4:])]
        return detector(VAETransformer(2, likelihood=likelihood, max_iter=1)).fit(X)

    model = fitted(frame, names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = model.score_samples(frame)
    assert_array_equal(scores, fitted(X, list(range(8))).score_samples(X))
    with pytest.warns(UserWarning, match="valid feature names") as told:
        assert_array_equal(model.score_samples(X), scores)
    assert len(told) == 1  # by the detector alone
    with pytest.raises(ValueError, match="feature names"):
        model.score_samples(frame[names[::-1]])


@pytest.mark.parametrize(
    "wrap", [lambda t: t, lambda t: make_pipeline(t)], ids=["alone", "pipeline"]
)
def test_a_frozen_transformer_is_used_as_it_is(curved, wrap):
    frozen = FrozenEstimator(VAETransformer(2, max_iter=1, random_state=0).fit(curved))
    model = AutoencoderDetector(wrap(frozen), random_state=0).fit(curved[:50])
    codes = frozen.transform(curved)
    assert_array_equal(model.transformers_[0].transform(curved), codes)
    assert np.isfinite(model.score_samples(curved)).all()
    with pytest.raises(NotFittedError, match="PCA"):
        AutoencoderDetector(wrap(FrozenEstimator(PCA(2)))).fit(curved)


@pytest.mark.parametrize("score", ["distances", "reconstruction", "likelihood"])
def test_missing_entries_are_taken_where_the_transformer_takes_them(curved, score):
    X = curved[:100].copy()
    X[::3, 2] = np.nan
    transformer = VAETransformer(2, max_iter=1, hidden_layer_sizes=(4,), allow_nan=True)
    model = detector(transformer, outlier_score=score).fit(X)
    scores = model.score_samples(X)
    assert get_tags(model).input_tags.allow_nan and np.isfinite(scores).all()
    strange = np.where(np.isnan(X), X, X + 50 * curved.std(0))
    assert model.score_samples(strange).max() < scores.min()
    if score == "distances":
        parts = model.explain(X)
        np.testing.assert_allclose(parts.sum(1), -scores)
        filled = model.transformers_[0].impute(in_order(X))
        near = model._fitted_score._near._rows[:, :8]
        assert_array_equal(near, filled)
    with pytest.raises(ValueError, match="NaN"):
        detector(PCA(2), outlier_score=score).fit(X)


# Bad input.


class Endless(AutoencoderTransformer):
    """Fails when it is trained."""

    def fit(self, X, y=None):
        raise AssertionError("training has begun")


class OneWay(TransformerMixin, BaseEstimator):
    """A transformer that cannot decode."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"outlier_score": "error"}, "'outlier_score' parameter"),
        ({"trim": 0.5}, "'trim' parameter"),
        ({"contamination": 0.0}, "'contamination' parameter"),
        ({"contamination": "always"}, "'contamination' parameter"),
        ({"n_neighbors": 0}, "'n_neighbors' parameter"),
        ({"n_estimators": 0}, "'n_estimators' parameter"),
    ],
)
def test_bad_parameters_are_named_before_training(curved, parameters, message):
    with pytest.raises(ValueError, match=message):
        detector(Endless(), **parameters).fit(curved)


def test_bad_rows_are_named_before_training(curved):
    with pytest.raises(ValueError, match="NaN"):
        detector(Endless()).fit(np.where(curved > 2, np.nan, curved))
    with pytest.raises(ValueError, match="minimum of 2"):
        detector(Endless()).fit(curved[:1])
    with pytest.raises(ValueError, match="8 features"):
        detector().fit(curved).score_samples(curved[:, :3])


def test_a_transformer_that_cannot_decode_is_refused(curved):
    with pytest.raises(TypeError, match="no inverse_transform"):
        AutoencoderDetector(OneWay()).fit(curved)
    with pytest.raises(TypeError, match="no score_samples"):
        AutoencoderDetector(OneWay(), outlier_score="likelihood").fit(curved)
