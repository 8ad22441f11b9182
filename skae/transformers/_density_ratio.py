"""How many times likelier a row is in the data than among a model's own draws.

A booster tells training rows from draws; its odds are the ratio of the densities [1]_.
Draws that are accepted with a probability proportional to it follow the data more
closely than the model does, and are no copies of it [2]_.

.. [1] Grover, A. et al. (2019). Bias correction of learned generative models using
   likelihood-free importance weighting. NeurIPS.
.. [2] Azadi, S. et al. (2019). Discriminator rejection sampling. ICLR.
"""

import copy

import numpy as np
from numpy.random import RandomState
from sklearn.utils import gen_batches

from skae.data._table_rules import NewPairs, Orders
from skae.data._tables import Table
from skae.io import storable

# The booster: enough trees to find rules between columns, each too small, and splits
# too few, to single out rows. `docs/defaults.md`, "Mixed tables".
_BOOSTER = {
    "learning_rate": 0.2,
    "max_iter": 100,
    "max_leaf_nodes": 8,
    "max_bins": 64,
    "early_stopping": False,
}

# Rows that it is learned of, at most; draws for each of them, within these limits.
_N_ROWS, _DRAWS_A_ROW, _N_DRAWS = 10_000, 4, (2_000, 40_000)

# Draws at a time; entries of rows and trees.
_MOST_AT_ONCE, _MOST_ELEMENTS = 10_000, 2**21


@storable
class DensityRatio:
    """Logarithm of the ratio of two densities, a sum of small trees.

    Parameters
    ----------
    table : Table
    real : ndarray of shape (n, c)
        Numbers of rows of the data, NaN where a value is missing.
    drawn : ndarray of shape (m, c)
        Those of rows that a model has drawn.
    seed : int
    """

    def __init__(self, table: Table, real, drawn, seed: int):
        # Here, as no other part of a plain fit needs this part of scikit-learn.
        from sklearn.ensemble import HistGradientBoostingClassifier

        self.orders, self.new_pairs = Orders(table, real), NewPairs(table, real)
        features = self._features(table, real, are_training=True)
        X = np.concatenate([features, self._features(table, drawn)])
        is_real = np.arange(len(X)) < len(real)
        booster = HistGradientBoostingClassifier(**_BOOSTER, random_state=seed)
        booster.fit(X, is_real)
        # All but the first term of its sum, which is the odds of the two numbers.
        self._keep([tree.nodes for (tree,) in booster._predictors])

    def _keep(self, trees: list[np.ndarray]) -> None:
        """The trees as arrays of plain numbers, which files have."""
        sizes = [len(nodes) for nodes in trees]
        self.roots = np.cumsum([0, *sizes[:-1]])
        nodes, start = np.concatenate(trees), self.roots.repeat(sizes)
        is_leaf, itself = nodes["is_leaf"].astype(bool), np.arange(len(nodes))
        self.depth = int(nodes["depth"].max())
        self.feature = nodes["feature_idx"].clip(0).astype(np.int64)
        self.threshold = nodes["num_threshold"].copy()
        self.missing_left = nodes["missing_go_to_left"].astype(bool)
        # A leaf leads to itself.
        self.left = np.where(is_leaf, itself, start + nodes["left"])
        self.right = np.where(is_leaf, itself, start + nodes["right"])
        self.value = nodes["value"].copy()

    def log(self, table: Table, numbers: np.ndarray) -> np.ndarray:
        """Logarithms (n,) of the ratio at rows of these numbers (n, c)."""
        n_parts = max(1, len(numbers) * len(self.roots) // _MOST_ELEMENTS)
        parts = np.array_split(self._features(table, numbers), n_parts)
        return np.concatenate([self._sums(part) for part in parts])

    def _features(self, table, numbers, *, are_training=False):
        """What the trees split (n, c + p + 1)."""
        # Of a column that never varies, nothing follows the code of a row.
        varies = [column.width > 0 for column in table.columns]
        numbers = np.where(varies, numbers, 0.0)
        new = self.new_pairs(table, numbers, are_training=are_training)
        return np.hstack([numbers, self.orders(numbers), new])

    def _sums(self, rows):
        place = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        for _ in range(self.depth):
            x = np.take_along_axis(rows, self.feature[place], axis=1)
            goes_left = x <= self.threshold[place]
            goes_left |= np.isnan(x) & self.missing_left[place]
            place = np.where(goes_left, self.left[place], self.right[place])
        return self.value[place].sum(1)


def learn_density_ratio(estimator, fitted: dict, rows, seed: int) -> DensityRatio:
    """That of some rows of a fit to draws of the model that was fitted to them.

    Parameters
    ----------
    estimator : BaseAutoencoder
        Of a mixed table; nothing is set on it.
    fitted : dict
        The fitted attributes, by name.
    rows : ResidentRows
    seed : int
    """
    made = copy.copy(estimator)
    vars(made).update(fitted)
    table, units = made._table, made.net_.module_.units
    some = rows.take(_N_ROWS, seed)
    x = units.to_data(some.gathered()).double().numpy(force=True)
    is_missing = [np.isnan(x[:, part]).any(1) for _, part in table.parts()]
    real = table.decode(x, missing=np.column_stack(is_missing))
    # In parts, as encoded rows may be wide.
    n_draws, random_state = np.clip(_DRAWS_A_ROW * len(x), *_N_DRAWS), RandomState(seed)
    drawn = [
        table.read(made.sample(part.stop - part.start, random_state, missing=True))
        for part in gen_batches(int(n_draws), _MOST_AT_ONCE)
    ]
    numbers = np.column_stack(table.read(real))
    return DensityRatio(table, numbers, np.hstack(drawn).T, seed)
