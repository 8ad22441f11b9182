"""
Drawing new rows
================

Rows of two half moons, and rows drawn from three models of them: the normal
distribution of PCA, the standard normal prior of :class:`~skae.VAETransformer`, and a
Gaussian mixture of its codes, the default of `sample`. Draws have the noise that was
learned; without it (``observation_noise=False``) they are the means.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from skae import VAETransformer

N_ROWS = 1000
X, _ = make_moons(N_ROWS, noise=0.05, random_state=0)
X_new, _ = make_moons(N_ROWS, noise=0.05, random_state=1)

# %%
# Three models
# ------------

rng = np.random.default_rng(0)
pca = PCA(2, whiten=True).fit(X)
vae = VAETransformer(2, random_state=0).fit(X)
drawn = {
    "training rows": X,
    "PCA": pca.inverse_transform(rng.normal(size=(N_ROWS, 2))),
    "VAE, prior": vae.sample(N_ROWS, random_state=0, density="prior"),
    "VAE, mixture of codes": vae.sample(N_ROWS, random_state=0),
}

# %%
# Mean distances of draws from the nearest new row, and of new rows from the nearest
# draw. Good draws are as near as the training rows are.


def distance(rows, others):
    """Mean distance of rows from the nearest of others."""
    return NearestNeighbors(n_neighbors=1).fit(others).kneighbors(rows)[0].mean()


for name, rows in drawn.items():
    there, back = distance(rows, X_new), distance(X_new, rows)
    print(f"{name:>22}: {there:.3f} to a new row, {back:.3f} from a new row to them")
for name, model in {"PCA": pca, "VAE": vae}.items():
    print(f"{name:>22}: {model.score(X_new):.2f} nats a new row")

# %%
# The picture
# -----------

figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained", sharey=True)
for ax, (name, rows) in zip(axes, drawn.items()):
    ax.scatter(*rows.T, s=2)
    ax.set_title(name, fontsize="medium")
    ax.set(xlim=(-2, 3), ylim=(-1.5, 2))
plt.show()
