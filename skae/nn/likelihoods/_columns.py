"""Columns of different kinds: a likelihood for each group of them."""

import torch
from torch import Tensor, nn

from skae.nn.likelihoods._base import Likelihood


class Columns(Likelihood):
    """Product of likelihoods, each of its own columns.

    Parameters
    ----------
    parts : list of Likelihood
    columns : list of list of int
        Of each part; together all columns, each once.
    """

    def __init__(self, parts: list[Likelihood], columns: list[list[int]]):
        super().__init__(sum(len(indices) for indices in columns))
        self.parts = nn.ModuleList(parts)
        self.n_params = max(part.n_params for part in parts)
        for i, indices in enumerate(columns):
            self.register_buffer(f"columns_{i}", torch.tensor(indices))
        self.n_noises = sum(part.n_noises for part in parts)

    @property
    def is_scaled(self) -> bool:
        return all(part.is_scaled for part in self.parts)

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
        return sum(
            part.log_prob(self._params(part, params, columns), x[..., columns])
            for part, columns in self.by_columns()
        )

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

    def refresh(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return self._merge(
            [
                part.refresh(x[..., columns], generator)
                for part, columns in self.by_columns()
            ]
        )

    def contains(self, X: Tensor) -> Tensor:
        return self._merge(
            [part.contains(X[:, columns]) for part, columns in self.by_columns()]
        )

    def start(
        self, mean: Tensor, variance: Tensor, n_rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        biases = mean.new_zeros(self.n_params, self.n_features)
        factors = []
        for part, columns in self.by_columns():
            bias, *pair = part.start(mean[columns], variance[columns], n_rows)
            biases[: part.n_params, columns] = bias.view(part.n_params, -1)
            factors.append(pair)
        encode, decode = zip(*factors)
        return biases.flatten(), self._merge(encode), self._merge(decode)

    @property
    def noise(self) -> Tensor:
        noises = [part.noise for part in self.parts if part.n_noises]
        return torch.cat(noises) if noises else super().noise

    def set_noise(self, noise: Tensor) -> None:
        for part, values in zip(self.parts, self._split(noise)):
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

    def observed_shares(self, x: Tensor) -> Tensor:
        shares = [
            part.observed_shares(x[..., cols]) for part, cols in self.by_columns()
        ]
        return torch.cat(shares, -1)

    def log_density(
        self, deviations: Tensor, noise: Tensor, shares: Tensor | float = 1.0
    ) -> Tensor:
        shares = torch.as_tensor(shares).expand_as(deviations)
        pieces = self._split(deviations), self._split(noise), self._split(shares)
        return sum(
            part.log_density(*piece) for part, *piece in zip(self.parts, *pieces)
        )

    def _split(self, values: Tensor) -> tuple[Tensor, ...]:
        """Values of each part's noises."""
        return values.split([part.n_noises for part in self.parts], -1)

    def _params(self, part: Likelihood, params: Tensor, columns: Tensor) -> Tensor:
        if self.n_params == 1:
            return params[..., columns]
        blocks = params.unflatten(-1, (self.n_params, self.n_features))
        return blocks[..., : part.n_params, columns].flatten(-2)

    def _merge(self, values: list[Tensor]) -> Tensor:
        """Values of the parts' columns, (..., d), in the order of all columns."""
        columns = torch.cat([columns for _, columns in self.by_columns()])
        merged = torch.cat(list(values), -1)
        return merged[..., torch.argsort(columns).to(merged.device)]
