"""Models without data, for tests of what works on tensors."""

from skae.nn._build import build_model, model_config
from skae.nn.architectures import ARCHITECTURES


def make_model(
    likelihood,
    n_components,
    prior=None,
    *,
    architecture="mlp",
    sample_shape=None,
    hidden_layer_sizes=(),
    activation="tanh",
    penalty=None,
    is_ordered=False,
    has_missing=False,
    has_initial=False,
):
    """A new model of a likelihood's rows; point codes where there is no prior."""
    if isinstance(architecture, str):
        architecture = ARCHITECTURES[architecture]
    config, given = model_config(
        n_features=likelihood.n_features,
        n_components=n_components,
        posterior="point" if prior is None else "normal",
        architecture=architecture,
        sample_shape=sample_shape,
        hidden_layer_sizes=hidden_layer_sizes,
        activation=activation,
        likelihood=likelihood,
        prior=prior,
        penalty=penalty,
        ordered=is_ordered,
        has_missing=has_missing,
        has_initial=has_initial,
    )
    return build_model(config, given)
