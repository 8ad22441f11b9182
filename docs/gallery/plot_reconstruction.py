"""
Test images of MNIST through eight numbers
==========================================

The picture of the README: the first test image of each digit, and what is left of it
after PCA and after :class:`~skae.AutoencoderTransformer` with as many components, both
fitted to the 60,000 training images with default settings. Errors are those of all
10,000 test images. The fit takes a few minutes on a processor.
"""

from pathlib import Path
from runpy import run_path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer

N_COMPONENTS = 8

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "reconstruction.png"

# %%
# The images, from the folder that SKAE_DATA names or from OpenML
# ----------------------------------------------------------------

N_TRAIN = 60_000
X, y = run_path(str(ROOT / "benchmarks" / "data_sets.py"))["load_mnist"]()
X_train, X_test, y_test = X[:N_TRAIN], X[N_TRAIN:], y[N_TRAIN:]

# %%
# Fits and reconstructions
# ------------------------
# `transform_max_iter=0` takes the codes as the encoder returns them; steps towards
# better codes would lower the error further, and take time for each row.


def reconstruct(reducer):
    return reducer.inverse_transform(reducer.transform(X_test))


pca = PCA(N_COMPONENTS, random_state=0).fit(X_train)
autoencoder = AutoencoderTransformer(
    N_COMPONENTS, transform_max_iter=0, random_state=0, verbose=1
).fit(X_train)

rows = {
    f"Test images, {X.shape[1]} pixels": X_test,
    f"PCA, {N_COMPONENTS} components": reconstruct(pca),
    f"skae, {N_COMPONENTS} components": reconstruct(autoencoder),
}

# %%
# The picture
# -----------

# sphinx_gallery_thumbnail_path = "images/reconstruction.png"
shown = [np.flatnonzero(y_test == digit)[0] for digit in range(10)]

figure, axes = plt.subplots(len(rows), 1, figsize=(7.5, 3.3), layout="constrained")
for ax, (title, images) in zip(axes, rows.items()):
    if images is not X_test:
        error = np.square(images - X_test).sum(1).mean(dtype=float)
        title += f": squared error {error:.1f}"
        print(title)
    ax.imshow(np.hstack(images[shown].reshape(-1, 28, 28)), "gray_r", vmin=0, vmax=1)
    ax.set_title(title, fontsize="medium", loc="left")
    ax.set_axis_off()
PICTURE.parent.mkdir(exist_ok=True)
figure.savefig(PICTURE, dpi=120)
