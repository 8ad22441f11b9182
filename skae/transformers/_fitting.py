"""The functions of a fit, in the order in which they happen.

Each takes the estimator, whose parameters it reads, and sets nothing on it: the last
one returns the fitted attributes, which are assigned when everything has succeeded.
"""

import copy
import math
import warnings
from dataclasses import dataclass, replace
from functools import partial

import torch
from sklearn.exceptions import ConvergenceWarning

from skae.data._rows import ResidentRows
from skae.nn._corruption import make_corruption
from skae.nn._model import LatentModel
from skae.nn._modules import n_hidden
from skae.nn._own_draws import drawing_from
from skae.nn._sizes import n_macs
from skae.nn._sparse_rows import takes_sparse_rows
from skae.nn.likelihoods import SquaredError
from skae.training import (
    Checkpoint,
    LatentNet,
    Phase,
    TrainingResult,
    training_callbacks,
)
from skae.training._device import resolve_precision
from skae.training._encoder_phase import has_encoder_phase, train_encoder
from skae.transformers._building import (
    MANY_ROWS,
    build,
    choose_likelihood,
    initialise,
)
from skae.transformers._density_ratio import learn_density_ratio
from skae.transformers._finalising import finalise
from skae.transformers._likelihood_spec import draws_noise
from skae.transformers._monitoring import Monitor

# Steps of an epoch that the automatic batch size aims at, and the fewest rows of one;
# the same where more steps pay: rows are corrupted, or seen in one pass alone.
_STEPS_PER_EPOCH, _LEAST_ROWS = 12, 32
_MORE_STEPS_PER_EPOCH, _LEAST_OF_MORE = 24, 8

# Rows of a batch, but for tables that would have more than so many steps an epoch.
_MOST_ROWS, _MOST_STEPS_PER_EPOCH = 256, 500

# The same of sparse rows: a step has products of all weights, whatever its rows are.
_MOST_SPARSE_ROWS = 2048

# Peak learning rates.
_RATE, _RATE_OF_LONG_FITS = 8e-3, 4e-3

# Automatic number of epochs, of mixed tables, and of their steps at most.
_MAX_EPOCHS, _MAX_TABLE_EPOCHS, _MAX_STEPS = 100, 60, 10_000

# Epochs whose weights are averaged: each row counts once. Three gain nothing.
_AVERAGED_EPOCHS = 1.0

# Smallest rate of the output layers, relative to the hidden layers: they must be able
# to move where the initial model leaves nearly nothing unexplained.
_MIN_OUTPUT_RATE = 1e-2

# Rows below which there are no validation rows: one or two could not choose an epoch.
_MIN_ROWS_TO_SPLIT = 10

# Rows a component below which a PCA reproduces validation rows that it has seen much
# better than others, so that no epoch could compete.
_ROWS_PER_COMPONENT = 10

# Fraction of the variance below which the residual of the initial model is rounding of
# float32.
_NOTHING_LEFT = 1e-6


@dataclass
class Fit:
    """State of a running fit."""

    rows: ResidentRows  # (n, d), standardized; training and validation rows
    model: LatentModel
    seed: int
    previous: LatentNet | None  # of the fit that this one goes on from
    is_incremental: bool  # one pass of `partial_fit`
    checkpoint: Checkpoint | None = None
    monitor: Monitor | None = None  # for callbacks of scikit-learn

    def phase(self, name: str) -> Phase | None:
        """What is written of one of its trainings."""
        return self.checkpoint and Phase(self.checkpoint, name)


def fit_estimator(
    estimator,
    frame,
    X,
    device,
    seed,
    previous,
    is_incremental,
    checkpoint=None,
    monitor=None,
) -> dict:
    """Fit to validated rows; return the fitted attributes by name.

    Parameters
    ----------
    estimator : BaseAutoencoder
        Its parameters are read; nothing is set on it.
    frame : array-like or dataframe of shape (n, d)
        Rows as users passed them: names of columns refer to it.
    X : array of shape (n, d)
        The same rows, validated, in data units.
    device : torch.device
        Device of the model and of the standardized rows.
    seed : int
        Seed of all generators of the fit.
    previous : LatentNet or None
        Net of an earlier fit that this one goes on from.
    is_incremental : bool
        Whether this is one pass of several, by `partial_fit`.
    checkpoint : Checkpoint or None
        From which the fit goes on, and where it writes its state.
    monitor : Monitor or None
        What scikit-learn's callbacks learn of the epochs from.

    Returns
    -------
    fitted : dict
        Attributes of the estimator by name.
    """
    own = torch.Generator().manual_seed(seed)
    with drawing_from(own, all_of_torch=True):
        likelihood = choose_likelihood(estimator, frame, X, previous)
        rows, model = build(
            estimator, X, likelihood, device, seed, previous, is_incremental
        )
    # Now, since it raises for networks without such layers: before hours of training.
    if estimator.transform_layers == "all":
        n_hidden(model)
    fit = Fit(rows, model, seed, previous, is_incremental, checkpoint, monitor)
    split = validation_split(estimator, fit)
    unexplained = 1.0
    # With few rows a component, a PCA reproduces whatever rows it has seen. The initial
    # model is then that of the training rows alone, so that validation rows are new to
    # it as well, and that of all rows in the end if no epoch is better.
    is_blind = bool(previous is None and split and _has_few_rows(fit))
    if previous is None:
        seen = split(rows)[0] if is_blind else rows
        with drawing_from(own, all_of_torch=True):
            unexplained = initialise(estimator, model, seen, seed)
    net = make_net(estimator, fit, split, unexplained)
    if is_blind:
        net.min_gain = min_gain(estimator, fit)
    if monitor is not None:
        monitor.begin(net.max_epochs, partial(_as_if_ended, estimator, fit, X))
    result = train(estimator, fit, net, unexplained)
    if result.kept_initial and is_blind and estimator.init == "pca":
        with drawing_from(own, all_of_torch=True):
            initialise(estimator, model, rows, seed)
    fitted = finalise(estimator, fit, net, result, like_X=X)
    # A pass over a few rows is no sample of the data.
    draws = estimator._table is not None and draws_noise(model.likelihood, None)
    if draws and not is_incremental:
        ratio = learn_density_ratio(estimator, fitted, rows, seed)
        fitted["_density_ratio"] = ratio
    return fitted


