"""The deterministic autoencoder."""

from numbers import Integral

from skae._sklearn import Interval, StrOptions
from skae.io import storable
from skae.nn._log_density import log_loss
from skae.nn.likelihoods import LOSSES
from skae.transformers._base import BaseAutoencoder


@storable
class AutoencoderTransformer(BaseAutoencoder):
    r"""Autoencoder, initialised with PCA [4]_.

    The encoder's code of a row and its reconstruction are

    .. math:: z = A (x - m) + f(x), \qquad \hat x = m + B z + g(z)

    where the linear skip `A`, `B`, `m` is initialised with the principal components and
    the networks `f`, `g` [3]_ with zero. Training keeps the epoch that is best on
    validation rows, the initial model included, so reconstructions of new rows are
    rarely worse than those of :class:`~sklearn.decomposition.PCA` with as many
    components. Like PCA's, they depend on the scale of the features: scale these in a
    step before.

    Parameters
    ----------
    n_components : int, float or None, default=2
        Size of the code; it may exceed the number of features. None is that of all axes
        of PCA. A float within (0, 1) is the ratio of the validation rows' variance to
        explain: as many latents as PCA needs for it are trained in order, and the
        fewest that reach it are kept.
    hidden_layer_sizes : int, sequence of int or "auto", default="auto"
        Widths of the encoder's hidden layers; the decoder mirrors them. "auto" is
        (512, 256) from 5,000 rows or 100 features on, (256, 128) below both. ``()`` is
        the linear model.
    activation : {"silu", "relu", "gelu", "elu", "leaky_relu", "softplus", "tanh", \
            "logistic"}, default="silu"
        Activation function of the hidden layers.
    architecture : {"mlp", "conv", "recurrent", "attention"} or callable, default="mlp"
        Kind of network around the linear skip: fully connected layers, convolutions of
        images or signals, recurrent layers or self-attention over sequences. An object
        of ``skae.nn.architectures``, such as ``Convolutional(channels=(16, 32))``, has
        options; any callable that makes an encoder and a decoder body will do.
    sample_shape : tuple of int or None, default=None
        Shape of a row: (channels, height, width) or (channels, length) for "conv",
        (length, features) for "recurrent" and "attention". None is one channel. X may
        then have the shape ``(n_samples, *sample_shape)``, too; rows come back flat.
    loss : str, list of (str, columns) or callable, default="squared_error"
        Error of a reconstruction, summed over the features: "squared_error",
        "absolute_error" or "binary_cross_entropy", in nats, for values in [0, 1]. Any
        likelihood of :class:`VAETransformer` is a loss too, "auto", "from_dtype" and
        lists for groups of columns included: minus its logarithm, in nats. A dataframe
        with columns beside numbers is taken by their dtypes with the default as well.
    transform_max_iter : int, default=0
        Quasi-Newton steps from the encoder's code to the code whose reconstruction is
        nearest to the row. 0 returns the encoder's code. With 3, reconstructions are
        more exact, and `transform` takes about ten times as long.
    penalty : str, penalty, callable or list of them, default=None
        Term added to the loss: "l1" or "kl_sparsity" for sparse codes, "contractive"
        for codes that small changes of the row hardly change,
        "orthogonal" for uncorrelated latents, "mmd" (Wasserstein autoencoder) or
        "adversarial" for codes that follow a standard normal; or an object of
        `skae.nn.penalties`, such as ``KLSparsity(target=0.1)``, where each is
        described. A callable takes the model, the rows and the terms of the objective,
        with the codes as attribute `z`, and returns a value for each row or one for
        all. Codes then have about unit variance, instead of PCA's.
    penalty_weight : float or list of float, default=1.0
        Weight of the penalty, or of each, beside a loss summed over features that are
        scaled to mean square one.
    transform_layers : {"all"} or None, default=None
        Output of `transform`. None is the code. "all" is the code, followed by the
        values of the encoder's and of the decoder's hidden layers in their order:
        features for a linear model, where the hidden layers are wide and `noise` keeps
        them from copying the row [5]_. Scale them: their variances are not the code's.
        `inverse_transform` decodes the first columns. Only for fully connected layers.
    noise : {"gaussian", "masking", "salt_and_pepper", "swap", "dropout"}, callable \
            or None, default=None
        Corruption of the encoder's input in training, and of validation rows; the
        target stays clean (denoising autoencoder [1]_). "gaussian" adds normal noise,
        "masking" sets entries to their feature's mean, "salt_and_pepper" to the
        feature's extremes, "swap" to another row's value of that feature, for tables of
        mixed columns, "dropout" is masking that enlarges the other entries. A callable
        is ``(x, level, generator) -> x`` of centred and scaled tensors.
    noise_level : float, default=0.1
        Standard deviation of the Gaussian noise, times the features' root mean square;
        otherwise the fraction of the entries.
    ordered : bool, default=False
        Whether latents are sorted by importance, like those of PCA: any prefix of a
        code is a good code of that size (nested dropout [2]_), which `truncate` takes.
        One network for all sizes takes longer to train than one for a single size, and
        gains from more epochs (``max_iter=200``).
    init : {"pca", "random"}, default="pca"
        Initial model: PCA, or random weights.
    alpha : float, default=30.0
        Decoupled weight decay of the hidden layers (AdamW), divided by the number of
        rows, as in `sklearn.neural_network.MLPRegressor`: a step shrinks them by the
        factor ``1 - learning_rate * alpha / n_samples``.
    learning_rate_init : float or "auto", default="auto"
        Peak of the one-cycle schedule of the learning rate; the rate of `partial_fit`.
        "auto" is 8e-3, and 4e-3 from 5,000 rows on, with `noise` and in `partial_fit`.
    batch_size : int or "auto", default="auto"
        Rows of one step. "auto" is the power of two next to a twelfth of the rows,
        within 32 and 256; next to a 24th, within 8 and 256, with `noise` and in
        `partial_fit`; next to 1/500 of more than 128,000 rows.
    max_iter : int or "auto", default="auto"
        Largest number of epochs, passes over the rows. 0 leaves the initial model:
        PCA. "auto" is 100, or 60 for a mixed table, and fewer where these would be more
        than 10,000 steps.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out validation rows, keep the epoch that is best on them (the
        initial model included) and stop when that does not improve any more. "auto"
        does so from 10 rows on, but not for the linear model, nor with the adversarial
        penalty, whose epochs do not compare; True is an error with it.
    validation_fraction : float, default=0.1
        Fraction of the rows that are validation rows. The initial PCA sees all rows,
        unless there are fewer than ten a component: then the training rows.
    n_iter_no_change : int, default=20
        Epochs without a better one after which training goes back to the best epoch and
        on at a quarter of the rate; when that has not helped it ends.
    allow_nan : bool, default=False
        Whether entries of X may be missing (NaN). They are left out of the loss; the
        encoder is given their conditional means under a multivariate normal, which is
        fitted to the observed entries (of the first batch, in `partial_fit`) and gives
        the initial model too. `impute` fills them.
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
        computes in it and the network is large enough to gain. Everything else, scores
        and transforms included, is float32, or float64 when X is.
    device : str, default="auto"
        "cpu", "cuda" or "cuda:1", say; "auto" is a GPU where there is one. A fitted
        model moves to a device that is set later.
    callbacks : list of skorch callbacks or None, default=None
        As in `skorch.NeuralNet`: instances, or pairs of a name and an instance. The
        names "schedule" and "best_epoch" replace the built-in ones; None removes them.
        Those that freeze single weights or score targets are refused. An instance runs
        as it is, not a copy: what a fit sets on it is found there until the next fit.
        `clone`, and so a search, makes new ones from all attributes whose names do not
        end in an underscore: these must be parameters of the constructor.
    checkpoint : path-like or None, default=None
        File in which `fit` keeps its state after each epoch. Where the process ends,
        the same call in another one, with the same rows and parameters, goes on from
        the last whole epoch, and on the CPU to the same bits. The file is deleted when
        the fit has come to its end, and kept by one that Ctrl-C ends. Callbacks of your
        own begin anew. Between calls of `partial_fit`, `save` keeps the model.
    random_state : int, RandomState instance or None, default=None
        Generator of weights, validation rows, order of rows and draws. An int gives
        equal bits on the same machine.
    verbose : int, default=0
        1 shows a progress bar over the epochs, 2 a table of them as well, which begins
        with the loss of the initial model, where it is known.

    Attributes
    ----------
    n_components_ : int
        Size of the code.
    n_iter_ : int
        Number of epochs run.
    loss_curve_ : list of float
        Mean training loss of a row in each epoch, in squared units of X,
        or nats; the penalty included, and with `ordered` latents a weighted mean over
        the sizes.
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
    explained_variance_ratio_ : ndarray of shape (n_components,)
        Ratio of the variance of validation rows (of all, where there are none) that
        each latent explains beyond those before it; only with `ordered` latents.
    net_ : skorch.NeuralNet
        The trained net: ``net_.module_`` is the torch model, ``net_.history`` holds the
        epochs, with losses in the units of `loss_curve_`. `save_params` and
        `load_params` are those of its weights; its `predict` reconstructs arrays. It
        does not train by itself.
    encoder_, decoder_ : torch.nn.Module
        From rows in data units to codes, and back; for export and for torch.
    components_ : ndarray of shape (n_components, n_features)
        Loadings: the mean derivative of each feature by each latent, over draws of the
        fitted mixture of codes. Those of the linear model are PCA's.
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
    VAETransformer : A probability for each row, and codes with a known density.
    sklearn.decomposition.PCA : The initial model.

    References
    ----------
    .. [1] Vincent, P. et al. (2010). Stacked denoising autoencoders. Journal of Machine
       Learning Research, 11, 3371-3408.
    .. [2] Rippel, O., Gelbart, M. and Adams, R. (2014). Learning ordered
       representations with nested dropout. ICML.
    .. [3] Hinton, G. E. and Salakhutdinov, R. R. (2006). Reducing the dimensionality of
       data with neural networks. Science, 313, 504-507.
    .. [4] Al-Digeil, M. et al. (2022). PCA-Boosted autoencoders for nonlinear
       dimensionality reduction in low data regimes. arXiv:2205.11673.
    .. [5] Vincent, P. et al. (2008). Extracting and composing robust features with
       denoising autoencoders. ICML.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae import AutoencoderTransformer
    >>> X = load_digits().data / 16
    >>> autoencoder = AutoencoderTransformer(8, max_iter=10, random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (1797, 8)
    >>> pca = PCA(8).fit(X)
    >>> def error(model):
    ...     codes = model.transform(X)
    ...     return ((model.inverse_transform(codes) - X) ** 2).sum(1).mean()
    >>> bool(error(autoencoder) < 0.8 * error(pca))
    True
    """

    _parameter_constraints: dict = {
        **BaseAutoencoder._parameter_constraints,
        "loss": [StrOptions({"auto", "from_dtype", *LOSSES}), list, tuple, callable],
        "transform_max_iter": [Interval(Integral, 0, None, closed="left")],
    }

    _posterior = "point"

    def __init__(
        self,
        n_components=2,
        *,
        hidden_layer_sizes="auto",
        activation="silu",
        architecture="mlp",
        sample_shape=None,
        loss="squared_error",
        transform_max_iter=0,
        penalty=None,
        penalty_weight=1.0,
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
        self.loss = loss
        self.transform_max_iter = transform_max_iter
        self.penalty = penalty
        self.penalty_weight = penalty_weight
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
        """Return minus the loss of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Minus the squared error, in squared units of X, or minus the absolute error,
            in units of X; otherwise a log-likelihood, in nats.
        """
        return self._score_rows(X)

    @property
    def _densities(self):
        densities = {"mixture": self._code_mixture.sample}
        # Only a penalty gives point codes a known distribution.
        if self.net_.module_.config()["codes_match_prior"]:
            densities["prior"] = self._draw_from_prior
        return densities

    @property
    def _n_code_steps(self):
        return self.transform_max_iter

    def _log_density(self, model, x):
        return log_loss(model, x, self._n_code_steps)

    # `LOSSES` holds the likelihoods as well as the errors.
    def _likelihood_choice(self):
        return self.loss, LOSSES

    def _make_prior(self, n_components, n_features):
        return None
