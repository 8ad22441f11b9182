"""
Images: convolutions
====================

`architecture="conv"` with the shape of a row puts convolutions around PCA. Here digits
are moved by up to two pixels in each direction, so that neighbouring pixels matter; PCA
and fully connected layers do not know that pixels are neighbours. That pays most where
images are few, 500 here, or large; the :doc:`benchmarks <../benchmarks>` have MNIST.
"""

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skae import AutoencoderTransformer
from skae.nn.architectures import Convolutional

N_COMPONENTS = 8
N_TRAIN = 500

# %%
# Moved digits
# ------------

images = np.pad(load_digits().images / 16, ((0, 0), (2, 2), (2, 2)))  # 12 x 12
rng = np.random.default_rng(0)
moved = [np.roll(image, rng.integers(-2, 3, 2), (0, 1)) for image in images]
X = np.reshape(moved, (len(moved), 144)).astype(np.float32)
X_train, X_test = train_test_split(X, train_size=N_TRAIN, random_state=0)

# %%
# Three models of eight numbers
# -----------------------------

models = {
    "PCA": PCA(N_COMPONENTS),
    "mlp": AutoencoderTransformer(N_COMPONENTS, random_state=0),
    "conv": AutoencoderTransformer(
        N_COMPONENTS,
        architecture=Convolutional(channels=(32,)),
        sample_shape=(1, 12, 12),
        hidden_layer_sizes=(128,),
        random_state=0,
    ),
}
rows = {"new images": X_test}
for name, model in models.items():
    begun = perf_counter()
    model.fit(X_train)
    seconds = perf_counter() - begun
    rows[name] = model.inverse_transform(model.transform(X_test))
    error = np.square(rows[name] - X_test).sum(1).mean()
    print(f"{name:>4}: squared error {error:.2f}, {seconds:.1f} s")

# %%
# The picture
# -----------

figure, axes = plt.subplots(len(rows), 1, figsize=(7, 4.6), layout="constrained")
for ax, (name, found) in zip(axes, rows.items()):
    ax.imshow(np.hstack(found[:10].reshape(-1, 12, 12)), "gray_r", vmin=0, vmax=1)
    ax.set_title(name, fontsize="medium", loc="left")
    ax.set_axis_off()
plt.show()
