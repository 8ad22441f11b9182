"""What happens around the batches: the rate, the best epoch, recovery."""

import math
import warnings

from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EpochScoring,
    EpochTimer,
    GradientNormClipping,
    LRScheduler,
    ParamMapper,
    PrintLog,
)
from tqdm.auto import tqdm

# What acts on gradients, on single weights or on predictions of a batch: the optimiser
# holds all weights in a few vectors, and a net of no targets predicts nothing.
_POWERLESS = (GradientNormClipping, ParamMapper, EpochScoring, BatchScoring)


class OneCycle(Callback):
    """One-cycle learning rate: up along half a cosine, then down to nearly zero.

    The rate of the optimiser, times `peak`, is reached after the share `warmup` of all
    steps. Smith, L. N. and Topin, N. (2018). Super-convergence: very fast training of
    neural networks using large learning rates. arXiv:1708.07120.
    """

    def __init__(self, warmup: float = 0.1, floor: float = 1e-2):
        self.warmup, self.floor = warmup, floor

    def on_train_begin(self, net, **kwargs):
        self.step_ = 0

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        n_batches = math.ceil(len(dataset_train) / net.batch_size)
        self.n_steps_ = n_batches * net.max_epochs

    def on_batch_begin(self, net, training=False, **kwargs):
        if not training:
            return
        net.set_rate(self._share(self.step_ / self.n_steps_))
        self.step_ += 1

    def _share(self, progress: float) -> float:
        if progress < self.warmup:
            low, position = 0.1, 1 - progress / self.warmup
        else:
            low, position = self.floor, (progress - self.warmup) / (1 - self.warmup)
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * position))


class BestEpoch(Callback):
    """Keep the weights of the epoch with the lowest held-out loss, the start included.

    After `patience` epochs without a better one, and whenever the loss is not finite,
    training goes back to the best weights and on from there at `cut` times the rate,
    at most `n_returns` times. Without held-out rows the last finite epoch is the best.

    Where the net has a `least_gain`, the start stays unless the best epoch is better by
    more than that share of the loss and than one standard error (Breiman et al., 1984,
    Classification and regression trees).
    """

    def __init__(self, patience: int, cut: float = 0.25, n_returns: int = 3):
        self.patience, self.cut, self.n_returns = patience, cut, n_returns

    def on_train_begin(self, net, **kwargs):
        self.state_ = net.parameters_.state()
        self.start_state_ = None if net.least_gain is None else self.state_
        self.start_losses_ = self.best_losses_ = None  # of held-out rows
        net.kept_start_ = True
        self.n_stale_ = self.n_returns_ = 0

    def on_epoch_begin(self, net, dataset_valid=None, **kwargs):
        if dataset_valid is not None and self.start_losses_ is None:
            self.start_losses_ = net.held_out_losses(dataset_valid, is_start=True)
            net.start_loss_ = net.best_loss_ = float(self.start_losses_.mean())

    def on_epoch_end(self, net, dataset_valid=None, **kwargs):
        last = net.history[-1]
        is_finite = math.isfinite(last["train_loss"]) and net.parameters_.is_finite()
        is_held_out = dataset_valid is not None
        loss = last["valid_loss" if is_held_out else "train_loss"]
        is_best = is_finite and (not is_held_out or loss < net.best_loss_)
        net.history.record("best", is_best)
        # By the name that skorch's callbacks look for.
        net.history.record(f"{'valid' if is_held_out else 'train'}_loss_best", is_best)
        if is_best:
            net.best_loss_ = loss
            self.n_stale_ = 0
            self.state_ = net.parameters_.state()
            net.kept_start_ = False
            if is_held_out:
                self.best_losses_ = net.held_out_losses_
            return
        self.n_stale_ = 0 if net.is_objective_growing else self.n_stale_ + 1
        if not is_finite or self.n_stale_ >= self.patience:
            self._go_back(net, is_finite)

    def _go_back(self, net, is_finite):
        net.parameters_.load(self.state_)
        self.n_stale_ = 0
        self.n_returns_ += 1
        net.rate_factor_ *= self.cut
        net.set_rate(1.0)
        if not is_finite:
            net.optimizer_.state.clear()
        if self.n_returns_ <= self.n_returns:
            return
        if not is_finite:
            warnings.warn(
                "The loss was not finite, at lower and lower rates; the best weights "
                "are kept. Scale the features, or lower learning_rate_init.",
                ConvergenceWarning,
                stacklevel=2,
            )
        raise KeyboardInterrupt  # skorch's way to end a fit

    def on_train_end(self, net, **kwargs):
        is_doubted = net.least_gain is not None and not net.kept_start_
        if is_doubted and not self._is_surely_better(net.least_gain):
            self.state_, net.kept_start_ = self.start_state_, True
            net.best_loss_ = net.start_loss_
        net.parameters_.load(self.state_)
        del self.state_, self.start_state_, self.start_losses_, self.best_losses_

    def _is_surely_better(self, least_gain):
        start, gains = self.start_losses_, self.start_losses_ - self.best_losses_
        # Of a single row no error is known: NaN, which is not surely better.
        error = gains.std(correction=0) / math.sqrt(len(gains) - 1)
        gain = gains.mean()
        return bool(gain > error and gain > least_gain * start.mean())


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


def training_callbacks(*, schedule, patience, verbose, users):
    """The callbacks of a fit; a user's of the same name replaces one of them.

    Raises
    ------
    TypeError
        If one is no callback of skorch.
    ValueError
        If one cannot act on this net.
    """
    for given in users or []:
        _check(given)
    callbacks = {"schedule": OneCycle()} if schedule else {}
    callbacks["best_epoch"] = BestEpoch(patience)
    if verbose:
        callbacks["progress"] = Progress()
    if verbose > 1:
        callbacks |= {"timer": EpochTimer(), "table": PrintLog()}
    named = [c for c in users or [] if isinstance(c, tuple)]
    unnamed = [c for c in users or [] if not isinstance(c, tuple)]
    kept = [(name, c) for name, c in (callbacks | dict(named)).items() if c is not None]
    return [*kept, *unnamed]


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
    if isinstance(callback, LRScheduler) and name != "schedule":
        raise ValueError(
            "callbacks holds an LRScheduler beside the built-in schedule; the pair "
            "('schedule', LRScheduler(...)) replaces that."
        )
