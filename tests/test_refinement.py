"""Codes that decode best, against the exact answers of linear decoders and SciPy's."""

import numpy as np
import pytest
import torch
from models import make_model
from scipy.optimize import minimize

from skae import AutoencoderTransformer
from skae.nn.likelihoods import Bernoulli, SquaredError

D, K = 6, 3


def linear_model(likelihood, scale=1.0):
    """A linear decoder, and an encoder that has nothing to do with it."""
    model = make_model(likelihood, K).double()
    generator = torch.Generator().manual_seed(0)
    for weight in (model.skip.encode_weight, model.skip.decode_weight):
        weight.data.normal_(std=scale, generator=generator)
    return model


def rows(n):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, D, generator=generator, dtype=torch.float64)


def with_refiner(model, x, seed=2):
    model.refiner.fit(model, x, torch.Generator().manual_seed(seed))
    return model


@pytest.fixture(scope="module")
def fitted(curved):
    return AutoencoderTransformer(2, max_iter=30, random_state=0).fit(curved[:300])


def test_the_best_code_of_a_plane_is_least_squares():
    x = rows(50)
    model = with_refiner(linear_model(SquaredError(D)), x)
    weight = model.skip.decode_weight.detach().numpy()
    truth = np.linalg.lstsq(weight, x.numpy().T, rcond=None)[0].T
    code = model.best_code(x, 10)
    # A step that would gain less than a ten-thousandth of the loss is not taken.
    nearest = model.log_likelihood(torch.from_numpy(truth @ weight.T), x)
    reached = model.log_likelihood(model.decode(code), x)
    torch.testing.assert_close(reached, nearest, rtol=1e-3, atol=0)
    np.testing.assert_allclose(code.detach().numpy(), truth, atol=0.05)


@pytest.mark.parametrize("likelihood", [SquaredError(D), Bernoulli(D)])
def test_the_preconditioner_is_the_inverse_fisher_information(likelihood):
    model = linear_model(likelihood, scale=0.3)
    x = torch.zeros(512, D, dtype=torch.float64)
    draws = [
        torch.linalg.inv(with_refiner(model, x, seed).refiner.preconditioner)
        for seed in range(200)
    ]
    weight = model.skip.decode_weight.detach()
    # Of one feature: 1 / variance for the mean, p (1 - p) for the logit of a half.
    curvature = 2.0 if isinstance(likelihood, SquaredError) else 0.25
    truth = curvature * weight.T @ weight
    torch.testing.assert_close(
        sum(draws) / len(draws), truth, rtol=0.02, atol=0.02 * float(truth.max())
    )


def test_no_row_decodes_worse_than_from_the_encoder(fitted, curved):
    def errors(n_steps):
        fitted.set_params(transform_max_iter=n_steps)
        return -fitted.score_samples(curved)

    plain, refined, longer = errors(0), errors(3), errors(10)
    assert (refined <= plain * (1 + 1e-6)).all()
    assert (longer <= refined * (1 + 1e-6)).all()
    assert refined[300:].mean() < 0.95 * plain[300:].mean()


def test_three_steps_come_near_the_optimum_of_scipy(fitted, curved):
    def error(code, row):
        return np.square(fitted.inverse_transform(code[None]) - row).sum()

    held_out = curved[300:340]
    fitted.set_params(transform_max_iter=0)
    best = [
        minimize(error, code, args=(row,), method="Nelder-Mead").fun
        for code, row in zip(fitted.transform(held_out), held_out)
    ]
    fitted.set_params(transform_max_iter=3)
    mine = -fitted.score_samples(held_out)
    assert np.median(mine / best) < 1.01
    assert mine.mean() < 1.1 * np.mean(best)


def test_codes_are_the_encoders_unless_steps_are_asked_for(curved):
    model = AutoencoderTransformer(2, max_iter=5, random_state=0).fit(curved)
    codes = model.transform(curved)
    with torch.no_grad():
        plain = model.encoder_(torch.from_numpy(curved).float()).numpy()
    np.testing.assert_allclose(codes, plain, rtol=1e-4, atol=1e-5)
    refined = model.set_params(transform_max_iter=3).transform(curved)
    assert np.abs(refined - codes).max() > 0.01


def test_before_a_fit_there_is_nothing_to_refine_by():
    model, x = linear_model(SquaredError(D)), rows(5)
    assert torch.equal(model.best_code(x, 3), model.encode(x).mean)


def test_pca_has_nothing_to_refine(iris):
    initial = AutoencoderTransformer(2, max_iter=0, random_state=0).fit(iris)
    codes = initial.transform(iris)
    initial.set_params(transform_max_iter=10)
    np.testing.assert_allclose(initial.transform(iris), codes, rtol=1e-6, atol=1e-9)


def test_a_decoder_that_ignores_a_code_leaves_it():
    model = linear_model(SquaredError(D))
    model.skip.decode_weight.data.zero_()
    x = rows(5)
    code = with_refiner(model, x).best_code(x, 3)
    assert torch.equal(code, model.encode(x).mean)
