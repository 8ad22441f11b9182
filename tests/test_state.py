"""A fitted model's state is all of it: structure, parameters and buffers, no rows."""

import contextlib
import copy
import functools
import io
import json
import pickle
import warnings

import joblib
import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from sklearn.exceptions import ConvergenceWarning
from torch import nn

import skae
from skae import AutoencoderTransformer, VAETransformer
from skae.data._rows import ResidentRows
from skae.io._file import read
from skae.nn import _missing_normal
from skae.nn._build import build_model
from skae.nn._corruption import NOISES
from skae.nn.architectures import MLP, Convolutional
from skae.nn.likelihoods import LIKELIHOODS, LOSSES, Gaussian
from skae.nn.penalties import PENALTIES, Adversarial, KLSparsity
from skae.nn.priors import Mixture, Vamp

AE, VAE = AutoencoderTransformer, VAETransformer
ESTIMATORS = [AE, VAE]
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 1, "random_state": 0}
SHAPES = {"conv": (1, 8), "recurrent": (4, 2), "attention": (4, 2)}

both = pytest.mark.parametrize("estimator", ESTIMATORS)


# Every option of the structure.


def own_architecture(sample_shape, hidden_layer_sizes, activation, n_in, n_out):
    return tuple(nn.Linear(*sizes) for sizes in zip(n_in, n_out))


def own_penalty(model, x, terms):
    return terms.z.abs().sum(-1)


class OwnLikelihood(Gaussian):
    """A user's class, which a description only names."""


MIXED = [("gaussian", [0, 1, 2]), ("poisson", [3]), ("categorical", [4, 5, 6, 7])]


def cases():
    """Estimators, what is fitted to, and what is done after the fit."""
    for allow_nan in (False, True):
        with_nan = {"allow_nan": True} if allow_nan else {}
        for cls, name, registry in (
            (AE, "loss", LOSSES),
            (VAE, "likelihood", LIKELIHOODS),
        ):
            choices = ["auto", *registry, MIXED, OwnLikelihood]
            yield from ((cls, {name: choice} | with_nan) for choice in choices)
        for prior in (
            "mixture",
            "vamp",
            functools.partial(Mixture, n_clusters=3),
            Vamp(2, 8, n_pseudo_inputs=4),
            torch.distributions.Laplace(0.0, 1.0),
        ):
            yield VAE, {"prior": prior} | with_nan
        for cls in ESTIMATORS:
            penalties = ["mmd", [Adversarial(hidden_layer_sizes=(3,)), own_penalty]]
            if not allow_nan:
                penalties += [n for n in PENALTIES if n != "mmd"]
                penalties += [["l1", "mmd"], KLSparsity(target=0.2), own_penalty]
            if cls is AE and not allow_nan:
                penalties.remove("total_correlation")
            for penalty in penalties:
                yield cls, {"penalty": penalty} | with_nan
            for noise in NOISES if not allow_nan else ["swap"]:
                yield cls, {"noise": noise} | with_nan
            for architecture, shape in SHAPES.items():
                shaped = {"architecture": architecture, "sample_shape": shape}
                yield cls, shaped | with_nan
                yield cls, shaped | {"ordered": True, "truncated": (1,)} | with_nan
            for options in (
                {"architecture": own_architecture},
                {"architecture": own_architecture, "ordered": True},
                {"architecture": MLP(residual=True, layer_norm=True, dropout=0.1)},
                {"architecture": Convolutional(channels=(4,)), "sample_shape": (1, 8)},
                {"hidden_layer_sizes": ()},
                {"hidden_layer_sizes": (), "ordered": True, "truncated": (1,)},
                {"init": "random"},
                {"transform_layers": "all"},
                {"precision": "bfloat16"},
                {"max_iter": 0},
                {"n_components": 10},
                {"n_components": 0.7},
                {"n_components": 0.7, "truncated": (1,)},
                {"ordered": True},
                {"ordered": True, "truncated": (3,)},
                {"ordered": True, "truncated": (1,)},
                {"ordered": True, "truncated": (3, 2, 1)},
                {"ordered": True, "penalty": "mmd"},
                {"ordered": True, "penalty": "adversarial", "truncated": (2,)},
                {"ordered": True, "truncated": (2,), "n_passes": 1},
                {"ordered": True, "transform_layers": "all", "truncated": (3, 1)},
                {"n_passes": 2},
                {"n_passes": 1, "penalty": "adversarial"},
            ):
                yield cls, options | with_nan
            adversarial = {"ordered": True, "penalty": "adversarial"}
            yield cls, adversarial | {"truncated": (2,), "n_passes": 1} | with_nan
        for options in ({}, {"ordered": True}, {"loss": "gaussian"}):
            yield AE, {"transform_max_iter": 2} | options | with_nan


