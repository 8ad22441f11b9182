"""Columns of different kinds: a likelihood for each group of them."""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from skae.nn._params import module_list
from skae.nn.likelihoods._base import Likelihood


class Columns(Likelihood):
    """Product of likelihoods, each of its own columns.

    Parameters
    ----------
    parts : list of Likelihood
    columns : list of list of int
        Of each part; together all columns, each once.
    """

    _order: Tensor

    def __init__(self, parts: list[Likelihood], columns: list[list[int]]):
        super().__init__(sum(len(indices) for indices in columns))
        self.parts = module_list(parts)
        self.is_scaled = all(part.is_scaled for part in parts)
        self.n_params = max(part.n_params for part in parts)
        # Buffers, so that they move to the device of the model and stand in its state.
        for i, indices in enumerate(columns):
            self.register_buffer(f"columns_{i}", torch.tensor(indices))
        # Inverse of the order in which parts list their columns.
        order = [j for indices in columns for j in indices]
        self.register_buffer("_order", torch.tensor(order).argsort())
        self.n_noises = sum(part.n_noises for part in parts)

    def config(self) -> dict:
        columns = [indices.tolist() for _, indices in self.by_columns()]
        return {"parts": self.parts, "columns": columns}

    def by_columns(self) -> list[tuple[Likelihood, Tensor]]:
        columns = [getattr(self, f"columns_{i}") for i in range(len(self.parts))]
        return list(zip(self.parts, columns))

    def scale_groups(self) -> list[Tensor]:
        return [
            columns[group.to(columns.device)]
            for part, columns in self.by_columns()
            for group in part.scale_groups()
        ]

    @property
    def scaled_features(self) -> Tensor:
        return self._merge([part.scaled_features for part in self.parts])

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        log_probs = (
            part.log_prob(self._params(part, params, columns), x[..., columns])
            for part, columns in self.by_columns()
        )
        return reduce(torch.add, log_probs)

    def log_probs(self, params: Tensor, x: Tensor) -> Tensor:
        return self._merge(
            [
                part.log_probs(self._params(part, params, columns), x[..., columns])
                for part, columns in self.by_columns()
            ]
        )

    def mean(self, params: Tensor) -> Tensor:
        return self._merge(
            [
                part.mean(self._params(part, params, columns))
                for part, columns in self.by_columns()
            ]
        )

    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor:
        return self._merge(
            [
                part.sample(self._params(part, params, columns), generator)
                for part, columns in self.by_columns()
            ]
        )

    def resample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return self._merge(
            [
                part.resample(x[..., columns], generator)
                for part, columns in self.by_columns()
            ]
        )

    def contains(self, X: Tensor) -> Tensor:
        return self._merge(
            [part.contains(X[:, columns]) for part, columns in self.by_columns()]
        )

    def encodes(self, X: Tensor) -> Tensor:
        return self._merge(
            [part.encodes(X[:, columns]) for part, columns in self.by_columns()]
        )

    def set_range(self, lowest: Tensor, highest: Tensor) -> None:
        for part, columns in self.by_columns():
            part.set_range(lowest[columns], highest[columns])

    def init_params(
        self, mean: Tensor, variance: Tensor, n_rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        # Blocks (n_params, d); those that a part does not have stay zero, unused.
        biases = mean.new_zeros(self.n_params, self.n_features)
        factors = []
        for part, columns in self.by_columns():
            # Parameters, and the two factors (encode, decode) of its linear model.
            bias, *pair = part.init_params(mean[columns], variance[columns], n_rows)
            biases[: part.n_params, columns] = bias.view(part.n_params, -1)
            factors.append(pair)
        encode, decode = zip(*factors)
        return biases.flatten(), self._merge(encode), self._merge(decode)

    @property
    def noise(self) -> Tensor:
        noises = [part.noise for part in self.parts if part.n_noises]
        return torch.cat(noises) if noises else super().noise

    def set_noise(self, noise: Tensor | float) -> None:
        for part, values in zip(self.parts, self._split(torch.as_tensor(noise))):
            if part.n_noises:
                part.set_noise(values)

    def set_noise_variance(self, variance: Tensor | float) -> None:
        for part in self.parts:
            part.set_noise_variance(variance)

    def deviations(self, params: Tensor, x: Tensor) -> Tensor:
        values = [
            part.deviations(self._params(part, params, columns), x[..., columns])
            for part, columns in self.by_columns()
        ]
        return torch.cat(values, -1)

    def observed_fractions(self, x: Tensor) -> Tensor:
        fractions = [
            part.observed_fractions(x[..., cols]) for part, cols in self.by_columns()
        ]
        return torch.cat(fractions, -1)

    def log_density(
        self, deviations: Tensor, noise: Tensor, fractions: Tensor | float = 1.0
    ) -> Tensor:
        fractions = torch.as_tensor(fractions).expand_as(deviations)
        pieces = self._split(deviations), self._split(noise), self._split(fractions)
        log_densities = (
            part.log_density(*piece) for part, *piece in zip(self.parts, *pieces)
        )
        return reduce(torch.add, log_densities)

    def _split(self, values: Tensor) -> tuple[Tensor, ...]:
        """Values of each part's noises."""
        return values.split([part.n_noises for part in self.parts], -1)

    def _params(self, part: Likelihood, params: Tensor, columns: Tensor) -> Tensor:
        if self.n_params == 1:
            return params[..., columns]
        # (..., n_params, d) to the part's own blocks, one after the other
        blocks = params.unflatten(-1, (self.n_params, self.n_features))
        return blocks[..., : part.n_params, columns].flatten(-2)

    def _merge(self, values: Sequence[Tensor]) -> Tensor:
        """Values of the parts' columns, (..., d), in the order of all columns."""
        merged = torch.cat(list(values), -1)
        return merged[..., self._order.to(merged.device)]
