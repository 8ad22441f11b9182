"""Likelihoods of a row given its code; `Likelihood` is their contract."""

from skae.nn.likelihoods._base import Likelihood
from skae.nn.likelihoods._bernoulli import Bernoulli, BinarizedBernoulli
from skae.nn.likelihoods._categorical import Categorical
from skae.nn.likelihoods._columns import Columns
from skae.nn.likelihoods._discretized_normal import DiscretizedNormal
from skae.nn.likelihoods._errors import AbsoluteError, SquaredError
from skae.nn.likelihoods._gaussian import DiagonalGaussian, Gaussian
from skae.nn.likelihoods._laplace import Laplace
from skae.nn.likelihoods._negative_binomial import NegativeBinomial
from skae.nn.likelihoods._poisson import Poisson
from skae.nn.likelihoods._student_t import StudentT

LIKELIHOODS = {
    "gaussian": Gaussian,
    "diagonal_gaussian": DiagonalGaussian,
    "laplace": Laplace,
    "student_t": StudentT,
    "bernoulli": Bernoulli,
    "binarized_bernoulli": BinarizedBernoulli,
    "categorical": Categorical,
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
    "discretized_normal": DiscretizedNormal,
}

# A loss is a likelihood, or one under another name whose scale is fixed.
LOSSES = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "binary_cross_entropy": Bernoulli,
    **LIKELIHOODS,
}

__all__ = [
    "LIKELIHOODS",
    "LOSSES",
    "AbsoluteError",
    "Bernoulli",
    "BinarizedBernoulli",
    "Categorical",
    "Columns",
    "DiagonalGaussian",
    "DiscretizedNormal",
    "Gaussian",
    "Laplace",
    "Likelihood",
    "NegativeBinomial",
    "Poisson",
    "SquaredError",
    "StudentT",
]
