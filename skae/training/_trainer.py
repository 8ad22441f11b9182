"""The skorch net that trains a model: the loop alone."""

import copy
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from skorch.history import History
from torch import Tensor

from skae.data._rows import CHUNK, Batch, ResidentRows, weighted_mean
from skae.data._streamed_rows import StreamedRows
from skae.nn._log_density import loss_of_data
from skae.nn._model import LatentModel
from skae.nn._modules import Decoder, Encoder
from skae.nn._objective import Objective
from skae.nn._ordered import random_prefixes
from skae.nn._own_draws import drawing_from
from skae.nn.architectures._base import has_hooks
from skae.training._callbacks import sees_gradients
from skae.training._flat_parameters import FlatParameters, flat_vectors
from skae.training._interrupts import interrupts
from skae.training._optimizer import VectorAdamW
from skae.training._saved_net import SavedNet
from skae.training._step import GradientStep, captured, traced
from skae.training._threads import suitable_threads
from skae.training._validation import Validation, learn_initial_weight

# Recorders of a step's operations, and the steps that earn back the tenth of a second
# that recording takes.
_RECORDERS = {"cpu": traced, "cuda": captured}
_MIN_STEPS_TO_RECORD = 400

# Fraction of the steps before a pass of `partial_fit` over which weights are averaged,
# and such steps at most, so that a stream that changes is followed.
_AVERAGED_FRACTION, _MOST_AVERAGED = 0.1, 1000


@dataclass(frozen=True)
class TrainingResult:
    """Outcome of a training.

    Attributes
    ----------
    history : list of dict
        A dict for each epoch that came to its end, with losses in units of the data.
    initial_loss, best_loss : float or None
        Of validation rows, in the network's units; see `BestEpoch`.
    best_epoch : int
        Number of the epoch whose weights were kept, from one; 0 is the initial model.
    stopped_by : {"max_iter", "converged", "interrupt", "not finite", "callback"}
    """

    history: list[dict]
    initial_loss: float | None = None
    best_loss: float | None = None
    best_epoch: int = 0
    stopped_by: str = "max_iter"

    @property
    def kept_initial(self) -> bool:
        """Whether no epoch was better than the initial model."""
        return self.best_epoch == 0