CASES = list(cases())
SIZE = 4  # of an ordered code, before it is cut


def name_of(case):
    cls, options = case
    text = ", ".join(f"{n}={getattr(v, '__name__', v)}" for n, v in options.items())
    return f"{cls.__name__[0]}: {text}"


def rows_for(options):
    """Rows in the support of a likelihood, some entries missing where they may be."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 8)) + rng.normal(size=(40, 8))
    choice = options.get("loss", options.get("likelihood"))
    if choice in ("bernoulli", "binarized_bernoulli", "binary_cross_entropy"):
        X = (X > 0).astype(float)
    elif choice in ("poisson", "negative_binomial", "discretized_normal"):
        X = rng.poisson(np.exp(0.3 * X)).astype(float)
    elif choice == "categorical":
        X = np.eye(8)[rng.integers(8, size=40)]
    elif choice is MIXED:
        X[:, 3] = rng.poisson(2, size=40)
        X[:, 4:] = np.eye(4)[rng.integers(4, size=40)]
    if options.get("allow_nan"):
        is_missing = rng.uniform(size=X.shape) < 0.2
        if choice in ("categorical", MIXED):  # a category is missing as a whole
            first = 4 if choice is MIXED else 0
            is_missing[:, first:] = is_missing[:, -1:]
        X[is_missing] = np.nan
    return X


@functools.cache
def fit_case(number):
    """The estimator of a case, fitted, and its rows; tests must not change them."""
    cls, options = CASES[number]
    options = dict(options)
    X = rows_for(options)
    sizes, n_passes = options.pop("truncated", ()), options.pop("n_passes", 0)
    model = cls(**{"n_components": SIZE if options.get("ordered") else 2})
    if cls is VAE:
        model.set_params(n_score_draws=3)
    model.set_params(**SMALL | {"batch_size": 36} | options)  # one step
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if sizes or not n_passes:
            model.fit(X)
        for size in sizes:
            model = model.truncate(size)
        for _ in range(n_passes):
            model.partial_fit(X)
    return model, X


def results(model, X):
    """What the public methods return, by name; float32 and float64."""
    X = X[:8]
    single, found = X.astype(np.float32), {}
    for rows in (X, single):
        codes = model.transform(rows)
        found[f"codes {rows.dtype}"] = codes
        found[f"rows {rows.dtype}"] = model.inverse_transform(codes)
        found[f"scores {rows.dtype}"] = model.score_samples(rows)
    for density in model._densities:
        found[f"sample {density}"] = model.sample(5, 0, density=density)
    found["sample"] = model.sample(5, 0)
    if isinstance(model, VAE):
        found["mean"], found["std"] = model.posterior(single)
    if model.net_.module_.imputer is not None:
        found["filled"] = model.impute(single)
        found["drawn"] = model.impute(single, n_imputations=2, random_state=0)
    return found


def assert_equal_bits(found, truth):
    assert found.keys() == truth.keys()
    for name, value in truth.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
        assert found[name].dtype == value.dtype


every_case = pytest.mark.parametrize("number", range(len(CASES)))


@pytest.fixture(scope="module", autouse=True)
def quick_normal():
    """The normal of incomplete rows need not be a good one for its state."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_missing_normal, "_MAX_ITER", 2)
        patch.setattr(_missing_normal, "_PRIOR_ROWS", (30.0,))
        patch.setattr("skae.transformers._vae._N_IMPUTATION_DRAWS", 10)
        yield


@every_case
def test_structure_and_state_are_the_model(number):
    model, X = fit_case(number)
    inner = model.net_.module_
    config = json.loads(json.dumps(inner.config()))
    assert config == inner.config()
    is_own = any("own" in str(v).lower() for v in CASES[number][1].values())
    assert bool(inner.given) == is_own or "prior" in CASES[number][1]
    fresh = build_model(config, inner.given)
    state = {name: value.clone() for name, value in inner.state_dict().items()}
    fresh.load_state_dict(state, strict=True)
    truth = results(model, X)
    assert all(np.isfinite(value).all() for value in truth.values())
    loaded = pickle.loads(pickle.dumps(model))
    mine, theirs = state, loaded.net_.module_.state_dict()
    assert loaded.net_.module_.config() == config and mine.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    loaded.net_.set_model(fresh.eval())
    assert_equal_bits(results(loaded, X), truth)


