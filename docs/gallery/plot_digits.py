"""
Digits: an autoencoder in the place of PCA
==========================================

The same pipeline, a scaler, a reducer and a logistic regression, with three reducers:
PCA, :class:`~skae.AutoencoderTransformer` and :class:`~skae.VAETransformer`. Held-out
images are compared by the squared error of their reconstruction, summed over the 64
pixels, and by the accuracy of the classifier on their codes.
"""

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from tqdm.auto import tqdm

from skae import AutoencoderTransformer, VAETransformer

REDUCERS = {"PCA": PCA, "AE": AutoencoderTransformer, "VAE": VAETransformer}
SIZES = (2, 8, 16, 32)
PICTURE = "digits.png"

# %%
# The pipelines
# -------------


def darkness(X):
    return X / 16


def grey_levels(X):
    return X * 16


def make_pipeline(reducer, n_components):
    return Pipeline(
        [
            # One factor for all pixels. Scaled one by one, the pixels at the edge,
            # which are nearly constant, would weigh as much as the strokes.
            ("scaler", FunctionTransformer(darkness, grey_levels)),
            ("reducer", reducer(n_components, random_state=0)),
            ("classifier", LogisticRegression(max_iter=1000)),
        ]
    )


def error(pipeline, X):
    """Squared error of an image whose pixels lie in [0, 1], mean over images."""
    X = pipeline["scaler"].transform(X)
    reducer = pipeline["reducer"]
    residual = reducer.inverse_transform(reducer.transform(X)) - X
    return np.square(residual).sum(1).mean()


# %%
# Fits
# ----

X_train, X_test, y_train, y_test = train_test_split(
    *load_digits(return_X_y=True), random_state=0
)

pipelines, results = {}, {}
cases = [(k, name) for k in SIZES for name in REDUCERS]
with tqdm(cases, unit="fit", disable=None) as bar:  # no bar in a file
    for k, name in bar:
        bar.set_description(f"{name}, {k} components")
        pipeline = make_pipeline(REDUCERS[name], k)
        start = perf_counter()
        pipeline.fit(X_train, y_train)
        seconds = perf_counter() - start
        pipelines[k, name] = pipeline
        results[k, name] = (
            error(pipeline, X_test),
            pipeline.score(X_test, y_test),
            seconds,
        )

# %%
# The table
# ---------

MEASURES = {"held-out error": ".2f", "accuracy": ".3f", "seconds of fit": ".1f"}

print(" " * 10 + "".join(f" | {measure:^20}" for measure in MEASURES))
print("components" + (" | " + "".join(f"{name:>6} " for name in REDUCERS)[:-1]) * 3)
for k in SIZES:
    row = f"{k:>10}"
    for i, form in enumerate(MEASURES.values()):
        row += " | " + " ".join(f"{results[k, name][i]:>6{form}}" for name in REDUCERS)
    print(row)

# %%
# New digits
# ----------
# The VAE draws codes from its prior. The autoencoder has none: its codes are drawn from
# a Gaussian mixture fitted to those of the training images; PCA's from a normal
# distribution with its variances. Shown are the means of images around these codes,
# without the noise of single pixels.


def contact_sheet(images):
    """Four rows of four images, with a margin around each."""
    tiles = np.pad(images.reshape(4, 4, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return tiles.swapaxes(1, 2).reshape(40, 40)


def draw(name, density):
    reducer = pipelines[16, name]["reducer"]
    if name == "PCA":
        normal = np.random.default_rng(0).normal(size=(16, 16))
        return reducer.inverse_transform(normal * reducer.explained_variance_**0.5)
    return reducer.sample(16, random_state=0, density=density, observation_noise=False)


DENSITIES = {"PCA": "normal distribution", "AE": "mixture", "VAE": "prior"}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.8), layout="constrained")
for ax, (name, density) in zip(axes, DENSITIES.items()):
    images = draw(name, density)
    ax.imshow(contact_sheet(images), cmap="gray_r", vmin=0, vmax=1)
    ax.set_title(f"{name}, 16 codes from its {density}", fontsize="medium")
    ax.set_axis_off()
figure.savefig(PICTURE, dpi=150)
print(f"\n16 new digits of each model: {PICTURE}")
