"""Before any training the models are PCA and probabilistic PCA."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer, VAETransformer

BOTH = [AutoencoderTransformer, VAETransformer]

# Noise variance below which the density of probabilistic PCA has lost its meaning.
DEGENERATE = 1e-3


def initial(estimator, k, X, **params):
    return estimator(k, max_iter=0, random_state=0, **params).fit(X)


def reconstruct(model, X):
    return model.inverse_transform(model.transform(X))


def relative_error(value, truth, centre=0.0):
    return np.linalg.norm(value - truth) / np.linalg.norm(truth - centre)


def up_to_sign(value, truth):
    signs = np.sign((value * truth).sum(0))
    return relative_error(value * signs, truth)


def sizes(X):
    return sorted({1, 2, X.shape[1] // 2, X.shape[1] - 1})


def test_reconstruction_is_that_of_pca(table):
    for k in sizes(table):
        pca = PCA(k).fit(table)
        model = initial(AutoencoderTransformer, k, table)
        assert relative_error(reconstruct(model, table), reconstruct(pca, table)) < 1e-5


def test_codes_are_those_of_pca_up_to_sign(table):
    pca = PCA(2).fit(table)
    model = initial(AutoencoderTransformer, 2, table)
    assert up_to_sign(model.transform(table), pca.transform(table)) < 1e-5


@pytest.mark.parametrize("estimator", BOTH)
def test_decoder_spans_the_principal_subspace(estimator, table):
    k = 2
    model = initial(estimator, k, table)
    origin = model.inverse_transform(np.zeros((1, k)))
    directions = model.inverse_transform(np.eye(k)) - origin
    angles = subspace_angles(directions.T, PCA(k).fit(table).components_.T)
    assert angles.max() < 1e-4


@pytest.mark.parametrize("estimator", BOTH)
def test_without_hidden_layers_the_initial_model_is_the_same(estimator, iris):
    deep = initial(estimator, 2, iris)
    linear = initial(estimator, 2, iris, hidden_layer_sizes=())
    np.testing.assert_allclose(
        linear.transform(iris), deep.transform(iris), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("estimator", BOTH)
def test_random_weights_are_not_pca(estimator, iris):
    pca = PCA(2).fit(iris)
    model = initial(estimator, 2, iris, init="random")
    error = relative_error(reconstruct(model, iris), iris, iris.mean(0))
    assert error > 2 * relative_error(reconstruct(pca, iris), iris, iris.mean(0))


def test_vae_scores_as_probabilistic_pca(table):
    for k in (1, 2, table.shape[1] // 2):
        pca = PCA(k).fit(table)
        if pca.noise_variance_ < DEGENERATE:
            continue
        model = initial(VAETransformer, k, table)
        difference = model.score_samples(table) - pca.score_samples(table)
        assert abs(difference.mean()) < 0.01
        assert np.abs(difference).max() < 0.1


def test_further_real_tables_score_as_probabilistic_pca(real_tables):
    differences = {}
    for name, X in real_tables.items():
        pca = PCA(max(1, X.shape[1] // 4)).fit(X)
        if pca.noise_variance_ >= DEGENERATE:
            model = initial(VAETransformer, pca.n_components_, X)
            differences[name] = model.score(X) - pca.score(X)
    assert len(differences) > len(real_tables) / 2
    assert {n: d for n, d in differences.items() if abs(d) >= 0.01} == {}


def test_further_real_tables_reconstruct_as_pca(real_tables):
    for name, X in real_tables.items():
        k = max(1, X.shape[1] // 4)
        pca = PCA(k).fit(X)
        model = initial(AutoencoderTransformer, k, X)
        error = relative_error(reconstruct(model, X), reconstruct(pca, X))
        assert error < 1e-5, name


def test_vae_posterior_is_that_of_probabilistic_pca(table):
    """Tipping and Bishop (1999): mean L^-1 (L - s2)^(1/2) U' x, variance s2 / L."""
    k = 2
    pca = PCA(k).fit(table)
    eigenvalues, noise = pca.explained_variance_, pca.noise_variance_
    mean, std = initial(VAETransformer, k, table).posterior(table)
    shrinkage = np.sqrt(eigenvalues - noise) / eigenvalues
    assert up_to_sign(mean, pca.transform(table) * shrinkage) < 1e-5
    np.testing.assert_allclose(
        std, np.broadcast_to(np.sqrt(noise / eigenvalues), std.shape), rtol=1e-5
    )


