"""Rows of which entries are missing."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn import clone, config_context
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import AutoencoderTransformer, VAETransformer
from skae.data._axes import n_axes_explaining
from skae.data._rows import ResidentRows
from skae.nn import _imputation
from skae.nn._log_density import importance_weighted, log_bound
from skae.nn._missing_normal import LowRankNormal, fit_by_em, fit_missing_normal
from skae.nn._sizes import rows_of_draws
from skae.nn.likelihoods import LIKELIHOODS, LOSSES, Likelihood
from skae.transformers._finalising import learn_imputation

ESTIMATORS = [AutoencoderTransformer, VAETransformer]
NAN = float("nan")


@parametrize_with_checks(
    [E(allow_nan=True, max_iter=2, hidden_layer_sizes=(16,)) for E in ESTIMATORS]
)
def test_check_with_missing_entries(estimator, check):
    check(estimator)


def with_holes(X, fraction=0.3, seed=0):
    """X with a fraction of the entries missing at random, no column altogether."""
    is_missing = np.random.default_rng(seed).uniform(size=X.shape) < fraction
    is_missing[np.arange(X.shape[1]) % len(X), np.arange(X.shape[1])] = False
    return np.where(is_missing, NAN, X)


@pytest.fixture(scope="module")
def factors():
    """2,000 rows with three factors in eight features."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(3, 8))
    return rng.normal(size=(2000, 3)) @ loadings + 0.5 * rng.normal(size=(2000, 8)) + 2


@pytest.fixture
def normal():
    generator = torch.Generator().manual_seed(0)
    loadings = torch.randn(6, 3, generator=generator)
    return LowRankNormal(torch.arange(6.0), loadings, 0.4)


def conditional(normal, row):
    """Mean and covariance of the missing entries, by Schur's complement."""
    m, S = normal.mean.numpy(), normal.covariance.numpy()
    h, o = np.isnan(row), ~np.isnan(row)
    gain = S[np.ix_(h, o)] @ np.linalg.inv(S[np.ix_(o, o)])
    mean = m[h] + gain @ (row[o] - m[o])
    return mean, S[np.ix_(h, h)] - gain @ S[np.ix_(o, h)]


def test_normal_scores_the_observed_entries(normal):
    X = with_holes(np.random.default_rng(1).normal(size=(20, 6)), 0.5)
    m, S = normal.mean.numpy(), normal.covariance.numpy()
    seen = ~np.isnan(X)
    truth = [
        multivariate_normal(m[o], S[np.ix_(o, o)]).logpdf(x[o]) for x, o in zip(X, seen)
    ]
    np.testing.assert_allclose(normal.log_prob(torch.from_numpy(X)), truth)


def test_normal_completes_by_conditional_means_and_knows_the_variances(normal):
    X = with_holes(np.random.default_rng(1).normal(size=(20, 6)), 0.5)
    completed = normal.complete(torch.from_numpy(X)).numpy()
    variances = normal.variance(torch.from_numpy(X)).numpy()
    for row, whole, variance in zip(X, completed, variances):
        hidden = np.isnan(row)
        mean, covariance = conditional(normal, row)
        np.testing.assert_array_equal(whole[~hidden], row[~hidden])
        np.testing.assert_allclose(whole[hidden], mean)
        np.testing.assert_allclose(variance[hidden], np.diag(covariance))


def test_normal_draws_from_the_conditional(normal):
    row = np.array([1.0, NAN, NAN, 0.5, 7.0, NAN])
    rows = torch.from_numpy(row[None])
    drawn = normal.draw(rows, 50_000, torch.Generator().manual_seed(0))[0].numpy()
    np.testing.assert_array_equal(drawn[0, ~np.isnan(row)], row[~np.isnan(row)])
    drawn = drawn[:, np.isnan(row)]
    mean, covariance = conditional(normal, row)
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.03)


def test_normal_of_complete_rows_is_their_covariance(factors):
    normal = fit_by_em(torch.from_numpy(factors), 7, 0.0)
    np.testing.assert_allclose(normal.mean, factors.mean(0))
    truth = np.cov(factors.T, bias=True)
    np.testing.assert_allclose(normal.covariance, truth, rtol=1e-6)


def test_normal_of_few_loadings_is_probabilistic_pca(factors):
    normal = fit_by_em(torch.from_numpy(factors), 3, 0.0)
    truth = PCA(3).fit(factors).get_covariance() * (1999 / 2000)
    np.testing.assert_allclose(normal.covariance, truth, rtol=1e-4)


