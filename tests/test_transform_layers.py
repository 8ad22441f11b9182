"""`transform_layers="all"`: the code, then the values of the hidden layers."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import AutoencoderTransformer, VAETransformer
from skae.nn.architectures import MLP

BOTH = [AutoencoderTransformer, VAETransformer]
SHORT = {"max_iter": 3, "hidden_layer_sizes": (12, 7), "random_state": 0}


def fitted(cls, X, **changes):
    return cls(3, **(SHORT | {"transform_layers": "all"} | changes)).fit(X)


@parametrize_with_checks(
    [
        cls(transform_layers="all", max_iter=2, hidden_layer_sizes=(16, 8))
        for cls in BOTH
    ]
)
def test_check_with_all_layers(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", BOTH)
def test_the_code_comes_first_and_is_what_it_was(cls, digits):
    wide = fitted(cls, digits)
    narrow = fitted(cls, digits, transform_layers=None)
    Z = wide.transform(digits)
    assert Z.shape == (len(digits), 3 + 12 + 7 + 7 + 12)
    assert_array_equal(Z[:, :3], narrow.transform(digits))


@pytest.mark.parametrize("cls", BOTH)
def test_hidden_layers_are_what_silu_makes_of_them(cls, digits):
    wide = fitted(cls, digits, init="random")
    Z = wide.transform(digits)
    model = wide.net_.module_

    def dense(h, layer):
        weight, bias = (p.detach().numpy().astype(float) for p in layer.parameters())
        value = h @ weight.T + bias
        return value / (1 + np.exp(-value))

    x = (digits - wide.mean_) / model.units.scale.numpy()
    first = dense(x, model.encoder.hidden[0])
    second = dense(first, model.encoder.hidden[1])
    assert_allclose(Z[:, 3:15], first, atol=1e-10)
    assert_allclose(Z[:, 15:22], second, atol=1e-10)
    z = Z[:, :3] / model.units.code_scale.numpy()
    third = dense(z, model.decoder.hidden[0])
    fourth = dense(third, model.decoder.hidden[1])
    assert_allclose(Z[:, 22:29], third, atol=1e-10)
    assert_allclose(Z[:, 29:], fourth, atol=1e-10)


@pytest.mark.parametrize("cls", BOTH)
def test_names_and_round_trip(cls, digits):
    wide = fitted(cls, digits)
    narrow = fitted(cls, digits, transform_layers=None)
    Z = wide.transform(digits)
    names = wide.get_feature_names_out()
    assert len(names) == len(set(names)) == Z.shape[1]
    assert_array_equal(
        wide.inverse_transform(Z), narrow.inverse_transform(narrow.transform(digits))
    )
    with pytest.raises(ValueError, match=r"3 columns.*41 components"):
        wide.inverse_transform(Z[:, :3])


def test_the_linear_model_has_the_code_alone(digits):
    linear = fitted(AutoencoderTransformer, digits, hidden_layer_sizes=())
    assert linear.transform(digits).shape == (len(digits), 3)


@pytest.mark.parametrize("cls", BOTH)
def test_a_truncated_model_shows_the_layers_of_its_code(cls, digits):
    whole = fitted(cls, digits, ordered=True)
    short = whole.truncate(2).truncate(1)
    Z, Z_short = whole.transform(digits), short.transform(digits)
    assert Z_short.shape == (len(digits), 1 + 38)
    # The encoder's layers know nothing of the size; the decoder's do.
    assert_array_equal(Z_short[:, 1:20], Z[:, 3:22])
    assert np.abs(Z_short[:, 20:] - Z[:, 22:]).max() > 1e-3
    assert_array_equal(short.inverse_transform(Z_short).shape, digits.shape)


def test_a_ratio_of_the_variance_and_a_pipeline(digits):
    model = AutoencoderTransformer(0.6, transform_layers="all", **SHORT)
    Z = make_pipeline(model, StandardScaler()).fit_transform(digits)
    assert Z.shape[1] == model.fit(digits).n_components_ + 38


def test_dropout_is_off_and_widths_are_those_of_the_decoder(digits):
    mlp = MLP(dropout=0.5, decoder_layer_sizes=(5,))
    wide = fitted(AutoencoderTransformer, digits, architecture=mlp)
    Z = wide.transform(digits)
    assert Z.shape[1] == 3 + 12 + 7 + 5
    assert_array_equal(Z, wide.transform(digits))


def own(sample_shape, hidden_layer_sizes, activation, n_in, n_out):
    return tuple(torch.nn.Linear(*sizes) for sizes in zip(n_in, n_out))


@pytest.mark.parametrize("architecture", ["conv", "recurrent", "attention", own])
def test_other_architectures_are_refused_before_training(architecture, digits):
    shape = {"conv": (1, 8, 8), "recurrent": (8, 8), "attention": (8, 8)}
    model = AutoencoderTransformer(
        architecture=architecture,
        sample_shape=shape.get(architecture) if architecture is not own else None,
        transform_layers="all",
        max_iter=10**6,
    )
    with pytest.raises(ValueError, match="transform_layers='all' needs fully"):
        model.fit(digits)
    assert not hasattr(model, "net_")


def test_the_option_may_be_set_after_the_fit(digits):
    model = fitted(AutoencoderTransformer, digits, transform_layers=None)
    narrow = model.transform(digits)
    wide = model.set_params(transform_layers="all").transform(digits)
    assert_array_equal(wide[:, :3], narrow)
    with pytest.raises(ValueError, match="transform_layers"):
        model.set_params(transform_layers="some").fit(digits)
