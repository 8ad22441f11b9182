"""
Denoising
=========

A denoising autoencoder is given corrupted rows in training and has to return the clean
ones (`noise`). Here new digits get normal noise of a third of the range of a pixel.
Each model encodes the corrupted image and decodes it: PCA, an autoencoder that was
trained on clean rows, and one that was trained with this noise.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skae import AutoencoderTransformer

N_COMPONENTS = 16
SD = 1 / 3  # of the noise; pixels lie in [0, 1]

X_train, X_test = train_test_split(load_digits().data / 16, random_state=0)

rng = np.random.default_rng(0)
corrupted = X_test + SD * rng.normal(size=X_test.shape)

# %%
# Three models
# ------------
# `noise_level` counts in root mean squares of the centred features.

root_mean_square = np.sqrt(X_train.var(0).mean())

models = {
    "PCA": PCA(N_COMPONENTS),
    "autoencoder": AutoencoderTransformer(N_COMPONENTS, random_state=0),
    "denoising autoencoder": AutoencoderTransformer(
        N_COMPONENTS,
        noise="gaussian",
        noise_level=SD / root_mean_square,
        random_state=0,
    ),
}
restored = {"corrupted": corrupted}
for name, model in models.items():
    codes = model.fit(X_train).transform(corrupted)
    restored[name] = model.inverse_transform(codes)

for name, images in restored.items():
    error = np.square(images - X_test).sum(1).mean()
    print(f"{name:>22}: squared error {error:.2f} an image")

# %%
# The picture
# -----------

rows = {"clean": X_test, **restored}
figure, axes = plt.subplots(len(rows), 1, figsize=(7, 5.4), layout="constrained")
for ax, (name, images) in zip(axes, rows.items()):
    ax.imshow(np.hstack(images[:12].reshape(-1, 8, 8)), "gray_r", vmin=0, vmax=1)
    ax.set_title(name, fontsize="medium", loc="left")
    ax.set_axis_off()
plt.show()
