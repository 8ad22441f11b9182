"""The skorch net that every estimator has."""

import warnings
from contextlib import contextmanager

import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from torch import Tensor

from skae.data._rows import CHUNK, ResidentBatches
from skae.nn._log_density import in_shares, own_and_start
from skae.nn._objective import Objective
from skae.nn._ordered import random_prefixes
from skae.training._captured import captured
from skae.training._flat_parameters import FlatParameters, flat_vectors
from skae.training._noise import raised_noise
from skae.training._optimizer import VectorAdamW
from skae.training._share import learned_share
from skae.training._step import traced
from skae.training._validation import Judged, judge

# How the operations of a step are recorded, and the steps that earn back the tenth of a
# second that it takes.
_RECORDERS = {"cpu": traced, "cuda": captured}
_STEPS_WORTH_RECORDING = 400

# Draws of the bound that weighs the start.
_N_SHARE_DRAWS = 64

# Multiply-adds of one step below which a second thread costs more than it saves.
_WORTH_THREADS = 2**23


class LatentNet(NeuralNet):
    """Train a `LatentModel` on rows that lie on the device.

    Parameters, beside those of `skorch.NeuralNet`
    ----------
    module : LatentModel
        Already at its start.
    alpha : float
        Decoupled weight decay of the hidden layers, times the number of rows so far.
    clip : float or None
        Largest norm of a gradient.
    n_draws : int
        Draws of the posterior in a step; 0 for a point code.
    n_valid_draws : int
        Those for the held-out loss, at least.
    corrupt : callable or None
        ``(x, generator) -> x``, what the encoder sees of rows.
    precision : {"float32", "bfloat16"}
    seed : int
        Of the order of the rows and the draws.
    least_gain : float or None
        Share of the start's held-out loss by which training must lower it for sure.
    """

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
        least_gain=None,
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
        self.least_gain = least_gain

    @property
    def _default_callbacks(self):
        return []

    def initialize_optimizer(self, triggered_directly=None):
        self.optimizer_ = VectorAdamW(flat_vectors(self.module_), lr=self.lr)
        self.n_rows_ = 0
        return self

    def go_on_from(self, previous: "LatentNet") -> None:
        """Take over what another net of the same module knows of its training."""
        self.optimizer_.load_state_dict(previous.optimizer_.state_dict())
        self.n_rows_, self.history_ = previous.n_rows_, previous.history_

    def on_train_begin(self, net, X=None, **kwargs):
        self.n_rows_ += len(X)
        for group in self.optimizer_.param_groups:
            group["weight_decay"] = group["decay"] * self.alpha / self.n_rows_
        vectors = [group["params"][0] for group in self.optimizer_.param_groups]
        self.parameters_ = FlatParameters(
            self.module_, vectors, self.precision, self.n_averaged
        )
        self.generator_ = torch.Generator(self.device)
        self.generator_.manual_seed(self.seed + len(self.history))
        self.n_done_ = 0  # steps
        self.criterion_.set_progress(1.0)
        self.held_out_ = None
        self.is_training_ = False
        self.kept_start_ = False
        self.step_ = None
        self.rate_factor_ = 1.0
        self.set_rate(1.0)

    def set_rate(self, share: float) -> None:
        """Set the learning rate to a share of its peak."""
        rate = self.lr * self.rate_factor_ * share
        for group in self.optimizer_.param_groups:
            group["lr"] = rate * group["speed"]

    def on_train_end(self, net, **kwargs):
        self.module_.eval()

    def notify(self, method_name, **cb_kwargs):
        super().notify(method_name, **cb_kwargs)
        if method_name == "on_train_end":
            self._weigh_start()
            self._release()

    @torch.no_grad()
    def _weigh_start(self) -> None:
        """Learn the start's share of the density from held-out rows."""
        model = self.module_
        if model.start is None or self.held_out_ is None or self.kept_start_:
            return
        generator = torch.Generator(self.device).manual_seed(self.seed)
        noise = torch.randn(
            (_N_SHARE_DRAWS, model.n_components),
            generator=generator,
            device=generator.device,
        )
        chunks = [
            own_and_start(model, self._rows_of(batch, generator)[0], noise)
            for batch in ResidentBatches(self.held_out_, CHUNK)
        ]
        own, linear = (torch.cat(values) for values in zip(*chunks))
        model.start_share = learned_share(own, linear, 1 / (self.n_rows_ + 1))

    def _release(self) -> None:
        """Drop what only a running fit needs; another may follow a single pass."""
        del self.parameters_, self.generator_, self.step_, self.held_out_
        for name in ("start_losses_", "held_out_losses_"):
            self.__dict__.pop(name, None)
        if self.max_epochs > 1:
            self.optimizer_.state.clear()

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        try:
            with _suitable_threads(self.module_, self.batch_size):
                return super().fit_loop(X, y, epochs=epochs, **kwargs)
        except KeyboardInterrupt:
            if self.is_training_:
                warnings.warn(
                    "Training interrupted by user; the best weights so far are kept.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
            raise

    def get_dataset(self, X, y=None):
        """Rows, beside them the completed ones where cells may be missing."""
        law = self.module_.law
        return X if law is None else torch.cat([X, law.complete(X)], 1)

    def _rows_of(self, batch, generator):
        """Rows as a step sees them, and what the encoder is given in their place."""
        module = self.module_
        if module.law is None:
            return module.refresh(batch, generator), None
        x, completed = batch.chunk(2, 1)
        x = module.refresh(x, generator)
        return x, completed.where(x.isnan(), x)

    def get_iterator(self, dataset, training=False):
        if training:
            if self.precision == "bfloat16" and self.module_.likelihood.is_scaled:
                dataset = dataset.to(torch.bfloat16)
            batches = ResidentBatches(dataset, self.batch_size, self.generator_)
            self.n_steps_ = self.max_epochs * len(batches)
            # A single pass may be one of many: its objective is the final one.
            grows = self.max_epochs > 1
            self.n_growing_ = grows * self.criterion_.growing_share * self.n_steps_
            return batches
        return ResidentBatches(dataset, CHUNK)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        if iterator is None:
            return
        if not training:
            self.held_out_ = iterator.X
            self.held_out_losses_ = self.held_out_losses(iterator.X)
            self.history.record(prefix + "_loss", float(self.held_out_losses_.mean()))
            for name, value in self.rate_and_distortion_.items():
                self.history.record(f"{prefix}_{name}", value)
            return
        self._set_training(True)
        self.parameters_.computing.train()
        self.is_training_ = True
        total = torch.zeros((), device=self.device)
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            total += step["loss"]
            self.notify("on_batch_end", batch=batch, training=training, **step)
        # The only value that is read from the device in an epoch.
        self.history.record(prefix + "_loss", float(total) / len(iterator))
        self.is_training_ = False

    def train_step(self, batch, **fit_params):
        if self.n_growing_:
            self.criterion_.set_progress(self.n_done_ / self.n_steps_)
        self.n_done_ += 1
        inputs = self.make_inputs(batch, self.generator_)
        if self.step_ is None:
            self.step_ = self._make_step(inputs)
        loss = self.step_(inputs)
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters_.vectors, self.clip)
        self.optimizer_.step()
        self.parameters_.update()
        return {"loss": loss}

    def make_inputs(
        self, batch: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """What the model is called with: rows, and all that is drawn for them."""
        x, seen = self._rows_of(batch, generator)
        inputs = {"x": x}
        if self.n_draws:
            inputs["noise"] = self._noise(len(x), generator)
        if self.corrupt is not None:
            seen = self.corrupt(x if seen is None else seen, generator)
        if seen is not None:
            inputs["corrupted"] = seen
        if self.module_.is_ordered:
            inputs["is_kept"] = random_prefixes(self.module_.n_components, generator)
        return inputs

    def _make_step(self, inputs: dict[str, Tensor]):
        module = self.parameters_.computing
        bodies = [b for b in (module.encoder, module.decoder) if b is not None]
        is_recorded = (
            self.n_steps_ >= _STEPS_WORTH_RECORDING
            and not torch.is_anomaly_enabled()
            and module.penalty is None
            and getattr(module.prior, "is_static", True)
            and self.n_draws <= 1
            and all(getattr(body, "is_static", False) for body in bodies)
        )
        record = _RECORDERS.get(inputs["x"].device.type) if is_recorded else None
        return self.parameters_.gradient_step(
            lambda terms: self.get_loss(terms, None), inputs, record
        )

    @property
    def is_objective_growing(self) -> bool:
        """Whether the objective is not the final one yet."""
        return self.n_done_ < self.n_growing_

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """The only mean over rows."""
        return self.criterion_(y_pred).mean()

    @torch.no_grad()
    def held_out_losses(self, X: Tensor, *, is_start: bool = False) -> Tensor:
        """Objective of rows (n,), in float32, with the same draws each time.

        The objective is the final one. Noise that is learned is first raised to that of
        these rows, which the weights have not seen, if it is below; the linear start
        stays as it is. Where the density keeps a share of the start, so does the
        objective of each row.
        """
        self.module_.eval()
        self.criterion_.set_progress(1.0)
        judged = judge(self, self.module_, X)
        losses, start = judged.losses, self._start_losses(X)
        if not is_start and self.module_.likelihood.n_noises:
            losses = self._raise_noise(judged, start)
        self.rate_and_distortion_ = {}
        if self.n_draws:
            raised = float((losses - judged.losses).mean())
            distortion = float(judged.distortions.mean()) + raised
            rate = float(judged.rates.mean())
            self.rate_and_distortion_ = {"rate": rate, "distortion": distortion}
        return self._with_start(losses, start)

    def _raise_noise(self, judged: Judged, start: Tensor | None) -> Tensor:
        """Set the noise that suits rows best; return their losses with it."""
        likelihood = self.module_.likelihood
        learned = self.parameters_.computing.likelihood.noise.detach().double()

        def losses_at(noise):
            return rest - likelihood.log_density(
                judged.deviations, noise, judged.shares
            )

        def shares(losses):
            return in_shares(self.module_, -losses, -start)

        rest = judged.losses + judged.known
        noise = raised_noise(
            learned, judged, losses_at, None if start is None else shares
        )
        likelihood.set_noise(noise)
        return losses_at(noise)

    def _with_start(self, losses: Tensor, start: Tensor | None) -> Tensor:
        """Losses of rows whose density has a share of the start's."""
        if start is None:
            return losses
        return -torch.logaddexp(*in_shares(self.module_, -losses, -start))

    def _start_losses(self, X: Tensor) -> Tensor | None:
        if self.module_.start is not None and not hasattr(self, "start_losses_"):
            self.start_losses_ = judge(self, self.module_.start, X).losses
        return getattr(self, "start_losses_", None)

    def _noise(self, n_rows: int, generator: torch.Generator) -> Tensor | None:
        if not self.n_draws:
            return None
        shape = (n_rows, self.module_.n_components)
        if self.n_draws > 1:
            shape = (self.n_draws, *shape)
        return torch.randn(shape, generator=generator, device=generator.device)


@contextmanager
def _suitable_threads(module: torch.nn.Module, batch_size: int):
    """One thread for a step so small that a second one only adds waiting."""
    n_threads = torch.get_num_threads()
    if batch_size * module.n_products < _WORTH_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
