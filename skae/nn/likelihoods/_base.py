"""The contract of likelihoods, and its defaults."""

import copy

import torch
from torch import Tensor, nn

# Largest whole number below which float64 has all others.
LARGEST_WHOLE = 2.0**53


def is_whole(X: Tensor) -> Tensor:
    """Mask of the values that are whole numbers, and not just too large for digits
    after the point."""
    return (X == X.round()) & (X.abs() <= LARGEST_WHOLE)


class Likelihood(nn.Module):
    """Distribution of a row of `n_features` given its code; the contract.

    A subclass offers ``log_prob(params, x) -> (n,)``, summed over the features,
    ``mean(params)`` and ``sample(params, generator)``, all with a row in each line,
    ``log_probs(params, x) -> (n, d)``, the terms of that sum, for rows of which entries
    are missing, and what differs from the defaults below. Parameters come from the
    decoder in `n_params` blocks of `n_features`; the first block places the mean.
    """

    n_params = 1
    # Whether the model may centre and scale what is modelled; otherwise likelihoods see
    # the data as they are.
    is_scaled = False
    is_density = True  # otherwise a loss in the units of the data
    support = "finite numbers"
    n_noises = 0  # noise scales whose best value has a closed form

    def __init__(self, n_features: int):
        super().__init__()
        self.n_features = n_features

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Log-density (n,) of rows."""
        return self.log_probs(params, x).sum(-1)

    def log_probs(self, params: Tensor, x: Tensor) -> Tensor:
        """Summand (n, d) of each feature."""
        raise NotImplementedError

    def mean(self, params: Tensor) -> Tensor:
        """Means (n, d) of rows."""
        raise NotImplementedError

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        """A draw (n, d) of each row."""
        raise NotImplementedError

    def by_columns(self) -> list[tuple["Likelihood", Tensor]]:
        """Likelihoods, and the columns (d,) that each is for: itself for all."""
        return [(self, torch.arange(self.n_features))]

    def scale_groups(self) -> list[Tensor]:
        """Columns that are brought to one scale: all, as for PCA."""
        return [torch.arange(self.n_features)]

    @property
    def scaled_features(self) -> Tensor:
        """Mask (d,) of the features that are modelled centred and scaled."""
        return torch.full((self.n_features,), self.is_scaled)

    def config(self) -> dict:
        """Arguments of the constructor that make a likelihood of this structure."""
        return {"n_features": self.n_features}

    def copy(self) -> "Likelihood":
        """A likelihood with parameters of its own."""
        return copy.deepcopy(self)

    def resample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Rows (n, d) as a step of the training sees them."""
        return x

    def contains(self, X: Tensor) -> Tensor:
        """Mask (n, d) of the values in the support."""
        return X.isfinite()

    def encodes(self, X: Tensor) -> Tensor:
        """Mask (n, d) of the values that a fitted model takes for a code: those in the
        support, and what stands for unknown."""
        return self.contains(X)

    def set_range(self, lowest: Tensor, highest: Tensor) -> None:
        """Take the least and the greatest value (d,) of each feature in training, in
        the units of the data, where a distribution is bounded by them."""

    def init_params(
        self, mean: Tensor, variance: Tensor, n_rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Parameters of a row that is like any other, and a linear model around it.

        From mean and variance (d,) of the features: parameters (d * n_params,), factors
        (d,) that make deviations of rows locally normal with equal noise, and factors
        that turn those into deviations of the parameters.
        """
        ones = torch.ones_like(mean)
        return mean.new_zeros(self.n_features * self.n_params), ones, ones

    @property
    def noise(self) -> Tensor:
        """(n_noises,)"""
        return torch.zeros(0)

    def deviations(self, params: Tensor, x: Tensor) -> Tensor:
        """Deviations (n, n_noises), whose mean over rows is the noise that suits them
        best; zero where entries of `x` are missing (NaN)."""
        return params.new_zeros(*params.shape[:-1], 0)

    def observed_fractions(self, x: Tensor) -> Tensor:
        """Fraction (n, n_noises) of the entries of each noise that are not missing."""
        return x.new_zeros(*x.shape[:-1], 0)

    def log_density(
        self, deviations: Tensor, noise: Tensor, fractions: Tensor | float = 1.0
    ) -> Tensor:
        """Log-density (n,) of such deviations, in that fraction of the entries."""
        return deviations.new_zeros(len(deviations))

    def set_noise(self, noise: Tensor | float) -> None:
        """Set the noise scales (n_noises,), where there are any."""

    def set_noise_variance(self, variance: Tensor | float) -> None:
        """Set the initial variance of a feature, where it is learned."""

    def in_data_units(self, log_prob: Tensor, scale: Tensor) -> Tensor:
        """Log-density of the data, of which those modelled were divided by `scale`
        (d,), or (n, d) with ones for missing entries; all ones where they were not.
        An error, whose features have one scale, is always given (d,)."""
        return log_prob - scale.log().sum(-1)


def smoothed_probability(mean: Tensor, n_rows: int) -> Tensor:
    """Probabilities kept off zero and one by half a count each (Krichevsky and
    Trofimov, 1981)."""
    return (mean * n_rows + 0.5) / (n_rows + 1)


def smoothed_rate(mean: Tensor, n_rows: int) -> Tensor:
    """Mean counts kept off zero by half a count among all rows."""
    return mean + 0.5 / n_rows
