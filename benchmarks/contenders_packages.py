"""Other packages' autoencoders: contenders of `speed.py`.

Each package is imported inside its function, since none has to be installed. All train
at a rate of 1e-3, also where a package's default is too low to arrive in time.
"""

import contextlib
import io
import logging
import tempfile

import torch
from contest import LEARNING_RATE, Task, layers, reconstruction
from sklearn.neural_network import MLPRegressor


def mlp_regressor(task: Task) -> None:
    """scikit-learn's perceptron from X to X; its code has the ReLU of all layers."""
    model = MLPRegressor(
        hidden_layer_sizes=task.widths[1:-1],
        learning_rate_init=LEARNING_RATE,
        batch_size=min(task.batch_size_or(200), len(task.X)),
        random_state=task.seed,
    )
    for _ in range(task.n_epochs):
        model.partial_fit(task.X, task.X)
        task.watch.epoch(model.predict)


def pythae(task: Task) -> None:
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.WARNING)
    model = _pythae_model(task)
    X = torch.from_numpy(task.X)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stderr(io.StringIO()),  # its progress bars
    ):
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=task.n_epochs,
            per_device_train_batch_size=task.batch_size_or(64),
            learning_rate=LEARNING_RATE,
            optimizer_cls="AdamW",
            no_cuda=not task.device.startswith("cuda"),
        )
        trainer = BaseTrainer(
            model,
            BaseDataset(X, torch.zeros(len(X))),
            training_config=config,
            callbacks=[_pythae_callback(task, model)],
        )
        trainer.save_model = lambda *args, **kwargs: None
        trainer.train()


def _pythae_model(task: Task):
    from pythae.models import AE, AEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self, widths):
            super().__init__()
            self.layers = layers(widths)

        def forward(self, x):
            return ModelOutput(embedding=self.layers(x))

    class Decoder(BaseDecoder):
        def __init__(self, widths):
            super().__init__()
            self.layers = layers(widths)

        def forward(self, z):
            return ModelOutput(reconstruction=self.layers(z))

    middle = len(task.hidden) + 2
    config = AEConfig(input_dim=(task.X.shape[1],), latent_dim=task.n_components)
    encoder = Encoder(task.widths[:middle])
    return AE(config, encoder, Decoder(task.widths[middle - 1 :]))


def _pythae_callback(task: Task, model):
    from pythae.trainers.training_callbacks import TrainingCallback

    def forward(X):
        return model.decoder(model.encoder(X).embedding).reconstruction

    class EpochEnd(TrainingCallback):
        def on_epoch_end(self, training_config, **kwargs):
            task.watch.epoch(reconstruction(model, task.device, forward))

    return EpochEnd()


def pyod(task: Task) -> None:
    """PyOD's detector without its dropout, with which it would not arrive at all."""
    from pyod.models.auto_encoder import AutoEncoder

    class Watched(AutoEncoder):
        def epoch_update(self):
            task.watch.epoch(reconstruction(self.model, task.device))

    detector = Watched(
        preprocessing=False,
        lr=LEARNING_RATE,
        epoch_num=task.n_epochs,
        batch_size=task.batch_size_or(32),
        hidden_neuron_list=[*task.hidden, task.n_components],
        batch_norm=False,
        dropout_rate=0.0,
        device=torch.device(task.device),
        random_state=task.seed,
        verbose=0,
    )
    detector.fit(task.X)


def keras(task: Task) -> None:
    import keras

    keras.utils.set_random_seed(task.seed)
    model = keras.Sequential([keras.Input((task.widths[0],))])
    for i, width in enumerate(task.widths[1:]):
        is_linear = i in (len(task.hidden), len(task.widths) - 2)
        model.add(keras.layers.Dense(width, None if is_linear else "relu"))
    model.compile(keras.optimizers.AdamW(LEARNING_RATE), "mse")

    class EpochEnd(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            task.watch.epoch(lambda X: model.predict(X, batch_size=1000, verbose=0))

    model.fit(
        task.X,
        task.X,
        batch_size=task.batch_size_or(32),
        epochs=task.n_epochs,
        callbacks=[EpochEnd()],
        verbose=0,
    )
