"""The transformers of a detector: which, and with seeds of their own."""

import numpy as np
from sklearn.base import clone

from skae.transformers import AutoencoderTransformer, VAETransformer

# What a transformer needs beside `fit`, by the kind of score.
_METHODS = {
    "distances": ("transform", "inverse_transform"),
    "reconstruction": ("transform", "inverse_transform"),
    "likelihood": ("score_samples",),
}


def make_transformer(transformer, outlier_score, n_features, table=None):
    """The transformer, checked; of None, the default of the kind of score, for rows as
    they are, or of a mixed table."""
    if transformer is None:
        return _default(outlier_score, n_features, table)
    needed = _METHODS[outlier_score]
    for method in ("fit", *needed):
        if not hasattr(transformer, method):
            raise TypeError(
                f"transformer must have {', '.join(('fit', *needed[:-1]))} and "
                f"{needed[-1]}; {transformer!r} has no {method}."
            )
    return transformer


def _default(outlier_score, n_features, table):
    # Wide, with one hidden layer and swap noise: chosen in docs/defaults.md.
    if outlier_score == "distances":
        return AutoencoderTransformer(
            64, hidden_layer_sizes=(256,), noise="swap", noise_level=0.2
        )
    n_components = max(1, n_features // 4)
    if outlier_score == "reconstruction":
        return AutoencoderTransformer(n_components)
    if table is not None:
        return VAETransformer(n_components, likelihood=table.likelihood())
    return VAETransformer(n_components)


def with_seed(transformer, random_state):
    """A clone whose generators, also those of nested estimators, have new seeds."""
    transformer = clone(transformer)
    # Sorted: the seeds must not depend on the order in which parameters are listed.
    names = sorted(transformer.get_params())
    seeds = {
        name: random_state.randint(np.iinfo(np.int32).max)
        for name in names
        if name == "random_state" or name.endswith("__random_state")
    }
    # Not its result: frozen estimators, which have no seed to set, return none.
    transformer.set_params(**seeds)
    return transformer
