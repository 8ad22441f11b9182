"""The deterministic autoencoder."""

from skae._base import BaseAutoencoder
from skae._sklearn import StrOptions, check_is_fitted
from skae.nn._latents import Point
from skae.nn.likelihoods import LOSSES


class AutoencoderTransformer(BaseAutoencoder):
    """doc."""

    _parameter_constraints: dict = {
        **BaseAutoencoder._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
    }

    _latent = Point
    _densities = {"mixture": BaseAutoencoder._draw_from_mixture}

    def __init__(
        self,
        n_components=2,
        *,
        hidden_layer_sizes=(256, 128),
        activation="silu",
        architecture="mlp",
        loss="squared_error",
        init="pca",
        alpha=1e-4,
        learning_rate_init=1e-3,
        batch_size="auto",
        max_iter=100,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        warm_start=False,
        precision="auto",
        device="auto",
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.architecture = architecture
        self.loss = loss
        self.init = init
        self.alpha = alpha
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.precision = precision
        self.device = device
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def score_samples(self, X):
        """Return minus the loss of each row's reconstruction."""
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        return self._map_rows(X, lambda model, x: model.log_loss(model.standardize(x)))

    def _make_likelihood(self):
        return LOSSES[self.loss]()

    def _make_prior(self):
        return None
