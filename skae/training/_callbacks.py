"""What happens around the batches: the rate, the best epoch, recovery."""

import math
import warnings

from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, EpochTimer, PrintLog
from tqdm.auto import tqdm


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
        self.factor_ = 1.0

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        n_batches = math.ceil(len(dataset_train) / net.batch_size)
        self.n_steps_ = n_batches * net.max_epochs

    def on_batch_begin(self, net, training=False, **kwargs):
        if not training:
            return
        rate = net.lr * self.factor_ * self._share(self.step_ / self.n_steps_)
        for group in net.optimizer_.param_groups:
            group["lr"] = rate
        self.step_ += 1

    def _share(self, progress: float) -> float:
        if progress < self.warmup:
            low, position = 0.1, 1 - progress / self.warmup
        else:
            low, position = self.floor, (progress - self.warmup) / (1 - self.warmup)
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * position))


class BestEpoch(Callback):
    """Keep the weights of the epoch with the lowest held-out loss, the start included.

    Without held-out rows the last epoch is kept. After `patience` epochs without a better
    one, training stops.
    """

    def __init__(self, patience: int | None = None):
        self.patience = patience

    def on_train_begin(self, net, **kwargs):
        self.best_loss_ = math.inf
        self.best_epoch_ = 0
        self.state_ = net.parameters_.state()

    def on_epoch_begin(self, net, dataset_valid=None, **kwargs):
        if dataset_valid is not None and not math.isfinite(self.best_loss_):
            self.best_loss_ = net.validation_loss(dataset_valid)
            net.start_loss_ = self.best_loss_

    def on_epoch_end(self, net, dataset_valid=None, **kwargs):
        last = net.history[-1]
        if not math.isfinite(last["train_loss"]):
            return
        loss = last["valid_loss"] if dataset_valid is not None else -math.inf
        if loss < self.best_loss_ or dataset_valid is None:
            self.best_loss_, self.best_epoch_ = loss, last["epoch"]
            self.state_ = net.parameters_.state()
        net.history.record("valid_loss_best", self.best_epoch_ == last["epoch"])
        if self.patience and last["epoch"] - self.best_epoch_ >= self.patience:
            raise KeyboardInterrupt  # skorch's way to end a fit

    def on_train_end(self, net, **kwargs):
        net.parameters_.load(self.state_)
        del self.state_


class Recovery(Callback):
    """Return to the best weights, at a tenth of the rate, when the loss is not finite."""

    def __init__(self, n_attempts: int = 3):
        self.n_attempts = n_attempts

    def on_train_begin(self, net, **kwargs):
        self.attempts_ = 0

    def on_epoch_end(self, net, **kwargs):
        if math.isfinite(net.history[-1]["train_loss"]):
            return
        callbacks = dict(net.callbacks_)
        net.parameters_.load(callbacks["best_epoch"].state_)
        net.optimizer_.state.clear()
        self.attempts_ += 1
        if "schedule" in callbacks:
            callbacks["schedule"].factor_ /= 10
        if self.attempts_ > self.n_attempts:
            warnings.warn(
                f"The loss stopped being finite {self.attempts_} times; the fit keeps "
                "the best weights before that. Scale the features, or lower "
                "learning_rate_init.",
                ConvergenceWarning,
                stacklevel=2,
            )
            raise KeyboardInterrupt


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
    """The callbacks of a fit; a user's of the same name replaces one of them."""
    callbacks = {"schedule": OneCycle()} if schedule else {}
    callbacks |= {"best_epoch": BestEpoch(patience), "recovery": Recovery()}
    if verbose:
        callbacks["progress"] = Progress()
    if verbose > 1:
        callbacks |= {"timer": EpochTimer(), "table": PrintLog()}
    named = [c for c in users or [] if isinstance(c, tuple)]
    unnamed = [c for c in users or [] if not isinstance(c, tuple)]
    return [*(callbacks | dict(named)).items(), *unnamed]