@every_case
def test_files_have_the_same_bits(number, tmp_path):
    model, X = fit_case(number)
    path = tmp_path / "model.safetensors"
    model.save(path)
    given = {name: model.get_params()[name] for name in read(path)[0]["given"]}
    assert len(given) >= len(model.net_.module_.given)
    loaded = skae.load(path, **given)
    assert repr(loaded) == repr(model)
    assert_equal_bits(results(loaded, X), results(model, X))
    weights = model.net_.module_.state_dict().values()
    n_bytes = sum(value.numel() * value.element_size() for value in weights)
    n_bytes += model._code_mixture.mixture.covariances_.nbytes
    assert path.stat().st_size < 1.1 * n_bytes + 20_000


def plain_numbers(value, name=""):
    """Numbers and arrays outside of parameters and buffers, by where they are."""
    if isinstance(value, nn.Module):
        registered = {"_parameters", "_buffers", "_modules"}
        for part, module in value.named_modules():
            for key, own in vars(module).items():
                if key == "_flat_weights":  # torch's recurrent layers list their own
                    assert {*map(id, own)} == {*map(id, module.parameters())}
                elif key not in registered:
                    yield from plain_numbers(own, f"{name}{part}.{key}")
    elif isinstance(value, dict):
        for key, own in value.items():
            yield from plain_numbers(own, f"{name}[{key}]")
    elif isinstance(value, list | tuple | set):
        for i, own in enumerate(value):
            yield from plain_numbers(own, f"{name}[{i}]")
    elif isinstance(value, int | float | complex | np.generic):
        yield name, value
    elif isinstance(value, torch.Tensor | np.ndarray):
        yield name, np.asarray(value.detach() if torch.is_tensor(value) else value)


def learned_beside(model):
    """Names of the plain numbers that a new model of that structure has not."""
    fresh = build_model(model.config(), model.given).eval()
    mine, theirs = (dict(plain_numbers(m)) for m in (model, fresh))
    names = mine.keys() | theirs.keys()
    absent = object()
    return [
        name
        for name in sorted(names)
        if not np.array_equal(mine.get(name, absent), theirs.get(name, absent))
    ]


@every_case
def test_what_is_learned_is_a_parameter_or_a_buffer(number):
    model, _ = fit_case(number)
    inner = model.net_.module_
    assert learned_beside(inner) == []
    state = inner.state_dict()
    places = [value.data_ptr() for value in state.values() if value.numel()]
    assert len(set(places)) == len(places)
    for name, value in state.items():
        size = value.numel() * value.element_size()
        # Copies are, and products of another layout round otherwise.
        assert value.is_contiguous(), name
        assert value.untyped_storage().nbytes() == size, name


def test_a_number_beside_the_state_is_found(iris):
    model = AE(2, **SMALL).fit(iris).net_.module_
    model.skip.learned = 0.5
    model.units.shares = [torch.ones(2)]
    assert learned_beside(model) == ["skip.learned", "units.shares[0]"]


def test_so_many_combinations_keep_their_state():
    names = {name_of(case) for case in CASES}
    assert len(names) == len(CASES) == 231


def test_a_part_of_the_user_is_asked_for_again(iris):
    model = AE(2, architecture=own_architecture, **SMALL).fit(iris).net_.module_
    with pytest.raises(ValueError, match=r"own_architecture.*pass it again"):
        build_model(model.config())


@both
@pytest.mark.parametrize("before, after", [(None, own_penalty), (own_penalty, "mmd")])
def test_a_penalty_that_came_later_is_in_the_state(estimator, before, after, iris):
    model = estimator(2, penalty=before, **SMALL).partial_fit(iris)
    model.set_params(penalty=after).partial_fit(iris)
    assert bool(model.net_.module_.given) == (after is own_penalty)
    loaded = pickle.loads(pickle.dumps(model))
    assert_equal_bits(results(loaded, iris), results(model, iris))
    passed = (m.partial_fit(iris).net_.module_ for m in (model, loaded))
    assert len({type(m.penalty.penalties[0]) for m in passed}) == 1


@both
def test_a_load_does_not_ask_for_torchs_default_dtype(estimator, iris):
    model = estimator(2, **SMALL).fit(iris)
    data = pickle.dumps(model)
    torch.set_default_dtype(torch.float64)
    try:
        loaded = pickle.loads(data)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_equal_bits(results(loaded, iris), results(model, iris))


@both
def test_a_load_draws_nothing(estimator, iris):
    data = pickle.dumps(estimator(2, **SMALL).fit(iris))
    before = torch.get_rng_state()
    pickle.loads(data)
    assert torch.equal(torch.get_rng_state(), before)


# Sizes.


