"""
Missing values
==============

Three tenths of the entries of a table are hidden, and filled again: by scikit-learn's
imputers, by probabilistic PCA, which :class:`~skae.VAETransformer` is before training
(``max_iter=0``), and after training. Draws in the place of means say how sure a value
is.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.preprocessing import StandardScaler

from skae import VAETransformer

X = StandardScaler().fit_transform(load_breast_cancer().data)
rng = np.random.default_rng(0)
is_hidden = rng.uniform(size=X.shape) < 0.3
X_missing = np.where(is_hidden, np.nan, X)

# %%
# Means
# -----

vae = VAETransformer(16, allow_nan=True, random_state=0).fit(X_missing)
pca = VAETransformer(16, allow_nan=True, max_iter=0, random_state=0).fit(X_missing)
filled = {
    "means": SimpleImputer().fit_transform(X_missing),
    "KNNImputer": KNNImputer().fit_transform(X_missing),
    "probabilistic PCA": pca.impute(X_missing),
    "VAE": vae.impute(X_missing),
}
errors = {
    name: np.square((rows - X)[is_hidden]).mean() for name, rows in filled.items()
}
for name, error in errors.items():
    print(f"{name:>17}: mean squared error {error:.3f}")

# %%
# Draws
# -----
# The middle 90 % of 100 draws should hold 90 % of the hidden values.

draws = vae.impute(X_missing, n_imputations=100, random_state=0)
low, high = np.quantile(draws, (0.05, 0.95), axis=0)
covered = ((low <= X) & (high >= X))[is_hidden].mean()
print(f"within the interval of 90 %: {covered:.0%}")

# %%
# The picture
# -----------

rows, columns = np.nonzero(is_hidden)
chosen = rng.choice(len(rows), 40, replace=False)
at = rows[chosen], columns[chosen]
order = np.argsort(X[at])

figure, axes = plt.subplots(
    1, 2, figsize=(9, 3.4), layout="constrained", width_ratios=(1, 2)
)
axes[0].barh(list(errors)[::-1], list(errors.values())[::-1])
axes[0].set_xlabel("mean squared error")
middle, half = (low[at] + high[at]) / 2, (high[at] - low[at]) / 2
axes[1].errorbar(
    range(40), middle[order], half[order], fmt="none", label="90 % of the draws"
)
axes[1].plot(range(40), filled["probabilistic PCA"][at][order], "x", label="PCA, means")
axes[1].plot(range(40), X[at][order], "k.", label="hidden values")
axes[1].set_xlabel("40 hidden entries, sorted")
axes[1].legend(fontsize="small")
plt.show()
