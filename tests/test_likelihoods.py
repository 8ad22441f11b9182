"""Likelihoods against scipy.stats; every entry of the registries is covered."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit, log_softmax, softmax

from skae.nn.likelihoods import LIKELIHOODS, LOSSES, Columns
from skae.nn.likelihoods._discretized_normal import _log_mass

REGISTERED = {**LIKELIHOODS, **LOSSES}
D = 3
NOISE = 0.3  # variance
NOISES = np.array([0.2, 0.3, 0.7])
DF = 5.0
SIZES = np.array([0.5, 2.0, 30.0])
# Of whole numbers: the normal distribution, in units of the data, and the range; the
# margins beyond the range are 1, 2 and 0.1 standard deviations.
UNIT, SPREAD = np.array([1.0, 3.0, 4.0]), np.array([1, 0.5, 2.0])
RANGE, MARGINS = np.array([[-2.0, -9.0, 0.0], [4.0, 20.0, 7.0]]), np.array([1, 2, 0.1])
N_ROWS = 99


class Truth(NamedTuple):
    """What SciPy says of a law with the parameters (n, D)."""

    log_density: object  # (x, params) -> (n,)
    mean: object
    variance: object  # of a drawn value
    draw: object  # (params, rng) -> values in the support
    mean_error: float = 0.0  # that the likelihood's mean may have


def make(name):
    likelihood = REGISTERED[name](D).double()
    with torch.no_grad():
        if name == "diagonal_gaussian":
            likelihood.set_noise(torch.from_numpy(NOISES))
        elif name == "negative_binomial":
            likelihood.log_size.copy_(torch.from_numpy(SIZES).log())
        elif name == "discretized_normal":
            unit, spread = torch.from_numpy(UNIT), torch.from_numpy(SPREAD)
            likelihood.init_params(torch.zeros(D).double(), unit.square(), N_ROWS)
            likelihood.set_range(*torch.from_numpy(RANGE))
            likelihood.log_std.copy_((spread.square() - (0.1 / unit) ** 2).log() / 2)
            likelihood.log_margins.copy_(torch.from_numpy(MARGINS).log())
        elif name == "student_t":
            likelihood.log_excess.fill_(math.log(DF - 2))
        if name in ("gaussian", "laplace", "student_t"):
            likelihood.set_noise_variance(NOISE)
    return likelihood


def normal(variance):
    return Truth(
        lambda x, p: stats.norm.logpdf(x, p, np.sqrt(variance)).sum(-1),
        lambda p: p,
        lambda p: np.broadcast_to(variance, p.shape),
        lambda p, rng: rng.normal(p, np.sqrt(variance)),
    )


def double_exponential(scale, constant=0.0):
    return Truth(
        lambda x, p: (stats.laplace.logpdf(x, p, scale) + constant).sum(-1),
        lambda p: p,
        lambda p: np.full_like(p, 2 * scale**2),
        lambda p, rng: rng.laplace(p, scale),
    )


def binary(x, p):
    # The outcomes' log-probabilities, mixed: defined for shares between them, too.
    one, zero = stats.bernoulli.logpmf(1, expit(p)), stats.bernoulli.logpmf(0, expit(p))
    return (x * one + (1 - x) * zero).sum(-1)


class Whole:
    """Whole numbers by SciPy's truncated normal, cell by cell."""

    @staticmethod
    def masses(p):
        """Numbers (n, D, m) and their probabilities, zero beyond the range."""
        low, high = RANGE
        loc, scale = p * UNIT, np.broadcast_to(SPREAD * UNIT, p.shape)
        start, end = low - 0.5 - MARGINS * UNIT, high + 0.5 + MARGINS * UNIT
        law = stats.truncnorm((start - loc) / scale, (end - loc) / scale, loc, scale)
        steps = range(int(max(high - low)) + 1)
        x = np.stack([np.broadcast_to(low + i, p.shape) for i in steps], -1)
        # Up to each number's upper half; all of it, from the last number on.
        below = [law.cdf(np.where(low + i < high, low + i + 0.5, end)) for i in steps]
        return x, np.diff(np.stack(below, -1), prepend=0.0)

    @classmethod
    def log_density(cls, x, p):
        numbers, masses = cls.masses(p)
        found = (masses * (numbers == x[..., None])).sum(-1)
        return (np.log(found) + np.log(1 - 1 / (N_ROWS + 1))).sum(-1)

    @classmethod
    def mean(cls, p):
        numbers, masses = cls.masses(p)
        return (numbers * masses).sum(-1)

    @classmethod
    def variance(cls, p):
        numbers, masses = cls.masses(p)
        return (numbers**2 * masses).sum(-1) - cls.mean(p) ** 2

    @classmethod
    def draw(cls, p, rng):
        numbers, masses = cls.masses(p)
        index = (masses.cumsum(-1) < rng.random((*p.shape, 1))).sum(-1)
        return np.take_along_axis(numbers, index[..., None], -1)[..., 0]