def test_each_iteration_raises_the_likelihood(factors):
    X = torch.from_numpy(with_holes(factors[:300], 0.5))
    scores, normal = [], None
    for _ in range(5):
        normal = fit_by_em(X, 4, 0.0, normal)
        scores.append(float(normal.log_prob(X).mean()))
    assert np.all(np.diff(scores) > -1e-10)


def test_normal_does_not_depend_on_the_units(factors):
    X, units = with_holes(factors, 0.4), np.logspace(-6, 6, factors.shape[1])
    normal, other = (
        fit_missing_normal(torch.from_numpy(Z).__getitem__, len(Z), 0)
        for Z in (X, X * units)
    )
    np.testing.assert_allclose(other.mean, units * normal.mean.numpy())
    truth = np.outer(units, units) * normal.covariance.numpy()
    np.testing.assert_allclose(other.covariance, truth, rtol=1e-6)
    completed = units * normal.complete(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(other.complete(torch.from_numpy(X * units)), completed)


@pytest.mark.parametrize("E", ESTIMATORS)
def test_constant_features_are_filled_with_their_value(factors, E):
    X = with_holes(np.column_stack([factors[:200], np.full(200, 5.0)]), 0.3)
    model = E(2, allow_nan=True, max_iter=3, random_state=0).fit(X)
    drawn = model.impute(X, n_imputations=5, random_state=0)
    for filled in (model.impute(X), *drawn):
        np.testing.assert_allclose(filled[:, -1], 5, rtol=1e-6)


def test_normal_finds_the_covariance_of_incomplete_rows(factors):
    X = with_holes(factors, 0.4)
    truth = np.cov(factors.T)
    normal = fit_missing_normal(torch.from_numpy(X).__getitem__, len(X), 0)
    error = np.abs(normal.covariance.numpy() - truth).max()
    filled = np.where(np.isnan(X), np.nanmean(X, 0), X)
    assert error < 0.1 * truth.max()
    assert error < 0.3 * np.abs(np.cov(filled.T) - truth).max()


@pytest.mark.parametrize("name", LOSSES)
def test_what_each_feature_adds_is_the_log_density(name):
    likelihood = LOSSES[name](4)
    generator = torch.Generator().manual_seed(0)
    params = torch.randn(5, 4 * likelihood.n_params, generator=generator)
    x = likelihood.sample(params, generator)
    if name == "binarized_bernoulli":
        x = x.round()
    total = likelihood.log_probs(params, x).sum(-1)
    torch.testing.assert_close(total, likelihood.log_prob(params, x))


@pytest.mark.parametrize("name", ["gaussian", "diagonal_gaussian", "laplace"])
def test_noise_that_suits_incomplete_rows_best(name):
    """Deviations over fractions of observed entries: no other noise is more likely."""
    likelihood = LIKELIHOODS[name](4)
    X = torch.from_numpy(with_holes(np.random.default_rng(0).normal(size=(50, 4)), 0.4))
    likelihood.double()
    is_missing = X.isnan()
    params = torch.zeros_like(X)
    deviations = likelihood.deviations(params, X).sum(0)
    fractions = likelihood.observed_fractions(X)

    def score(noise):
        likelihood.set_noise(noise)
        log_probs = likelihood.log_probs(params, X.nan_to_num())
        return log_probs.masked_fill(is_missing, 0).sum()

    noise = deviations / fractions.sum(0)
    best = score(noise)
    assert max(score(noise * f) for f in (0.95, 1.05)) < best
    known = likelihood.log_density(likelihood.deviations(params, X), noise, fractions)
    torch.testing.assert_close(known.sum(), best, rtol=1e-5, atol=0)


def test_complete_rows_begin_at_pca(table):
    table = table[:500]
    k = min(3, table.shape[1] - 1)
    pca = PCA(k).fit(table)
    model = AutoencoderTransformer(k, max_iter=0, allow_nan=True).fit(table)
    rebuilt = model.inverse_transform(model.transform(table))
    truth = pca.inverse_transform(pca.transform(table))
    # Weights are float32.
    np.testing.assert_allclose(rebuilt, truth, atol=1e-6 * np.abs(table).max())
    vae = VAETransformer(k, max_iter=0, allow_nan=True, random_state=0).fit(table)
    assert vae.score(table) == pytest.approx(pca.score(table), abs=0.01)


def test_initial_model_scores_observed_entries_like_probabilistic_pca(factors):
    pca = PCA(3).fit(factors)
    vae = VAETransformer(3, max_iter=0, allow_nan=True, random_state=0).fit(factors)
    X = with_holes(factors[:50], 0.5)
    S, seen = pca.get_covariance(), ~np.isnan(X)
    truth = [
        multivariate_normal(pca.mean_[o], S[np.ix_(o, o)]).logpdf(x[o])
        for x, o in zip(X, seen)
    ]
    np.testing.assert_allclose(vae.score_samples(X), truth, rtol=1e-3)


@pytest.mark.parametrize("likelihood", ["gaussian", "diagonal_gaussian"])
def test_a_bound_of_observed_entries_is_below_their_density(factors, likelihood):
    """By draws it is a bound of what is exact without them, and close to it."""
    vae = VAETransformer(
        3, max_iter=0, allow_nan=True, likelihood=likelihood, random_state=0
    ).fit(factors)
    whole = vae.net_.module_
    model = whole.initial.beside(whole).double()
    x = model.units.to_net(torch.from_numpy(with_holes(factors[:200], 0.4)))
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(20_000, 3, generator=generator).double()
    with torch.no_grad():
        gap = log_bound(model, x, draws) - importance_weighted(model, x, draws)
    assert -0.01 < gap.mean() < 0.05


@pytest.mark.parametrize("E", ESTIMATORS)
def test_posterior_codes_of_the_initial_model(factors, E):
    """Codes of rows that the normal completes; wider where less is seen."""
    X = with_holes(factors, 0.3)
    model = E(3, max_iter=0, allow_nan=True, random_state=0).fit(X)
    inner = model.net_.module_
    x = inner.complete(inner.units.to_net(torch.from_numpy(X)))
    whole = inner.units.to_data(inner.target(x))
    np.testing.assert_allclose(model.transform(X), model.transform(whole.numpy()))
    if E is VAETransformer:
        assert np.all(model.posterior(X)[1] >= model.posterior(whole.numpy())[1])
        nothing = model.posterior(np.full((1, 8), NAN))
        np.testing.assert_allclose(nothing[1], 1, rtol=1e-4)


@pytest.mark.parametrize("E", ESTIMATORS)
@pytest.mark.parametrize("k", [2, 7])
def test_imputation_beats_means_and_keeps_what_is_seen(curved, E, k):
    X = with_holes(curved, 0.4)
    is_missing = np.isnan(X)
    small = {"hidden_layer_sizes": (64, 32), "max_iter": 30}
    model = E(k, allow_nan=True, random_state=0, **small).fit(X)
    filled = model.impute(X)
    np.testing.assert_allclose(filled[~is_missing], X[~is_missing], rtol=1e-6)
    error = ((filled - curved)[is_missing] ** 2).mean()
    of_means = ((np.nanmean(X, 0) - curved)[is_missing] ** 2).mean()
    assert error < 0.75 * of_means


@pytest.mark.parametrize("E", ESTIMATORS)
def test_rows_are_filled_one_by_one(curved, E):
    X = with_holes(curved, 0.4)
    small = {"hidden_layer_sizes": (64, 32), "max_iter": 5}
    model = E(2, allow_nan=True, random_state=0, **small).fit(X)
    filled = model.impute(X)
    np.testing.assert_allclose(model.impute(X[7:20]), filled[7:20], rtol=1e-5)
    np.testing.assert_array_equal(model.impute(X), filled)
    scores = model.score_samples(X)
    np.testing.assert_allclose(model.score_samples(X[7:20]), scores[7:20], rtol=1e-4)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_errors_of_observed_entries_are_in_data_units(factors, loss):
    """Whichever entry of the first row is missing, in whatever unit."""
    X = with_holes(factors[:50], 0.4)
    X[0, 0] = NAN
    model = AutoencoderTransformer(3, loss=loss, max_iter=0, allow_nan=True)
    for unit in (1e-3, 1.0, 1e3):
        model.fit(unit * X)
        rebuilt = model.inverse_transform(model.transform(unit * X))
        power = 2 if loss == "squared_error" else 1
        truth = -np.nansum(np.abs(rebuilt - unit * X) ** power, 1)
        np.testing.assert_allclose(model.score_samples(unit * X), truth, rtol=1e-4)


@pytest.mark.parametrize(
    "model",
    [
        AutoencoderTransformer(3),
        AutoencoderTransformer(3, loss="gaussian"),
        AutoencoderTransformer(3, loss="student_t"),
        VAETransformer(3),
    ],
    ids=repr,
)
def test_intervals_of_imputations_cover(factors, model):
    X = with_holes(factors[:500], 0.4)
    is_missing = np.isnan(X)
    small = {"hidden_layer_sizes": (64, 32), "max_iter": 20}
    model = clone(model).set_params(allow_nan=True, random_state=0, **small).fit(X)
    drawn = model.impute(X, n_imputations=60, random_state=0)
    again = model.impute(X, n_imputations=60, random_state=0)
    np.testing.assert_array_equal(drawn, again)
    assert drawn.shape == (60, *X.shape)
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0, method="weibull")
    is_covered = (low <= factors[:500]) & (factors[:500] <= high)
    assert 0.85 <= is_covered[is_missing].mean() <= 0.95
    errors = (factors[:500] - drawn.mean(0))[is_missing]
    assert drawn.var(0)[is_missing].mean() == pytest.approx(errors.var(), rel=0.2)


