"""Drawing new rows."""

from abc import abstractmethod
from numbers import Integral

from sklearn.utils import check_random_state

from skae._sklearn import check_is_fitted
from skae.data._arrays import like
from skae.nn._modules import Decoder
from skae.training._determinism import ordinary_torch
from skae.transformers._bounds import clipped, make_bounds
from skae.transformers._code_mixture import log_prior, sample_prior
from skae.transformers._likelihood_spec import draws_noise
from skae.transformers._table_samples import TableSampler


class SampleMixin:
    """`sample` of a transformer."""

    @property
    @abstractmethod
    def _densities(self):
        """Functions that draw codes (n, k), by name, the default first."""

    def sample(
        self,
        n_samples=1,
        random_state=None,
        *,
        density=None,
        observation_noise=None,
        bounds=None,
        given=None,
        missing=False,
        accept=None,
    ):
        """Draw new rows.

        Those of a mixed table are chosen among more draws, by odds that tell draws from
        training rows [3]_ [4]_: so they follow the data more closely than the model
        alone, and keep to the order of dates and of numbers and to levels that never
        come together. Without noise, and from another density than the default one,
        draws are taken as they come.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Generator of the draws; pass an int for the same rows each time.
        density : {"prior", "mixture"} or None, default=None
            Density of the codes: the prior of a variational model (with the penalties
            "mmd" and "adversarial" also of an autoencoder), or a Gaussian mixture of
            codes of training rows [1]_. None is the prior if it was learned.
        observation_noise : bool or None, default=None
            Whether rows are drawn from the likelihood around the decoded codes: counts,
            categories, values with noise. False gives its means, for pictures say. None
            is True, unless the loss of an autoencoder is an error, not a likelihood.
        bounds : None, "observed" or pair of float or array-like of shape \
                (n_features,), default=None
            Range of the rows; values outside become its nearer end. "observed" is the
            range of the training rows, feature by feature; a pair holds the lowest and
            the highest value, each a number or one for each feature.
        given : dict, dataframe or None, default=None
            What is known of the rows of a mixed table. By the name of a column: a
            value, a pair ``(lowest, highest)`` of which None is an open end, a set of
            values, or a list or array of one value for each row. A dataframe of
            `n_samples` rows has some of the columns; its missing values are drawn.
            Nothing is drawn and thrown away: codes are weighted by the probability of
            what is given [2]_, and rows of their own values are imputed where the model
            takes missing values.
        missing : bool, default=False
            Whether values of a mixed table are missing as often as in the training
            rows, by columns and codes; those that are given are not.
        accept : callable or None, default=None
            Function from a dataframe of new rows to a mask of those that are valid;
            others are drawn anew, at most 100 times as many as `n_samples`, or as 256
            where these are more.

        Returns
        -------
        X : ndarray or dataframe of shape (n_samples, n_features)
            New rows, in the units of the training data; of a model of a mixed table a
            dataframe of its columns and dtypes.

        Raises
        ------
        ValueError
            If the model has no such density, or no likelihood to draw noise from, if
            `bounds` has none of these forms, if what is given is impossible, or too few
            rows are accepted.

        References
        ----------
        .. [1] Ghosh, P. et al. (2020). From variational to deterministic autoencoders.
           ICLR.
        .. [2] Cappe, O., Guillin, A., Marin, J. M. and Robert, C. P. (2004). Population
           Monte Carlo. Journal of Computational and Graphical Statistics, 13(4),
           907-929.
        .. [3] Grover, A. et al. (2019). Bias correction of learned generative models
           using likelihood-free importance weighting. NeurIPS.
        .. [4] Azadi, S. et al. (2019). Discriminator rejection sampling. ICLR.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be an integer >= 1; got {n_samples!r}.")
        if density not in (None, *self._densities):
            known = ", ".join(map(repr, self._densities))
            raise ValueError(
                f"density={density!r} is not one of {known} of {type(self).__name__}."
            )
        with_noise = draws_noise(self.net_.module_.likelihood, observation_noise)
        bounds = self._bounds(bounds)
        random_state = check_random_state(random_state)
        density = density or next(iter(self._densities))
        if self._table is not None:
            sampler = TableSampler(self, density, with_noise, random_state)
            return sampler.sample(int(n_samples), given, missing, accept)
        if given is not None or missing or accept is not None:
            raise ValueError(
                "given, missing and accept are for models of a mixed table; this one "
                "was fitted to an array."
            )
        draw = self._densities[density]
        # (n_samples, k), in the array library of the training rows.
        codes = like(draw(n_samples, random_state), self.mean_)
        if not with_noise:
            rows = self._map_rows(codes, lambda model, code: Decoder(model)(code))
            return clipped(rows, bounds)
        # Codes come first, so that a seed draws the same ones with noise and without.
        generator = self._generator(random_state)
        rows = self._map_rows(
            codes, lambda model, code: Decoder(model).sample(code, generator)
        )
        return clipped(rows, bounds)

    def _bounds(self, bounds):
        """Range of the values that are drawn or filled in, or None."""
        if self._table is not None and bounds is not None:
            raise ValueError(
                "bounds are for arrays: values of a mixed table are within those of "
                "the training rows."
            )
        return make_bounds(bounds, self.net_.module_.units)

    def _log_density_of_codes(self, codes, density):
        """Log-densities (n,) of codes (n, k), as an array."""
        if density == "mixture":
            return self._code_mixture.log_density(codes).numpy()
        return log_prior(self.net_.module_, codes).numpy(force=True)

    @ordinary_torch()
    def _draw_from_prior(self, n_samples, random_state):
        generator = self._generator(random_state)
        return sample_prior(self.net_.module_, n_samples, generator)