T_SCALE = math.sqrt(NOISE * (DF - 2) / DF)
BINARY = Truth(
    binary,
    expit,
    lambda p: expit(p) * (1 - expit(p)),
    lambda p, rng: rng.random(p.shape),
)
SQUARED = normal(0.5)

TRUTHS = {
    "gaussian": normal(NOISE),
    "diagonal_gaussian": normal(NOISES),
    "laplace": double_exponential(math.sqrt(NOISE / 2)),
    "student_t": Truth(
        lambda x, p: stats.t.logpdf(x, DF, p, T_SCALE).sum(-1),
        lambda p: p,
        lambda p: np.full_like(p, NOISE),
        lambda p, rng: p + T_SCALE * rng.standard_t(DF, p.shape),
    ),
    "bernoulli": BINARY,
    "binarized_bernoulli": BINARY,
    "categorical": Truth(
        lambda x, p: (x * log_softmax(p, -1)).sum(-1),
        lambda p: softmax(p, -1),
        lambda p: softmax(p, -1) * (1 - softmax(p, -1)),
        lambda p, rng: rng.multinomial(1, softmax(p, -1)).astype(float),
    ),
    "poisson": Truth(
        lambda x, p: stats.poisson.logpmf(x, np.exp(p)).sum(-1),
        np.exp,
        np.exp,
        lambda p, rng: rng.poisson(np.exp(p)).astype(float),
    ),
    "negative_binomial": Truth(
        lambda x, p: stats.nbinom.logpmf(x, SIZES, SIZES / (SIZES + np.exp(p))).sum(-1),
        np.exp,
        lambda p: np.exp(p) + np.exp(2 * p) / SIZES,
        lambda p, rng: rng.negative_binomial(SIZES, SIZES / (SIZES + np.exp(p))).astype(
            float
        ),
    ),
    "discretized_normal": Truth(
        Whole.log_density, Whole.mean, Whole.variance, Whole.draw, mean_error=0.05
    ),
    "squared_error": SQUARED._replace(
        log_density=lambda x, p: SQUARED.log_density(x, p) + D * 0.5 * math.log(math.pi)
    ),
    "absolute_error": double_exponential(1.0, math.log(2)),
    "binary_cross_entropy": BINARY,
}

each = pytest.mark.parametrize("name", sorted(REGISTERED))


def draw(name, n=20):
    """Parameters, and rows in the support."""
    rng = np.random.default_rng(0)
    params = rng.normal(size=(n, D)) * 2
    x = TRUTHS[name].draw(params, rng)
    return torch.from_numpy(params), torch.from_numpy(x)


def test_every_registered_likelihood_has_a_truth():
    assert set(TRUTHS) == set(REGISTERED)


@each
def test_log_prob_is_the_log_density(name):
    params, x = draw(name)
    with torch.no_grad():
        values = make(name).log_prob(params, x)
    assert values.shape == (len(x),)
    truth = TRUTHS[name].log_density(x.numpy(), params.numpy())
    np.testing.assert_allclose(values, truth, rtol=1e-8, atol=1e-10)


def test_bernoulli_log_prob_of_binary_rows_and_sure_logits():
    params = torch.tensor([[200.0, -200.0, 0.0]], dtype=torch.float64)
    x = torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)
    value = make("bernoulli").log_prob(params, x)
    assert value.item() == pytest.approx(-math.log(2))
    assert make("bernoulli").log_prob(params, 1 - x).item() == pytest.approx(
        -400 - math.log(2)
    )