def test_vae_noise_is_that_of_probabilistic_pca(table):
    noise = initial(VAETransformer, 2, table).noise_variance_
    assert noise == pytest.approx(PCA(2).fit(table).noise_variance_, rel=1e-5)


@pytest.fixture(scope="module")
def strokes():
    return (load_digits(return_X_y=True)[0][:500] > 8).astype(float)


def independent_log_likelihood(X):
    """Of the best model without a code: every feature its own fraction of ones."""
    p = X.mean(0).clip(1e-12, 1 - 1e-12)
    return (X * np.log(p) + (1 - X) * np.log(1 - p)).sum(1).mean()


def test_binary_models_explain_more_than_the_fractions_of_ones(strokes):
    floor = independent_log_likelihood(strokes)
    ae = initial(AutoencoderTransformer, 8, strokes, loss="binary_cross_entropy")
    vae = initial(VAETransformer, 8, strokes, likelihood="bernoulli")
    # Of some 30 nats: eight codes of a linear model explain more than a fifth.
    assert ae.score(strokes) > 0.8 * floor
    assert vae.score(strokes) > floor + 1


@pytest.mark.parametrize("estimator", BOTH)
def test_surplus_components_are_zero(estimator, iris):
    model = initial(estimator, 7, iris)
    codes = model.transform(iris)
    assert codes.shape == (len(iris), 7)
    assert (codes[:, 4:] == 0).all()
    assert (codes[:, :4].std(0) > 0).all()


def test_surplus_components_reconstruct_exactly(iris):
    low_rank = np.hstack([iris, iris @ np.arange(8.0).reshape(4, 2)])
    for X, k in ((iris, 4), (iris, 7), (low_rank, 5), (low_rank, 9)):
        model = initial(AutoencoderTransformer, k, X)
        assert relative_error(reconstruct(model, X), X, X.mean(0)) < 1e-5


def test_axes_beyond_the_span_are_where_new_rows_differ():
    # Rows that are alone with their direction have it in the first ten features; eight
    # others move together in all rows and would move apart in none.
    rng = np.random.default_rng(0)

    def draw(n_rows, n_alone):
        rare = np.zeros((n_rows, 10))
        rare[:n_alone] = rng.normal(size=(n_alone, 10))
        return np.hstack([rare, np.repeat(rng.normal(size=(n_rows, 2)), 4, 1)])

    X, new = draw(50, 6), draw(20, 20)
    model = initial(AutoencoderTransformer, 12, X)  # of rank 8
    assert np.linalg.matrix_rank(X - X.mean(0)) == 8
    assert relative_error(reconstruct(model, X), X) < 1e-5
    assert relative_error(reconstruct(model, new), new) < 1e-5
    assert relative_error(reconstruct(PCA(12).fit(X), new), new) > 0.1


def test_surplus_posterior_is_the_prior(iris):
    mean, std = initial(VAETransformer, 6, iris).posterior(iris)
    assert (mean[:, 4:] == 0).all()
    np.testing.assert_allclose(std[:, 4:], 1, rtol=1e-6)


@pytest.mark.parametrize("estimator", BOTH)
def test_constant_features_come_back(estimator, iris):
    X = np.hstack([iris, np.full((len(iris), 1), 7.0), np.zeros((len(iris), 1))])
    model = initial(estimator, 2, X)
    back = reconstruct(model, X)
    np.testing.assert_allclose(back[:, 4:], X[:, 4:], atol=1e-5)
    expected = reconstruct(initial(estimator, 2, iris), iris)
    if estimator is AutoencoderTransformer:
        assert relative_error(back[:, :4], expected, iris.mean(0)) < 1e-5


@pytest.mark.parametrize("max_iter", [0, 3])
@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize("value", [0.0, 0.1, -3e5])
def test_constant_table(value, estimator, max_iter):
    X = np.full((20, 3), value)
    model = estimator(2, max_iter=max_iter, random_state=0).fit(X)
    np.testing.assert_allclose(reconstruct(model, X), X, rtol=1e-5, atol=0.05)
    assert np.isfinite(model.score_samples(X)).all()


def test_duplicated_rows_have_the_same_axes(iris):
    twice = np.repeat(iris, 2, axis=0)
    once = reconstruct(initial(AutoencoderTransformer, 2, iris), iris)
    again = reconstruct(initial(AutoencoderTransformer, 2, twice), iris)
    assert relative_error(again, once, iris.mean(0)) < 1e-5


@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize("max_iter", [0, 3])
def test_one_row_reconstructs_itself(estimator, max_iter):
    X = np.array([[1.0, -2.0, 3.0]])
    model = estimator(2, max_iter=max_iter, random_state=0).fit(X)
    np.testing.assert_allclose(reconstruct(model, X), X, atol=0.05)
    assert model.sample(3, random_state=0).shape == (3, 3)
    assert np.isfinite(model.score_samples(X)).all()


