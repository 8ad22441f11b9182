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

N_COMPONENTS, N_STEPS = 32, 10

# %%
# The models
# ----------
# The plain autoencoder begins with random weights and has no weight decay.

X, y = load_digits(return_X_y=True)
X_train, X_test, _, y_test = train_test_split(X / 16, y, random_state=0)
vae = VAETransformer(N_COMPONENTS, max_iter=25, random_state=0).fit(X_train)
plain = AutoencoderTransformer(
    N_COMPONENTS, init="random", alpha=0.0, max_iter=40, random_state=0
).fit(X_train)

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
for name, model in {"VAE": vae, "plain autoencoder": plain}.items():
    codes = model.transform(X_test)
    steps = [(1 - weights) * codes[i] + weights * codes[j] for i, j in pairs]
    paths[name] = np.stack([model.inverse_transform(step) for step in steps])
    scores = vae.score_samples((paths[name] + noise).reshape(-1, X.shape[1]))
    lowest[name] = scores.reshape(len(pairs), N_STEPS).min(1)
    n_below = (lowest[name] < usual).sum()
    print(
        f"{name}: lowest step {lowest[name].min():.0f} nats, "
        f"{n_below} of {len(pairs)} paths have a step below {usual:.0f}"
    )

# %%
# The path on which the plain autoencoder falls lowest
# ----------------------------------------------------

worst = int(np.argmin(lowest["plain autoencoder"]))
figure, axes = plt.subplots(2, 1, figsize=(8, 2.4), layout="constrained")
for ax, (name, images) in zip(axes, paths.items()):
    ends = X_test[list(pairs[worst])]
    shown = np.vstack([ends[:1], images[worst], ends[1:]]).reshape(-1, 8, 8)
    ax.imshow(np.hstack(shown), "gray_r", vmin=0, vmax=1)
    ax.set_title(f"{name}: lowest score {lowest[name][worst]:.0f} nats")
    ax.set_axis_off()
plt.show()
