"""Loadings of the transformers, beside PCA's and torch's own derivatives."""

import copy

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer, VAETransformer

KINDS = [AutoencoderTransformer, VAETransformer]


def test_a_linear_autoencoder_has_the_components_of_pca(table):
    pca = PCA(3).fit(table)
    fitted = AutoencoderTransformer(3, hidden_layer_sizes=(), random_state=0).fit(table)
    cosines = (fitted.components_ * pca.components_).sum(1)
    assert np.abs(cosines) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(fitted.components_, axis=1) == pytest.approx(1, abs=1e-6)


def test_a_linear_vae_has_those_of_probabilistic_pca(iris):
    pca = PCA(2).fit(iris)
    fitted = VAETransformer(2, max_iter=0, random_state=0).fit(iris)
    deviations = np.sqrt(pca.explained_variance_ - pca.noise_variance_)
    loadings = np.abs(pca.components_ * deviations[:, None])
    # Both have a noise variance, with the divisors n and n - 1.
    assert np.abs(fitted.components_) == pytest.approx(loadings, rel=0.02, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_the_mean_of_derivatives(curved, kind):
    fitted = kind(2, max_iter=5, random_state=0).fit(curved)
    codes = fitted._code_mixture.sample(256, np.random.RandomState(fitted._seed))
    decode = copy.deepcopy(fitted.decoder_).double()
    jacobian = torch.func.jacrev(lambda z: decode(z).mean(0))(codes)  # (d, n, k)
    truth = jacobian.sum(1).T.detach().numpy()
    assert fitted.components_ == pytest.approx(truth, rel=1e-5)


@pytest.mark.parametrize("architecture", ["conv", "recurrent", "attention"])
def test_every_architecture_has_them(digits, architecture):
    shape = (1, 8, 8) if architecture == "conv" else (8, 8)
    fitted = AutoencoderTransformer(
        2, architecture=architecture, sample_shape=shape, max_iter=1, random_state=0
    ).fit(digits)
    assert fitted.components_.shape == (2, 64)
    assert np.isfinite(fitted.components_).all()


def test_they_change_nothing_and_are_absent_before_a_fit(iris):
    model = AutoencoderTransformer(2, max_iter=1, random_state=0)
    assert not hasattr(model, "components_")
    before = dict(vars(model.fit(iris.astype(np.float32))))
    components = model.components_
    assert vars(model) == before
    assert components.dtype == np.float32
    assert np.array_equal(components, model.components_)