@pytest.mark.parametrize("E", ESTIMATORS)
def test_intervals_of_heavy_tailed_entries_cover(factors, E):
    """Most entries are near, few far: the central interval of 90 % is calibrated, that
    of half the probability holds half of them at least."""
    rng = np.random.default_rng(1)
    size = np.where(rng.uniform(size=factors.shape) < 0.1, 4, 0.2)
    truth = factors + size * rng.normal(size=factors.shape)
    X = with_holes(truth, 0.3)
    is_missing = np.isnan(X)
    small = {"hidden_layer_sizes": (16,), "max_iter": 5}
    model = E(3, allow_nan=True, random_state=0, **small).fit(X)
    drawn = model.impute(X, n_imputations=99, random_state=0)
    covered = {}
    for probability in (0.5, 0.9):
        tail = (1 - probability) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail], axis=0, method="weibull")
        covered[probability] = ((low <= truth) & (truth <= high))[is_missing].mean()
    assert covered[0.9] == pytest.approx(0.9, abs=0.03)
    assert covered[0.5] > 0.48


@pytest.mark.parametrize("E", ESTIMATORS)
def test_a_code_cut_to_a_ratio_of_variance_learns_its_own_weight(E):
    rng = np.random.default_rng(0)
    t = rng.uniform(-2, 2, size=300)
    X = np.c_[t, t**2, np.sin(3 * t), np.cos(3 * t), np.abs(t)]
    X = with_holes(StandardScaler().fit_transform(X), 0.2)
    small = {"hidden_layer_sizes": (64, 32), "max_iter": 60, "early_stopping": False}
    model = E(0.8, allow_nan=True, random_state=0, **small).fit(X)
    inner, seed = model.net_.module_, model._seed
    rows = ResidentRows(torch.from_numpy(X), inner.units, torch.device("cpu"))
    assert model.n_components_ < n_axes_explaining(rows, 0.8, seed)
    learned = [b.clone() for b in (inner.imputer.weight, inner.imputer.calibration)]
    with torch.no_grad():
        learn_imputation(model, inner, rows, seed)
    again = inner.imputer.weight, inner.imputer.calibration
    assert all(map(torch.equal, learned, again))