def n_bytes(model):
    weights = model.net_.module_.parameters()
    return sum(p.numel() * p.element_size() for p in weights)


def held_bytes(model):
    """Bytes of all storages that the torch model holds, each once."""
    module = model.net_.module_
    held = {}
    for value in (*module.parameters(), *module.buffers()):
        storage = value.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
    return sum(held.values())


SHAPED = {
    "conv": {"architecture": "conv", "sample_shape": (1, 8, 8)},
    "recurrent": {"architecture": "recurrent", "sample_shape": (8, 8)},
    "attention": {"architecture": "attention", "sample_shape": (8, 8)},
}
SIZES = [
    *((e, {}) for e in ESTIMATORS),
    *((e, s) for s in SHAPED.values() for e in ESTIMATORS),
]


@pytest.mark.parametrize("estimator, options", SIZES, ids=str)
def test_a_pickle_is_little_more_than_the_weights(estimator, options):
    d = 64 if options else 784
    X = np.random.default_rng(0).normal(size=(50, d))
    model = estimator(2, max_iter=1, random_state=0, **options).fit(X)
    most = 1.15 * n_bytes(model) + 20_000
    loaded = pickle.loads(pickle.dumps(model))
    passed = copy.deepcopy(model).partial_fit(X)
    again = pickle.loads(pickle.dumps(loaded)).partial_fit(X)
    for one in (model, loaded, passed, again, copy.deepcopy(passed)):
        assert len(pickle.dumps(one)) <= most
        assert held_bytes(one) <= most
        stream = io.BytesIO()
        joblib.dump(one, stream)
        assert len(stream.getvalue()) <= most


# Rows of the training.


