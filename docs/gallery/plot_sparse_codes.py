"""
Sparse codes
============

`penalty="l1"` makes codes of which few latents are far from zero at a time. With a
linear decoder, each latent then stands for a pattern that it adds to the image, and few
patterns make an image, where all of PCA's components do.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer
from skae.nn.architectures import MLP

N_COMPONENTS = 32
X = load_digits().data / 16

# %%
# Two codes of 32 numbers
# -----------------------
# `MLP(decoder_layer_sizes=())` has no hidden layer in the decoder: a code is decoded by
# a matrix, as PCA's.

pca = PCA(N_COMPONENTS).fit(X)
sparse = AutoencoderTransformer(
    N_COMPONENTS,
    penalty="l1",
    penalty_weight=3.0,
    architecture=MLP(decoder_layer_sizes=()),
    init="random",
    random_state=0,
).fit(X)


def patterns(model):
    """What a unit of each latent adds to an image."""
    origin = model.inverse_transform(np.zeros((1, N_COMPONENTS)))
    return model.inverse_transform(np.eye(N_COMPONENTS)) - origin


def kurtosis(codes):
    """3 of a normal distribution, more of codes that are mostly near zero."""
    centred = codes - codes.mean(0)
    return ((centred**4).mean(0) / (centred**2).mean(0) ** 2).mean()


for name, model in {"PCA": pca, "sparse": sparse}.items():
    codes = model.transform(X)
    error = np.square(model.inverse_transform(codes) - X).sum(1).mean()
    print(f"{name:>6}: squared error {error:.2f}, kurtosis {kurtosis(codes):.1f}")

# %%
# The picture
# -----------


def contact_sheet(images):
    """Four rows of eight images, each scaled by its own largest value."""
    scaled = images / np.abs(images).max(1, keepdims=True)
    tiles = np.pad(scaled.reshape(4, 8, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return tiles.swapaxes(1, 2).reshape(40, 80)


figure, axes = plt.subplots(2, 1, figsize=(7, 7.2), layout="constrained")
for ax, (name, model) in zip(axes, {"PCA": pca, "skae, l1": sparse}.items()):
    ax.imshow(contact_sheet(patterns(model)), "RdBu_r", vmin=-1, vmax=1)
    ax.set_title(f"{name}: what each latent adds", fontsize="medium", loc="left")
    ax.set_axis_off()
plt.show()
