"""Tables whose columns are of different kinds."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm, spearmanr
from sklearn.compose import make_column_selector
from torch import nn

from skae import AutoencoderTransformer, VAETransformer
from skae.nn.likelihoods import Gaussian, Laplace, Poisson
from skae.transformers._likelihood_spec import choose

NUMERIC, BINARY, COUNT = ["age", "income"], ["owner"], ["visits"]
ONE_HOT = [[f"{name}_{level}" for level in "abc"] for name in ("job", "town", "car")]
LAWS = [
    ("gaussian", NUMERIC),
    ("bernoulli", BINARY),
    ("poisson", COUNT),
    *[("categorical", group) for group in ONE_HOT],
]
SMALL = {"hidden_layer_sizes": (16,), "max_iter": 3, "random_state": 0}


@pytest.fixture(scope="module")
def people():
    """1,000 rows that two latent numbers decide."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1000, 2))
    columns = {
        "age": 40 + 10 * z[:, 0] + 3 * rng.normal(size=1000),
        "income": 30 + 8 * z[:, 0] + 6 * z[:, 1] + 3 * rng.normal(size=1000),
        "owner": rng.random(1000) < 1 / (1 + np.exp(-1.5 * z[:, 1])),
        "visits": rng.poisson(np.exp(1 + 0.6 * z[:, 0])),
    }
    for group in ONE_HOT:
        logits = 1.5 * z @ rng.normal(size=(2, 3)) + rng.gumbel(size=(1000, 3))
        columns |= dict(zip(group, np.eye(3)[logits.argmax(1)].T))
    return pd.DataFrame(columns).astype(float)


@pytest.fixture(scope="module")
def fitted(people):
    return VAETransformer(2, likelihood=LAWS, max_iter=80, random_state=0).fit(people)


def test_reconstructions_stay_in_the_support(fitted, people):
    rows = pd.DataFrame(
        fitted.inverse_transform(fitted.transform(people)), columns=people.columns
    )
    assert ((rows[BINARY] >= 0) & (rows[BINARY] <= 1)).all(axis=None)
    assert (rows[COUNT] >= 0).all(axis=None)
    for group in ONE_HOT:
        assert (rows[group] >= 0).all(axis=None)
        np.testing.assert_allclose(rows[group].sum(axis=1), 1)


@pytest.mark.parametrize("observation_noise", [None, False])
def test_samples_resemble_the_table(fitted, people, observation_noise):
    rows = fitted.sample(
        20_000, 0, density="mixture", observation_noise=observation_noise
    )
    np.testing.assert_allclose(rows.mean(0), people.mean(), rtol=0.05)
    above = np.triu_indices(people.shape[1], 1)
    truth, mine = np.corrcoef(people.T)[above], np.corrcoef(rows.T)[above]
    assert spearmanr(truth, mine).statistic >= 0.8


def test_drawn_rows_are_rows_of_such_a_table(fitted, people):
    rows = pd.DataFrame(fitted.sample(500, 0), columns=people.columns)
    assert set(np.unique(rows[BINARY])) == {0, 1}
    assert (rows[COUNT] == rows[COUNT].round()).all(axis=None)
    for group in ONE_HOT:
        assert set(np.unique(rows[group])) == {0, 1}
        assert (rows[group].sum(axis=1) == 1).all()


def test_training_gains_over_the_linear_start(fitted, people):
    start = VAETransformer(2, likelihood=LAWS, max_iter=0, random_state=0).fit(people)
    assert fitted.score(people) > start.score(people) + 0.1


def test_the_start_beats_independent_columns(people):
    """By what the latents explain: nats that independence cannot have."""
    start = VAETransformer(2, likelihood=LAWS, max_iter=0, random_state=0).fit(people)
    assert start.score(people) > independent_log_likelihood(people) + 0.5


def independent_log_likelihood(people):
    numeric = people[NUMERIC].to_numpy()
    total = -0.5 * np.log(2 * np.pi * np.e * numeric.var(0)).sum()
    p = people["owner"].mean()
    total += p * np.log(p) + (1 - p) * np.log(1 - p)
    counts = torch.tensor(people[COUNT].to_numpy())
    total += float(
        Poisson(1).log_prob(counts.mean().log().expand(1000, 1), counts).mean()
    )
    for group in ONE_HOT:
        shares = people[group].mean()
        total += (shares * np.log(shares)).sum()
    return total


@pytest.mark.parametrize("estimator", [AutoencoderTransformer, VAETransformer])
def test_columns_are_named_in_each_way_of_a_column_transformer(estimator, people):
    name = "loss" if estimator is AutoencoderTransformer else "likelihood"

    def codes(*laws):
        return estimator(2, **{name: list(laws)}, **SMALL).fit_transform(people)

    rest = [("categorical", group) for group in ONE_HOT]
    by_name = codes(("laplace", ["age", "income", "owner"]), ("poisson", COUNT), *rest)
    by_index = codes(
        ("laplace", slice(0, 3)),
        ("poisson", 3),
        ("categorical", [4, 5, 6]),
        ("categorical", slice(7, 10)),
        ("categorical", np.arange(13) >= 10),
    )
    by_callable = codes(
        ("laplace", make_column_selector("age|income|owner")),
        ("poisson", lambda X: ["visits"]),
        *rest,
    )
    np.testing.assert_array_equal(by_name, by_index)
    np.testing.assert_array_equal(by_name, by_callable)