@pytest.mark.parametrize("max_iter", [0, 3])
def test_one_feature_is_kept(max_iter, iris):
    X = iris[:, :1]
    model = AutoencoderTransformer(1, max_iter=max_iter, random_state=0).fit(X)
    assert relative_error(reconstruct(model, X), X, X.mean(0)) < 1e-5


@pytest.mark.parametrize("max_iter", [0, 3])
def test_one_feature_vae_knows_its_normal_density(max_iter, iris):
    X = iris[:, :1]
    model = VAETransformer(1, max_iter=max_iter, random_state=0).fit(X)
    normal = -0.5 * (np.log(2 * np.pi * X.var()) + 1)
    assert model.score(X) > normal - 0.01


@pytest.mark.parametrize("estimator", BOTH)
def test_float32_follows_float64(estimator, digits):
    single, double = digits.astype(np.float32), digits.astype(np.float32).astype(float)
    model = initial(estimator, 4, double)
    codes, scores = model.transform(single), model.score_samples(single)
    assert codes.dtype == scores.dtype == np.float32
    assert model.transform(double).dtype == np.float64
    assert relative_error(codes, model.transform(double)) < 1e-5
    assert relative_error(scores, model.score_samples(double)) < 1e-5


@pytest.mark.parametrize("estimator", BOTH)
def test_far_from_zero_nothing_is_lost(estimator, iris):
    near, far = initial(estimator, 2, iris), initial(estimator, 2, iris + 1e6)
    assert up_to_sign(far.transform(iris + 1e6), near.transform(iris)) < 1e-5
    assert far.score(iris + 1e6) == pytest.approx(near.score(iris), abs=1e-4)
    back = reconstruct(far, iris + 1e6) - 1e6
    assert relative_error(back, reconstruct(near, iris), iris.mean(0)) < 1e-5


@pytest.mark.parametrize("estimator", BOTH)
def test_float32_far_from_zero_follows_float64(estimator, iris):
    # The rounding of the rows themselves is in both.
    single = (iris + 1e5).astype(np.float32)
    double = single.astype(np.float64)
    model = initial(estimator, 2, double)
    assert relative_error(model.transform(single), model.transform(double)) < 1e-4


@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_units_do_not_matter(factor, iris):
    model = initial(AutoencoderTransformer, 2, iris * factor)
    codes = initial(AutoencoderTransformer, 2, iris).transform(iris)
    assert up_to_sign(model.transform(iris * factor) / factor, codes) < 1e-5
    vae = initial(VAETransformer, 2, iris * factor)
    expected = PCA(2).fit(iris * factor).score(iris * factor)
    assert vae.score(iris * factor) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("name, k", [("iris", 2), ("digits", 8)])
def test_the_linear_autoencoder_finds_pca_from_random_weights(name, k, request):
    X = request.getfixturevalue(name)
    params = {"hidden_layer_sizes": (), "init": "random", "random_state": 0}
    # The 150 rows of iris make five steps an epoch.
    model = AutoencoderTransformer(k, max_iter=300, **params).fit(X)
    pca = PCA(k).fit(X)
    errors = [((reconstruct(m, X) - X) ** 2).sum() for m in (model, pca)]
    assert errors[0] < 1.001 * errors[1]
    axes = model.net_.module_.skip.decode_weight.detach().numpy()
    assert np.degrees(subspace_angles(axes, pca.components_.T).max()) < 1


def test_the_linear_autoencoder_stays_at_pca(iris):
    model = AutoencoderTransformer(2, hidden_layer_sizes=()).fit(iris)
    assert model.n_iter_ == 0
    pca = PCA(2).fit(iris)
    assert relative_error(reconstruct(model, iris), reconstruct(pca, iris)) < 1e-6


def test_a_warm_linear_autoencoder_learns_new_rows():
    rng = np.random.default_rng(0)
    first, second = (
        rng.normal(size=(100, 4)) * scales for scales in ([5, 3, 1, 1], [1, 1, 3, 5])
    )
    model = AutoencoderTransformer(
        2, hidden_layer_sizes=(), warm_start=True, random_state=0
    ).fit(first)
    assert model.fit(second).n_iter_ > 0
    fresh = AutoencoderTransformer(2, hidden_layer_sizes=()).fit(second)
    assert model.score(second) > 1.05 * fresh.score(second)  # both are negative
