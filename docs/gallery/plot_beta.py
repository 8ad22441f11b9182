"""
Beta: with and without the divergence
=====================================

The objective of :class:`~skae.VAETransformer` is distortion plus `beta` times rate,
both in nats. Without the divergence (``beta=0``) nothing holds the codes where the
prior is: their rate is large, and draws from the prior come from the middle of the
codes alone. With ``beta=1`` the objective is a bound of the log-likelihood, whose
`score` is best. Larger values give codes that say less.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skae import VAETransformer

X, y = load_digits(return_X_y=True)
X = X / 16

# %%
# Three fits
# ----------
# `valid_rate` and `valid_distortion` are in the history of the net, for each epoch.

models = {
    beta: VAETransformer(2, beta=beta, random_state=0).fit(X)
    for beta in (0.0, 1.0, 4.0)
}
print("beta | rate, nats | distortion, nats | nats a row (score)")
for beta, model in models.items():
    kept = model.net_.history[model.best_iter_ - 1]
    rate, distortion = kept["valid_rate"], kept["valid_distortion"]
    print(f"{beta:>4g} | {rate:>10.1f} | {distortion:>16.1f} | {model.score(X):>18.1f}")
print(f"PCA  | {'':>10} | {'':>16} | {PCA(2).fit(X).score(X):>18.1f}")

# %%
# Codes, and what the prior draws
# -------------------------------
# The circle has the radius two of the prior.

figure, axes = plt.subplots(2, 4, figsize=(10, 5.4), layout="constrained")
pca = PCA(2, whiten=True).fit(X)
codes = {"PCA, whitened": pca.transform(X)}
normal = np.random.default_rng(0).normal(size=(16, 2))
drawn = {"PCA, whitened": pca.inverse_transform(normal)}
for beta, model in models.items():
    codes[f"beta={beta:g}"] = model.transform(X)
    drawn[f"beta={beta:g}"] = model.sample(
        16, random_state=0, density="prior", observation_noise=False
    )
for (above, below), name in zip(axes.T, codes):
    above.scatter(*codes[name].T, c=y, s=3, cmap="tab10")
    above.add_patch(plt.Circle((0, 0), 2, fill=False))
    above.set_title(name, fontsize="medium")
    above.set_aspect("equal", "datalim")
    tiles = drawn[name].reshape(4, 4, 8, 8).swapaxes(1, 2).reshape(32, 32)
    below.imshow(tiles, "gray_r", vmin=0, vmax=1)
    below.set_axis_off()
plt.show()
