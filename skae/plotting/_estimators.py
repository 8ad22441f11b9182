"""What displays ask of an estimator: a transformer, or a pipeline that ends in one."""

import numpy as np
from scipy.sparse import issparse
from scipy.stats import norm
from sklearn.pipeline import Pipeline

from skae._sklearn import check_is_fitted

# Draws whose quantiles stand for those of a density.
_N_DRAWS = 10_000

_OF_PRIOR = "at quantiles of the prior"


def last_step(estimator):
    """The transformer that a pipeline ends in, or the estimator itself."""
    return last_step(estimator[-1]) if isinstance(estimator, Pipeline) else estimator


def check_has(estimator, name, kind):
    """Raise where the last step is not fitted, or has no attribute of this name, which
    a fitted `kind` has."""
    last = last_step(estimator)
    check_is_fitted(last)
    if not hasattr(last, name):
        raise TypeError(
            f"{type(last).__name__} has no {name}: this display is of {kind}, or of a "
            "pipeline that ends in one. Of a longer pipeline pass the first steps."
        )


def as_seen_by_last_step(estimator, X):
    """X after the steps before the last one."""
    if not isinstance(estimator, Pipeline):
        return X
    if len(estimator) > 1:
        X = estimator[:-1].transform(X)
    return as_seen_by_last_step(estimator[-1], X)


def array(X):
    """Rows or codes of any kind as an array (n, d) of floats on the processor.

    Raises
    ------
    TypeError
        If they are a dataframe of columns that are not all numbers.
    """
    X = X.toarray() if issparse(X) else X
    X = X.numpy(force=True) if hasattr(X, "numpy") and hasattr(X, "device") else X
    try:
        X = np.asarray(X, dtype=float)
    except (TypeError, ValueError) as error:
        if not hasattr(X, "columns"):
            raise
        raise TypeError(
            "Rows of a mixed table are not drawn, as their columns are not all "
            "numbers; LatentDisplay draws their codes."
        ) from error
    return X.reshape(len(X), -1)


def encoded(estimator, X):
    """Codes (n, k) of rows, without columns of hidden layers."""
    codes = array(estimator.transform(X))
    return codes[:, : getattr(last_step(estimator), "n_components_", None)]


def decoder(estimator):
    """Function from codes (n, k) to rows (n, d)."""
    width = getattr(last_step(estimator), "_n_features_out", None)

    def decode(codes):
        # Columns of hidden layers, which decoding ignores.
        missing = 0 if width is None else width - codes.shape[1]
        return array(estimator.inverse_transform(np.pad(codes, ((0, 0), (0, missing)))))

    return decode


def posterior_std(estimator, X):
    """Standard deviations (n, k) of the posteriors, or None where there are none."""
    last = last_step(estimator)
    if not hasattr(last, "posterior"):
        return None
    return array(last.posterior(as_seen_by_last_step(estimator, X))[1])


def by_information(estimator, spread):
    """Latents, the most informative first: by divergence from the prior where that is
    known, otherwise by their standard deviations `spread` (k,)."""
    known = getattr(last_step(estimator), "kl_per_component_", spread)
    return np.argsort(-np.asarray(known, dtype=float), kind="stable")


def feature_names(estimator, n_features):
    """Names of the columns of X."""
    names = getattr(estimator, "feature_names_in_", None)
    return [f"Feature {i}" for i in range(n_features)] if names is None else list(names)


def checked_latents(latents, n_components, at_most=None):
    """Numbers of latents as a tuple.

    Raises
    ------
    ValueError
        If they are not different numbers of latents, or too many.
    """
    latents = tuple(int(latent) for latent in np.atleast_1d(latents))
    is_within = all(0 <= latent < n_components for latent in latents)
    if not latents or not is_within or len(set(latents)) < len(latents):
        raise ValueError(
            "latents must be different whole numbers within 0 and "
            f"{n_components - 1}; got {latents!r}."
        )
    if at_most is not None and len(latents) > at_most:
        raise ValueError(f"At most {at_most} latents are shown here; got {latents!r}.")
    return latents


def checked_limits(limits):
    """Probabilities of the first and the last code.

    Raises
    ------
    ValueError
        If they do not rise within 0 and 1: the quantiles there may be infinite.
    """
    first, last = limits
    if not 0 < first < last < 1:
        raise ValueError(
            f"limits must be two rising probabilities within 0 and 1; got {limits!r}."
        )
    return first, last


class CodeDensity:
    """Quantiles of the density of codes that an estimator draws rows from.

    Parameters
    ----------
    estimator : transformer or pipeline
    X : array-like or None
        Rows whose codes are taken where the estimator has no density.

    Attributes
    ----------
    label : str
        What the quantiles are of.
    """

    def __init__(self, estimator, X=None):
        last = last_step(estimator)
        self.codes = None
        if X is not None:
            self.label, self.codes = "at quantiles of codes", encoded(estimator, X)
        elif getattr(last, "prior", None) == "normal":
            self.label, self.n_components = _OF_PRIOR, last.n_components_
        elif hasattr(last, "_densities"):
            has_prior = "prior" in last._densities
            self.label = _OF_PRIOR if has_prior else "at quantiles of codes"
            draw = last._densities["prior" if has_prior else "mixture"]
            self.codes = array(draw(_N_DRAWS, np.random.RandomState(0)))
        else:
            raise ValueError(
                f"{type(last).__name__} has no density of codes: pass X, whose codes "
                "are taken instead."
            )
        if self.codes is not None:
            self.n_components = self.codes.shape[1]
        self.spread = (
            np.ones(self.n_components) if self.codes is None else self.codes.std(0)
        )

    def quantiles(self, probabilities):
        """Values (len(probabilities), k) of each latent."""
        if self.codes is not None:
            return np.quantile(self.codes, probabilities, axis=0)
        values = norm.ppf(probabilities)[:, None]
        return np.repeat(values, self.n_components, axis=1)
