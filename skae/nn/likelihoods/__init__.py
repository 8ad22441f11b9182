"""Likelihoods of a row given its code.

A likelihood is an `nn.Module` with

- ``n_params``, the number of parameters a feature takes from the decoder;
- ``is_scaled``, whether the model may centre and scale the data for it;
- ``log_prob(params, x) -> (n,)``, summed over the features;
- ``mean(params)`` and ``sample(params, generator)``;
- ``in_data_units(log_prob, scale, n_features)``, which undoes the effect of the scale;
- ``check(X)``, which raises where X leaves the support.
"""

from skae.nn.likelihoods._bernoulli import Bernoulli
from skae.nn.likelihoods._gaussian import Gaussian
from skae.nn.likelihoods._squared_error import SquaredError

LIKELIHOODS = {"gaussian": Gaussian, "bernoulli": Bernoulli}

# A loss is a likelihood under another name, less the constants.
LOSSES = {"squared_error": SquaredError, "binary_cross_entropy": Bernoulli}

__all__ = ["LIKELIHOODS", "LOSSES", "Bernoulli", "Gaussian", "SquaredError"]
