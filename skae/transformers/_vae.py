"""The variational autoencoder."""

from numbers import Integral, Real

import torch
from torch.distributions import Distribution

from skae._sklearn import Interval, StrOptions
from skae.io import storable
from skae.nn._log_density import log_bound
from skae.nn._random import antithetic_normal
from skae.nn.likelihoods import LIKELIHOODS
from skae.nn.priors import PRIORS, make_prior
from skae.transformers._base import BaseAutoencoder
from skae.transformers._diagnostics import describe_noise, describe_posterior
from skae.transformers._parameters import check_variational_parameters

# Posterior samples per row for imputation: importance weights make only some count.
_N_IMPUTATION_DRAWS = 200


@storable
class VAETransformer(BaseAutoencoder):
    r"""Variational autoencoder, initialised with probabilistic PCA.

    Latents `z` are drawn from a prior and rows from a likelihood around the decoder's
    value; the encoder returns a normal posterior with diagonal covariance. Training
    maximises the evidence lower bound (ELBO) [1]_ of a row, in nats,

    .. math:: E_{q(z|x)} \log p(x | z) - \beta \, KL(q(z|x) \| p(z)).

    A linear skip around both networks is initialised with probabilistic PCA [2]_, where
    the bound is exact. Training keeps the epoch that is best on validation rows, or the
    initial model.

    Parameters
    ----------
    n_components : int, float or None, default=2
        Size of the code; it may exceed the number of features. None is that of all axes
        of PCA, a float within (0, 1) the ratio of the variance to explain, as described
        in :class:`AutoencoderTransformer`.
    hidden_layer_sizes : int, sequence of int or "auto", default="auto"
        Widths of the encoder's hidden layers; the decoder mirrors them. "auto" is
        (512, 256) from 5,000 rows or 100 features on, (256, 128) below both. ``()`` is
        the linear model.
    activation : {"silu", "relu", "gelu", "elu", "leaky_relu", "softplus", "tanh", \
            "logistic"}, default="silu"
        Activation function of the hidden layers.
    architecture : {"mlp", "conv", "recurrent", "attention"} or callable, default="mlp"
        Kind of network around the linear skip, or an object of
        `skae.nn.architectures`, as described in :class:`AutoencoderTransformer`.
    sample_shape : tuple of int or None, default=None
        Shape of a row: (channels, height, width) or (channels, length) for "conv",
        (length, features) for "recurrent" and "attention". None is one channel.
    likelihood : str, list of (str, columns) or callable, default="gaussian"
        Distribution of a row given its code.

        - "gaussian": normal with one learned variance, "diagonal_gaussian" with one for
          each feature, whose units do not matter then;
        - "laplace", "student_t": heavier tails, for rows with gross errors;
        - "bernoulli": binary features, or values in [0, 1]; "binarized_bernoulli": bits
          of which such values are the probabilities, drawn anew in each epoch;
        - "categorical": one category, as one-hot columns;
        - "poisson", "negative_binomial": counts; the latter vary more;
        - "discretized_normal": whole numbers within the range of the training rows:
          ratings, ages, years;
        - a list for columns of different kinds: pairs of one of these and columns as
          in :class:`~sklearn.compose.ColumnTransformer`, say
          ``[("gaussian", ["age", "income"]), ("categorical", ["a", "b", "c"])]``;
        - "auto": such a list, chosen by the values of the columns;
        - "from_dtype": by the dtypes of a dataframe, of whatever columns; with the
          default a dataframe that has columns beside numbers is taken so too
          (:doc:`/guide/tables`);
        - a `skae.nn.likelihoods.Likelihood`, or a callable that makes one from the
          number of features.
    prior : str, torch.distributions.Distribution or callable, default="normal"
        Distribution of the latents: "normal" is the standard normal, "mixture" a
        learned mixture of 50 normals, "vamp" the mixture of the posteriors of 500
        learned pseudo-inputs, initialised with training rows [4]_. A distribution of
        torch, over vectors or over each latent, is not trained. A callable makes a
        `skae.nn.priors.Prior` from the numbers of components and features, such as
        ``functools.partial(Vamp, n_pseudo_inputs=100)``.
    beta : float, default=1.0
        Weight of the divergence [3]_. 1 is the ELBO, whatever the number of features.
    kl_warmup : float, default=0.0
        Fraction of the epochs in which that weight grows from zero to `beta`.
    capacity : float, default=0.0
        Nats `C` that the divergence is drawn to, by ``beta * |KL - C|``; `C` grows from
        zero in the first half of the epochs [5]_. For `beta` above 1.
    free_bits : float, default=0.0
        Nats of each latent that cost nothing, on average over a batch [6]_; of all
        latents together if the prior is not independent over latents.
    n_draws : int, default=1
        Draws of the posterior per row and step; several train the importance-weighted
        bound [7]_, by the doubly reparameterised gradient [8]_, and are an error with
        `capacity`, `free_bits`, a penalty or `ordered`.
    path_derivative : bool, default=False
        Whether the gradient leaves out the score of the posterior, which has mean zero:
        a smaller variance where the posterior is nearly exact [9]_.
    penalty : str, penalty, callable or list of them, default=None
        Term added to the objective: "total_correlation" makes the beta-TCVAE of beta
        ``penalty_weight + 1`` [10]_, "mmd" or "adversarial" the InfoVAE [11]_; others
        of :class:`AutoencoderTransformer` act on draws of the code.
    penalty_weight : float or list of float, default=1.0
        Weight of the penalty, or of each.
    n_score_draws : int, default=64
        Draws of the posterior for the bound that `score_samples` returns.
    transform_layers : {"all"} or None, default=None
        Output of `transform`. None is the code; "all" is the code, followed by the
        values of the hidden layers, as described in :class:`AutoencoderTransformer`.
    noise : {"gaussian", "masking", "salt_and_pepper", "swap", "dropout"}, callable \
            or None, default=None
        Corruption of the encoder's input (denoising autoencoder [12]_), as described in
        :class:`AutoencoderTransformer`.
    noise_level : float, default=0.1
        Standard deviation of the Gaussian noise, times the features' root mean square;
        otherwise the fraction of the entries.
    ordered : bool, default=False
        Whether any prefix of a code is a good code of that size (nested dropout [13]_),
        which `truncate` takes. Needs ``prior="normal"``.
    init : {"pca", "random"}, default="pca"
        Initial model: probabilistic PCA, or random weights.
    alpha : float, default=30.0
        Weight decay of the hidden layers, as in :class:`AutoencoderTransformer`.
    learning_rate_init : float or "auto", default="auto"
        Peak of the one-cycle schedule of the learning rate; the rate of `partial_fit`.
        "auto" is 8e-3, and 4e-3 from 5,000 rows on, with `noise` and in `partial_fit`.
    batch_size : int or "auto", default="auto"
        Rows of one step; "auto" is described in :class:`AutoencoderTransformer`.
    max_iter : int or "auto", default="auto"
        Largest number of epochs, passes over the rows. 0 leaves the initial model:
        probabilistic PCA. "auto" is 100, or 60 for a mixed table, and fewer where these
        would be more than 10,000 steps.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out validation rows, keep the epoch that is best on them (the
        initial model included) and stop when none is better any more. "auto" does so
        from 10 rows on, unless epochs do not compare (penalty "adversarial").
    validation_fraction : float, default=0.1
        Fraction of the rows that are validation rows.
    n_iter_no_change : int, default=20
        Epochs without a better one after which training goes back to the best one and
        on at a quarter of the rate; when that has not helped it ends.
    allow_nan : bool, default=False
        Whether entries of X may be missing (NaN): the loss leaves them out, `impute`
        fills them, as described in :class:`AutoencoderTransformer`.
    max_categories : int, default=255
        Columns that a category of a mixed table has at most: rarer ones become a
        single infrequent level, as of :class:`~sklearn.preprocessing.OneHotEncoder`.
    handle_unknown : {"missing", "error"}, default="missing"
        What a category stands for that no training row had. "missing" is nothing: it
        is left out where entries may be missing, and elsewhere all of its columns are
        zero; a score takes it for the rarest level then. "error" raises.
    warm_start : bool, default=False
        Whether `fit` goes on from the last fit.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of matrix products in training. "auto" is bfloat16 where the hardware
        computes in it and the network is large enough to gain.
    device : str, default="auto"
        "cpu", "cuda" or "cuda:1", say; "auto" is a GPU where there is one. A fitted
        model moves to a device that is set later.
    callbacks : list of skorch callbacks or None, default=None
        Instances, or pairs of a name and an instance, as described in
        :class:`AutoencoderTransformer`.
    checkpoint : path-like or None, default=None
        File from which the same call of `fit` goes on where the process ended, as
        described in :class:`AutoencoderTransformer`.
    random_state : int, RandomState instance or None, default=None
        Generator of weights, validation rows, order of rows and draws. An int gives
        equal bits on the same machine.
    verbose : int, default=0
        1 shows a progress bar over the epochs, 2 a table of them as well.

    Attributes
    ----------
    n_components_ : int
        Size of the code.
    n_iter_ : int
        Number of epochs run.
    loss_curve_ : list of float
        Mean training loss of a row, by epoch: minus the ELBO in nats if `beta` is 1.
    validation_loss_curve_ : list of float
        The same of the validation rows, where there are any.
    initial_loss_ : float or None
        Validation loss of the initial model; None without validation rows.
    best_loss_ : float or None
        Validation loss of what was kept; without validation rows the training loss of
        the last epoch, None if nothing was trained.
    best_iter_ : int
        Number of the epoch that was kept, from one; 0 is the initial model.
    stopped_by_ : {"max_iter", "converged", "interrupt", "not finite", "callback"}
        Why training ended.
    noise_variance_ : float or ndarray of shape (n_features,)
        Learned variance of a feature around its reconstruction, in squared units of X;
        only with one of the first four likelihoods.
    kl_per_component_ : ndarray of shape (n_components,)
        Mean divergence of each latent's posterior from its prior, in nats, over up to
        1,000 training rows.
    n_active_components_ : int
        Number of latents whose posterior mean has a variance above 0.01 over these rows
        [7]_: the others are the same for all rows.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        Ratio of the variance of validation rows (of all, where there are none) that
        each latent adds; only with `ordered` latents.
    net_ : skorch.NeuralNet
        The trained net, as described in :class:`AutoencoderTransformer`; in
        ``net_.history``, "valid_rate" and "valid_distortion" are the divergence and
        minus the log-likelihood of validation rows, in nats.
    encoder_, decoder_ : torch.nn.Module
        From rows in data units to codes, and back; for export and for torch.
    components_ : ndarray of shape (n_components, n_features)
        Loadings: the mean derivative of each feature by each latent, over draws of the
        fitted mixture of codes. Of the linear model they are PCA's times the
        standard deviation of each component that is not noise.
    mean_ : ndarray of shape (n_features,)
        Means of the features, over their observed entries.
    n_features_in_ : int
        Number of features seen during `fit`.
    columns_ : list of ColumnInfo
        What was understood of each column of a mixed table; absent after other fits.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
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
    .. [3] Higgins, I. et al. (2017). beta-VAE. ICLR.
    .. [4] Tomczak, J. and Welling, M. (2018). VAE with a VampPrior. AISTATS.
    .. [5] Burgess, C. et al. (2018). Understanding disentangling in beta-VAE.
       arXiv:1804.03599.
    .. [6] Kingma, D. P. et al. (2016). Improved variational inference with inverse
       autoregressive flow. NeurIPS.
    .. [7] Burda, Y. et al. (2016). Importance weighted autoencoders. ICLR.
    .. [8] Tucker, G. et al. (2019). Doubly reparameterized gradient estimators for
       Monte Carlo objectives. ICLR.
    .. [9] Roeder, G. et al. (2017). Sticking the landing. NeurIPS.
    .. [10] Chen, R. T. Q. et al. (2018). Isolating sources of disentanglement in
       variational autoencoders. NeurIPS.
    .. [11] Zhao, S. et al. (2019). InfoVAE. AAAI.
    .. [12] Vincent, P. et al. (2010). Stacked denoising autoencoders. Journal of
       Machine Learning Research, 11, 3371-3408.
    .. [13] Rippel, O. et al. (2014). Learning ordered representations with nested
       dropout. ICML.

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
        "likelihood": [
            StrOptions({"auto", "from_dtype", *LIKELIHOODS}),
            list,
            tuple,
            callable,
        ],
        "prior": [StrOptions(set(PRIORS)), Distribution, callable],
        "beta": [Interval(Real, 0, None, closed="left")],
        "kl_warmup": [Interval(Real, 0, 1, closed="both")],
        "capacity": [Interval(Real, 0, None, closed="left")],
        "free_bits": [Interval(Real, 0, None, closed="left")],
        "n_draws": [Interval(Integral, 1, None, closed="left")],
        "path_derivative": ["boolean"],
        "n_score_draws": [Interval(Integral, 1, None, closed="left")],
    }

    _posterior = "normal"
    # Steps take one draw; epochs are compared with one another, which needs more.
    _n_valid_draws = 4
    # Against rare steps that throw the weights far off; a norm of 5 hinders usual ones.
    _clip = 100.0

    def __init__(
        self,
        n_components=2,
        *,
        hidden_layer_sizes="auto",
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
        learning_rate_init="auto",
        batch_size="auto",
        max_iter="auto",
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=20,
        allow_nan=False,
        max_categories=255,
        handle_unknown="missing",
        warm_start=False,
        precision="auto",
        device="auto",
        callbacks=None,
        checkpoint=None,
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
        self.max_categories = max_categories
        self.handle_unknown = handle_unknown
        self.warm_start = warm_start
        self.precision = precision
        self.device = device
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def score_samples(self, X):
        """Return the log-likelihood of each row, bounded from below.

        The bound is importance-weighted [1]_ over `n_score_draws` draws of the
        posterior, the same for every row and call, so a row scores the same alone and
        among others. It holds in expectation over the draws: with those of one call
        the score of a single row may be above its log-likelihood, by hundredths of a
        nat. A linear Gaussian model's score is exact. The density is a mixture
        with the initial model, probabilistic PCA (see `validation_fraction`), whose
        weight is learned on validation rows and is 1 / (n_samples + 1) at least: no
        score is lower than that model's by more than ``log(n_samples + 1)`` [2]_. After
        `partial_fit` the initial model is that of the first batch; with
        ``init="random"`` there is none. `sample` leaves it out.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Log-densities in nats, in the units of X, comparable with
            :meth:`sklearn.decomposition.PCA.score_samples`.

        References
        ----------
        .. [1] Burda, Y. et al. (2016). Importance weighted autoencoders. ICLR.
        .. [2] Hesterberg, T. (1995). Weighted average importance sampling and defensive
           mixture distributions. Technometrics, 37(2), 185-194.
        """
        return self._score_rows(X)

    def posterior(self, X):
        """Return the posterior of the code of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_components)
            Posterior means, as `transform` returns them.
        std : ndarray of shape (n_samples, n_components)
            Posterior standard deviations.
        """
        X = self._validate_rows(X, "posterior")

        def moments(model, x):
            q = model.encode(model.units.to_net(x))
            # (n, 2, k)
            return torch.stack([q.mean, q.std], 1)

        both = self._map_rows(X, moments)
        return both[:, 0], both[:, 1]

    def _imputation_base_samples(self, n_components, seed):
        return antithetic_normal(_N_IMPUTATION_DRAWS, n_components, seed)

    def _log_density(self, model, x):
        base_samples = self._score_base_samples(model)
        return log_bound(model, x, base_samples.to(x.device, x.dtype))

    def _score_base_samples(self, model):
        return antithetic_normal(self.n_score_draws, model.n_components, self._seed)

    def _likelihood_choice(self):
        return self.likelihood, LIKELIHOODS

    def _make_prior(self, n_components, n_features):
        return make_prior(PRIORS, self.prior, n_components, n_features)

    def _check_parameters(self):
        super()._check_parameters()
        check_variational_parameters(self)

    def _objective_parameters(self):
        return {
            "n_draws": self.n_draws,
            "criterion__beta": self.beta,
            "criterion__kl_warmup": self.kl_warmup,
            "criterion__capacity": self.capacity,
            "criterion__free_bits": self.free_bits,
            "criterion__path_derivative": self.path_derivative,
        }

    def _diagnose(self, model, rows, seed, like_X):
        return describe_posterior(model, rows, seed, like_X)

    def _truncate(self, k):
        super()._truncate(k)
        self.kl_per_component_ = self.kl_per_component_[:k]
        self._is_active = self._is_active[:k]
        self.n_active_components_ = sum(self._is_active)
        vars(self).update(describe_noise(self.net_.module_, self.mean_))

    def _code_draws(self, model, x, generator):
        q = model.encode(x)
        noise = torch.randn(q.mean.shape, generator=generator, dtype=torch.float32).to(
            x.device
        )
        return model.units.to_users_code(q.rsample(noise))

    @property
    def _densities(self):
        mixture, prior = self._code_mixture.sample, self._draw_from_prior
        # A learned prior follows the codes by itself: it comes first, as the default.
        if any(True for _ in self.net_.module_.prior.parameters()):
            return {"prior": prior, "mixture": mixture}
        return {"mixture": mixture, "prior": prior}
