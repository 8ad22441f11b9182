"""The variational autoencoder."""

from numbers import Real

import torch

from skae._base import BaseAutoencoder
from skae._sklearn import Interval, StrOptions, check_is_fitted
from skae.nn._latents import DiagonalNormal
from skae.nn.likelihoods import LIKELIHOODS
from skae.nn.priors import PRIORS

# Draws of the bound that `score_samples` returns, fixed at fit time.
_N_SCORE_DRAWS = 64


class VAETransformer(BaseAutoencoder):
    """doc."""

    _parameter_constraints: dict = {
        **BaseAutoencoder._parameter_constraints,
        "likelihood": [StrOptions(set(LIKELIHOODS))],
        "prior": [StrOptions(set(PRIORS))],
        "beta": [Interval(Real, 0, None, closed="left")],
    }

    _latent = DiagonalNormal
    _n_valid_draws = 4
    _clip = 100.0

    def __init__(
        self,
        n_components=2,
        *,
        hidden_layer_sizes=(256, 128),
        activation="silu",
        architecture="mlp",
        likelihood="gaussian",
        prior="normal",
        beta=1.0,
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
        self.likelihood = likelihood
        self.prior = prior
        self.beta = beta
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
        """Return a lower bound of the log-likelihood of each row, in nats."""
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        noise = self._score_noise()

        def bound(model, x):
            draws = noise.to(x.device, x.dtype)
            return model.log_bound(model.standardize(x), draws)

        return self._map_rows(X, bound)

    def posterior(self, X):
        """Mean and standard deviation of the code of each row."""
        check_is_fitted(self)
        X = self._validate(X, reset=False)

        def moments(model, x):
            q = model.encode(model.standardize(x))
            return torch.stack([q.mean, q.std], 1)

        both = self._map_rows(X, moments)
        return both[:, 0], both[:, 1]

    def _score_noise(self):
        """Antithetic draws (s, k), the same for every row and every call."""
        generator = torch.Generator().manual_seed(self._seed)
        half = torch.randn(
            _N_SCORE_DRAWS // 2,
            self.n_components_,
            generator=generator,
            dtype=torch.float64,
        )
        return torch.cat([half, -half])

    @property
    def noise_variance_(self):
        model = self.net_.module_
        return float(model.likelihood.log_variance.exp() * model.scale**2)

    def _make_likelihood(self):
        return LIKELIHOODS[self.likelihood]()

    def _make_prior(self):
        return PRIORS[self.prior](self.n_components)

    def _objective_parameters(self):
        return {"criterion__beta": self.beta}

    def _code_draws(self, rows, generator):
        q = self.net_.module_.encode(rows)
        noise = torch.randn(q.mean.shape, generator=generator).to(rows.device)
        return q.rsample(noise)

    def _draw_from_prior(self, n_samples, random_state):
        seed = random_state.randint(2**31 - 1)
        generator = torch.Generator().manual_seed(seed)
        prior = self.net_.module_.prior.cpu()
        return prior.sample(n_samples, generator).double().numpy()

    _densities = {
        "prior": _draw_from_prior,
        "mixture": BaseAutoencoder._draw_from_mixture,
    }
