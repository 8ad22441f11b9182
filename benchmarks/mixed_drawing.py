"""What draws rows of mixed tables: skae, trees with donors, mixtures, other packages.

Each contender takes a frame to learn from, a number of rows and a seed, and returns a
frame of the same columns.
"""

import importlib.util
from collections.abc import Callable

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from skae import VAETransformer
from skae.data._frames import Dates
from skae.tables._frames import encode

# As synthpop's `cart.minbucket`.
_MIN_SAMPLES_LEAF = 5

_N_CLUSTERS, _ROWS_A_CLUSTER = 10, 20

# A column of this name says where another one is missing.
_MISSING = "missing: "


def encoded(*frames: pd.DataFrame) -> tuple[list[np.ndarray], np.ndarray]:
    """Arrays (n, d) of frames, and which columns are categories, as in the report."""
    return encode([nw.from_native(frame, eager_only=True) for frame in frames])


def model(frame: pd.DataFrame, n_components: int, seed: int) -> VAETransformer:
    k = min(n_components, frame.shape[1])
    return VAETransformer(k, allow_nan=True, random_state=seed).fit(frame)


class Skae:
    """No setting but the number of latents."""

    def __init__(self, n_components: int):
        self.n_components = n_components

    def __call__(self, train: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
        vae = model(train, self.n_components, seed)
        return vae.sample(n, random_state=seed, missing=True)


def cart(train: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """Each column from those before it, by a tree; values of rows of the same leaf.

    Nowok, B., Raab, G. M. and Dibben, C. (2016). synthpop: bespoke creation of
    synthetic data in R. Journal of Statistical Software, 74(11).
    """
    rng = np.random.default_rng(seed)
    (X,), is_category = encoded(train)
    donors = rng.integers(len(X), size=(1, n))
    for j in range(1, X.shape[1]):
        drawn = np.column_stack([X[rows, i] for i, rows in enumerate(donors)])
        tree = _tree(X[:, :j], X[:, j], is_category[j], seed)
        rows = _of_equal_leaf(tree.apply(X[:, :j]), tree.apply(drawn), rng)
        donors = np.vstack([donors, rows])
    columns = zip(train.columns, donors)
    return pd.DataFrame({name: train[name].array[rows] for name, rows in columns})


def _tree(X, y, is_category, seed):
    """A tree of a column; its missing entries are a level, or far below all numbers."""
    kind = DecisionTreeClassifier if is_category else DecisionTreeRegressor
    low, high = np.nanmin(y), np.nanmax(y)
    y = (np.nan_to_num(y, nan=2 * low - high - 1) - low) / max(high - low, 1e-9)
    y = np.rint(y * max(high - low, 1)) if is_category else y
    return kind(min_samples_leaf=_MIN_SAMPLES_LEAF, random_state=seed).fit(X, y)


def _of_equal_leaf(known, new, rng):
    """For each new row, a random one of the known rows of its leaf."""
    order = np.argsort(known, kind="stable")
    first = np.searchsorted(known[order], new)
    n_known = np.bincount(known)[new]
    return order[first + (rng.random(len(new)) * n_known).astype(int)]


# Contenders that want complete columns: numbers, and levels as strings.


def plain(train: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A complete frame of numbers and of strings, and the names of the latter.

    Missing is a level of a category; a number's median, beside a column that says so.
    """
    (X,), is_category = encoded(train)
    columns, levels = {}, []
    for name, x, category in zip(train.columns, X.T, is_category):
        if category:
            columns[name] = x.astype(str)
            levels.append(name)
            continue
        columns[name] = np.where(np.isnan(x), np.nanmedian(x), x)
        if np.isnan(x).any():
            columns[_MISSING + name] = np.isnan(x).astype(str)
            levels.append(_MISSING + name)
    return pd.DataFrame(columns), levels


def mixed(drawn: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """Drawn rows of a complete frame as rows of the table that it was made of."""
    (X,), is_category = encoded(train)
    columns = {}
    for name, known, category in zip(train.columns, X.T, is_category):
        x = drawn[name].to_numpy().astype(float)
        if _MISSING + name in drawn:
            x = np.where(drawn[_MISSING + name] == "True", np.nan, x)
        restore = _levels if category else _numbers
        columns[name] = restore(x, known, train[name])
    return pd.DataFrame(columns)


def _levels(x, known, column):
    """Entries of the column that have these codes."""
    codes, rows = np.unique(known, return_index=True)  # NaN last, and once
    return column.array[rows[np.searchsorted(codes, x)]]


def _numbers(x, _, column):
    """Numbers as entries of the column's dtype."""
    if column.dtype.kind in "mM":
        dates = Dates(nw.from_native(column, series_only=True))
        return pd.Series(dates.write(x)).astype(column.dtype)
    if pd.api.types.is_integer_dtype(column):
        return pd.Series(np.rint(x)).astype(column.dtype)
    return x


def gaussian_mixture(train: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """A mixture of standardised numbers and one-hot levels."""
    frame, levels = plain(train)
    numbers = frame.drop(columns=levels)
    mean, scale = numbers.mean(), numbers.std() + 1e-9
    encoder = OneHotEncoder(sparse_output=False)
    blocks = [(numbers - mean) / scale]
    if levels:
        blocks.append(encoder.fit_transform(frame[levels]))
    n_clusters = max(1, min(_N_CLUSTERS, len(train) // _ROWS_A_CLUSTER))
    mixture = GaussianMixture(n_clusters, reg_covar=1e-3, random_state=seed)
    Z = mixture.fit(np.hstack(blocks)).sample(n)[0]
    drawn = pd.DataFrame(Z[:, : numbers.shape[1]], columns=numbers.columns)
    drawn = drawn * scale + mean
    if levels:  # the inverse takes the largest entry of each block
        drawn[levels] = encoder.inverse_transform(Z[:, numbers.shape[1] :])
    return mixed(drawn, train)


def _ctgan(kind: str) -> Callable:
    def draw(train: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
        import ctgan

        frame, levels = plain(train)
        synthesizer = getattr(ctgan, kind)()
        synthesizer.set_random_state(seed)
        synthesizer.fit(frame, levels)
        return mixed(synthesizer.sample(n), train)

    return draw


def _gaussian_copula(train: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    from sdv.metadata import Metadata
    from sdv.single_table import GaussianCopulaSynthesizer

    frame, levels = plain(train)
    metadata = Metadata.detect_from_dataframe(frame)
    for name in frame.columns:  # nothing is guessed from names
        kind = "categorical" if name in levels else "numerical"
        metadata.update_column(column_name=name, sdtype=kind)
    synthesizer = GaussianCopulaSynthesizer(metadata)
    synthesizer.fit(frame)
    return mixed(synthesizer.sample(num_rows=n), train)


def _argn(train: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    from mostlyai.engine import TabularARGN

    return TabularARGN(random_state=seed).fit(train).sample(n_samples=n)[train.columns]


# Contender: what draws, and the package that it needs.
_OF_PACKAGES = {
    "CTGAN": (_ctgan("CTGAN"), "ctgan"),
    "TVAE": (_ctgan("TVAE"), "ctgan"),
    "GaussianCopula": (_gaussian_copula, "sdv"),
    "TabularARGN": (_argn, "mostlyai"),
}


def contenders(n_components: int) -> tuple[dict[str, Callable], list[str]]:
    """What can run here, by name, and the names of what cannot."""
    found = {
        "skae": Skae(n_components),
        "CART": cart,
        "GaussianMixture": gaussian_mixture,
    }
    missing = []
    for name, (draw, package) in _OF_PACKAGES.items():
        if importlib.util.find_spec(package):
            found[name] = draw
        else:
            missing.append(name)
    return found, missing
