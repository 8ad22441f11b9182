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
from skae.nn._log_density import rows_log_density
from skae.transformers._apply import map_rows
from skae.transformers._fitting import fit_estimator
from skae.transformers._parameters import trains_its_score

# Different rows for each latent that a start needs: the squared error of PCA of n rows
# is about 1 + k / n times that of all.
_ROWS_PER_LATENT = 20

# Times as many rows are always enough, however many are equal.
_AT_MOST = 10

# Mean square of standardized rows, about one, that is another size, or its inverse.
_OTHER_SIZE = 10.0

# How much better a new start must be than the trained model, for rows that neither has
# seen: a fraction of the error, or nats for each feature.
_CLEARLY = 0.05


@dataclass(frozen=True)
class Start:
    """What `partial_fit` remembers of the rows so far.

    Attributes
    ----------
    n_rows : int
        Number of rows so far.
    check_at : int
        Number of rows from which on the next ones judge the start; zero before it.
    gathered : ndarray of shape (m, d) or None
        Rows that wait until they are enough to start from, or to judge the start by.
    """

    n_rows: int = 0
    check_at: int = 0
    gathered: np.ndarray | None = None

    @classmethod
    def after_fit(cls, n_rows: int) -> "Start":
        """Of a model that was fitted to `n_rows` rows at once."""
        return cls(n_rows, 2 * n_rows)


def next_pass(estimator, frame, X, device, seed):
    """What a pass over the next rows X (n, d) has to do.

    Returns
    -------
    rows : array of shape (m, d)
        Rows to train on: X, or the gathered rows together with X.
    previous : LatentNet or None
        Net that goes on; None starts a new one from `rows`.
    start : Start
        For the next call.
    """
    start = getattr(estimator, "_start", Start())
    n_rows = start.n_rows + X.shape[0]
    is_first = start.check_at == 0
    if not is_first and n_rows < start.check_at:
        return X, estimator.net_, Start(n_rows, start.check_at)
    rows = as_tensor(X)
    if start.gathered is not None:
        rows = torch.cat([torch.from_numpy(start.gathered).to(rows), rows])
    if not _is_enough(estimator, rows):
        waiting = Start(n_rows, start.check_at, rows.numpy(force=True).copy())
        return (
            (like(rows, X), None, waiting) if is_first else (X, estimator.net_, waiting)
        )
    # Checked again when there are twice as many rows: a check costs more than a pass
    # over few rows.
    checked = Start(n_rows, n_rows + 1 if is_first else 2 * n_rows)
    if not is_first and not _is_wrong(estimator, frame, rows, X, device, seed):
        return X, estimator.net_, checked
    return like(rows, X), None, checked


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


def _is_wrong(estimator, frame, rows: Tensor, X, device, seed) -> bool:
    """Whether rows (n, d), of the kind of X, show that the start was wrong."""
    is_wrong = _is_of_other_size(estimator.net_.module_, rows) or (
        trains_its_score(estimator)
        and _is_beaten(estimator, frame, rows, X, device, seed)
    )
    if is_wrong:
        warnings.warn(
            "partial_fit starts anew from the latest rows, since the first ones were "
            "unlike them: in place or size, or by a model that is worse for the latest "
            "rows than an untrained one that starts from them.",
            UserWarning,
            stacklevel=5,
        )
    return is_wrong


def _is_of_other_size(model, rows: Tensor) -> bool:
    """Whether centre and scale of a model are not those of rows (n, d)."""
    device = model.units.loc.device
    mean_square = float(model.units.to_net(rows.to(device).double()).square().nanmean())
    return not 1 / _OTHER_SIZE < mean_square < _OTHER_SIZE


def _is_beaten(estimator, frame, rows: Tensor, X, device, seed) -> bool:
    """Whether a model that starts from half of the rows (n, d) and is not trained is
    better for the other half than the trained one."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(rows), generator=generator)
    # As many as there are, up to a number that costs little.
    order = order[: _AT_MOST * _n_needed(estimator, rows.shape[1])].to(rows.device)
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
    uncertainty = 2 * gain.std() / len(gain) ** 0.5
    return float(gain.mean() - uncertainty) > _CLEARLY * unit


def _scores(estimator, rows) -> Tensor:
    """`score_samples` (n,) of validated rows (n, d)."""
    values = map_rows(
        estimator.net_.module_,
        rows,
        lambda model, X: rows_log_density(model, X, estimator._log_density),
    )
    return as_tensor(values).double()
