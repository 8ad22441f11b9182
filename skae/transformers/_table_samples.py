"""`sample` of a model of a mixed table: conditions, missing values, and rules."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp

from skae._sklearn import _safe_indexing
from skae.data._frames import from_columns, from_native, is_frame
from skae.data._tables import Table
from skae.nn._modules import Decoder, Encoder
from skae.transformers._conditional import CodeSampler, conditions_of, systematic

# Times as many rows as are asked for that are drawn at most to find those accepted.
_MOST_DRAWS = 100

# Times as many rows as are asked for among which those are chosen that follow the data;
# and rows of a draw, at least, of which these are chosen.
_MOST_WEIGHTED, _LEAST_DRAWS = 10, 256

# Fraction of the first draws whose ratio counts; a single large one would let hardly
# any other row through.
_CEILING = 0.98

# Codes among which each row with values of its own finds one.
_N_POOL = 8192

# Elements of the probabilities of rows and codes at a time.
_MOST_ELEMENTS = 2**24

# Effective number of codes of a row below which there are too few.
_FEW = 3


@dataclass
class TableSampler:
    """Draws rows of a mixed table.

    Parameters
    ----------
    estimator : BaseAutoencoder
    density : str
        Of the codes.
    with_noise : bool
        Whether rows are drawn around the means of their codes.
    random_state : RandomState
    """

    estimator: Any
    density: str
    with_noise: bool
    random_state: np.random.RandomState
    # Logarithm of the density ratio from which on all draws are accepted.
    _ceiling: float | None = None
    # Codes that have what is given, their rows' means, and log-weights.
    _weighed: tuple | None = None

    @property
    def table(self) -> Table:
        return self.estimator._table

    def sample(self, n: int, given, missing: bool, accept):
        """A dataframe of n rows."""
        draw = self._drawer(n, given)
        # The ratio is that of draws from the default density, with noise.
        is_plain = self.with_noise and self.density == next(
            iter(self.estimator._densities)
        )
        ratio = self.estimator._density_ratio if is_plain else None
        return self._accepted(n, draw, ratio, missing, accept)

    def _drawer(self, n: int, given):
        """Function from the numbers (m,) of rows to codes, encoded rows and what is
        given of them."""
        self._is_given = [False] * len(self.table.names)
        if not (given is None or is_frame(given) or isinstance(given, Mapping)):
            raise TypeError(
                f"given must be a dict or a dataframe; got {type(given).__name__}."
            )
        if given is None or len(given) == 0:
            return self._freely
        if is_frame(given):
            values, conditions = given, []
            if len(from_native(given)) != n:
                raise ValueError(
                    f"given has {len(from_native(given))} rows for n_samples={n}."
                )
        else:
            values, shared = _split(given, n, self.table.dtypes.package)
            conditions = conditions_of(self.table, shared)
            self._is_given = [name in shared for name in self.table.names]
        if values is None and not conditions:
            return self._freely
        if values is None:
            return partial(self._given, n, conditions)
        if unknown := self.table.unknown(values):
            raise ValueError(
                f"given has values that no training row had in {', '.join(unknown)}."
            )
        rows = self.table.encode(values, takes_nan=True, is_partial=True)
        by_imputation = self.estimator.net_.module_.imputer is not None
        if by_imputation and not conditions:
            return partial(self._imputed, values, rows)
        return partial(self._matched, values, rows, conditions)

    def _freely(self, of):
        codes = self._codes(len(of), self.random_state)
        return codes, self._rows(codes), None

    def _given(self, n, conditions, of):
        """Rows with what is given of all."""
        if self._weighed is None:
            sampler = CodeSampler(
                self._codes, self._log_density, self._decode, self._std
            )
            self._weighed = sampler.weigh(n, conditions, self.random_state)
        codes, means, log_weights = self._weighed
        chosen = systematic(log_weights, len(of), self.random_state)
        codes, means = codes[chosen], means[chosen]
        return codes, self._within(codes, means, conditions), None

    def _imputed(self, values, rows, of):
        """Rows whose other columns are imputed."""
        filled = self.estimator._imputed_once(rows[of], self.random_state)
        codes = self.estimator._map_rows(filled, lambda model, x: Encoder(model)(x))
        return codes, filled, _safe_indexing(values, of)

    def _matched(self, values, rows, conditions, of):
        """Rows of codes from a pool, each by what is given of the row."""
        codes = self._codes(_N_POOL, self.random_state)
        means = self._decode(codes)
        log_weights = sum(c.log_prob(means, self._std) for c in conditions)
        chosen = self._choose(rows[of], means, log_weights)
        drawn = self._within(codes[chosen], means[chosen], conditions)
        return codes[chosen], drawn, _safe_indexing(values, of)

    def _choose(self, rows, means, log_weights):
        """Number (n,) of a code for each row."""
        found, n_few = [], 0
        for part in np.array_split(
            rows, max(1, len(rows) * len(means) // _MOST_ELEMENTS)
        ):
            log_probs = log_weights + self._log_probs(part, means)
            total = logsumexp(log_probs, axis=1, keepdims=True)
            weights = np.exp(log_probs - total)
            n_few += int((1 / np.square(weights).sum(1) < _FEW).sum())
            at = self.random_state.uniform(size=(len(part), 1))
            place = (weights.cumsum(1) < at).sum(1)
            found.append(place.clip(max=len(means) - 1))
        if n_few > len(rows) / 2:
            warnings.warn(
                f"What is given is rare for most rows: few of {len(means)} codes have "
                "it. A model with allow_nan=True encodes it.",
                UserWarning,
                stacklevel=6,
            )
        return np.concatenate(found)

    def _log_probs(self, rows, means):
        """Log-probabilities (n, m) of what is given of rows (n, width) in those of
        means (m, width)."""
        log_probs = np.zeros((len(rows), len(means)))
        for column, part in self.table.parts():
            x, mean = rows[:, part], means[:, part]
            given = ~np.isnan(x).any(1)
            if not (column.width and given.any()):
                continue
            if column.is_group:
                log_mean = np.log(mean.clip(1e-12))
                log_probs[given] += x[given] @ log_mean.T
            else:
                deviation = (x[given] - mean.T) / self._std[part]
                log_probs[given] -= 0.5 * np.square(deviation)
        return log_probs

    def _within(self, codes, means, conditions):
        """Encoded rows (n, width) with what is given."""
        rows = self._rows(codes)
        for condition in conditions:
            rows[:, condition.part] = condition.draw(
                means, self._std, self.random_state
            )
        return rows

    def _finished(self, codes, rows, values, missing: bool):
        mask = None
        if missing:
            pattern = self.estimator._missing_pattern
            mask = pattern.draw(codes, self.random_state)
            mask[:, self._is_given] = False
        if values is not None:
            return self.table.fill(
                values, rows, generator=self.random_state, missing=mask
            )
        return self.table.decode(rows, generator=self.random_state, missing=mask)

    def _accepted(self, n, draw, ratio, missing, accept):
        """The first n rows that are accepted, by the ratio and by users: each that is
        not, is drawn anew."""
        import narwhals.stable.v2 as nw

        left, found, n_drawn = np.arange(n), [], 0
        n_at_once = max(n, _LEAST_DRAWS)
        while len(left):
            # Each open row several times, as a draw of few takes as long.
            place = np.resize(left, n_at_once)
            frame = self._finished(*draw(place), missing)
            is_good = np.ones(len(place), dtype=bool)
            if accept is not None:
                is_good &= _mask(accept(frame), len(place))
            if ratio is not None and n_drawn < _MOST_WEIGHTED * n_at_once:
                is_good &= self._follows(ratio, frame)
            n_drawn += len(place)
            # The first accepted draw of each row that is still open.
            good = np.flatnonzero(is_good)
            _, first = np.unique(place[good], return_index=True)
            found.append((place[good[first]], _safe_indexing(frame, good[first])))
            left = np.setdiff1d(left, place[good])
            if len(left) and n_drawn >= _MOST_DRAWS * n_at_once:
                raise ValueError(
                    f"Of {n_drawn} rows, {n - len(left)} of {n} were found that accept "
                    "takes: what it asks for is too rare. State a part of it by given."
                )
        order = np.concatenate([rows for rows, _ in found]).argsort()
        joined = nw.concat([from_native(frame) for _, frame in found]).to_native()
        joined = _safe_indexing(joined, order)
        return joined.reset_index(drop=True) if hasattr(joined, "index") else joined

    def _follows(self, ratio, frame):
        """Mask (n,) of the rows that are kept so that they follow the data."""
        log_ratio = ratio.log(self.table, np.column_stack(self.table.read(frame)))
        if self._ceiling is None:
            self._ceiling = np.quantile(log_ratio, _CEILING)
        noise = self.random_state.uniform(size=len(log_ratio))
        return np.log(noise) < log_ratio - self._ceiling

    def _codes(self, n, random_state):
        draw = self.estimator._densities[self.density]
        codes = draw(n, random_state).numpy(force=True)
        # The mixture draws cluster after cluster.
        return codes[random_state.permutation(n)]

    def _decode(self, codes):
        return self._mapped(codes, lambda model, z: Decoder(model)(z))

    def _rows(self, codes):
        if not self.with_noise:
            return self._decode(codes)
        generator = self.estimator._generator(self.random_state)
        return self._mapped(codes, lambda model, z: Decoder(model).sample(z, generator))

    def _mapped(self, codes, function):
        """Encoded rows (n, width) of codes, by networks in float32: float64 takes twice
        the time, and ranks are known to half a row."""
        return self.estimator._map_rows(codes.astype(np.float32), function).astype(
            np.float64
        )

    def _log_density(self, codes):
        return self.estimator._log_density_of_codes(
            torch.from_numpy(codes), self.density
        )

    @cached_property
    def _std(self) -> np.ndarray:
        """Standard deviation (width,) of each quantile around its mean."""
        model = self.estimator.net_.module_
        std = np.ones(self.table.width)
        for part, columns in model.likelihood.by_columns():
            if part.n_noises:
                scale = model.units.data_scale[columns.to(model.units.loc.device)]
                noise = part.noise.double().sqrt() * scale
                std[columns.numpy(force=True)] = noise.numpy(force=True)
        return std


def _mask(accepted, n: int) -> np.ndarray:
    mask = np.asarray(accepted)
    # As which pandas' own booleans come.
    if mask.dtype == object and all(isinstance(v, bool | np.bool_) for v in mask.flat):
        mask = mask.astype(bool)
    if mask.shape != (n,) or mask.dtype != bool:
        raise ValueError(
            f"accept must return a mask of {n} booleans, one for each row; got "
            f"{mask.dtype} of shape {mask.shape}."
        )
    return mask


def _split(given: Mapping, n: int, package: str):
    """Values of each row as a dataframe, or None, and what is given of all rows."""
    by_row = {
        name: what
        for name, what in given.items()
        if not isinstance(what, tuple) and np.ndim(what)
    }
    for name, values in by_row.items():
        if np.ndim(values) > 1:
            raise ValueError(f"given has values of column {name!r} in a table.")
        if len(values) != n:
            raise ValueError(
                f"given has {len(values)} values of column {name!r} for n_samples={n}."
            )
    shared = {
        name: what[()] if isinstance(what, np.ndarray) else what
        for name, what in given.items()
        if name not in by_row
    }
    return (from_columns(by_row, package) if by_row else None), shared
