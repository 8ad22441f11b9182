"""
Rows that stay on the disk
==========================

`fit` and `transform` take a memory map of NumPy, and arrays of h5py and Zarr. From 256
MB on, rows are read in parts: the memory of a fit does not grow with the file. Here a
file of 260 MB is written, and learned from in one pass; scikit-learn's
``IncrementalPCA`` reads in parts as well.
"""

import tempfile
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import IncrementalPCA

from skae import AutoencoderTransformer

N_ROWS, N_FEATURES, N_COMPONENTS = 130_000, 500, 4

# %%
# A file
# ------
# Waves of four kinds of bends, written part by part.

folder = tempfile.TemporaryDirectory()
path = Path(folder.name, "rows.npy")
rng = np.random.default_rng(0)
loadings = rng.normal(size=(N_COMPONENTS, N_FEATURES))


def make_rows(n):
    waves = np.sin(rng.uniform(-2, 2, (n, N_COMPONENTS)) @ loadings)
    return waves + 0.1 * rng.normal(size=waves.shape)


rows = np.lib.format.open_memmap(path, "w+", np.float32, (N_ROWS, N_FEATURES))
for part in np.array_split(np.arange(N_ROWS), 24):
    rows[part] = make_rows(len(part))
del rows  # written
print(f"{path.stat().st_size / 1e6:.0f} MB")

# %%
# Fits from the file
# ------------------

X, X_new = np.load(path, mmap_mode="r"), make_rows(1000)
models = {
    "PCA": IncrementalPCA(N_COMPONENTS, batch_size=5_000),
    "skae": AutoencoderTransformer(N_COMPONENTS, max_iter=1, random_state=0),
}
errors = {}
for name, model in models.items():
    begun = perf_counter()
    model.fit(X)
    seconds = perf_counter() - begun
    residual = model.inverse_transform(model.transform(X_new)) - X_new
    errors[name] = np.square(residual).mean(0)
    print(
        f"{name:>4}: {seconds:.0f} s, squared error {errors[name].sum():.1f} a new row"
    )
del X
folder.cleanup()

# %%
# The picture
# -----------

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for name, by_feature in errors.items():
    ax.plot(np.sort(by_feature), label=f"{name}, {N_COMPONENTS} components")
ax.axhline(0.01, color="k", linestyle=":", label="variance of the noise")
ax.set(xlabel="features, sorted", ylabel="mean squared error", ylim=0)
ax.legend()
plt.show()
