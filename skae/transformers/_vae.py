"""The variational autoencoder."""

from numbers import Integral, Real

import torch
from torch.distributions import Distribution

from skae._sklearn import Interval, StrOptions
from skae.data._arrays import like
from skae.nn._log_density import log_bound
from skae.nn._posteriors import DiagonalNormal
from skae.nn.likelihoods import LIKELIHOODS
from skae.nn.priors import PRIORS
from skae.transformers._base import BaseAutoencoder
from skae.transformers._diagnostics import (
    is_active,
    kl_per_component,
    noise_variance,
    warn_of_collapse,
)
from skae.transformers._plugins import make_prior

# Draws of the posterior that missing cells are told by.
_N_IMPUTATION_DRAWS = 500

# Training rows whose posteriors are described.
_N_STUDIED = 1000


class VAETransformer(BaseAutoencoder):
    r"""Variational autoencoder that starts at probabilistic PCA.

    Latents `z` are drawn from a prior and rows from a likelihood around the decoder's
    value; the encoder returns a normal posterior with diagonal covariance. Training
    maximises the evidence lower bound (ELBO) [1]_ of a row, in nats,

    .. math:: E_{q(z|x)} \log p(x | z) - \beta \, KL(q(z|x) \| p(z)).

    A linear spine around both networks starts at probabilistic PCA [2]_, where the
    bound is exact, and the epoch that is best on held-out rows is kept, the start
    included.

    Parameters
    ----------
    n_components : int or float, default=2
        Size of the code. It may exceed the number of features; what the linear start
        cannot use starts at zero. A float within (0, 1) is the share of the held-out
        rows' variance to explain: as many latents as PCA needs for it are trained in
        order, and the fewest that reach it are kept.
    hidden_layer_sizes : int or sequence of int, default=(512, 256)
        Widths of the encoder's hidden layers; the decoder mirrors them. ``()`` is the
        linear model.
    activation : {"silu", "relu", "gelu", "elu", "leaky_relu", "softplus", "tanh", \
            "logistic"}, default="silu"
        Of the hidden layers.
    architecture : {"mlp", "conv", "recurrent", "attention"} or callable, default="mlp"
        Kind of network around the linear spine: fully connected layers, convolutions of
        images or signals, recurrent layers or self-attention over sequences. An object
        of ``skae.nn.architectures``, such as ``Convolutional(channels=(16, 32))``, has
        options; any callable that makes an encoder and a decoder body will do.
    sample_shape : tuple of int or None, default=None
        Shape of a row: (channels, height, width) or (channels, length) for "conv",
        (length, features) for "recurrent" and "attention". None is one channel.
    likelihood : str, list of (str, columns) or callable, default="gaussian"
        Distribution of a row given its code.

        - "gaussian": normal with one learned variance, "diagonal_gaussian" with one for
          each feature, whose units do not matter then;
        - "laplace", "student_t": heavier tails, for rows with gross errors;
        - "bernoulli": binary features, or shares in [0, 1]; "binarized_bernoulli" takes
          such shares for the probabilities of bits, drawn anew in each epoch;
        - "categorical": one category, as one-hot columns;
        - "poisson", "negative_binomial": counts; the latter vary more;
        - a list gives columns of different kinds their own: pairs of one of these and
          columns as in :class:`~sklearn.compose.ColumnTransformer`, say
          ``[("gaussian", ["age", "income"]), ("categorical", ["a", "b", "c"])]``;
        - "auto" makes such a list by the columns' values;
        - an own `skae.nn.likelihoods.Likelihood`, or what makes one from the number of
          features.
    prior : str, torch.distributions.Distribution or callable, default="normal"
        Distribution of the latents: "normal" is the standard normal law, "mixture" a
        learned mixture of 50 normal laws, "vamp" the mixture of the posteriors of 500
        learned pseudo-inputs [4]_. A distribution of torch over vectors, or over each
        latent, stays as it is. A callable makes a `skae.nn.priors.Prior` from the
        numbers of components and features, say
        ``functools.partial(skae.nn.priors.Vamp, n_pseudo_inputs=100)``.
    beta : float, default=1.0
        Weight of the divergence [3]_. 1 is the ELBO, whatever the number of features.
    kl_warmup : float, default=0.0
        Share of the epochs in which that weight grows from zero to `beta`.
    capacity : float, default=0.0
        Nats `C` to which the divergence is held, by ``beta * |KL - C|``; `C` grows from
        zero in the first half of the epochs [5]_. For `beta` above 1.
    free_bits : float, default=0.0
        Nats of each latent that cost nothing, on average over a batch [6]_; of all
        latents together where the prior does not keep them apart.
    n_draws : int, default=1
        Draws of the posterior in a step; more than one train the importance-weighted
        bound [7]_, by the doubly reparameterised gradient [8]_. More than one is an
        error with `capacity`, `free_bits`, a penalty or `ordered`.
    path_derivative : bool, default=False
        Whether the gradient leaves out the score of the posterior, which has mean zero:
        less noise where the posterior is nearly exact [9]_.
    penalty : str, penalty, callable or list of them, default=None
        What is added to the objective: "total_correlation" makes the beta-TCVAE of
        ``penalty_weight + 1`` [10]_, "mmd" the InfoVAE [11]_, "adversarial" asks the
        same of a discriminator; those of :class:`AutoencoderTransformer` ask of draws
        of the code what they ask of a code there.
    penalty_weight : float or list of float, default=1.0
        Of the penalty, or of each.
    n_score_draws : int, default=64
        Draws of the bound that `score_samples` returns.
    transform_layers : {"all"} or None, default=None
        What `transform` returns. None is the code. "all" is the code, followed by the
        values of the encoder's and of the decoder's hidden layers, the first layer
        first: features for a linear model, where the hidden layers are wide and a noise
        keeps them from copying the row [14]_. Scale them: their spread is not the
        code's. `inverse_transform` decodes the first columns. Only of fully connected
        layers.
    noise : {"gaussian", "masking", "salt_and_pepper", "swap", "dropout"}, callable \
            or None, default=None
        Corruption of the encoder's input in training; the target stays clean, and so
        does what a fitted model is given (denoising autoencoder [12]_).
        "gaussian" adds normal noise, "masking" sets cells to their feature's mean,
        "salt_and_pepper" to the feature's extremes, "swap" to another row's value of
        that feature, for tables of mixed columns, "dropout" is masking that enlarges
        the other cells. A callable is ``(x, level, generator) -> x`` of centred and
        scaled tensors. Held-out rows are judged with the noise.
    noise_level : float, default=0.1
        Standard deviation of the Gaussian noise, times the features' root mean square;
        otherwise the share of the cells.
    ordered : bool, default=False
        Whether latents are sorted by importance, like those of PCA: any prefix of a
        code is a good code of that size (nested dropout [13]_), which `truncate` takes.
        Needs ``prior="normal"``.
    init : {"pca", "random"}, default="pca"
        Where training starts: at probabilistic PCA, or at random weights.
    alpha : float, default=30.0
        Decoupled weight decay of the hidden layers (AdamW), divided by the number of
        rows, as in `sklearn.neural_network.MLPRegressor`: in a step they shrink by the
        share ``learning_rate * alpha / n_samples``.
    learning_rate_init : float, default=4e-3
        Peak of the one-cycle schedule of the learning rate.
    batch_size : int or "auto", default="auto"
        Rows of one step. "auto" aims at 25 steps an epoch, within 8 and 256 rows.
    max_iter : int, default=100
        Largest number of epochs. 0 leaves the model at its start, as `init`
        says: probabilistic PCA.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out rows, keep the epoch that is best on them (the start
        included) and end when they stop improving. "auto" does so from 10 rows on, but
        not with the adversarial penalty, whose epochs do not compare; True is an error
        with it.
    validation_fraction : float, default=0.1
        Share of rows held out. The PCA of the start sees all rows, unless there are
        fewer than ten a component: then the rows that are not held out.
    n_iter_no_change : int, default=20
        Epochs without a better one after which training goes back to the best epoch and
        on at a quarter of the rate; it ends when that has not helped three times.
    allow_nan : bool, default=False
        Whether cells of X may be missing (NaN). They are left out of the loss; the
        encoder is given their means under a normal law of the rows, which is fitted to
        the observed cells (of the first batch, in `partial_fit`) and sets the linear
        start too. `impute` fills them.
    warm_start : bool, default=False
        Whether `fit` goes on from the last fit instead of starting anew.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of the products in training. "auto" is bfloat16 where the hardware computes in
        it and the network is large enough to gain. Everything else, scores and
        transforms included, is float32, or float64 when X is.
    device : str, default="auto"
        "cpu", "cuda" or "cuda:1", say; "auto" is a GPU where there is one.
    callbacks : list of skorch callbacks or None, default=None
        As of `skorch.NeuralNet`: instances, or pairs of a name and an instance. The
        names "schedule" and "best_epoch" replace the built-in ones; None removes.
        Refused are those that cannot act: on gradients or single weights, which lie in
        a few vectors, or on targets, of which there are none.
    random_state : int, RandomState instance or None, default=None
        Of weights, held-out rows, order of rows and draws. An int gives equal bits on
        the same machine.
    verbose : int, default=0
        1 shows a progress bar over the epochs, 2 a table of them as well.

    Attributes
    ----------
    n_components_ : int
        Size of the code.
    n_iter_ : int
        Number of epochs run.
    loss_curve_ : list of float
        Mean training loss of a row in each epoch, minus the ELBO in
        nats where `beta` is 1.
    validation_loss_curve_ : list of float
        The same of the held-out rows, where there are any.
    best_loss_ : float or None
        Held-out loss of the epoch that was kept, the start included; without held-out
        rows the training loss of the last epoch, None if nothing was trained.
    noise_variance_ : float or ndarray of shape (n_features,)
        Learned variance of a feature around its reconstruction, in squared units of X;
        only with one of the first four likelihoods.
    kl_per_component_ : ndarray of shape (n_components,)
        Mean divergence of each latent's posterior from its prior, in nats, over up to
        1,000 training rows.
    n_active_components_ : int
        Number of latents whose posterior mean has a variance above 0.01 over these rows
        [7]_: the others say nothing of a row.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        Share of the variance of held-out rows (of all, where none are held out) that
        each latent explains beyond those before it; only with `ordered` latents. Its
        cumulative sum is the curve by which PCA's size is chosen.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the torch model, ``net_.history`` the rest:
        "valid_rate" and "valid_distortion" of each epoch are the divergence and minus
        the log-likelihood of held-out rows, in nats of the net's own units.
    mean_ : ndarray of shape (n_features,)
        Means of the features, over their observed cells.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where X has string names for all.

    See Also
    --------
    AutoencoderTransformer : Codes without a distribution, lower reconstruction error.
    sklearn.decomposition.PCA : Its `score_samples` is comparable with this one's.

    References
    ----------
    .. [1] Kingma, D. P. and Welling, M. (2014). Auto-encoding variational Bayes. ICLR.
    .. [2] Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component
       analysis. Journal of the Royal Statistical Society B, 61(3), 611-622.
    .. [3] Higgins, I. et al. (2017). beta-VAE: learning basic visual concepts with a
       constrained variational framework. ICLR.
    .. [4] Tomczak, J. and Welling, M. (2018). VAE with a VampPrior. AISTATS.
    .. [5] Burgess, C. et al. (2018). Understanding disentangling in beta-VAE.
       arXiv:1804.03599.
    .. [6] Kingma, D. P. et al. (2016). Improved variational inference with inverse
       autoregressive flow. NeurIPS.
    .. [7] Burda, Y., Grosse, R. and Salakhutdinov, R. (2016). Importance weighted
       autoencoders. ICLR.
    .. [8] Tucker, G. et al. (2019). Doubly reparameterized gradient estimators for
       Monte Carlo objectives. ICLR.
    .. [9] Roeder, G., Wu, Y. and Duvenaud, D. (2017). Sticking the landing: simple,
       lower-variance gradient estimators for variational inference. NeurIPS.
    .. [10] Chen, R. T. Q. et al. (2018). Isolating sources of disentanglement in
       variational autoencoders. NeurIPS.
    .. [11] Zhao, S., Song, J. and Ermon, S. (2019). InfoVAE: balancing learning and
       inference in variational autoencoders. AAAI.
    .. [12] Vincent, P. et al. (2010). Stacked denoising autoencoders. Journal of
       Machine Learning Research, 11, 3371-3408.
    .. [13] Rippel, O., Gelbart, M. and Adams, R. (2014). Learning ordered
       representations with nested dropout. ICML.
    .. [14] Vincent, P. et al. (2008). Extracting and composing robust features with
       denoising autoencoders. ICML.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae import VAETransformer
    >>> X = load_digits().data / 16
    >>> vae = VAETransformer(8, max_iter=10, random_state=0).fit(X)
    >>> bool(vae.score(X) > PCA(8).fit(X).score(X))
    True
    >>> vae.sample(3, random_state=0).shape
    (3, 64)
    >>> mean, std = vae.posterior(X)
    >>> std.shape
    (1797, 8)
    """

    _parameter_constraints: dict = {
        **BaseAutoencoder._parameter_constraints,
        "likelihood": [StrOptions({"auto", *LIKELIHOODS}), list, callable],
        "prior": [StrOptions(set(PRIORS)), Distribution, callable],
        "beta": [Interval(Real, 0, None, closed="left")],
        "kl_warmup": [Interval(Real, 0, 1, closed="both")],
        "capacity": [Interval(Real, 0, None, closed="left")],
        "free_bits": [Interval(Real, 0, None, closed="left")],
        "n_draws": [Interval(Integral, 1, None, closed="left")],
        "path_derivative": ["boolean"],
        "n_score_draws": [Interval(Integral, 1, None, closed="left")],
    }

    _latent = DiagonalNormal
    _n_valid_draws = 4
    _clip = 100.0

    def __init__(
        self,
        n_components=2,
        *,
        hidden_layer_sizes=(512, 256),
        activation="silu",
        architecture="mlp",
        sample_shape=None,
        likelihood="gaussian",
        prior="normal",
        beta=1.0,
        kl_warmup=0.0,
        capacity=0.0,
        free_bits=0.0,
        n_draws=1,
        path_derivative=False,
        penalty=None,
        penalty_weight=1.0,
        n_score_draws=64,
        transform_layers=None,
        noise=None,
        noise_level=0.1,
        ordered=False,
        init="pca",
        alpha=30.0,
        learning_rate_init=4e-3,
        batch_size="auto",
        max_iter=100,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=20,
        allow_nan=False,
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
        self.sample_shape = sample_shape
        self.likelihood = likelihood
        self.prior = prior
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.capacity = capacity
        self.free_bits = free_bits
        self.n_draws = n_draws
        self.path_derivative = path_derivative
        self.penalty = penalty
        self.penalty_weight = penalty_weight
        self.n_score_draws = n_score_draws
        self.transform_layers = transform_layers
        self.noise = noise
        self.noise_level = noise_level
        self.ordered = ordered
        self.init = init
        self.alpha = alpha
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.allow_nan = allow_nan
        self.warm_start = warm_start
        self.precision = precision
        self.device = device
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def score_samples(self, X):
        """Return a lower bound of the log-likelihood of each row.

        The bound is importance-weighted [1]_ over `n_score_draws` draws of the
        posterior, the same for every row and every call: a row scores the same alone
        and among others. A linear Gaussian model's score is exact.
        The density is a mixture with the start, probabilistic PCA of the training rows
        (see `validation_fraction`), whose share is learned on the held-out rows [3]_
        and is at least 1 / (n_samples + 1): a row unlike all training rows is never
        scored lower than by the start by more than ``log(n_samples + 1)`` [2]_. After
        `partial_fit` the start is that of the first batch, and with ``init="random"``
        it is no PCA. `sample` leaves that share out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            In nats, of densities in the units of X, comparable with
            :meth:`sklearn.decomposition.PCA.score_samples`.

        References
        ----------
        .. [1] Burda, Y., Grosse, R. and Salakhutdinov, R. (2016). Importance weighted
           autoencoders. ICLR.
        .. [2] Hesterberg, T. (1995). Weighted average importance sampling and defensive
           mixture distributions. Technometrics, 37(2), 185-194.
        .. [3] Smyth, P. and Wolpert, D. (1999). Linearly combining density estimators
           via stacking. Machine Learning, 36, 59-83.
        """
        X = self._validate_rows(X, "score_samples")
        noise = self._fixed_noise(self.n_score_draws)

        def bound(model, x):
            draws = noise.to(x.device, x.dtype)
            return log_bound(model, model.standardize(x), draws)

        return self._map_rows(X, bound)

    def posterior(self, X):
        """Return the posterior of the code of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_components)
            What `transform` returns.
        std : ndarray of shape (n_samples, n_components)
            Standard deviations.
        """
        X = self._validate_rows(X, "posterior")

        def moments(model, x):
            q = model.encode(model.standardize(x))
            return torch.stack([q.mean, q.std], 1)

        both = self._map_rows(X, moments)
        return both[:, 0], both[:, 1]

    def _fixed_noise(self, n_draws):
        """Antithetic draws (s, k), the same for every row and every call."""
        generator = torch.Generator().manual_seed(self._seed)
        half = torch.randn(
            -(-n_draws // 2),
            self.n_components_,
            generator=generator,
            dtype=torch.float64,
        )
        return torch.cat([half, -half])[:n_draws]

    def _imputation_noise(self):
        return self._fixed_noise(_N_IMPUTATION_DRAWS)

    def _likelihood_choice(self):
        return self.likelihood, LIKELIHOODS

    def _make_prior(self, n_components, n_features):
        return make_prior(self.prior, n_components, n_features)

    def _check_parameters(self, previous):
        super()._check_parameters(previous)
        if self._is_ordered and not (self.prior == "normal" and self.n_draws == 1):
            raise ValueError(
                "Ordered latents need prior='normal' and n_draws=1; got "
                f"prior={self.prior!r} and n_draws={self.n_draws}."
            )
        for name in ("capacity", "free_bits", "penalty"):
            if self.n_draws > 1 and getattr(self, name):
                raise ValueError(
                    f"{name} needs n_draws=1: a bound of {self.n_draws} draws has no "
                    "divergence of its own."
                )

    def _objective_parameters(self):
        return {
            "n_draws": self.n_draws,
            "criterion__beta": self.beta,
            "criterion__kl_warmup": self.kl_warmup,
            "criterion__capacity": self.capacity,
            "criterion__free_bits": self.free_bits,
            "criterion__path_derivative": self.path_derivative,
        }

    @torch.no_grad()
    def _study_codes(self, model, kept, seed):
        kept = kept[:_N_STUDIED]
        self.kl_per_component_ = like(kl_per_component(model, kept, seed), self.mean_)
        self._is_active = is_active(model, kept)
        self.n_active_components_ = int(self._is_active.sum())
        warn_of_collapse(model, kept, self.n_active_components_)
        self._set_noise_variance(model)

    def _shorten(self, n_components):
        super()._shorten(n_components)
        self.kl_per_component_ = self.kl_per_component_[:n_components]
        self._is_active = self._is_active[:n_components]
        self.n_active_components_ = int(self._is_active.sum())
        self._set_noise_variance(self.net_.module_)

    def _set_noise_variance(self, model):
        self.__dict__.pop("noise_variance_", None)
        variance = noise_variance(model)
        if variance is not None:
            is_shared = len(variance) == 1
            self.noise_variance_ = (
                float(variance) if is_shared else like(variance, self.mean_)
            )

    def _code_draws(self, model, x, generator):
        q = model.encode(x)
        noise = torch.randn(q.mean.shape, generator=generator).to(x.device)
        return q.rsample(noise)

    _densities = {
        "prior": BaseAutoencoder._draw_from_prior,
        "mixture": BaseAutoencoder._draw_from_mixture,
    }