class LatentNet(SavedNet):
    """Train a `LatentModel` on rows that lie on the device.

    Pickles hold the model in NumPy arrays and plain values, and the history; another
    `partial_fit` after loading starts its momentum anew. Steps are computed by
    ``parameters_.compute_copy``, whose hooks they call; `module_`, the average of its
    weights, is what is evaluated.

    Parameters, beside those of `skorch.NeuralNet`
    ----------
    module : LatentModel
        Already at its initial values.
    alpha : float
        Decoupled weight decay of the hidden layers, times the number of rows so far.
    clip : float or None
        Largest norm of a gradient.
    n_draws : int
        Draws of the posterior in a step; 0 for a point code.
    n_valid_draws : int
        Those for the validation loss, at least.
    corrupt : callable or None
        ``(x, generator) -> x``, what the encoder sees of rows.
    precision : {"float32", "bfloat16"}
    seed : int
        Of the order of the rows and the draws.
    output_rate : float
        Rate of the skip and of the output layers, relative to the hidden layers'.
    min_gain : float or None
        Fraction of the initial validation loss by which training must surely lower it.
    augment : callable or None
        From the batches of an epoch to other ones of as many rows.
    checkpoint : Phase or None
        Where the state is written after each epoch, and read before the first.
    """

    # Set and reset by skorch and in the course of a fit.
    module_: LatentModel
    optimizer_: Any
    history_: History
    stopped_by_: Any
    is_watched_: bool  # whether a callback asks for gradients
    step_: Any
    train_loss_: float  # of the last epoch, in the network's units
    validation_: Any
    validation_losses_: Any

    def __init__(
        self,
        module,
        criterion=Objective,
        *,
        alpha=0.0,
        clip=None,
        n_draws=0,
        n_valid_draws=0,
        n_averaged=1,
        corrupt=None,
        precision="float32",
        seed=0,
        output_rate=1.0,
        min_gain=None,
        augment=None,
        checkpoint=None,
        **kwargs,
    ):
        super().__init__(module, criterion, **kwargs)
        self.alpha = alpha
        self.clip = clip
        self.n_draws = n_draws
        self.n_valid_draws = n_valid_draws
        self.n_averaged = n_averaged
        self.corrupt = corrupt
        self.precision = precision
        self.seed = seed
        self.output_rate = output_rate
        self.min_gain = min_gain
        self.augment = augment
        self.checkpoint = checkpoint

    @property
    def _default_callbacks(self):
        return []

    def train(self, rows: ResidentRows) -> TrainingResult:
        """Train on rows, the parts that `train_split` makes of them."""
        self.partial_fit(rows)
        # An interrupted epoch has a line in the history, but no loss.
        epochs = [e for e in self.history if "train_loss" in e]  # whole ones
        # A user's own callback of that name need not know of epochs.
        best: Any = dict(self.callbacks_).get("best_epoch")
        result = TrainingResult(epochs, stopped_by=self.stopped_by_)
        if hasattr(best, "best_epoch_"):
            earlier = len(epochs) - best.n_epochs_  # of partial_fit
            best_epoch = best.best_epoch_ and best.best_epoch_ + earlier
            values = best.initial_loss_, best.best_loss_, best_epoch
            result = TrainingResult(epochs, *values, self.stopped_by_)
        elif epochs:
            result = TrainingResult(epochs, None, None, len(epochs), self.stopped_by_)
        # An initial model that was kept has the weight that it began with.
        is_mixed = self.module_.initial is not None and self.validation_ is not None
        if is_mixed and not result.kept_initial:
            rows = self.validation_.rows
            learn_initial_weight(self, rows, smallest=1 / (self.n_rows_ + 1))
        self._release()
        return result

    def initialize_optimizer(self, triggered_directly=None):
        """Training makes it: a fitted net has none."""
        self.optimizer_, self.optimizer_state_, self.n_rows_ = None, None, 0
        self.last_weights_ = None
        return self

    def _make_optimizer(self) -> None:
        optimizer = VectorAdamW(
            flat_vectors(self.module_, self.output_rate), lr=self.lr
        )
        self.__dict__["optimizer_"] = optimizer  # skorch would have it set earlier

    def go_on_from(self, previous: "LatentNet") -> None:
        """Take over what another net knows of the training of the same model."""
        # A copy: the other net may go on as well.
        self.optimizer_state_ = copy.deepcopy(previous.optimizer_state_)
        self.last_weights_ = previous.last_weights_
        self.history_ = copy.deepcopy(previous.history_)
        self.n_rows_ = previous.n_rows_

    def on_train_begin(self, net, X=None, **kwargs):
        # Weight decay is a prior over the weights: it counts less the more rows there
        # were, all calls of `partial_fit` together.
        self.n_rows_ += len(X)
        self._make_optimizer()
        if self.optimizer_state_ is not None:
            self.optimizer_.load_state_dict(self.optimizer_state_)
        for group in self.optimizer_.param_groups:
            group["weight_decay"] = group["decay"] * self.alpha / self.n_rows_
        vectors = [group["params"][0] for group in self.optimizer_.param_groups]
        self.parameters_ = FlatParameters(
            self.module_, vectors, self.precision, self._n_averaged()
        )
        # The module has the averages: steps that began there would undo each other.
        if self.last_weights_ is not None:
            self.parameters_.set_vectors(self.last_weights_)
        self.generator_ = torch.Generator(self.device)
        # Another call of `partial_fit` must not repeat the order and the draws.
        self.generator_.manual_seed(self.seed + len(self.history))
        self.n_done_ = 0  # steps
        self.criterion_.set_progress(1.0)
        self.validation_ = self.validation_losses_ = self.step_ = None
        self.stopped_by_ = None
        self.is_watched_ = any(sees_gradients(c) for _, c in self.callbacks_)
        self.rate_factor_ = 1.0
        self.set_rate(1.0)

    def _n_averaged(self) -> float:
        """Steps that the averages of weights look back."""
        if self.last_weights_ is None:
            return self.n_averaged
        n_before = max(float(s["step"]) for s in self.optimizer_.state.values())
        return max(self.n_averaged, min(_AVERAGED_FRACTION * n_before, _MOST_AVERAGED))

    @property
    def _is_pass(self) -> bool:
        """Whether it is a pass without validation rows: how `partial_fit` trains."""
        return self.max_epochs == 1 and self.train_split is None

    def to_device(self, device: str) -> None:
        """Move the trained model; the rows of the next fit follow it."""
        self.set_model(self.module_.to(device))
        self.__dict__["device"] = device

    def set_rate(self, relative: float) -> None:
        """Set the learning rate, relative to its peak."""
        rate = self.lr * self.rate_factor_ * relative
        for group in self.optimizer_.param_groups:
            group["lr"] = rate * group["rate"]

    def cut_rate(self, factor: float) -> None:
        """Multiply all further rates by `factor`."""
        self.rate_factor_ *= factor
        self.set_rate(1.0)

    def _release(self) -> None:
        """Drop what only a running fit needs; another may follow a single pass."""
        self.parameters_.unbind()
        state = self.optimizer_.state_dict() if self._is_pass else None
        self.optimizer_state_ = state
        # After a loss that was not finite there is no momentum either.
        if not (state and state["state"]):
            self.last_weights_ = None
        self.module_.eval()
        self.optimizer_ = self.checkpoint = None
        del self.parameters_, self.generator_, self.step_
        del self.validation_, self.validation_losses_

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        """Run epochs until one of the reasons of `TrainingResult` ends them."""
        train, valid = self.train_split(X) if self.train_split else (X, None)
        self._is_notifying, held = False, interrupts()
        try:
            batches = self.get_iterator(train, training=True)
            with suitable_threads(self.module_, self.batch_size):
                if valid is not None:
                    self.validation_ = Validation(self, valid)
                n_epochs = self.max_epochs if epochs is None else epochs
                n_done = self.checkpoint.go_on(self) if self.checkpoint else 0
                while n_done < n_epochs and not self.stopped_by_:
                    held.check()
                    self._run_epoch(batches, train, valid)
                    n_done += 1
                    if self.checkpoint:
                        self.checkpoint.save(self, n_done)
        except KeyboardInterrupt:
            # skorch's callbacks end a fit by one as well, without a signal.
            if not self._is_notifying:
                held.note()
            self.stopped_by_ = "interrupt" if held.noted else "callback"
        self.stopped_by_ = self.stopped_by_ or "max_iter"
        return self

    def notify(self, method_name, **cb_kwargs):
        self._is_notifying = True
        super().notify(method_name, **cb_kwargs)
        self._is_notifying = False

    def _run_epoch(self, batches, train: ResidentRows, valid: ResidentRows | None):
        data = {"dataset_train": train, "dataset_valid": valid}
        self.notify("on_epoch_begin", **data)
        self._set_training(True)
        self.parameters_.compute_copy.train()
        # Summed on the device: reading each loss would wait for each step.
        total = torch.zeros((), device=self.device, dtype=torch.float32)
        for batch in batches:
            self.notify("on_batch_begin", batch=batch, training=True)
            step = self.train_step(batch)
            total += step["loss"]
            self.notify("on_batch_end", batch=batch, training=True, **step)
            interrupts().check()
        if self._is_pass:
            self.last_weights_ = [v.detach().clone() for v in self.parameters_.vectors]
        # The only value that is read from the device in an epoch.
        self.train_loss_ = float(total) / len(batches)
        self.history.record("train_loss", self.of_data(self.train_loss_))
        if self.validation_ is not None:
            self._record_validation()
        self.notify("on_epoch_end", **data)

    def _record_validation(self) -> None:
        self.validation_losses_ = self.validation_.losses()
        loss = float(self.validation_losses_.mean())
        self.history.record("valid_loss", self.of_data(loss))
        if self.validation_.rate is not None:
            self.history.record("valid_rate", self.validation_.rate)
            distortion = self.of_data(self.validation_.distortion)
            self.history.record("valid_distortion", distortion)

    def of_data(self, loss: float) -> float:
        """A loss in the network's units as one of the data, which the history has."""
        return loss_of_data(self.module_, loss)

    def get_iterator(self, dataset, training=False):
        batches = dataset.batches(self.batch_size, self.generator_)
        batches = batches if self.augment is None else self.augment(batches)
        self.n_steps_ = self.max_epochs * len(batches)
        # A single pass may be one of many: its objective is the final one.
        grows = self.max_epochs > 1
        self.n_growing_ = grows * self.criterion_.growing_fraction * self.n_steps_
        return batches

    def train_step(self, batch, **fit_params):
        if self.n_growing_:
            self.criterion_.set_progress(self.n_done_ / self.n_steps_)
        self.n_done_ += 1
        # Counts and categories stay float32: bfloat16 has not all integers above 256.
        if self.precision == "bfloat16" and self.module_.likelihood.is_scaled:
            x, weight, completed = batch
            completed = None if completed is None else completed.bfloat16()
            batch = Batch(x.bfloat16(), weight, completed)
        with self.drawing(self.generator_):
            inputs = self.make_inputs(batch, self.generator_)
        if self.step_ is None:
            # At the first batch, whose shapes all others have.
            self.step_ = self._make_step(inputs)
        # A recorded step draws nothing.
        with nullcontext() if self.step_.is_recorded else self.drawing(self.generator_):
            loss = self.step_(inputs)
        if self.is_watched_:
            self.notify(
                "on_grad_computed",
                named_parameters=list(self.parameters_.named_views()),
                batch=batch,
                training=True,
            )
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters_.vectors, self.clip)
        self.optimizer_.step()
        self.parameters_.update()
        return {"loss": loss}

    def drawing(self, generator: torch.Generator):
        """Context in which the model, users' own parts too, draws from `generator`."""
        module = self.module_
        own = set(module.given)
        if all(getattr(body, "is_static", False) for body in module.bodies):
            own -= {"architecture"}  # its bodies draw nothing
        return drawing_from(generator, all_of_torch=bool(own))

    def make_inputs(
        self, batch: Batch, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Arguments of the model for a batch: rows, and all that is drawn for them."""
        module = self.module_
        x = module.resample_targets(batch.x, generator)
        seen = None
        # Observed entries as the step sees them, missing ones as they were completed.
        if batch.completed is not None:
            seen = batch.completed.where(x.isnan(), x)
        inputs = {"x": x}
        if self.n_draws:
            inputs["base_samples"] = self._base_samples(len(x), generator)
        if self.corrupt is not None:
            seen = self.corrupt(x if seen is None else seen, generator)
        if seen is not None:
            inputs["corrupted"] = seen
        if module.ordered is not None:
            inputs["mask"] = random_prefixes(module.n_components, generator)
        return inputs

    def _base_samples(self, n_rows: int, generator: torch.Generator) -> Tensor:
        shape: tuple[int, ...] = n_rows, self.module_.n_components
        if self.n_draws > 1:
            shape = self.n_draws, *shape
        return torch.randn(
            shape,
            generator=generator,
            device=generator.device,
            dtype=torch.float32,
        )

    def _make_step(self, inputs: dict[str, Tensor]) -> GradientStep:
        module = self.parameters_.compute_copy
        # A recorded step does the same operations each time: no draws inside, no branch
        # on a value, no hook; and few steps do not earn back the recording.
        is_recorded = (
            isinstance(inputs["x"], Tensor)
            and self.n_steps_ >= _MIN_STEPS_TO_RECORD
            and not torch.is_anomaly_enabled()
            and module.penalty is None
            and getattr(module.prior, "is_static", True)
            and self.n_draws <= 1
            and all(getattr(body, "is_static", False) for body in module.bodies)
            and not any(map(has_hooks, module.modules()))
        )
        record = _RECORDERS.get(inputs["x"].device.type) if is_recorded else None
        return GradientStep(self.parameters_, self.get_loss, inputs, record)

    @property
    def is_objective_growing(self) -> bool:
        """Whether the objective is not the final one yet."""
        return self.n_done_ < self.n_growing_

    def get_loss(self, y_pred, y_true=None, X=None, training=False):
        """Mean objective of a batch."""
        return weighted_mean(self.criterion_(y_pred))

    def forward_iter(self, X, training=False, device="cpu"):
        """Reconstructions of rows (n, d), in the units of the data, chunk by chunk:
        what `predict` and `forward` return."""
        encode, decode = Encoder(self.module_).eval(), Decoder(self.module_)
        for chunk in torch.as_tensor(X).split(CHUNK):
            with torch.no_grad():
                yield decode(encode(chunk.to(self.device))).to(device)

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train on rows that are standardized; estimators have the `partial_fit` for
        others."""
        if not isinstance(X, ResidentRows | StreamedRows):
            raise TypeError(
                "net_ trains on what its estimator makes of rows: call the fit or the "
                "partial_fit of the estimator."
            )
        return super().partial_fit(X, y, classes, **fit_params)
