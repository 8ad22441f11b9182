"""Callbacks around the batches: learning rate, best epoch, recovery."""

import math
import warnings
from types import SimpleNamespace

from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EpochScoring,
    EpochTimer,
    LRScheduler,
    ParamMapper,
    PrintLog,
)
from torch import Tensor
from tqdm.auto import tqdm

# What freezes single weights or scores predictions of a batch: the optimiser holds all
# weights in a few vectors, and a net of no targets predicts nothing.
_POWERLESS = (ParamMapper, EpochScoring, BatchScoring)


# Times that training goes on at a lower rate after a loss that is not finite.
_N_RESCUES = 3


class OneCycle(Callback):
    """One-cycle learning rate: up along half a cosine, then down to nearly zero.

    The peak rate is reached after the fraction `warmup` of all steps, the last one is
    `floor` times the peak. Smith, L. N. and Topin, N. (2018). Super-convergence: very
    fast training of neural networks using large learning rates. arXiv:1708.07120.
    """

    def __init__(self, warmup: float = 0.1, floor: float = 1e-2):
        self.warmup, self.floor = warmup, floor

    def on_train_begin(self, net, **kwargs):
        self.step_ = 0

    def on_batch_begin(self, net, training=False, **kwargs):
        if not training:
            return
        # Of the steps that are planned: early stopping leaves the rate where it is.
        net.set_rate(self._relative_rate(self.step_ / net.n_steps_))
        self.step_ += 1

    def _relative_rate(self, progress: float) -> float:
        if progress < self.warmup:
            # From a tenth of the peak; `position` runs from 1 to 0 here and from 0 to 1
            # below, so that both halves meet at the peak.
            low, position = 0.1, 1 - progress / self.warmup
        else:
            low, position = self.floor, (progress - self.warmup) / (1 - self.warmup)
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * position))


class BestEpoch(Callback):
    """Keep the weights of the epoch with the lowest validation loss, the initial model
    included.

    After `patience` epochs without a better one, and whenever the loss is not finite,
    training goes back to the best weights and on from there at `cut` times the rate.
    After `n_returns` times, or three that were not finite, it stops instead. Without
    validation rows the last finite epoch is the best.

    The initial model may be a saddle, which takes long to leave. While no epoch is
    better, the rate is cut, but training does not go back.

    Where the net has a `min_gain`, the initial model stays unless the best epoch is
    better by more than that fraction of the loss and than one standard error (Breiman
    et al., 1984, Classification and regression trees).

    Attributes
    ----------
    initial_loss_, best_loss_ : float or None
        Of validation rows, in the network's units; without them, that of the initial
        model is not known, and the best is the last training loss.
    best_epoch_ : int
        Number of the epoch, from one; 0 is the initial model.
    """

    def __init__(self, patience: int, cut: float = 0.25, n_returns: int = 1):
        self.patience, self.cut, self.n_returns = patience, cut, n_returns

    def on_train_begin(self, net, **kwargs):
        self.state_: list[Tensor] | None = None  # of the best epoch so far
        self.initial_losses_: Tensor | None = None  # of validation rows
        self.best_losses_: Tensor | None = None
        self.initial_loss_: float | None = None
        self.best_loss_: float | None = None
        self.best_epoch_ = self.n_epochs_ = self.n_stale_ = self.n_returns_ = 0

    def on_epoch_begin(self, net, **kwargs):
        if self.state_ is not None:
            return
        # Once, when other callbacks may have loaded a checkpoint.
        self.state_ = self.initial_state_ = net.parameters_.state()
        # With the noise scales that the closed form of the initial model gives.
        if net.validation_ is not None:
            self.initial_losses_ = net.validation_.losses(raises_noise=False)
            self.initial_loss_ = self.best_loss_ = float(self.initial_losses_.mean())

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs_ += 1
        loss, name = net.train_loss_, "train"
        if net.validation_ is not None:
            loss, name = float(net.validation_losses_.mean()), "valid"
        is_finite = math.isfinite(net.train_loss_) and net.parameters_.is_finite()
        # Without validation rows each finite epoch is the best so far: the last is
        # kept.
        is_best = is_finite and (name == "train" or loss < self.best_loss_)
        net.history.record("best", is_best)
        net.history.record(f"{name}_loss_best", is_best)  # skorch's own name for it
        if is_best:
            self._keep(net, loss)
            return
        # A growing objective rises by itself: losses of such epochs do not compare.
        self.n_stale_ = 0 if net.is_objective_growing else self.n_stale_ + 1
        if not is_finite or self.n_stale_ >= self.patience:
            self._go_back(net, is_finite)

    def _keep(self, net, loss):
        self.best_loss_, self.best_epoch_, self.n_stale_ = loss, self.n_epochs_, 0
        self.state_ = net.parameters_.state()
        self.best_losses_ = net.validation_losses_

    def _go_back(self, net, is_finite):
        if self.best_epoch_ or not is_finite:
            net.parameters_.load(self.state_)
        self.n_stale_ = 0
        self.n_returns_ += 1
        net.cut_rate(self.cut)
        if not is_finite:
            # Moments of gradients that were not finite would spoil every further step.
            net.optimizer_.state.clear()
        if self.n_returns_ <= (self.n_returns if is_finite else _N_RESCUES):
            return
        net.stopped_by_ = "converged" if is_finite else "not finite"
        if not is_finite:
            warnings.warn(
                "The loss was not finite, at lower and lower rates; the best weights "
                "are kept. Scale the features, or lower learning_rate_init.",
                ConvergenceWarning,
                stacklevel=2,
            )

    def on_train_end(self, net, **kwargs):
        if self.state_ is None:  # no epoch has begun
            return
        is_doubted = net.min_gain is not None and self.best_epoch_
        if is_doubted and not self._is_surely_better(net.min_gain):
            self.state_, self.best_epoch_ = self.initial_state_, 0
            self.best_loss_ = self.initial_loss_
        net.parameters_.load(self.state_)
        # Copies of all weights, and losses of single rows: a fitted net has neither.
        del self.state_, self.initial_state_, self.initial_losses_, self.best_losses_

    def _is_surely_better(self, min_gain):
        initial, best = self.initial_losses_, self.best_losses_
        if initial is None or best is None:  # no validation rows to compare on
            return True
        gains = initial - best
        # Of a single row no error is known: NaN, which is not surely better.
        # Standard error of the mean gain in nats, or squared units, of a row.
        error = gains.std(correction=0) / math.sqrt(len(gains) - 1)
        gain = gains.mean()
        return bool(gain > error and gain > min_gain * initial.mean())


