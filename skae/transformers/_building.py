"""The first functions of a fit, in their order: likelihood, units, model, its weights.

Each takes the estimator, whose parameters it reads, and sets nothing on it.
"""

import copy
import math
from numbers import Integral

import torch

from skae.data._arrays import as_tensor
from skae.data._axes import axes_of, n_axes_explaining, principal_axes
from skae.data._rows import CHUNK, Moments, ResidentRows, exact_split
from skae.data._streamed_rows import StreamedRows, moments_of
from skae.data._streams import Stream
from skae.nn._build import build_model, model_config, set_penalty
from skae.nn._imputation import missing_groups
from skae.nn._init_pca import LinearInit, init_from_axes
from skae.nn._missing_normal import fit_missing_normal
from skae.nn._params import to_python
from skae.nn._units import Units
from skae.nn.architectures import ARCHITECTURES
from skae.nn.penalties import PENALTIES, make_penalty
from skae.transformers._likelihood_spec import (
    check_missing,
    check_support,
    make_likelihood,
)
from skae.transformers._parameters import is_ratio, orders_latents
from skae.transformers._weights import in_order

# Rows or features from which automatic layers are twice as wide: images and large
# tables gain by it, others take twice as long for nothing (docs/defaults.md).
MANY_ROWS, _MANY_FEATURES = 5_000, 100


def choose_likelihood(estimator, frame, X, previous):
    """Likelihood of rows X (n, d), whose values are checked against its support.

    `frame` has the names of the columns, and `previous` is the net of the fit that goes
    on, or None.
    """
    choice, registry = estimator._likelihood_choice()
    tensor, names = as_tensor(X), estimator._names_of_features
    if estimator._table is not None:
        choice = estimator._table.likelihood()
    # Lists of rows have no columns that could be named: those of the array count.
    frame = frame if hasattr(frame, "shape") else X
    # "auto" is decided once: later rows may not show of what kind a column is.
    if previous is not None and choice == "auto":
        likelihood = previous.module_.likelihood
    else:
        likelihood = make_likelihood(choice, registry, frame, tensor)
    if previous is None and estimator.allow_nan:
        check_missing(likelihood, tensor, names)
    check_support(likelihood, tensor, names)
    return likelihood


def build(estimator, X, likelihood, device, seed, previous, is_incremental):
    """Standardized rows (n, d), and a new model or a copy of the previous one.

    X (n, d) is in data units; `previous` is the net of the fit that goes on, or None.
    """
    X = as_tensor(X)
    X = X if is_incremental else in_order(X)
    if previous is None:
        units = units_of(X, likelihood, device)
        # An encoded table that is large: nobody else has these rows, unless they are
        # kept for the pass that follows.
        in_place = (
            estimator._table is not None
            and not is_incremental
            and X.dtype == torch.float32
            and device == X.device
        )
        rows = make_rows(X, units, device, in_place)
        k = n_latents(estimator, rows, seed)
        widths = hidden_widths(estimator.hidden_layer_sizes, *X.shape)
        config, given = describe(estimator, likelihood, k, X.shape[1], widths)
        model = build_model(config, given).to(device)
        # The number of latents, which the units of a model hold too, needed the rows.
        model.units.set(units.loc, units.scale, likelihood.scaled_features)
        if not in_place:
            observe_range(model, X)
        return rows, model
    # A ratio, or None, stands for the number of latents that the first fit found.
    has_size = isinstance(estimator.n_components, Integral)
    k = int(estimator.n_components) if has_size else previous.module_.n_components
    # "auto" as well is decided by the rows of the first fit.
    widths = previous.module_.config()["hidden_layer_sizes"]
    if not isinstance(estimator.hidden_layer_sizes, str):
        widths = hidden_widths(estimator.hidden_layer_sizes, *X.shape)
    config, given = describe(estimator, likelihood, k, X.shape[1], widths)
    # A discriminator goes on from pass to pass; another `fit` begins with a new one.
    keeps_penalty = is_incremental and estimator._is_incremental
    model = continued(estimator, previous.module_, config, given, keeps_penalty)
    model = model.to(device)
    observe_range(model, X)
    # The units stay those of the first rows, which the weights belong to.
    return make_rows(X, model.units, device), model


def make_rows(X, units, device, in_place=False):
    """Rows X (n, d), standardized by the units of a model."""
    if isinstance(X, Stream):
        return StreamedRows(X, units, device)
    return ResidentRows(X, units, device, in_place)


def units_of(X, likelihood, device) -> Units:
    """Centre (d,) of rows X (n, d), and their scale (d,): one for all features that the
    likelihood treats alike. Both are in data units.

    Raises
    ------
    ValueError
        If a variance is out of the range of float64.
    """

    # In float64: float32 would lose deviations beside a large mean.
    def chunks():
        return (rows.to(device, torch.float64) for rows in exact_split(X))

    is_stream = isinstance(X, Stream)
    moments = moments_of(X) if is_stream else Moments.of(chunks)
    scale = torch.ones_like(moments.mean)
    for columns in likelihood.scale_groups():
        scale[columns] = moments.common_scale(columns.to(scale.device))
    # The variance farthest from one, on a log scale, is the first out of range.
    variance = scale.square()
    variance = float(variance[variance.log().abs().argmax()])
    if not 0 < variance < math.inf:
        raise ValueError(
            f"The variance of X, {variance:g}, is out of range; rescale X."
        )
    units = Units(X.shape[1], 1).to(device)
    units.set(moments.mean, scale, likelihood.scaled_features)
    return units


