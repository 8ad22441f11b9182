"""skae, two hand-written torch loops and skorch: contenders of `speed.py`."""

import torch
from contest import LEARNING_RATE, Task, autoencoder, reconstruction
from skorch import NeuralNetRegressor
from skorch.callbacks import Callback
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from skae import AutoencoderTransformer


def skae(task: Task) -> None:
    _skae(task, "auto")


def skae_float32(task: Task) -> None:
    _skae(task, "float32")


def skae_bfloat16(task: Task) -> None:
    _skae(task, "bfloat16")


def fused_loop(task: Task) -> None:
    """The measure: data on the device, a permutation each epoch, fused AdamW."""
    model = autoencoder(task).to(task.device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)
    X = torch.from_numpy(task.X).to(task.device)
    for _ in range(task.n_epochs):
        order = torch.randperm(len(X), device=task.device)
        for rows in order.split(task.batch_size):
            _step(model, optimiser, X[rows])
        task.watch.epoch(reconstruction(model, task.device))


def loader_loop(task: Task) -> None:
    """The usual tutorial: `DataLoader` over a `TensorDataset`."""
    model = autoencoder(task).to(task.device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    dataset = TensorDataset(torch.from_numpy(task.X))
    loader = DataLoader(dataset, batch_size=task.batch_size, shuffle=True)
    for _ in range(task.n_epochs):
        for (batch,) in loader:
            _step(model, optimiser, batch.to(task.device))
        task.watch.epoch(reconstruction(model, task.device))


def plain_skorch(task: Task) -> None:
    """skorch as it comes; no rows are split off, so that all train on the same."""
    net = NeuralNetRegressor(
        autoencoder(task),
        optimizer=torch.optim.AdamW,
        lr=LEARNING_RATE,
        batch_size=task.batch_size_or(128),
        max_epochs=task.n_epochs,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks=[EpochEnd(task, lambda net: net.module_)],
        device=task.device,
        verbose=0,
    )
    net.fit(task.X, task.X)


class EpochEnd(Callback):
    """Tell the watch of a task after every epoch of a skorch net."""

    def __init__(self, task: Task, function_of):
        self.task, self.function_of = task, function_of

    def on_epoch_end(self, net, **kwargs):
        self.task.watch.epoch(
            reconstruction(net.module_, self.task.device, self.function_of(net))
        )


def _skae(task: Task, precision: str) -> None:
    estimator = AutoencoderTransformer(
        task.n_components,
        callbacks=[EpochEnd(task, _through_code)],
        device=task.device,
        random_state=task.seed,
    )
    if not task.with_defaults:
        estimator.set_params(
            hidden_layer_sizes=task.hidden,
            activation="relu",
            batch_size=task.batch_size,
            max_iter=task.n_epochs,
            early_stopping=False,
            precision=precision,
        )
    estimator.fit(task.X)


def _through_code(net):
    model = net.module_
    return lambda X: model.reconstruct(model.code(model.standardize(X)))


def _step(model, optimiser, batch) -> None:
    loss = F.mse_loss(model(batch), batch)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
