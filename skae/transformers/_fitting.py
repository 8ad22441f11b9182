"""How a model is made, started and trained."""

import math
import re
from abc import abstractmethod
from numbers import Integral

import numpy as np
import torch
from sklearn.utils import check_random_state

from skae.data._arrays import as_tensor, like
from skae.data._axes import axes_of, n_axes_explaining, principal_axes
from skae.data._rows import HeldOut
from skae.nn._init_pca import LinearStart, start_at, start_at_random
from skae.nn._missing_normal import normal_law
from skae.nn._model import LatentModel
from skae.nn._params import plain
from skae.nn._posteriors import Point
from skae.nn.architectures import ARCHITECTURES, make_bodies
from skae.nn.likelihoods import SquaredError
from skae.training import LatentNet, training_callbacks
from skae.training._determinism import isolated
from skae.training._device import resolve_device, resolve_precision
from skae.transformers._fitted import Fitted
from skae.transformers._likelihood_spec import (
    check_missing,
    check_support,
    make_likelihood,
)
from skae.transformers._plugins import make_corruption, make_penalty

# Steps of an epoch that the automatic batch size aims at, within [8, 256] rows.
_STEPS_PER_EPOCH = 25

# Epochs whose weights are averaged.
_AVERAGED_EPOCHS = 1.0

# Fewer rows are all trained on: a held-out row or two would judge nothing.
_FEWEST_ROWS_TO_SPLIT = 10

# Rows a component below which a PCA fits held-out rows because it has seen them.
_ROWS_A_COMPONENT = 10

# Parameters that a model is made of; a fit that goes on keeps them.
_STRUCTURE = {
    "architecture",
    "hidden_layer_sizes",
    "activation",
    "sample_shape",
    "loss",
    "likelihood",
    "prior",
}

# Share of the variance below which what the start leaves is rounding.
_NOTHING_LEFT = 1e-6