def test_modules_and_classes_stand_for_a_law(people):
    def score(law):
        model = VAETransformer(2, likelihood=law, **SMALL)
        return model.fit(people[NUMERIC]).score(people[NUMERIC])

    assert score("laplace") == score(Laplace) == score(Laplace(2))


def test_auto_tells_the_columns_apart(people):
    clicks = np.random.default_rng(0).geometric(0.05, 1000) - 1
    wide = people.assign(clicks=clicks)
    found = [
        (law, [wide.columns[j] for j in columns])
        for law, columns in choose(torch.tensor(wide.to_numpy()))
    ]
    assert found == [
        ("diagonal_gaussian", NUMERIC),
        ("bernoulli", BINARY),
        ("negative_binomial", [*COUNT, "clicks"]),
        *[("categorical", group) for group in ONE_HOT],
    ]


def test_auto_fits_what_it_tells(people):
    model = VAETransformer(2, likelihood="auto", **SMALL).fit(people)
    parts = [
        type(part).__name__ for part, _ in model.net_.module_.likelihood.by_columns()
    ]
    assert parts == ["DiagonalGaussian", "Bernoulli", "NegativeBinomial"] + 3 * [
        "Categorical"
    ]


BAD_VALUES = [
    ("owner", 1.5, r"Bernoulli.*'owner' has 1.5"),
    ("visits", -2.0, r"Poisson.*'visits' has -2"),
    ("visits", 0.5, r"Poisson.*'visits' has 0.5"),
    ("town_b", 3.0, r"Categorical.*'town_b' has 3"),
]


@pytest.mark.parametrize("column, value, message", BAD_VALUES)
@pytest.mark.parametrize("estimator", [AutoencoderTransformer, VAETransformer])
def test_values_outside_the_support_are_named(
    estimator, people, column, value, message
):
    bad = people.copy()
    bad.loc[7, column] = value
    name = "loss" if estimator is AutoencoderTransformer else "likelihood"
    with pytest.raises(ValueError, match=message):
        estimator(2, **{name: LAWS}, **SMALL).fit(bad)


BAD_LAWS = [
    ([("gaussian", ["age"])], "No likelihood is given for the columns"),
    ([("gaussian", slice(None)), ("poisson", COUNT)], "Column 3 is given twice"),
    ([("normal", slice(None))], "'normal' is not one of"),
    ([("gaussian", slice(None)), ("poisson", [])], "'poisson' has no columns"),
    ([(Gaussian(2), slice(None))], r"likelihood=Gaussian\(\) is for 2 features, but"),
    (Gaussian(5), r"likelihood=Gaussian\(\) is for 5 features, but gets 13"),
    (lambda d: Gaussian(5), "likelihood=<function.* is for 5 features, but gets 13"),
]


@pytest.mark.parametrize("laws, message", BAD_LAWS)
def test_bad_laws_are_named(people, laws, message):
    with pytest.raises(ValueError, match=message):
        VAETransformer(2, likelihood=laws, **SMALL).fit(people)


NO_LAWS = [
    (lambda d: None, "likelihood=<function.*make a Likelihood; got None"),
    (nn.Linear(2, 2), r"likelihood=Linear\(.*make a Likelihood"),
    ([(5, slice(None))], "likelihood=5 must be a name, or be or make a Likelihood"),
    ([(["gaussian"], slice(None))], r"likelihood=\['gaussian'\] must be a name"),
    (["gaussian"], r"must hold pairs \(likelihood, columns\); got 'gaussian'"),
    ([("gaussian",)], r"must hold pairs \(likelihood, columns\); got \('gaussian',\)"),
    (["ga"], "must hold pairs .* got 'ga'"),
]


@pytest.mark.parametrize("laws, message", NO_LAWS)
@pytest.mark.parametrize("estimator", [AutoencoderTransformer, VAETransformer])
def test_what_is_no_law_is_named(estimator, people, laws, message):
    name = "loss" if estimator is AutoencoderTransformer else "likelihood"
    model = estimator(2, **{name: laws}, **SMALL)
    with pytest.raises(TypeError, match=message):
        model.fit(people)
    assert not hasattr(model, "net_")


def test_an_error_has_no_place_among_densities(people):
    laws = [("squared_error", slice(None, 4)), ("bernoulli", slice(4, None))]
    with pytest.raises(ValueError, match=r"squared_error.*has no density"):
        AutoencoderTransformer(2, loss=laws, **SMALL).fit(people)
    model = AutoencoderTransformer(2, **SMALL).fit(people)
    with pytest.raises(ValueError, match="observation_noise"):
        model.sample(observation_noise=True)


