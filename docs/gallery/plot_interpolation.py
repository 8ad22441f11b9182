"""
Between two digits: a path through likely images
================================================

A straight line between the codes of two images passes through codes of no image. A
variational model is trained to have likely images there as well; a plain autoencoder,
without a prior, is not. Both decode ten steps between test images of two digits, for
each of the 45 pairs of digits. The score of a step, with the noise that real images
have, is compared with the lowest 1 % of the scores of real test images.
"""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skae import AutoencoderTransformer, VAETransformer

N_STEPS = 10

# %%
# The models
# ----------
# The gaps between codes grow with the number of latents: one autoencoder has as many
# as the variational model, one has twice as many.

X, y = load_digits(return_X_y=True)
X_train, X_test, _, y_test = train_test_split(X / 16, y, random_state=0)
vae = VAETransformer(8, max_iter=25, random_state=0).fit(X_train)
models = {"VAE, 8 latents": vae}
for k in (8, 16):
    plain = AutoencoderTransformer(k, max_iter=40, random_state=0).fit(X_train)
    models[f"autoencoder, {k} latents"] = plain

# %%
# The paths
# ---------

first = [np.flatnonzero(y_test == digit)[0] for digit in range(10)]
pairs = list(combinations(first, 2))
weights = np.linspace(0, 1, N_STEPS + 2)[1:-1, None]
noise = np.sqrt(vae.noise_variance_) * np.random.default_rng(0).normal(
    size=(len(pairs), N_STEPS, X.shape[1])
)
usual = np.quantile(vae.score_samples(X_test), 0.01)
print(f"1 % of the test images have a score below {usual:.0f} nats")

paths, lowest = {}, {}
for name, model in models.items():
    codes = model.transform(X_test)
    steps = [(1 - weights) * codes[i] + weights * codes[j] for i, j in pairs]
    paths[name] = np.stack([model.inverse_transform(step) for step in steps])
    scores = vae.score_samples((paths[name] + noise).reshape(-1, X.shape[1]))
    lowest[name] = scores.reshape(len(pairs), N_STEPS).min(1)
    n_below = (lowest[name] < usual).sum()
    print(
        f"{name}: lowest step {lowest[name].min():.0f} nats, "
        f"paths with a step below {usual:.0f}: {n_below} of {len(pairs)}"
    )

# %%
# The path on which an autoencoder falls lowest
# ---------------------------------------------

worst = int(np.argmin(lowest["autoencoder, 8 latents"]))
figure, axes = plt.subplots(3, 1, figsize=(8, 3.4), layout="constrained")
for ax, (name, images) in zip(axes, paths.items()):
    ends = X_test[list(pairs[worst])]
    shown = np.vstack([ends[:1], images[worst], ends[1:]]).reshape(-1, 8, 8)
    ax.imshow(np.hstack(shown), "gray_r", vmin=0, vmax=1)
    ax.set_title(f"{name}: lowest score {lowest[name][worst]:.0f} nats")
    ax.set_axis_off()
plt.show()
