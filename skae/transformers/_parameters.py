"""Types and ranges of the parameters of transformers, and how they may be combined."""

import os
from numbers import Integral, Real

import numpy as np

from skae._sklearn import Interval, StrOptions
from skae.nn._activations import ACTIVATIONS
from skae.nn._corruption import NOISES, make_corruption
from skae.nn.architectures import ARCHITECTURES
from skae.nn.penalties import PENALTIES, make_penalty

# As scikit-learn's `_parameter_constraints`: alternatives, of which one must hold.
COMMON_CONSTRAINTS: dict = {
    # A number of latents, or a ratio of the variance; 1.0 would be neither.
    "n_components": [
        None,
        Interval(Integral, 1, None, closed="left"),
        Interval(Real, 0, 1, closed="neither"),
    ],
    "hidden_layer_sizes": [
        StrOptions({"auto"}),
        "array-like",
        Interval(Integral, 1, None, closed="left"),
    ],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "architecture": [StrOptions(set(ARCHITECTURES)), callable],
    "sample_shape": ["array-like", None],
    "noise": [None, StrOptions(set(NOISES)), callable],
    "noise_level": [Interval(Real, 0, None, closed="left")],
    "transform_layers": [None, StrOptions({"all"})],
    "penalty": [None, StrOptions(set(PENALTIES)), callable, list, tuple],
    "penalty_weight": [Interval(Real, 0, None, closed="left"), "array-like"],
    "ordered": ["boolean"],
    "init": [StrOptions({"pca", "random"})],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "learning_rate_init": [
        StrOptions({"auto"}),
        Interval(Real, 0, None, closed="neither"),
    ],
    "batch_size": [
        StrOptions({"auto"}),
        Interval(Integral, 1, None, closed="left"),
    ],
    "max_iter": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
    "early_stopping": [StrOptions({"auto"}), "boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "allow_nan": ["boolean"],
    "max_categories": [Interval(Integral, 2, None, closed="left")],
    "handle_unknown": [StrOptions({"missing", "error"})],
    "warm_start": ["boolean"],
    "precision": [StrOptions({"auto", "float32", "bfloat16"})],
    "device": [str],
    "callbacks": [None, list],
    "checkpoint": [None, str, os.PathLike],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def is_ratio(estimator) -> bool:
    """Whether `n_components` is a ratio of the variance, not a number of latents."""
    k = estimator.n_components
    return k is not None and not isinstance(k, Integral)


def orders_latents(estimator) -> bool:
    """Whether latents are trained in order: a ratio, too, keeps a prefix of a code."""
    return bool(estimator.ordered or is_ratio(estimator))


def trains_its_score(estimator) -> bool:
    """Whether training raises what `score` measures, and nothing else."""
    objective = estimator._objective_parameters()
    has_penalty = estimator.penalty is not None and np.any(estimator.penalty_weight)
    return not (
        has_penalty
        or (estimator.noise and estimator.noise_level)
        or orders_latents(estimator)
        or objective.get("criterion__beta", 1.0) != 1.0
        or objective.get("criterion__capacity")
        or objective.get("criterion__free_bits")
    )


def check_parameters(estimator):
    """Raise where the parameters of a transformer contradict one another.

    Parameters
    ----------
    estimator : BaseAutoencoder
        Its parameters have passed `COMMON_CONSTRAINTS`.

    Raises
    ------
    TypeError, ValueError
        With the names of the parameters.
    """
    # Both are made for their checks alone; a fit makes them again when it needs them.
    make_corruption(estimator.noise, estimator.noise_level)
    penalty = make_penalty(
        PENALTIES,
        estimator.penalty,
        estimator.penalty_weight,
        has_posterior=estimator._posterior != "point",
    )
    # "auto" does without validation rows where epochs do not compare; True cannot.
    must_compare = estimator.early_stopping and estimator.early_stopping != "auto"
    if must_compare and not (penalty is None or penalty.is_comparable):
        raise ValueError(
            f"early_stopping=True, but penalty={estimator.penalty!r} has no value by "
            "which epochs compare; the last one is kept with 'auto' or False."
        )


def check_variational_parameters(estimator):
    """Raise where parameters that only a variational transformer has do not agree.

    Raises
    ------
    ValueError
        If latents are ordered without a standard normal prior and one draw, or several
        draws meet a term that needs the divergence of one.
    """
    n_draws = estimator.n_draws
    # Prefixes of a code have a prior of their own only where latents are independent.
    if orders_latents(estimator) and not (estimator.prior == "normal" and n_draws == 1):
        raise ValueError(
            "Ordered latents need prior='normal' and n_draws=1; got "
            f"prior={estimator.prior!r} and n_draws={n_draws}."
        )
    for name in ("capacity", "free_bits", "penalty"):
        if n_draws > 1 and getattr(estimator, name):
            raise ValueError(
                f"{name} needs n_draws=1: a bound of {n_draws} draws has no "
                "divergence of its own."
            )
