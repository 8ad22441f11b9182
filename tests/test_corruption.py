"""Noises on the input, each against its definition."""

import numpy as np
import pytest
import torch

from skae import AutoencoderTransformer, VAETransformer
from skae.nn._corruption import NOISES, make_corruption

ESTIMATORS = [AutoencoderTransformer, VAETransformer]
N, D = 2000, 10
SMALL = {"hidden_layer_sizes": (16,), "max_iter": 3, "random_state": 0}
LONGER = {**SMALL, "max_iter": 20}  # until codes are not the initial ones


def corrupted(name, level, seed=0):
    """Rows of columns on scales of their own, before and after."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.linspace(0.5, 2, D)
    x = torch.randn(N, D, generator=generator) * scales
    return x, NOISES[name](x, level, generator)


def assert_fraction(mask, fraction):
    """Within four standard errors."""
    error = (fraction * (1 - fraction) / mask.numel()) ** 0.5
    assert abs(float(mask.float().mean()) - fraction) < 4 * error


@pytest.mark.parametrize("level", [0.1, 0.5])
@pytest.mark.parametrize("name", ["masking", "salt_and_pepper", "swap", "dropout"])
def test_the_level_is_the_fraction_of_entries(name, level):
    x, seen = corrupted(name, level)
    kept = x / (1 - level) if name == "dropout" else x
    assert_fraction(seen != kept, level)


def test_gaussian_noise_has_its_deviation_and_no_mean():
    x, seen = corrupted("gaussian", 0.3)
    noise = (seen - x).flatten()
    assert float(noise.std()) == pytest.approx(0.3, rel=4 / (2 * len(noise)) ** 0.5)
    assert abs(float(noise.mean())) < 4 * 0.3 / len(noise) ** 0.5


@pytest.mark.parametrize("name", ["masking", "dropout"])
def test_entries_are_set_to_the_mean(name):
    x, seen = corrupted(name, 0.3)
    kept = x / 0.7 if name == "dropout" else x
    assert (seen[seen != kept] == 0).all()


def test_dropout_keeps_the_expected_row():
    x = torch.full((20_000, 1), 3.0)
    seen = NOISES["dropout"](x, 0.25, torch.Generator().manual_seed(0))
    error = 3 * (0.25 / 0.75 / len(x)) ** 0.5
    assert abs(float(seen.mean()) - 3) < 4 * error


def test_salt_and_pepper_are_the_extremes_with_equal_chances():
    x, seen = corrupted("salt_and_pepper", 0.3)
    is_changed = seen != x
    is_salt = is_changed & (seen == x.amax(0))
    assert (is_salt | (seen == x.amin(0)))[is_changed].all()
    assert_fraction(is_salt[is_changed], 0.5)


def test_swap_takes_another_row_and_keeps_the_marginals():
    x, seen = corrupted("swap", 0.5)
    for before, after in zip(x.T, seen.T):
        assert torch.isin(after, before).all()
    # A column with swapped values has the distribution of the column.
    error = x.std(0) * (0.5 * 2 / N) ** 0.5  # of the mean, half of the entries redrawn
    assert ((seen.mean(0) - x.mean(0)).abs() < 4 * error).all()
    # Columns are swapped on their own: a dependence is halved for each.
    pair = torch.cat([x[:, :1], x[:, :1]], 1)
    seen = NOISES["swap"](pair, 0.5, torch.Generator().manual_seed(1))
    correlation = float(torch.corrcoef(seen.T)[0, 1])
    assert correlation == pytest.approx(0.25, abs=4 / N**0.5)


def test_no_row_is_swapped_with_itself():
    x = torch.arange(3.0).unsqueeze(1).expand(3, 500)
    seen = NOISES["swap"](x, 1.0, torch.Generator().manual_seed(0))
    assert (seen != x).all()
    one = torch.ones(1, 4)
    assert torch.equal(NOISES["swap"](one, 1.0, torch.Generator()), one)


@pytest.mark.parametrize("name", sorted(NOISES))
def test_each_noise_is_its_generators_alone(name):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    (_, first), (_, second), (_, other) = (corrupted(name, 0.2, s) for s in (0, 0, 1))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", sorted(NOISES))
def test_level_zero_is_no_noise_to_the_bit(estimator, name, iris):
    plain = estimator(2, **LONGER).fit(iris)
    quiet = estimator(2, noise=name, noise_level=0, **LONGER).fit(iris)
    assert plain.loss_curve_ == quiet.loss_curve_
    assert np.array_equal(plain.transform(iris), quiet.transform(iris))
    loud = estimator(2, noise=name, noise_level=0.5, **LONGER).fit(iris)
    assert plain.loss_curve_ != loud.loss_curve_


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_encoder_sees_the_noise_and_the_target_does_not(estimator, iris):
    """A callable that hides everything leaves the mean row to be learned."""
    seen = []

    def hide(x, level, generator):
        seen.append((len(x), level, type(generator)))
        return torch.zeros_like(x)

    model = estimator(2, noise=hide, noise_level=0.7, **SMALL).fit(iris)
    assert {entry[1:] for entry in seen} == {(0.7, torch.Generator)}
    if estimator is AutoencoderTransformer:
        total = ((iris - iris.mean(0)) ** 2).sum(1).mean()
        # Not below the variance, up to which rows are validation rows.
        assert model.loss_curve_[-1] == pytest.approx(total, rel=0.05)


def test_denoising_learns_to_denoise(curved):
    rng = np.random.default_rng(1)
    train, test = curved[:300], curved[300:]
    scale = np.sqrt(train.var(0).mean())
    noisy = test + 0.4 * scale * rng.normal(size=test.shape)

    def error(**params):
        model = AutoencoderTransformer(
            4, hidden_layer_sizes=(64, 32), max_iter=60, random_state=0, **params
        ).fit(train)
        return ((model.inverse_transform(model.transform(noisy)) - test) ** 2).mean()

    plain = error()
    assert error(noise="gaussian", noise_level=0.4) < 0.8 * plain


BAD_LEVELS = [
    ("masking", 1.1, r"noise_level=1.1 .*'masking' .*\[0, 1\]"),
    ("swap", 2, r"noise_level=2 .*'swap' .*\[0, 1\]"),
    ("salt_and_pepper", 1.5, r"noise_level=1.5 .*\[0, 1\]"),
    ("dropout", 1.0, r"noise_level=1.0 .*'dropout' .*\[0, 1\)"),
    ("gaussian", -0.1, "'noise_level' parameter"),
    ("pepper", 0.1, "'noise' parameter .*'swap'"),
]


@pytest.mark.parametrize("name, level, match", BAD_LEVELS)
def test_levels_out_of_range_are_named_before_training(name, level, match, iris):
    model = AutoencoderTransformer(2, noise=name, noise_level=level)
    with pytest.raises(ValueError, match=match):
        model.fit(iris)
    assert not hasattr(model, "net_")


def test_noise_of_another_shape_is_refused(iris):
    model = AutoencoderTransformer(2, noise=lambda x, level, g: x[:, :3], **SMALL)
    with pytest.raises(ValueError, match=r"must return rows of shape \(15, 4\); got"):
        model.fit(iris)


@pytest.mark.parametrize("value", [None, 3.0])
def test_noise_that_returns_no_tensor_is_refused(value, iris):
    model = AutoencoderTransformer(2, noise=lambda *_: value, **SMALL)
    match = rf"noise=.*return a tensor of shape \(15, 4\); got {value}"
    with pytest.raises(TypeError, match=match):
        model.fit(iris)


def test_a_level_of_numpy_is_a_plain_number():
    seen = []
    corrupt = make_corruption(
        lambda x, level, generator: seen.append(level) or x, np.float32(0.5)
    )
    corrupt(torch.zeros(2, 3), None)
    assert seen == [0.5] and type(seen[0]) is float


def test_what_a_fit_knew_of_its_noise_stays(curved):
    """Parameters set after a fit are for the next one."""
    model = AutoencoderTransformer(2, noise="swap", **LONGER).fit(curved)
    before = model.transform(curved)
    assert np.array_equal(model.set_params(noise=None).transform(curved), before)