@each
def test_log_prob_has_the_right_gradient(name):
    likelihood, (params, x) = make(name), draw(name, n=4)
    parameters = [p for p in likelihood.parameters() if p.requires_grad]

    def log_prob(params, *_):
        return likelihood.log_prob(params, x)

    assert torch.autograd.gradcheck(log_prob, (params.requires_grad_(), *parameters))


@each
def test_half_precision_is_summed_in_single(name):
    params, x = (t.reshape(8, -1) for t in draw(name, n=8000))
    if name == "categorical":
        x = x / 1000
    likelihood = REGISTERED[name](len(params[0]))
    if not likelihood.is_scaled:  # such rows stay in float32
        x = x.float()
    with torch.no_grad():
        half = likelihood.log_prob(params.bfloat16(), x.to(_half(x)))
        whole = likelihood.log_prob(params.bfloat16().float(), x.to(_half(x)).float())
    assert half.dtype == torch.float32
    # A bfloat16 keeps 8 bits: single terms may be off by 2^-8, their sum by far less.
    np.testing.assert_allclose(half, whole, rtol=2e-3)


def _half(x):
    return torch.float32 if x.dtype == torch.float32 else torch.bfloat16


@each
def test_sample_has_the_moments_of_the_law(name):
    n = 200_000
    row = np.array([[-1.0, 0.2, 1.5]])
    params = torch.from_numpy(row).repeat(n, 1)
    with torch.no_grad():
        values = make(name).sample(params, torch.Generator().manual_seed(0)).numpy()
    truth, variance = TRUTHS[name].mean(row)[0], TRUTHS[name].variance(row)[0]
    assert (np.abs(values.mean(0) - truth) <= 3 * np.sqrt(variance / n)).all()
    np.testing.assert_allclose(values.var(0), variance, rtol=0.03)


@each
def test_sample_stays_in_the_support(name):
    likelihood, (params, _) = make(name), draw(name)
    with torch.no_grad():
        values = likelihood.sample(params, torch.Generator().manual_seed(0))
    assert bool(likelihood.contains(values).all())


@each
def test_sample_depends_on_its_generator_alone(name):
    likelihood, (params, _) = make(name), draw(name)
    before = torch.get_rng_state()
    with torch.no_grad():
        one = likelihood.sample(params, torch.Generator().manual_seed(1))
        torch.rand(3)
        two = likelihood.sample(params, torch.Generator().manual_seed(1))
    torch.set_rng_state(before)
    assert torch.equal(one, two)


@each
def test_mean_is_the_mean_of_the_law(name):
    params, _ = draw(name)
    with torch.no_grad():
        values = make(name).mean(params)
    truth = TRUTHS[name]
    np.testing.assert_allclose(
        values, truth.mean(params.numpy()), atol=truth.mean_error
    )


@each
def test_log_prob_in_data_units(name):
    """A density of x / s is one of x, less log s for each feature; errors scale."""
    likelihood, (params, x) = make(name), draw(name)
    scale = torch.full((D,), 2.5 if likelihood.is_scaled else 1.0).double()
    with torch.no_grad():
        log_prob = likelihood.log_prob(params, x)
        value = likelihood.in_data_units(log_prob, scale)
    truth = {
        "squared_error": -((2.5 * x - 2.5 * params) ** 2).sum(-1),
        "absolute_error": -(2.5 * x - 2.5 * params).abs().sum(-1),
    }.get(name, log_prob - D * math.log(2.5) * likelihood.is_scaled)
    np.testing.assert_allclose(value, truth)


@each
def test_the_support_is_told(name):
    likelihood, (_, x) = make(name), draw(name)
    assert bool(likelihood.contains(x).all())
    outside = 0.5 if name in ("categorical", "discretized_normal") else -1.0
    x[3, 1] = math.inf if likelihood.is_scaled else outside
    cells = (~likelihood.contains(x)).nonzero().tolist()
    # A category whose shares do not sum to one is wrong as a whole.
    columns = range(D) if name == "categorical" else [1]
    assert cells == [[3, j] for j in columns]


@each
def test_one_parameter_count_fits_all(name):
    likelihood, (params, x) = make(name), draw(name)
    assert likelihood.n_params * x.shape[1] == params.shape[1]
    assert likelihood.mean(params).shape == x.shape


