"""
The manifold of a model, and a traversal of its latents
=======================================================

Rows that a :class:`~skae.VAETransformer` decodes: from a grid of codes through equal
probabilities of the prior, and along each latent while the others stay as they are.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits, load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import VAETransformer
from skae.plotting import ManifoldDisplay, ReconstructionDisplay, TraversalDisplay

# %%
# Images
# ------

X = load_digits().data / 16
vae = VAETransformer(2, max_iter=40, random_state=0).fit(X)
ManifoldDisplay.from_estimator(vae, sample_shape=(8, 8))

# %%
# With more latents, each has a line, the most informative on top. `row` is the image
# that they start from.

larger = VAETransformer(8, max_iter=40, random_state=0).fit(X)
TraversalDisplay.from_estimator(larger, row=X[:1], sample_shape=(8, 8))

# %%
# What eight latents keep of an image, and what they leave.

ReconstructionDisplay.from_estimator(larger, X, sample_shape=(8, 8))

# %%
# A table
# -------
# Displays take pipelines. Each latent moves some features up and others down, in
# standard deviations.

frame = load_wine(as_frame=True).data
pipeline = make_pipeline(
    StandardScaler(), VAETransformer(2, max_iter=40, random_state=0)
).fit(frame)
TraversalDisplay.from_estimator(pipeline)
plt.show()