class Fitting(Fitted):
    """The order of a fit; a subclass names its latent, likelihood and prior."""

    # What a subclass decides.

    _latent: type  # from skae.nn._posteriors
    _n_valid_draws = 0  # draws of the posterior that judge an epoch
    _clip = None  # largest norm of a gradient

    @property
    @abstractmethod
    def _densities(self):
        """Names of the densities over codes, the default first, and who draws."""

    @abstractmethod
    def _likelihood_choice(self):
        """The likelihood that was asked for, and the registry that names are of."""

    @abstractmethod
    def _make_prior(self, n_components, n_features):
        """Return a new prior module, or None."""

    def _objective_parameters(self):
        return {}

    def _make_penalty(self):
        """Return a new penalty module, or None."""
        has_posterior = self._latent is not Point
        return make_penalty(
            self.penalty, self.penalty_weight, has_posterior=has_posterior
        )

    # Training.

    def _train(self, X, previous, *, incremental):
        """Train `previous`, or a new model from its start."""
        device = resolve_device(self.device)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        with isolated(device, seed):
            frame, X = X, self._validate(X, reset=previous is None)
            self._check_parameters(previous)
            likelihood = (
                previous.likelihood if previous else self._make_likelihood(frame, X)
            )
            names = getattr(self, "feature_names_in_", None)
            if previous is None and self.allow_nan:
                check_missing(likelihood, as_tensor(X), names)
            check_support(likelihood, as_tensor(X), names)
            rows = as_tensor(X).to(device, torch.float64)
            model = previous or self._make_model(rows, likelihood, seed)
            if self.transform_layers == "all":
                model.check_hidden()
            net = self._fit_net(model, model.standardize(rows), seed, incremental)
            self.mean_ = like(net.module_.shift, X)
            self._is_incremental, self._made_of = incremental, self._structure()
            self._store(net, rows, seed)
        return self

    def _fit_net(self, model, rows, seed, incremental):
        """Start and train `model`, which is new or was fitted before."""
        is_new = model is not self._fitted_model()
        is_continued = incremental and not is_new and self._is_incremental
        self._set_aims(model, is_continued)
        split = None if incremental else self._make_split(model, len(rows), seed)
        # So many components reproduce whatever rows the PCA has seen: the start is
        # then judged on rows that it has not, and made anew if training did not help.
        is_blind = bool(
            split
            and self.max_iter
            and len(rows) < _ROWS_A_COMPONENT * model.n_components
        )
        if is_new:
            self._start(model, split(rows)[0] if is_blind else rows, seed)
        net = self._make_net(model, rows, seed, split, incremental).initialize()
        if is_continued:
            net.go_on_from(self.net_)
        may_improve = incremental or not is_new or self._can_improve(model)
        is_trained = net.max_epochs and may_improve
        if is_trained:
            if is_new and is_blind:
                net.least_gain = self._least_gain(model, split, len(rows))
            net.partial_fit(rows.float())
        kept_start = not is_trained or net.kept_start_
        if is_new and is_blind and kept_start:
            self._start(model, rows, seed)
        if kept_start and model.law is not None and model.start is not None:
            # Both are the same law, but of incomplete rows the start's alone is exact.
            model.start_share = 1 - 1 / (len(rows) + 1)
        return net

    def _can_improve(self, model):
        """Whether the start leaves more than rounding to learn.

        A posterior can always learn: the shape of the density. So can an objective
        beside the reconstruction. A linear autoencoder cannot beat PCA.
        """
        if self._latent is not Point or not model.is_plain:
            return True
        is_optimal = model.is_linear_point and isinstance(
            model.likelihood, SquaredError
        )
        if self.init == "pca" and is_optimal:
            return False
        return model.unexplained > _NOTHING_LEFT**0.5

    def _check_parameters(self, previous):
        """Raise where parameters contradict one another, or the fit that goes on."""
        make_corruption(self.noise, self.noise_level)
        penalty = self._make_penalty()
        must_compare = self.early_stopping and self.early_stopping != "auto"
        if must_compare and not (penalty is None or penalty.is_comparable):
            raise ValueError(
                f"early_stopping=True, but penalty={self.penalty!r} has no value by "
                "which epochs compare; the last one is kept with 'auto' or False."
            )
        if previous is None:
            return
        if self.allow_nan != (previous.law is not None):
            raise ValueError(
                f"allow_nan={self.allow_nan}, unlike the fit that goes on; set "
                "warm_start=False to start anew."
            )
        for name, value in self._structure().items():
            if self._made_of[name] != value:
                raise ValueError(
                    f"{name}={value}, but the fit that goes on has "
                    f"{self._made_of[name]}; set warm_start=False to start anew."
                )
        if self._is_share:
            return
        if previous.n_components != self.n_components:
            raise ValueError(
                f"n_components={self.n_components}, but the fit that goes on has "
                f"{previous.n_components}; set warm_start=False to start anew."
            )

    def _make_likelihood(self, frame, X):
        """Return a new likelihood for rows, as given and as validated."""
        return make_likelihood(*self._likelihood_choice(), frame, as_tensor(X))

    def _make_model(self, rows, likelihood, seed):
        """Return a model that knows the scale of `rows` (n, d), float64."""
        n_features, k = rows.shape[1], self._n_latents(rows, seed)
        n_seen = 2 * k if self._is_ordered else k  # by the decoder
        bodies = make_bodies(
            self._architecture(),
            self.sample_shape,
            _widths(self.hidden_layer_sizes),
            self.activation,
            (n_features, n_seen),
            (k * self._latent.n_params, n_features * likelihood.n_params),
        )
        model = LatentModel(
            n_features,
            k,
            bodies,
            self._latent,
            likelihood,
            self._make_prior(k, n_features),
            self._is_ordered,
        ).to(rows.device)
        model.set_scale(rows)
        variance = model.scale.square()
        variance = float(variance[variance.log().abs().argmax()])
        if not 0 < variance < math.inf:
            raise ValueError(
                f"The variance of X, {variance:g}, is out of range; rescale X."
            )
        return model

    def _structure(self):
        """Names of the parameters that a model is made of, and how they are written."""
        values = {"ordered": self._is_ordered}
        for name in _STRUCTURE & self.get_params(deep=False).keys():
            values[name] = getattr(self, name)
        return {name: _written(value) for name, value in values.items()}

    @property
    def _is_share(self):
        """Whether `n_components` is a share of the variance."""
        return not isinstance(self.n_components, Integral)

    @property
    def _is_ordered(self):
        return self.ordered or self._is_share

    def _n_latents(self, rows, seed):
        """Latents to begin with; of a share, as many as PCA needs for it."""
        if self._is_share:
            return n_axes_explaining(rows, self.n_components, seed)
        return int(self.n_components)

    def _start(self, model, rows, seed):
        """Set the weights of `model`; `rows` are standardized, float64."""
        if self.allow_nan:
            model.law = normal_law(rows, seed)
        if model.prior is not None:
            generator = torch.Generator().manual_seed(seed)
            model.prior.start(model.complete(rows).float(), generator)
        if self.init == "random":
            start_at_random(model)
            return
        linear = LinearStart.of(model, rows)
        if rows.isnan().any():
            covariance = (
                torch.outer(linear.encode, linear.encode) * model.law.covariance
            )
            axes = axes_of(covariance, model.n_components)
        else:
            axes = principal_axes(rows * linear.encode, model.n_components, seed)
        start_at(model, axes, linear, len(rows))

    def _least_gain(self, model, split, n_rows):
        """Share of the held-out loss that a start gains by the rows held out, or None.

        PCA of n rows errs on new ones about 1 + k / n times as much as if it knew its k
        axes. A density needs no such bar: it keeps a share of its start.
        """
        if self._latent is not Point or self.init != "pca" or model.law is not None:
            return None
        lost = split.fraction / (1 - split.fraction)
        return lost * model.n_components / n_rows

    def _set_aims(self, model, is_continued):
        """Tell `model` what is asked of it beside reconstructions."""
        asked = _written((self.penalty, self.penalty_weight))
        # What a penalty has learned in a fit that goes on, stays.
        if not (is_continued and asked == self._asked_penalty):
            model.penalty, self._asked_penalty = self._make_penalty(), asked
            if model.penalty is not None:
                model.penalty.start(model.n_components)
                model.penalty.to(model.shift.device)
        penalty = model.penalty
        corrupt = make_corruption(self.noise, self.noise_level)
        model.is_plain = penalty is None and corrupt is None
        model.matches_prior = penalty is not None and penalty.matches_prior

    def _make_split(self, model, n_rows, seed):
        """Return what holds rows out, or None."""
        holds_out = self.early_stopping and n_rows > 1
        if self.early_stopping == "auto":
            is_comparable = model.penalty is None or model.penalty.is_comparable
            is_enough = n_rows >= _FEWEST_ROWS_TO_SPLIT
            holds_out = is_enough and is_comparable and not model.is_linear_point
        return HeldOut(self.validation_fraction, seed) if holds_out else None

    def _make_net(self, model, rows, seed, split, incremental):
        batch_size = self._batch_size(len(rows))
        return LatentNet(
            model,
            alpha=self.alpha,
            clip=self._clip,
            n_valid_draws=self._n_valid_draws,
            precision=self._precision(model, rows.device, batch_size),
            n_averaged=_AVERAGED_EPOCHS * len(rows) / batch_size,
            corrupt=make_corruption(self.noise, self.noise_level),
            seed=seed,
            lr=self.learning_rate_init,
            max_epochs=1 if incremental else self.max_iter,
            batch_size=batch_size,
            train_split=split,
            callbacks=training_callbacks(
                schedule=not incremental,
                patience=self.n_iter_no_change,
                verbose=self.verbose,
                users=self.callbacks,
            ),
            device=str(rows.device),
            verbose=int(self.verbose),
            **self._objective_parameters(),
        )

    def _architecture(self):
        if isinstance(self.architecture, str):
            return ARCHITECTURES[self.architecture]
        return self.architecture

    def _precision(self, model, device, batch_size):
        if all(getattr(body, "half_precision", False) for body in model.bodies):
            n_products = batch_size * model.n_products
            return resolve_precision(self.precision, device, n_products)
        if self.precision == "bfloat16":
            raise ValueError(
                f"precision='bfloat16', but architecture={self.architecture!r} is for "
                "float32: a body's half_precision is False."
            )
        return "float32"

    def _batch_size(self, n_rows):
        if self.batch_size != "auto":
            return min(int(self.batch_size), n_rows)
        power = round(math.log2(n_rows / _STEPS_PER_EPOCH))
        return min(2 ** min(max(power, 3), 8), n_rows)


def _written(value):
    """`repr` without addresses, which copies and pickles do not keep."""
    return re.sub(" at 0x[0-9a-fA-F]+", "", repr(value))


def _widths(hidden_layer_sizes):
    """Hidden layer sizes as a tuple of positive integers."""
    hidden_layer_sizes = plain(hidden_layer_sizes)
    if isinstance(hidden_layer_sizes, Integral):
        hidden_layer_sizes = (hidden_layer_sizes,)
    widths = tuple(hidden_layer_sizes)
    for width in widths:
        if not isinstance(width, Integral) or width < 1:
            raise ValueError(
                f"hidden_layer_sizes must hold integers >= 1; got {hidden_layer_sizes}."
            )
    return tuple(int(width) for width in widths)