@each
def test_the_initial_row_is_like_any_other(name):
    """Its mean is the data's; deviations times the factors have unit variance where
    the law fixes it, and move the mean by themselves."""
    likelihood, (params, _) = make(name), draw(name)
    rng = np.random.default_rng(1)
    row = params[:1].repeat(200_000, 1)
    x = torch.from_numpy(TRUTHS[name].draw(row.numpy(), rng))
    if BINARY is TRUTHS[name]:
        x = (x < 0.3).double()
    # A range that does not cut anything off.
    likelihood.set_range(*torch.tensor([[-1e6], [1e6]]).expand(2, D))
    bias, encode, decode = likelihood.init_params(x.mean(0), x.var(0), len(x))
    if likelihood.is_scaled:
        assert not bias.any() and bool((encode == 1).all())
        return
    torch.testing.assert_close(
        likelihood.mean(bias[None])[0], x.mean(0), rtol=0.02, atol=1e-3
    )
    if name != "categorical":  # shares of one category are not independent
        spread = ((x - x.mean(0)) * encode).std(0)
        np.testing.assert_allclose(spread, 1, rtol=0.05)
    step = 1e-4 * torch.ones(D, dtype=torch.float64) / encode
    moved = likelihood.mean((bias + decode * encode * step)[None]) - likelihood.mean(
        bias[None]
    )
    if name != "categorical":
        torch.testing.assert_close(moved[0], step, rtol=0.02, atol=1e-8)


NOISY = [name for name in sorted(LIKELIHOODS) if make(name).n_noises]


@pytest.mark.parametrize("name", NOISY)
def test_the_mean_deviation_is_the_best_noise(name):
    likelihood, (params, x) = make(name), draw(name, n=500)
    with torch.no_grad():
        noise = likelihood.deviations(params, x).mean(0)
        likelihood.set_noise(noise)
        best = likelihood.log_prob(params, x).sum()
        for factor in (0.95, 1.05):
            likelihood.set_noise(noise * factor)
            assert likelihood.log_prob(params, x).sum() < best


@each
def test_log_density_of_deviations_is_the_log_prob(name):
    likelihood, (params, x) = make(name), draw(name)
    if not likelihood.n_noises:
        assert likelihood.noise.numel() == 0
        return
    with torch.no_grad():
        value = likelihood.log_density(
            likelihood.deviations(params, x), likelihood.noise
        )
        torch.testing.assert_close(value, likelihood.log_prob(params, x))


def test_no_category_at_all_is_outside_the_support():
    """An unknown category, all zeros, would have the density 1 of a sure one."""
    x = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.2, 0.5, 0.3]])
    assert make("categorical").contains(x).tolist() == [[False] * D, *[[True] * D] * 2]


# Whole numbers within a range.


def test_the_mass_of_whole_numbers_sums_to_one():
    """What lies beyond the range has at most the weight of one row in n + 1."""
    likelihood = make("discretized_normal")
    params = torch.tensor([[0.5, -1.0, 8.0]], dtype=torch.float64)
    x = torch.arange(-200, 201.0, dtype=torch.float64)[:, None].expand(-1, D)
    with torch.no_grad():
        masses = likelihood.log_probs(params, x).exp()
    inside = (x >= torch.from_numpy(RANGE[0])) & (x <= torch.from_numpy(RANGE[1]))
    weight = 1 / (N_ROWS + 1)
    np.testing.assert_allclose((masses * inside).sum(0), 1 - weight)
    beyond = (masses * ~inside).sum(0)
    assert bool((beyond > 0).all()) and bool((beyond <= weight).all())