def validation_split(estimator, fit):
    """Function from rows to training and validation rows, or None for no such split.

    It makes the same split in each call.
    """
    # A single pass has no epochs to choose from, and no pass needs no rows.
    if fit.is_incremental or not estimator.max_iter:
        return None
    n_rows, penalty = fit.rows.n_rows, fit.model.penalty
    holds_out = estimator.early_stopping and n_rows > 1
    if estimator.early_stopping == "auto":
        is_comparable = penalty is None or penalty.is_comparable
        is_enough = n_rows >= _MIN_ROWS_TO_SPLIT
        # The loss of a linear autoencoder has one minimum, which needs no choice.
        holds_out = is_enough and is_comparable and not fit.model.is_linear_autoencoder
    if not holds_out:
        return None
    fraction = estimator.validation_fraction
    return partial(type(fit.rows).split, fraction=fraction, seed=fit.seed)


def _has_few_rows(fit) -> bool:
    """Whether PCA reproduces its rows because they are few for so many components."""
    return fit.rows.n_rows < _ROWS_PER_COMPONENT * fit.model.n_components


def min_gain(estimator, fit) -> float | None:
    """Fraction of the validation loss by which training must beat the initial model, or
    None for no such bar.

    It is what the initial model itself would gain if it saw the validation rows as
    well. The error of PCA of n rows on new rows is about 1 + k / n times that of the
    true k axes; a fraction f of the rows is then worth f / (1 - f) * k / n. A density
    needs no bar: it keeps the initial model as a component.
    """
    model, fraction = fit.model, estimator.validation_fraction
    if model.prior is not None or estimator.init != "pca" or model.imputer is not None:
        return None
    return fraction / (1 - fraction) * model.n_components / fit.rows.n_rows


def make_net(estimator, fit, split, unexplained) -> LatentNet:
    """The net that trains the model of a fit, initialised."""
    rows, model = fit.rows, fit.model
    rows.stays_sparse = rows.is_sparse and _takes_sparse(estimator, model)
    batch_size = _batch_size(estimator, rows, fit.is_incremental)
    net = LatentNet(
        model,
        alpha=estimator.alpha,
        clip=estimator._clip,
        n_valid_draws=estimator._n_valid_draws,
        precision=_precision(estimator, model, rows, batch_size),
        # Counted in steps, as the average is updated after each.
        n_averaged=_AVERAGED_EPOCHS * rows.n_rows / batch_size,
        corrupt=make_corruption(estimator.noise, estimator.noise_level),
        seed=fit.seed,
        output_rate=_output_rate(fit, unexplained),
        lr=_learning_rate(estimator, fit),
        max_epochs=_n_epochs(estimator, fit, batch_size),
        batch_size=batch_size,
        train_split=split,
        callbacks=training_callbacks(
            # How many passes will follow is not known: the rate is constant.
            schedule=not fit.is_incremental,
            patience=estimator.n_iter_no_change,
            verbose=estimator.verbose,
            users=estimator.callbacks,
            reports=fit.monitor and fit.monitor.reports(),
        ),
        device=str(rows.device),
        verbose=int(estimator.verbose),
        checkpoint=fit.phase("training"),
        **estimator._objective_parameters(),
    ).initialize()
    # The momentum of the last pass is of no use if a `fit` has moved the weights since.
    if fit.is_incremental and fit.previous is not None and estimator._is_incremental:
        net.go_on_from(fit.previous)
    return net


