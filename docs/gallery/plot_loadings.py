"""
Loadings and explained variance, beside PCA
===========================================

What users of PCA look at first: `components_`, how each latent moves each feature, and
`explained_variance_ratio_`, how much each latent adds. Those of a linear autoencoder
are PCA's; those of a network are means over its latent space, and with
``ordered=True`` its latents are sorted like those of PCA.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skae import AutoencoderTransformer
from skae.plotting import ExplainedVarianceDisplay, LoadingsDisplay

N_COMPONENTS = 8

# %%
# Loadings
# --------

X = load_digits().data / 16
pca = PCA(N_COMPONENTS).fit(X)
linear = AutoencoderTransformer(N_COMPONENTS, hidden_layer_sizes=(), random_state=0)
cosines = np.abs((linear.fit(X).components_ * pca.components_).sum(1))
print(
    f"cosines of the linear model's loadings and PCA's: {cosines.min():.6f} and above"
)

LoadingsDisplay.from_estimator(pca, sample_shape=(8, 8))

# %%

ordered = AutoencoderTransformer(
    N_COMPONENTS, ordered=True, max_iter=60, random_state=0
).fit(X)
LoadingsDisplay.from_estimator(ordered, sample_shape=(8, 8))

# %%
# Explained variance
# ------------------
# Of the same rows PCA is the best linear code.

display = ExplainedVarianceDisplay.from_estimator(ordered, X)
ratios = display.explained_variance_ratio, display.pca_explained_variance_ratio
for size, (ours, of_pca) in enumerate(zip(*map(np.cumsum, ratios)), 1):
    print(f"{size} latents: {ours:.3f}, PCA {of_pca:.3f}")
plt.show()