@pytest.mark.parametrize("dtype, rtol", [(torch.float32, 1e-4), (torch.float64, 1e-9)])
def test_the_mass_of_intervals_is_exact_however_far_and_narrow(dtype, rtol):
    middle = torch.tensor([0, 0.01, -1, 4.9, 5.1, 30, 1e3, 1e5])
    width = torch.tensor([1e-7, 1e-4, 9e-3, 0.011, 0.1, 1, 9.9, 25])
    pairs = torch.cartesian_prod(middle, width).to(dtype)
    m, w = pairs.T.clone().requires_grad_()
    found = _log_mass(m, w)
    slope, *_ = torch.autograd.grad(found.sum(), [m])
    # Independently: the density, integrated by 200 points from the nearer end on.
    points, weights = np.polynomial.legendre.leggauss(200)
    m, w = (t[:, None] for t in pairs.double().T.numpy())
    near = np.abs(m) - w / 2
    # Beyond 40 / near from there nothing is left.
    reach = np.where(near > 5, np.minimum(w, 40 / np.maximum(near, 1)), w)
    step = reach * (points + 1) / 2
    scaled = weights * np.exp(-step * near - step**2 / 2)
    total = (scaled * reach / 2).sum(1)
    log_mass = -0.5 * near[:, 0] ** 2 - 0.5 * math.log(2 * math.pi) + np.log(total)
    np.testing.assert_allclose(found.detach(), log_mass, rtol=rtol, atol=rtol)
    mean = near[:, 0] + (scaled * step).sum(1) / scaled.sum(1)
    truth = -mean * np.sign(m[:, 0])  # d log mass / d middle = -E z
    np.testing.assert_allclose(slope, truth, rtol=rtol, atol=max(rtol, 1e-8))


def test_rows_far_beyond_leave_finite_gradients():
    likelihood = make("discretized_normal").float()
    params = torch.tensor([[1e4, -1e4, 50.0]], requires_grad=True)
    x = torch.tensor([[-2.0, 20.0, 1e5]])
    values = likelihood.log_probs(params, x)
    values.sum().backward()
    gradients = [params.grad, likelihood.log_std.grad, likelihood.log_margins.grad]
    assert all(bool(g.isfinite().all()) for g in (values, *gradients))
    # Towards the row: a step of the mean lowers its distance.
    assert params.grad[0, 0] < 0 < params.grad[0, 1]
    generator = torch.Generator().manual_seed(0)
    drawn = likelihood.sample(params.detach(), generator)
    assert drawn.tolist() == [[4, -9, 7]]
    assert likelihood.mean(params)[0].tolist() == pytest.approx([4, -9, 7], abs=0.1)


def test_gaussian_variance_is_the_one_that_was_set():
    assert make("gaussian").variance.item() == pytest.approx(NOISE)


# Columns of different kinds.

PARTS = ["gaussian", "categorical", "diagonal_gaussian", "negative_binomial"]


def mixed():
    """A likelihood of twelve columns, dealt out in turns, and rows in its support."""
    columns = [list(range(i, D * len(PARTS), len(PARTS))) for i in range(len(PARTS))]
    likelihood = Columns([make(name) for name in PARTS], columns)
    params = torch.zeros(20, D * len(PARTS), dtype=torch.float64)
    x = torch.zeros_like(params)
    for name, indices in zip(PARTS, columns):
        params[:, indices], x[:, indices] = draw(name)
    return likelihood, params, x, columns


def test_columns_multiply_the_densities_of_their_parts():
    likelihood, params, x, columns = mixed()
    truth = sum(
        TRUTHS[name].log_density(x[:, indices].numpy(), params[:, indices].numpy())
        for name, indices in zip(PARTS, columns)
    )
    with torch.no_grad():
        np.testing.assert_allclose(likelihood.log_prob(params, x), truth)


def test_columns_keep_their_order():
    likelihood, params, x, columns = mixed()
    with torch.no_grad():
        means = likelihood.mean(params)
        drawn = likelihood.sample(params, torch.Generator().manual_seed(0))
    for name, indices in zip(PARTS, columns):
        truth = TRUTHS[name].mean(params[:, indices].numpy())
        np.testing.assert_allclose(means[:, indices], truth)
    assert bool(likelihood.contains(drawn).all())
    x[4, columns[1][0]] = 0.5
    outside = (~likelihood.contains(x)).nonzero()
    assert outside.tolist() == [[4, j] for j in sorted(columns[1])]


def test_columns_pass_noise_on_to_their_parts():
    likelihood, params, x, _ = mixed()
    assert likelihood.n_noises == 1 + D
    with torch.no_grad():
        deviations = likelihood.deviations(params, x)
        rest = likelihood.log_prob(params, x) - likelihood.log_density(
            deviations, likelihood.noise
        )
        likelihood.set_noise(deviations.mean(0))
        torch.testing.assert_close(likelihood.noise, deviations.mean(0))
        torch.testing.assert_close(
            likelihood.log_prob(params, x),
            rest + likelihood.log_density(deviations, likelihood.noise),
        )
