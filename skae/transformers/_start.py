"""From which rows `partial_fit` starts a model, and when it starts anew.

The first rows set the centre, the scale, the axes and the noise of a model. Where they
are few, or unlike all later ones, no later pass could make up for them.
"""

import copy
import warnings
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from skae.data._arrays import as_tensor, like
from skae.io import storable
from skae.nn._log_density import rows_log_density
from skae.transformers._apply import map_rows
from skae.transformers._fitting import fit_estimator
from skae.transformers._parameters import trains_its_score

# Different rows for each latent that a start needs: the squared error of PCA of n rows
# is about 1 + k / n times that of all.
_ROWS_PER_LATENT = 20

# Times as many rows are always enough, however many are equal, and are kept at most.
_AT_MOST = 10

# Mean square of standardized rows, about one, that is another size, or its inverse.
_OTHER_SIZE = 10.0

# How much better a new start must be than the trained model, for rows that neither has
# seen: a fraction of the error, or nats for each feature.
_CLEARLY = 0.05


@storable
@dataclass(frozen=True)
class Start:
    """What `partial_fit` remembers of the rows so far.

    Attributes
    ----------
    n_start : int
        Number of rows up to the start; zero before it.
    n_since : int
        Number of rows since.
    rows : ndarray of shape (m, d) or None
        Before the start all rows; after it a random sample of those since, until the
        start is checked. None from then on.
    keys : ndarray of shape (m,) or None
        Random numbers, by which rows of the sample are chosen.
    """

    n_start: int = 0
    n_since: int = 0
    rows: np.ndarray | None = None
    keys: np.ndarray | None = None

    @property
    def is_settled(self) -> bool:
        return self.n_start > 0 and self.rows is None


def next_pass(estimator, frame, X, device, seed):
    """What a pass over the next rows X (n, d) has to do.

    Returns
    -------
    rows : array of shape (m, d)
        Rows to train on: X, or gathered rows.
    previous : LatentNet or None
        Net that goes on; None starts a new one from `rows`.
    start : Start
        For the next call.
    """
    start = getattr(estimator, "_start", Start())
    if start.is_settled:
        return X, estimator.net_, start
    if not start.n_start:
        return _before_start(estimator, start, X)
    sample = _with_rows(estimator, start, as_tensor(X), seed)
    verdict = _verdict(estimator, frame, sample, X, device, seed)
    n_rows = start.n_start + sample.n_since
    if verdict == "wrong":
        warnings.warn(
            "partial_fit starts anew from rows since its start, which are unlike the "
            "first ones: in place or size, or since an untrained model that starts "
            "from them is better for them.",
            UserWarning,
            stacklevel=5,
        )
        rows = torch.from_numpy(sample.rows).to(as_tensor(X))
        return like(rows, X), None, _after(n_rows, rows)
    return X, estimator.net_, Start(n_rows) if verdict == "right" else sample


def _before_start(estimator, start: Start, X):
    """`next_pass` where no rows were enough to start from yet."""
    rows = as_tensor(X)
    if start.rows is not None:
        rows = torch.cat([torch.from_numpy(start.rows).to(rows), rows])
    if _is_enough(estimator, rows):
        return like(rows, X), None, _after(len(rows), rows)
    return like(rows, X), None, Start(rows=rows.numpy(force=True).copy())


def _verdict(estimator, frame, sample: Start, X, device, seed) -> str:
    """Whether the rows since show the start to be "right", "wrong", or it is "open"."""
    rows = torch.from_numpy(sample.rows).to(as_tensor(X))
    if not _is_enough(estimator, rows):
        return "open"
    if _is_of_other_size(estimator.net_.module_, rows):
        return "wrong"
    # As many rows as it was made from, so that it is not one class against another.
    if sample.n_since < sample.n_start:
        return "open"
    is_wrong = trains_its_score(estimator) and _is_beaten(
        estimator, frame, rows, X, device, seed
    )
    return "wrong" if is_wrong else "right"


def _after(n_start: int, rows: Tensor) -> Start:
    """A start from `n_start` rows (m, d), which the next ones will check."""
    return Start(n_start, 0, rows[:0].numpy(force=True).copy(), np.empty(0))


def _with_rows(estimator, start: Start, X: Tensor, seed: int) -> Start:
    """`start` with X (n, d) among the rows since, of which a sample is kept."""
    assert start.rows is not None and start.keys is not None
    n_since = start.n_since + len(X)
    draws = np.random.RandomState((seed + n_since) % 2**32)
    rows = np.concatenate([start.rows, X.numpy(force=True)])
    keys = np.concatenate([start.keys, draws.random_sample(len(X))])
    kept = np.sort(keys.argsort()[: _AT_MOST * _n_needed(estimator, X.shape[1])])
    return Start(start.n_start, n_since, rows[kept], keys[kept])


def _n_needed(estimator, n_features: int) -> int:
    k = estimator.n_components
    # A ratio of the variance, and None, may stand for all.
    k = min(int(k), n_features) if isinstance(k, Integral) else n_features
    return _ROWS_PER_LATENT * k


def _is_enough(estimator, rows: Tensor) -> bool:
    """Whether rows (n, d) are enough to start from."""
    n_needed = _n_needed(estimator, rows.shape[1])
    if not n_needed <= len(rows) < _AT_MOST * n_needed:
        return len(rows) >= n_needed
    return len(rows.unique(dim=0)) >= n_needed


def _is_of_other_size(model, rows: Tensor) -> bool:
    """Whether centre and scale of a model are not those of rows (n, d)."""
    device = model.units.loc.device
    mean_square = float(model.units.to_net(rows.to(device).double()).square().nanmean())
    return not 1 / _OTHER_SIZE < mean_square < _OTHER_SIZE


def _is_beaten(estimator, frame, rows: Tensor, X, device, seed) -> bool:
    """Whether a model that starts from half of the rows (n, d) and is not trained is
    better for the other half than the trained one."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(rows), generator=generator).to(rows.device)
    first, second = (like(rows[part], X) for part in order.chunk(2))
    other = copy.copy(estimator).set_params(max_iter=0)
    fitted = fit_estimator(other, frame, first, device, seed, None, False)
    vars(other).update(fitted)
    likelihoods = [model.net_.module_.likelihood for model in (estimator, other)]
    # "auto" may have chosen otherwise, and such densities do not compare.
    if len({repr(likelihood.config()) for likelihood in likelihoods}) > 1:
        return False
    current, new = (_scores(model, second) for model in (estimator, other))
    if not current.isfinite().all():
        return bool(new.isfinite().all())
    # An error, or a nat for each feature.
    is_density = likelihoods[0].is_density
    unit = rows.shape[1] if is_density else -float(current.mean())
    gain = new - current
    # Three standard errors: with two, one right start in 25 was called wrong.
    uncertainty = 3 * gain.std() / len(gain) ** 0.5
    return float(gain.mean() - uncertainty) > _CLEARLY * unit


def _scores(estimator, rows) -> Tensor:
    """`score_samples` (n,) of validated rows (n, d)."""
    values = map_rows(
        estimator.net_.module_,
        rows,
        lambda model, X: rows_log_density(model, X, estimator._log_density),
    )
    return as_tensor(values).double()