def arrays_in(value, seen=None):
    """All arrays that an object holds, however deep."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        yield value.detach().numpy()
    elif isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        for own in (*value.keys(), *value.values()):
            yield from arrays_in(own, seen)
    elif isinstance(value, list | tuple | set):
        with contextlib.suppress(TypeError, ValueError):
            yield np.asarray(value, dtype=float)
        for own in value:
            yield from arrays_in(own, seen)
    elif hasattr(value, "__dict__"):
        yield from arrays_in(vars(value), seen)


def n_recovered(model, X):
    """Number of training rows (n, k) among what arrays of many rows hold: as they are,
    standardized, or as codes; k latents for k features."""
    k, units = X.shape[1], model.net_.module_.units
    found = 0
    for array in arrays_in(model):
        if array.dtype.kind not in "fiu" or array.size < 100 * k or array.size % k:
            continue
        for rows in (array.reshape(-1, k), array.reshape(k, -1).T):
            rows = np.ascontiguousarray(rows, dtype=float)
            if not np.isfinite(rows).all():
                continue
            views = rows, rows * units.scale.numpy() + units.loc.numpy()
            views = *views, model.inverse_transform(rows)
            for view in views:
                gaps, _ = cKDTree(view).query(X, p=np.inf)
                found = max(found, int((gaps < 1e-3).sum()))
    return found


@both
def test_no_training_row_comes_back_from_a_pickle(estimator, iris):
    sizes = {"hidden_layer_sizes": (128,), "max_iter": 20}
    model = estimator(4, random_state=0, **sizes).fit(iris)
    loaded = pickle.loads(pickle.dumps(model))
    assert any(array.shape == (128, 4) for array in arrays_in(loaded))
    assert n_recovered(loaded, iris) == 0
    assert n_recovered(model, iris) == 0  # nor is it held in memory
    codes = model.transform(iris)
    if estimator is AE:  # a reconstruction is within 1e-3 where nothing is lost
        assert np.abs(model.inverse_transform(codes) - iris).max() > 0
    for leak in (iris[::-1], [iris], {"x": torch.from_numpy(iris).T.contiguous()}):
        loaded.net_.leak = leak
        assert n_recovered(loaded, iris) == len(iris)


# Hashes.


@both
@pytest.mark.parametrize(
    "options", [{}, {"ordered": True}, {"allow_nan": True}], ids=str
)
def test_loads_of_one_pickle_and_equal_fits_have_one_hash(estimator, options, iris):
    one, two = (estimator(3, **SMALL | options).fit(iris) for _ in range(2))
    data = pickle.dumps(one)
    loads = [pickle.loads(data) for _ in range(2)]
    hashes = {joblib.hash(model) for model in (one, two, *loads, copy.deepcopy(one))}
    assert len(hashes) == 1
    other = estimator(3, **SMALL | options | {"random_state": 1}).fit(iris)
    assert joblib.hash(other) not in hashes


# Modules.

MODULES = {"mlp": {"hidden_layer_sizes": (16,)}, **SHAPED}


@pytest.fixture(scope="module", params=MODULES)
def shaped(request, digits):
    options = {"max_iter": 1, "random_state": 0, **MODULES[request.param]}
    return VAE(3, **options).fit(digits)


def sides(model, X):
    """The two modules, what each takes, and the method that it is."""
    Z = model.transform(X)
    yield model.encoder_, X, model.transform
    yield model.decoder_, Z, model.inverse_transform


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_modules_are_transform_and_its_inverse(dtype, shaped, digits):
    for module, rows, method in sides(shaped, digits.astype(dtype)):
        if dtype == np.float64:
            module = copy.deepcopy(module).double()
        assert not module.training
        with torch.no_grad():
            found = module(torch.from_numpy(rows))
        np.testing.assert_array_equal(found, method(rows))


@pytest.mark.parametrize("options", [{"transform_max_iter": 2}, {"ordered": True}])
def test_the_modules_of_other_codes(options, curved):
    """The encoder is without steps, which no export has; prefixes are decoded."""
    model = AE(3, **SMALL | options).fit(curved)
    X = torch.from_numpy(curved.astype(np.float32))
    with torch.no_grad():
        codes = model.encoder_(X)
        truth = model.set_params(transform_max_iter=0).transform(X.numpy())
        np.testing.assert_array_equal(codes, truth)
        codes[:, 2:] = 0
        found = model.decoder_(codes)
    np.testing.assert_array_equal(found, model.inverse_transform(codes.numpy()))


def test_torch_traces_and_exports_the_modules(shaped, digits):
    X = digits.astype(np.float32)
    for module, rows, method in sides(shaped, X):
        rows = torch.from_numpy(rows)
        dynamic = ({0: torch.export.Dim("n_rows", min=2)},)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what torch's own layers do
            traced = torch.jit.trace(module, (rows[:5],), check_trace=False)
            exported = torch.export.export(
                module, (rows[:5],), dynamic_shapes=dynamic
            ).module()
        for n_rows in (2, 5, 100):
            truth = method(rows[:n_rows].numpy())
            for other in (traced, exported):
                with torch.no_grad():
                    np.testing.assert_array_equal(other(rows[:n_rows]), truth)


@both
def test_an_estimator_that_is_not_fitted_has_no_modules(estimator):
    assert not hasattr(estimator(), "encoder_")
    assert not hasattr(estimator(), "decoder_")


# Public methods change nothing.


def snapshot(model):
    inner = model.net_.module_
    return {
        "pickle": pickle.dumps(vars(model)),
        "state": {name: value.clone() for name, value in inner.state_dict().items()},
        "numbers": {name: str(value) for name, value in plain_numbers(inner)},
        "names": [sorted(vars(m)) for m in inner.modules()],
        "net": {name: id(value) for name, value in vars(model.net_).items()},
        "own": {name: id(value) for name, value in vars(model).items()},
        "gradients": [p.grad is None for p in inner.parameters()],
    }


@both
@pytest.mark.parametrize(
    "options",
    [{}, {"ordered": True, "allow_nan": True}, {"transform_layers": "all"}],
    ids=str,
)
def test_public_methods_change_nothing(estimator, options, iris):
    X, model = iris.copy(), estimator(2, **SMALL | options).fit(iris)
    before = snapshot(model)
    with torch.enable_grad():
        results(model, X)
        model.score(X)
        model.get_feature_names_out()
        model.encoder_(torch.from_numpy(X.astype(np.float32)))
        model.decoder_(torch.zeros(1, 2))
        for name in ("inverse_transform", "score_samples", "sample"):
            with pytest.raises((TypeError, ValueError)):
                getattr(model, name)("bad")
        if "ordered" in options:
            model.truncate(1).partial_fit(X)
        repr(model), model.get_params(), copy.deepcopy(model)
    after = snapshot(model)
    for name, value in before.items():
        if name == "state":
            assert all(torch.equal(after[name][n], v) for n, v in value.items())
        else:
            assert after[name] == value, name
    assert np.array_equal(X, iris)


def test_rows_that_a_fit_holds_are_those_of_the_user(iris):
    """One copy in single precision; the source itself is shared."""
    model = AE(2, **SMALL).fit(iris).net_.module_
    X = torch.from_numpy(iris)
    rows = ResidentRows(X, model.units, torch.device("cpu"))
    train, valid = rows.split(0.1, seed=0)
    assert rows.source.data_ptr() == X.data_ptr()
    assert train.x.data_ptr() == valid.x.data_ptr() == rows.x.data_ptr()
    assert train.n_rows + valid.n_rows == len(iris)