@pytest.mark.parametrize("k", [6, 9])
def test_draws_of_as_many_latents_as_features_are_those_of_the_normal(k):
    """A posterior given the completed row is narrow: it says nothing of the spread."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 6))
    X = with_holes(X + 0.3 * rng.normal(size=(200, 6)), 0.3)
    model = VAETransformer(k, max_iter=0, allow_nan=True, random_state=0).fit(X)
    drawn = model.impute(X, n_imputations=200, random_state=0)
    inner = model.net_.module_
    scale, loc = inner.units.scale.numpy(), inner.units.loc.numpy()
    for row, values in zip(X[:20], drawn[:, :20].transpose(1, 0, 2)):
        hidden = np.isnan(row)
        _, covariance = conditional(inner.imputer.normal, (row - loc) / scale)
        truth = scale[hidden] * np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(values[:, hidden].std(0), truth, rtol=0.25)


@pytest.mark.parametrize("E", ESTIMATORS)
def test_a_row_without_a_value_gets_the_means(factors, E):
    X = np.vstack([with_holes(factors, 0.3), np.full((1, 8), NAN)])
    model = E(3, max_iter=0, allow_nan=True, random_state=0).fit(X)
    filled = model.impute(X[-1:])[0]
    np.testing.assert_allclose(filled, np.nanmean(X, 0), atol=0.1)
    assert np.isfinite(model.transform(X)).all()
    assert model.score_samples(X[-1:])[0] == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("E", ESTIMATORS)
def test_a_column_without_a_value_is_zero(factors, E):
    """A fold may have one; what is known of it is that nothing is."""
    X = factors.copy()
    X[:, 4] = NAN
    options = {"allow_nan": True, "max_iter": 1, "random_state": 0}
    with pytest.warns(UserWarning, match="without any observed value .* zero: 4"):
        model = E(2, **options).fit(X)
    zero = E(2, **options).fit(np.where(np.arange(8) == 4, 0.0, factors))
    np.testing.assert_array_equal(model.transform(X), zero.transform(X))
    np.testing.assert_allclose(model.impute(X)[:, 4], 0, atol=1e-6)
    assert np.isfinite(model.score_samples(X)).all()
    with pytest.raises(ValueError, match="no observed value"):
        E(2, **options).fit(np.full((5, 3), NAN))


@pytest.mark.parametrize("E", ESTIMATORS)
def test_missing_entries_are_refused_unless_asked_for(factors, E):
    X = with_holes(factors, 0.1)
    with pytest.raises(ValueError, match="NaN"):
        E().fit(X)
    model = E(max_iter=0).fit(factors)
    for method in ("transform", "score_samples", "impute"):
        with pytest.raises(ValueError, match="NaN"):
            getattr(model.set_params(allow_nan=True), method)(X)
    with pytest.raises(ValueError, match="allow_nan=True"):
        model.impute(factors)
    with pytest.raises(ValueError, match="infinity"):
        E(allow_nan=True).fit(np.where(np.isnan(X), np.inf, X))
    with pytest.raises(ValueError, match="warm_start=False"):
        model.set_params(warm_start=True).fit(X[~np.isnan(X).any(1)])
    for n in (0, 1.5):
        with pytest.raises(ValueError, match="n_imputations"):
            E(max_iter=0, allow_nan=True).fit(X).impute(X, n_imputations=n)


def test_a_likelihood_without_terms_is_refused(factors):
    class Unit(Likelihood):
        is_scaled = True

        def log_prob(self, params, x):
            return -(x - params).square().sum(-1)

        def mean(self, params):
            return params

        def sample(self, params, generator):
            return params

    VAETransformer(max_iter=0, likelihood=Unit).fit(factors)
    with pytest.raises(ValueError, match=r"Unit\.log_probs"):
        VAETransformer(max_iter=0, likelihood=Unit, allow_nan=True).fit(factors)


def test_a_model_without_weight_is_not_asked(factors, monkeypatch):
    """The mean is then the normal's, bit by bit, without a draw of the model's."""
    X = with_holes(factors[:100], 0.3).astype(np.float32)
    model = VAETransformer(2, hidden_layer_sizes=(8,), max_iter=1, allow_nan=True)
    inner = model.fit(X).net_.module_
    inner.imputer.weight[-1] = 1e-30
    with_draws = model.impute(X)
    inner.imputer.weight[-1] = 0
    monkeypatch.delattr(_imputation, "_weighted_draws")
    np.testing.assert_array_equal(model.impute(X), with_draws)
    assert np.isfinite(model.impute(X, n_imputations=2, random_state=0)).all()


def test_draws_of_many_rows_leave_memory(factors):
    X = with_holes(factors[:100], 0.3)
    vae = VAETransformer(2, hidden_layer_sizes=(512,), max_iter=0, allow_nan=True)
    model = vae.fit(X).net_.module_
    assert 1 <= rows_of_draws(model, 1000) <= 2**24 / (1000 * 512)


@pytest.mark.parametrize("name", ["auto", *LIKELIHOODS])
def test_every_likelihood_fills_within_its_support(name):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(120, 1))
    if name == "categorical":
        X = np.eye(4)[(z[:, 0] + rng.normal(size=120) > 0) + 2 * (z[:, 0] > 1)]
        X[:30] = NAN
    else:
        rates = np.exp(0.5 * z + np.linspace(-1, 1, 4))
        counts = rng.poisson(rates).astype(float)
        is_binary = "bernoulli" in name
        X = with_holes((counts > 0).astype(float) if is_binary else counts)
    model = VAETransformer(
        2,
        hidden_layer_sizes=(32,),
        max_iter=3,
        likelihood=name,
        allow_nan=True,
        random_state=0,
    ).fit(X)
    for filled in (model.impute(X), *model.impute(X, n_imputations=2)):
        assert np.isfinite(filled).all()
    assert np.isfinite(model.score_samples(X)).all()
    part = model.net_.module_.likelihood
    if name != "auto":
        assert bool(part.contains(torch.from_numpy(filled)).all())


@pytest.mark.parametrize("E", ESTIMATORS)
def test_passes_over_incomplete_rows(factors, E):
    X = with_holes(factors[:300], 0.3)
    model = E(2, hidden_layer_sizes=(16,), allow_nan=True, random_state=0)
    for rows in np.split(X, 3):
        model.partial_fit(rows)
    assert np.isfinite(model.impute(X)).all()
    model.partial_fit(np.full((20, 8), NAN))  # says nothing
    assert np.isfinite(model.impute(X)).all()


@pytest.mark.parametrize("shape", [(1, 3), (30, 1), (3, 5)])
@pytest.mark.parametrize("E", ESTIMATORS)
def test_few_rows_and_features(E, shape):
    X = np.random.default_rng(0).normal(size=shape)
    rows = np.vstack([X, np.full((1, shape[1]), NAN)])
    model = E(2, max_iter=2, allow_nan=True, random_state=0).fit(rows)
    assert np.isfinite(model.impute(rows)).all()
    assert np.isfinite(model.transform(rows)).all()


def test_in_a_pipeline_and_in_torch(factors):
    X = with_holes(factors[:200], 0.3)
    model = AutoencoderTransformer(2, max_iter=2, allow_nan=True, random_state=0)
    codes = make_pipeline(StandardScaler(), model).fit_transform(X)
    assert np.isfinite(codes).all()
    rows = torch.from_numpy(StandardScaler().fit_transform(X))
    with config_context(array_api_dispatch=True):
        filled = model.fit(rows).impute(rows, n_imputations=2, random_state=0)
    assert filled.dtype == rows.dtype and filled.shape == (2, 200, 8)


def test_a_category_is_missing_as_a_whole():
    X = np.eye(4)[np.random.default_rng(0).integers(4, size=60)]
    options = {"likelihood": "categorical", "allow_nan": True, "max_iter": 1}
    partly = X.copy()
    partly[7, 2] = NAN
    with pytest.raises(ValueError, match="row 7 lacks column 2"):
        VAETransformer(2, **options).fit(partly)
    model = VAETransformer(2, **options).fit(X)
    for method in (model.impute, model.transform, model.score_samples):
        with pytest.raises(ValueError, match="row 7 lacks column 2"):
            method(partly)


@pytest.mark.parametrize("E", ESTIMATORS)
def test_a_prefix_knows_its_weight(factors, E):
    """A code of one latent fills no worse than the normal, however short a fit."""
    X = with_holes(factors[:300], 0.4)
    is_missing = np.isnan(X)
    small = {"hidden_layer_sizes": (16,), "max_iter": 3, "random_state": 0}
    model = E(5, ordered=True, allow_nan=True, **small).fit(X)
    initial = E(5, allow_nan=True, **small | {"max_iter": 0}).fit(X)

    def error(model):
        return ((model.impute(X) - factors[:300])[is_missing] ** 2).mean()

    assert error(model.truncate(1)) < 1.1 * error(initial)


@pytest.mark.parametrize("E", ESTIMATORS)
@pytest.mark.parametrize("bounds", ["observed", (1.5, [2.5, 2.2, 3, 3, 3, 3, 3, 3])])
def test_filled_entries_are_within_bounds_and_the_rest_is_kept(factors, E, bounds):
    X = with_holes(factors[:100])
    options = {"hidden_layer_sizes": (), "max_iter": 0, "random_state": 0}
    model = E(3, allow_nan=True, **options).fit(X)
    low, high = (np.nanmin(X, 0), np.nanmax(X, 0)) if bounds == "observed" else bounds
    # Rows beyond all others, whose observed entries are outside as well.
    rows = 3 * X
    is_missing = np.isnan(rows)
    for n_imputations in (None, 3):
        free = model.impute(rows, n_imputations=n_imputations, random_state=0)
        found = model.impute(
            rows, n_imputations=n_imputations, random_state=0, bounds=bounds
        )
        assert ((free < low) | (free > high))[..., is_missing].any()
        truth = np.where(is_missing, np.clip(free, low, high), rows)
        np.testing.assert_array_equal(found, truth)
    with pytest.raises(ValueError, match="bounds must be None"):
        model.impute(rows, bounds="seen")