class Table(PrintLog):
    """skorch's table of the epochs, with the initial model as its first line."""

    def on_epoch_end(self, net, **kwargs):
        best = dict(net.callbacks_).get("best_epoch")
        initial = getattr(best, "initial_loss_", None)
        if self.first_iteration_ and initial is not None:
            # Empty where it has no value, such as a training loss.
            row = dict.fromkeys(net.history[-1])
            row |= {"epoch": 0, "valid_loss": net.of_data(initial)}
            shown = SimpleNamespace(history=[row], verbose=net.verbose)
            super().on_epoch_end(shown, **kwargs)
        super().on_epoch_end(net, **kwargs)


class Progress(Callback):
    """A bar over the epochs, on standard error."""

    def on_train_begin(self, net, **kwargs):
        self.bar_ = tqdm(total=net.max_epochs, unit="epoch", desc="fit")

    def on_epoch_end(self, net, **kwargs):
        last = net.history[-1]
        loss = last["valid_loss"] if "valid_loss" in last else last["train_loss"]
        self.bar_.set_postfix(loss=f"{loss:.4g}", refresh=False)
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        self.bar_.close()
        del self.bar_


class Reports(Callback):
    """Call a function as each epoch begins, and one as it ends, with the net; a true
    value of the second one ends the training."""

    def __init__(self, begin, end):
        self.begin, self.end = begin, end

    def on_epoch_begin(self, net, **kwargs):
        self.begin(net)

    def on_epoch_end(self, net, **kwargs):
        if self.end(net):
            net.stopped_by_ = "callback"


def sees_gradients(callback: Callback) -> bool:
    """Whether it has an `on_grad_computed` of its own."""
    own = getattr(type(callback), "on_grad_computed", None)
    return own is not None and own is not Callback.on_grad_computed


def training_callbacks(*, schedule, patience, verbose, users, reports=None):
    """The callbacks of a fit; a user's of the same name replaces one of them.

    `reports` is a pair of functions for the begin and the end of an epoch.

    Raises
    ------
    TypeError
        If one is no callback of skorch.
    ValueError
        If one cannot act on this net.
    """
    # Before anything is set up: a wrong one fails at once.
    for given in users or []:
        _check(given)
    callbacks = {"schedule": OneCycle()} if schedule else {}
    callbacks["best_epoch"] = BestEpoch(patience)
    if verbose:
        callbacks["progress"] = Progress()
    if verbose > 1:
        callbacks |= {"timer": EpochTimer(), "table": Table(floatfmt=".5g")}
    # Pairs replace built-in callbacks of their name; (name, None) removes one.
    named = [c for c in users or [] if isinstance(c, tuple)]
    unnamed = [c for c in users or [] if not isinstance(c, tuple)]
    kept = [(name, c) for name, c in (callbacks | dict(named)).items() if c is not None]
    # Last, so that they see what the others have made of the epoch.
    return [*kept, *unnamed, *([Reports(*reports)] if reports else [])]


def _check(given):
    name, callback = given if isinstance(given, tuple) else (None, given)
    is_callback = isinstance(callback, Callback) or hasattr(callback, "on_train_begin")
    if isinstance(callback, type) or not (is_callback or (name and callback is None)):
        raise TypeError(
            "callbacks must hold callbacks of skorch, or pairs of a name and one; got "
            f"{given!r}."
        )
    kind = type(callback).__name__
    if isinstance(callback, _POWERLESS):
        raise ValueError(
            f"callbacks holds {kind}, which cannot act on this net: its weights lie in "
            "a few vectors, and it has no targets to score."
        )
    # Both would set the rate in each step, and the later one would win.
    if isinstance(callback, LRScheduler) and name != "schedule":
        raise ValueError(
            "callbacks holds an LRScheduler beside the built-in schedule; the pair "
            "('schedule', LRScheduler(...)) replaces that."
        )
