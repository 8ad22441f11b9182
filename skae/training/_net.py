"""The skorch net that every estimator has."""

import warnings
from contextlib import contextmanager

import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from torch import Tensor

from skae.nn._objective import Objective
from skae.training._batches import CHUNK, ResidentBatches
from skae.training._flat import FlatParameters, flat_vectors
from skae.training._noise import raised_noise

# Steps that earn back the tenth of a second that tracing one takes.
_STEPS_WORTH_TRACING = 1000

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
    n_valid_draws : int
        Draws of the posterior for the held-out loss; 0 for a point code.
    precision : {"float32", "bfloat16"}
    seed : int
        Of the order of the rows and the draws.
    """

    def __init__(
        self,
        module,
        criterion=Objective,
        *,
        alpha=0.0,
        clip=None,
        n_valid_draws=0,
        n_averaged=1,
        precision="float32",
        seed=0,
        **kwargs,
    ):
        super().__init__(module, criterion, **kwargs)
        self.alpha = alpha
        self.clip = clip
        self.n_valid_draws = n_valid_draws
        self.n_averaged = n_averaged
        self.precision = precision
        self.seed = seed

    @property
    def _default_callbacks(self):
        return []

    def initialize_optimizer(self, triggered_directly=None):
        self.optimizer_ = torch.optim.AdamW(
            flat_vectors(self.module_), lr=self.lr, fused=True
        )
        self.n_rows_ = 0
        return self

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
            self._release()

    def _release(self) -> None:
        """Drop what only a running fit needs; another may follow a single pass."""
        del self.parameters_, self.generator_, self.step_
        self.__dict__.pop("start_losses_", None)
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
        return X

    def get_iterator(self, dataset, training=False):
        if training:
            if self.precision == "bfloat16" and self.module_.likelihood.is_scaled:
                dataset = dataset.to(torch.bfloat16)
            batches = ResidentBatches(dataset, self.batch_size, self.generator_)
            self.n_steps_ = self.max_epochs * len(batches)
            return batches
        return ResidentBatches(dataset, CHUNK)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        if iterator is None:
            return
        if not training:
            self.history.record(prefix + "_loss", self.held_out_loss(iterator.X))
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
        inputs = [batch]
        if self.n_valid_draws:
            inputs.append(self._noise(len(batch), self.generator_))
        if self.step_ is None:
            self.step_ = self._make_step(inputs)
        loss = self.step_(*inputs)
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters_.vectors, self.clip)
        self.optimizer_.step()
        self.parameters_.update()
        return {"loss": loss}

    def _make_step(self, inputs: list[Tensor]):
        module = self.parameters_.computing
        bodies = [b for b in (module.encoder, module.decoder) if b is not None]
        trace = (
            self.n_steps_ >= _STEPS_WORTH_TRACING
            and inputs[0].device.type == "cpu"
            and all(getattr(body, "is_static", False) for body in bodies)
        )
        return self.parameters_.gradient_step(
            lambda terms: self.get_loss(terms, None), inputs, trace=trace
        )

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """The only mean over rows."""
        return self.criterion_(y_pred).mean()

    @torch.no_grad()
    def held_out_loss(self, X: Tensor, *, is_start: bool = False) -> float:
        """Mean objective of rows, in float32, with the same draws each time.

        Noise that is learned is first raised to that of these rows, which the weights
        have not seen, if it is below; the linear start stays as it is. Where the
        density keeps a share of the start, so does the objective of each row.
        """
        self.module_.eval()
        losses, rest, deviations = self._losses(self.module_, X)
        start = self._start_losses(X)
        if not is_start and self.module_.likelihood.n_noises:
            losses = self._raise_noise(rest, deviations, start)
        return float(self._with_start(losses, start).mean())

    def _raise_noise(
        self, rest: Tensor, deviations: Tensor, start: Tensor | None
    ) -> Tensor:
        """Set the noise that suits these rows best; return their losses with it.

        `rest` is what the losses hold beside the density of the deviations.
        """
        likelihood = self.module_.likelihood
        learned = self.parameters_.computing.likelihood.noise.detach().double()

        def losses_at(noise):
            return rest - likelihood.log_density(deviations, noise)

        def shares(losses):
            return self.module_.shares(-losses, -start)

        noise = raised_noise(
            learned, deviations, losses_at, None if start is None else shares
        )
        likelihood.set_noise(noise)
        return losses_at(noise)

    def _with_start(self, losses: Tensor, start: Tensor | None) -> Tensor:
        """Losses of rows whose density has a share of the start's."""
        if start is None:
            return losses
        return -torch.logaddexp(*self.module_.shares(-losses, -start))

    def _start_losses(self, X: Tensor) -> Tensor | None:
        if self.module_.start is not None and not hasattr(self, "start_losses_"):
            self.start_losses_, *_ = self._losses(self.module_.start, X)
        return getattr(self, "start_losses_", None)

    def _losses(self, model: torch.nn.Module, X: Tensor) -> tuple[Tensor, ...]:
        """Objective (n,) of each row, its part beside the density of its deviations,
        and those deviations (n, m); means over draws, float64."""
        generator = torch.Generator(self.device).manual_seed(self.seed)
        likelihood = model.likelihood
        n_draws = max(1, self.n_valid_draws)
        chunks = []
        for x in ResidentBatches(X, CHUNK):
            losses, deviations = 0, 0
            for _ in range(n_draws):
                terms = model(x, self._noise(len(x), generator))
                losses = losses + self.criterion_(terms).double()
                found = likelihood.deviations(terms.params, model.target(x))
                deviations = deviations + found.double()
            chunks.append((losses, deviations))
        losses, deviations = (torch.cat(c) / n_draws for c in zip(*chunks))
        known = likelihood.log_density(deviations, likelihood.noise.double())
        return losses, losses + known, deviations

    def _noise(self, n_rows: int, generator: torch.Generator) -> Tensor | None:
        if not self.n_valid_draws:
            return None
        shape = n_rows, self.module_.n_components
        return torch.randn(shape, generator=generator, device=generator.device)


@contextmanager
def _suitable_threads(module: torch.nn.Module, batch_size: int):
    """One thread for a step so small that a second one only adds waiting."""
    n_threads = torch.get_num_threads()
    if batch_size * module.n_weights < _WORTH_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
