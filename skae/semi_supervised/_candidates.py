"""Features that a classifier of few labels may stand on, from the plain to the rich."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skae._sklearn import check_array
from skae.io import storable
from skae.semi_supervised._neighbours import NeighbourAxes
from skae.transformers import AutoencoderTransformer

# A wide denoising code, for tables: swapped entries keep each column's distribution.
_LEAST_LATENTS, _MOST_LATENTS = 64, 512
_SWAP = {"hidden_layer_sizes": (256,), "noise": "swap", "noise_level": 0.2}
# A narrow one from random weights, for features of one unit that tell of one another,
# such as pixels: a start at PCA would keep it close to the variance of the rows.
_N_NARROW = 14
_DROPOUT = {
    "hidden_layer_sizes": (1000, 500),
    "init": "random",
    "noise": "dropout",
    "noise_level": 0.75,
    "max_iter": 40,
}
_LEAST_PIXELS = 4 * _N_NARROW
# Rows beyond add time and no more structure to the wide code and to the graph.
_MOST_ROWS_OF_SWAP, _MOST_ROWS_OF_GRAPH = 20_000, 100_000
_LEAST_ROWS_OF_GRAPH = 20


class Candidate(NamedTuple):
    """A fitted transformer, by name."""

    name: str
    transformer: Any


@storable
class RowScaler(StandardScaler):
    """Standardises features, or divides all by one number where they share a unit.

    They are taken to share it where most of those that vary cover at least half of the
    range of all: pixels and other signals, whose small variances are not due to units.
    """

    def __init__(self):
        super().__init__()

    def fit(self, X, y=None):
        """Fit the scales to rows X (n_samples, n_features)."""
        super().fit(X)
        # StandardScaler leaves missing values alone.
        rows = check_array(X, estimator="SemiSupervisedClassifier")
        self.shares_unit_ = share_a_unit(rows)
        if self.shares_unit_:
            mean_square = np.mean(self.var_)
            self.scale_ = np.full_like(self.scale_, np.sqrt(mean_square) or 1.0)
        return self


def share_a_unit(X):
    """Whether most features of X (n, d) that vary cover half of the range of all."""
    low, high = X.min(axis=0), X.max(axis=0)
    varies = high > low
    if not varies.any():
        return False
    low, high = low[varies].astype(float), high[varies].astype(float)
    return bool(np.mean(high - low >= (high.max() - low.min()) / 2) >= 0.5)


def stages(X, random_state, *, is_for_graph=False):
    """Generate candidates, stage by stage; fitting those of a stage takes the time.

    A generator: it is sent the name of the candidate that leads, after each stage.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        All rows, numbers.
    random_state : int
        Seed of the autoencoders.
    is_for_graph : bool, default=False
        Whether the classifier is a graph of neighbours itself. Neither another one nor
        rows beside codes, whose distances the rows would rule, are of use to it.

    Yields
    ------
    n_errors : float
        Standard errors by which a candidate must be better than the leader.
    candidates : list of Candidate
        Fitted.
    """
    scaler = RowScaler().set_output(transform="default").fit(X)
    rows = scaler.transform(X)
    scaled = Pipeline([("scaler", scaler)])
    yield 0.0, [Candidate("rows", scaled)]
    fitted = {"rows": scaled}
    found = _autoencoders(rows.shape[1], scaler.shares_unit_, random_state)
    for name, n_errors, autoencoder, most in found:
        autoencoder.set_output(transform="default")
        codes = autoencoder.fit(_some(rows, most, random_state))
        alone = Pipeline([("scaler", scaler), ("codes", codes)])
        candidates = [Candidate(name, alone)]
        if not is_for_graph:
            both = _beside(scaled, name, codes, rows)
            candidates.append(Candidate(f"rows+{name}", both))
        fitted[name] = alone
        leader = yield n_errors, candidates
    if is_for_graph or len(rows) < _LEAST_ROWS_OF_GRAPH:
        return
    # Neighbours among narrow codes where these are ahead, among rows otherwise. Narrow
    # codes lead where classes are clusters, which a graph stands on: one error will do.
    name, n_errors = ("dropout", 1.0) if "dropout" in leader else ("rows", 2.0)
    base = fitted[name]
    features = base.transform(X)
    graph = (
        NeighbourAxes()
        .set_output(transform="default")
        .fit(_some(features, _MOST_ROWS_OF_GRAPH, random_state))
    )
    both = _beside(base, "neighbours", graph, features)
    yield n_errors, [Candidate(f"{name}+neighbours", both)]


def one_stage(name, transformer):
    """The only candidate, a fitted transformer, for the choice of a classifier."""
    yield 0.0, [Candidate(name, transformer)]


def _autoencoders(n_features, shares_unit, random_state):
    """Name, standard errors, autoencoder and rows that it sees; the wide one first."""
    wide = min(max(_LEAST_LATENTS, 2 * n_features), _MOST_LATENTS)
    swap = AutoencoderTransformer(wide, random_state=random_state, **_SWAP)
    yield "swap", 1.0, swap, _MOST_ROWS_OF_SWAP
    if n_features >= _LEAST_PIXELS and shares_unit:
        dropout = AutoencoderTransformer(
            _N_NARROW, random_state=random_state, **_DROPOUT
        )
        # A bottleneck may lose what tells the classes apart.
        yield "dropout", 2.0, dropout, np.inf


def _some(rows, most, random_state):
    """At most so many of the rows, drawn without replacement."""
    if len(rows) <= most:
        return rows
    generator = np.random.default_rng(random_state)
    return rows[generator.permutation(len(rows))[:most]]


def _beside(base, name, added, features):
    """Base features, and beside them others of these, scaled to as much variance."""
    some = features[:_MOST_ROWS_OF_SWAP]
    own, theirs = (Z.var(axis=0).sum() for Z in (some, added.transform(some)))
    # Not "passthrough", which would follow the global `transform_output`.
    same = FunctionTransformer(feature_names_out="one-to-one")
    union = FeatureUnion(
        [("rows", same.fit(some)), (name, added)],
        transformer_weights={name: float(np.sqrt(own / theirs)) if theirs else 1.0},
    )
    return Pipeline([*base.steps, ("union", union.set_output(transform="default"))])
