"""
An explorer of the latent space in one file
===========================================

:meth:`~skae.plotting.LatentDisplay.to_html` writes a page on which pointing into the
plane of two latents decodes the code under the pointer, beside the nearest real row.
The page has all it needs: it works without a server and without a network, in a
notebook and on a phone.
"""

from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from skae import VAETransformer
from skae.plotting import LatentDisplay

PAGE = Path("digits_explorer.html")

# %%
# The display
# -----------

X, y = load_digits(return_X_y=True)
vae = VAETransformer(2, max_iter=40, random_state=0).fit(X / 16)
display = LatentDisplay.from_estimator(vae, X / 16, y, sample_shape=(8, 8))

# %%
# The page
# --------
# A grid of 24 by 24 codes is decoded, and 300 of the rows are on the page.
# ``IPython.display.IFrame(PAGE, 900, 640)`` shows it in a notebook.

display.to_html(PAGE)
print(f"{PAGE}: {PAGE.stat().st_size / 1024:.0f} KiB")
plt.show()
