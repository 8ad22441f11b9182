"""
A fit and its latent space: loss curve, codes, animation
========================================================

What a fit of :class:`~skae.VAETransformer` did, epoch by epoch, and where the rows lie
in the latent space that it ended with. An animation of the codes shows what the
divergence from the prior does: without it (``beta=0``) nothing holds the codes
together.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import ValidationCurveDisplay

from skae import AutoencoderTransformer, VAETransformer
from skae.plotting import (
    CodeRecorder,
    LatentDisplay,
    LossCurveDisplay,
    animate_codes,
)

# %%
# The fit
# -------
# Training keeps the epoch that is best on validation rows. The rate is what the codes
# tell of a row, the distortion is what is left to explain, both in nats.

X, y = load_digits(return_X_y=True)
X = X / 16
recorder = CodeRecorder(X)
vae = VAETransformer(2, max_iter=30, callbacks=[recorder], random_state=0).fit(X)
LossCurveDisplay.from_estimator(vae)

# %%
# The latent space
# ----------------
# Around each code an ellipse shows one standard deviation of its posterior.

LatentDisplay.from_estimator(vae, X, y)

# %%
# With and without the divergence
# -------------------------------
# `save` writes a GIF, `to_jshtml` a page with buttons.

animation = animate_codes(recorder.codes_, y, name="beta = 1")
animation.save("codes_with_divergence.gif", writer="pillow")

# %%

free = CodeRecorder(X)
VAETransformer(2, beta=0.0, max_iter=30, callbacks=[free], random_state=0).fit(X)
without = animate_codes(free.codes_, y, name="beta = 0")
without.save("codes_without_divergence.gif", writer="pillow")

# %%
# How many latents
# ----------------
# scikit-learn's own display compares sizes by the log-likelihood of held-out rows. For
# an :class:`~skae.AutoencoderTransformer`, whose score always rises with the size, it
# shows how much each step gains.

for kind in (VAETransformer, AutoencoderTransformer):
    ValidationCurveDisplay.from_estimator(
        kind(max_iter=5, random_state=0),
        X[:500],
        None,
        param_name="n_components",
        param_range=[1, 2, 4, 8, 16],
        cv=2,
        score_name=f"Score of {kind.__name__}",
    )
plt.show()