def observe_range(model, X):
    """Widen the range of the model's features to that of rows X (n, d), data units."""
    chunks = [X.ends] if isinstance(X, Stream) else exact_split(X)
    for rows in chunks:
        model.units.observe(rows)
    # The initial model takes over the likelihood of a new model, but not of later rows.
    for part in (model, model.initial):
        if part is not None:
            part.likelihood.set_range(model.units.lowest, model.units.highest)


def n_latents(estimator, rows, seed) -> int:
    """Number of latents to train; for a ratio of the variance what PCA needs for it,
    and for None all axes of PCA."""
    if estimator.n_components is None:
        return min(rows.n_rows, rows.n_features)
    if is_ratio(estimator):
        return n_axes_explaining(rows, estimator.n_components, seed)
    return int(estimator.n_components)


def describe(estimator, likelihood, n_components, n_features, widths):
    """The description of the model with these parameters, and the parts in it.

    A pair of dicts: `config` and `given` of `skae.nn._build.build_model`.
    """
    architecture = estimator.architecture
    if isinstance(architecture, str):
        architecture = ARCHITECTURES[architecture]
    # None for point codes, whose posterior has no divergence from it.
    prior = estimator._make_prior(n_components, n_features)
    penalty = make_penalty(
        PENALTIES,
        estimator.penalty,
        estimator.penalty_weight,
        has_posterior=prior is not None,
    )
    return model_config(
        n_features=n_features,
        n_components=n_components,
        posterior=estimator._posterior,
        architecture=architecture,
        sample_shape=estimator.sample_shape,
        hidden_layer_sizes=widths,
        activation=estimator.activation,
        likelihood=likelihood,
        prior=prior,
        penalty=penalty,
        ordered=orders_latents(estimator),
        has_missing=estimator.allow_nan,
        # Only probabilistic PCA is a density to keep beside the trained one.
        has_initial=prior is not None and estimator.init == "pca",
    )


# Parameters that define the model, by their keys in the description.
_PARAMETERS = {
    "n_components": "n_components",
    "architecture": "architecture",
    "hidden_layer_sizes": "hidden_layer_sizes",
    "activation": "activation",
    "sample_shape": "sample_shape",
    "prior": "prior",
    "ordered": "ordered",
    "has_missing": "allow_nan",
}


def continued(estimator, previous, config, given, keeps_penalty):
    """A copy of the previous model, with the penalty of the current parameters.

    `keeps_penalty` says whether an unchanged penalty keeps what it has learned.

    Raises
    ------
    ValueError
        If the parameters ask for another structure.
    """
    before = previous.config()
    # The likelihood is a parameter of two names.
    own_name = next(n for n in ("likelihood", "loss") if hasattr(estimator, n))
    for key, name in {**_PARAMETERS, "likelihood": own_name}.items():
        if config[key] != before[key]:
            value = getattr(estimator, name)
            raise ValueError(
                f"{name}={value!r}, unlike the fit that goes on; set warm_start=False "
                "to start anew."
            )
    # A copy, so that the previous model survives a fit that fails.
    model = copy.deepcopy(previous)
    if config["penalty"] != before["penalty"] or not keeps_penalty:
        set_penalty(model, given["penalty"], config, given)
    return model


def hidden_widths(hidden_layer_sizes, n_rows, n_features) -> tuple[int, ...]:
    """Hidden layer sizes as a tuple of positive integers."""
    hidden_layer_sizes = to_python(hidden_layer_sizes)
    if isinstance(hidden_layer_sizes, str):
        is_large = n_rows >= MANY_ROWS or n_features >= _MANY_FEATURES
        return (512, 256) if is_large else (256, 128)
    # One number is one hidden layer.
    if isinstance(hidden_layer_sizes, Integral):
        hidden_layer_sizes = (hidden_layer_sizes,)
    widths = tuple(hidden_layer_sizes)
    for width in widths:
        if not isinstance(width, Integral) or width < 1:
            raise ValueError(
                f"hidden_layer_sizes must hold integers >= 1; got {hidden_layer_sizes}."
            )
    return tuple(int(width) for width in widths)


def initialise(estimator, model, rows, seed) -> float:
    """Set the weights of `model` from standardized rows (n, d).

    Returns
    -------
    unexplained : float
        Fraction of the variance that the initial model leaves unexplained; 1 for random
        weights.
    """
    # First, because all that follows needs complete rows.
    if model.imputer is not None:
        groups = missing_groups(model.likelihood).to(rows.device)
        model.imputer.normal = fit_missing_normal(
            rows.exact_at, rows.n_rows, seed, groups
        )
        rows.complete(model.imputer.complete)
    if model.prior is not None:
        # A chunk of rows has enough for pseudo-inputs and centres of a mixture.
        generator = torch.Generator().manual_seed(seed)
        model.prior.init_params(rows.take(CHUNK, seed).completed_rows(), generator)
    if estimator.init == "random":
        model.skip.randomize()
        return 1.0
    moments = rows.moments()
    linear = LinearInit.of(model, moments.mean, moments.variance, rows.n_rows)
    if rows.has_missing:
        # (d, d): incomplete rows have no axes of their own, but their distribution has.
        covariance = torch.outer(linear.encode, linear.encode)
        covariance = covariance * model.imputer.normal.covariance
        axes = axes_of(covariance, model.n_components)
    else:
        axes = principal_axes(rows, linear.encode, model.n_components, seed)
    return init_from_axes(model, axes, linear, rows.n_rows)