def train(estimator, fit, net, unexplained) -> TrainingResult:
    """Train, unless the initial model cannot be improved or no epoch is wanted."""
    may_improve = (
        fit.is_incremental
        or fit.previous is not None
        or _can_improve(estimator, fit.model, unexplained)
    )
    if not (net.max_epochs and may_improve):
        return TrainingResult([], stopped_by="max_iter" if may_improve else "converged")
    # Not yet in a fit that goes on, or where the initial model saw a part of the rows.
    if fit.model.imputer is not None and fit.rows.completed is None:
        fit.rows.complete(fit.model.imputer.complete)
    result = net.train(fit.rows)
    # After the decoder is final: its rows are what the encoder learns from.
    if has_encoder_phase(net, result):
        result = train_encoder(net, fit.rows, result, fit.phase("encoder"))
    return result


def _as_if_ended(estimator, fit, like_X, net) -> dict:
    """Fitted attributes, by name, as the weights of a running fit are now."""
    # By what a pickle holds, so that training goes on with another model.
    made = copy.deepcopy(net)
    made.train_split = net.train_split
    epochs = [e for e in net.history if "train_loss" in e]
    result = TrainingResult(epochs, best_epoch=len(epochs))
    with warnings.catch_warnings():
        # Of a posterior that has collapsed, which the whole fit may mend.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return finalise(
            estimator, replace(fit, model=made.module_), made, result, like_X=like_X
        )


def _output_rate(fit, unexplained) -> float:
    """Rate of the skip and of the output layers, relative to that of the hidden layers.

    It is proportional to the initial model's residual: Adam's steps have one size, and
    would otherwise undo a good initial model before they can improve on it.
    """
    if fit.previous is not None:
        return fit.previous.output_rate
    # The root, since steps are in units of the residual, not of its square.
    return max(unexplained**0.5, _MIN_OUTPUT_RATE)


def _can_improve(estimator, model, unexplained) -> bool:
    """Whether the initial model leaves more than rounding to learn.

    A variational model can always learn the shape of the density, and any model the
    objectives beside reconstruction. A linear autoencoder cannot beat PCA.
    """
    is_plain = model.penalty is None and not _has_noise(estimator)
    if model.prior is not None or not is_plain:
        return True
    # PCA is the optimum for squared errors alone (Eckart and Young).
    is_optimal = model.is_linear_autoencoder and isinstance(
        model.likelihood, SquaredError
    )
    if estimator.init == "pca" and is_optimal:
        return False
    return unexplained > _NOTHING_LEFT


def _takes_sparse(estimator, model) -> bool:
    """Whether batches need not be dense."""
    return (
        takes_sparse_rows(model)
        and not _has_noise(estimator)
        and estimator.precision != "bfloat16"
    )


def _precision(estimator, model, rows, batch_size) -> str:
    """Precision of the products in training: "float32" or "bfloat16"."""
    if rows.stays_sparse:
        return "float32"
    # A user's network may hold operations that bfloat16 spoils: it must agree.
    if all(getattr(body, "half_precision", False) for body in model.bodies):
        return resolve_precision(
            estimator.precision, rows.device, batch_size * n_macs(model)
        )
    if estimator.precision == "bfloat16":
        raise ValueError(
            f"precision='bfloat16', but architecture={estimator.architecture!r} is for "
            "float32: a body's half_precision is False."
        )
    return "float32"


def _batch_size(estimator, rows, is_incremental) -> int:
    """Rows of a step."""
    n_rows = rows.n_rows
    if estimator.batch_size != "auto":
        return min(int(estimator.batch_size), n_rows)
    n_steps, least = _STEPS_PER_EPOCH, _LEAST_ROWS
    if is_incremental or _has_noise(estimator):
        n_steps, least = _MORE_STEPS_PER_EPOCH, _LEAST_OF_MORE
    most = _MOST_SPARSE_ROWS if rows.stays_sparse else _MOST_ROWS
    aim = max(min(n_rows / n_steps, most), n_rows / _MOST_STEPS_PER_EPOCH)
    # The nearest power of two.
    return min(max(2 ** round(math.log2(aim)), least), n_rows)


def _learning_rate(estimator, fit) -> float:
    """Peak rate: that of many steps is lower, and so is one that does not fall."""
    if estimator.learning_rate_init != "auto":
        return estimator.learning_rate_init
    is_long = fit.is_incremental or fit.rows.n_rows >= MANY_ROWS
    return _RATE_OF_LONG_FITS if is_long or _has_noise(estimator) else _RATE


def _has_noise(estimator) -> bool:
    """Whether rows are corrupted, so that each epoch has other ones."""
    return bool(estimator.noise and estimator.noise_level)


def _n_epochs(estimator, fit, batch_size) -> int:
    """Largest number of epochs."""
    if fit.is_incremental:
        return 1
    if estimator.max_iter != "auto":
        return estimator.max_iter
    most = _MAX_EPOCHS if estimator._table is None else _MAX_TABLE_EPOCHS
    return min(most, math.ceil(_MAX_STEPS * batch_size / fit.rows.n_rows))