# Whole numbers.


def whole_numbers(n=600):
    """Columns of whole numbers that two latent numbers decide in part, and whether each
    varies like a count."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, 2))

    def u(weights):  # uniform, and related to the latent numbers
        score = z @ weights + 1.5 * rng.normal(size=n)
        return norm.cdf(score / np.sqrt(np.square(weights).sum() + 2.25))

    a, b = [1.0, 0.0], [0.6, -0.8]
    columns = {
        "stars": (np.searchsorted([0.06, 0.1, 0.2, 0.45], u(a)) + 1, False),
        "poles": (np.searchsorted([0.35, 0.45, 0.5, 0.6], u(b)) + 1, False),
        "years": (1950 + np.floor(71 * u(b)), False),
        "ages": (np.clip(norm.ppf(u(a), 40, 14), 18, 90).round(), False),
        "sales": (norm.ppf(u(b), 5000, 1500).round(), False),
        "income": (np.exp(norm.ppf(u(b), 14, 0.5)).round(), False),
        "degrees": (norm.ppf(u(a), 5, 10).round(), False),
        "always": (np.full(n, 7.0), False),
        "visits": (rng.poisson(np.exp(0.5 + 0.2 * z[:, 0])), True),
        "many": (rng.poisson(100 * np.exp(0.05 * z[:, 1])), True),
        "wide": (rng.negative_binomial(2, 0.1, n), True),
    }
    X = np.column_stack([x for x, _ in columns.values()]).astype(float)
    return X, list(columns), [is_count for _, is_count in columns.values()]


def test_whole_numbers_are_counts_only_where_counts_vary_so():
    X, names, are_counts = whole_numbers()
    kinds = {j: kind for kind, columns in choose(torch.tensor(X)) for j in columns}
    for j, is_count in enumerate(are_counts):
        assert (kinds[j] in ("poisson", "negative_binomial")) == is_count, names[j]
        assert is_count or kinds[j] == "discretized_normal", names[j]


def test_drawn_whole_numbers_are_as_wide_as_the_columns_and_within_their_range():
    X, names, _ = whole_numbers()
    sizes = {"hidden_layer_sizes": (32,), "max_iter": 12}
    model = VAETransformer(2, likelihood="auto", random_state=0, **sizes).fit(X)
    rows = model.sample(10_000, 0)
    assert (rows == rows.round()).all()
    is_outside = (rows < X.min(0)) | (rows > X.max(0))
    assert (is_outside.mean(0) <= 0.01).all(), dict(zip(names, is_outside.mean(0)))
    varies = X.std(0) > 0
    np.testing.assert_allclose(rows.std(0)[varies], X.std(0)[varies], rtol=0.1)
    np.testing.assert_array_equal(rows[:, ~varies], 7)


def test_later_rows_widen_the_range_of_whole_numbers():
    X = whole_numbers(100)[0][:, 2:4]
    options = {"likelihood": "discretized_normal", "hidden_layer_sizes": ()}
    model = VAETransformer(1, random_state=0, **options).partial_fit(X)
    beyond = model.score_samples(X[:1] + 300)
    assert np.isfinite(beyond).all()  # one row among those of the training
    later = X[:15] + 300  # too few to start anew from
    model.partial_fit(later)
    for part in (model.net_.module_, model.net_.module_.initial):
        np.testing.assert_array_equal(part.likelihood.lowest, X.min(0))
        np.testing.assert_array_equal(part.likelihood.highest, later.max(0))
    assert model.score_samples(X[:1] + 300) > beyond


# Containers.


@pytest.mark.parametrize("estimator", [AutoencoderTransformer, VAETransformer])
@pytest.mark.parametrize("as_rows", [list, lambda X: tuple(map(tuple, X))])
@pytest.mark.parametrize(
    "laws",
    [
        "auto",
        [("gaussian", [0, 1]), ("poisson", slice(2, 3))],
        (("gaussian", lambda X: np.arange(X.shape[1]) < 2), ("poisson", [-1])),
    ],
    ids=["auto", "list", "tuple"],
)
def test_lists_of_rows_and_tuples_of_pairs_are_taken(estimator, as_rows, laws):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(30, 2)), rng.poisson(3, 30)])
    name = "loss" if estimator is AutoencoderTransformer else "likelihood"
    as_list = list(laws) if isinstance(laws, tuple) else laws

    def codes(laws, X):
        model = estimator(2, **{name: laws}, **SMALL | {"max_iter": 1})
        return model.fit(X).transform(X)

    found = codes(laws, as_rows(X.tolist()))
    np.testing.assert_array_equal(found, codes(as_list, X))


def test_a_pair_alone_is_no_tuple_of_pairs(people):
    with pytest.raises(TypeError, match=r"must hold pairs .* got 'gaussian'"):
        VAETransformer(2, likelihood=("gaussian", [0, 1]), **SMALL).fit(people)
