"""The transformers: what users fit.

`_base.py` has the public methods, `_fitting.py` the functions of a fit in their order.
Imports from `training`, `data` and `nn`; nothing of the other folders of users.
"""

from skae.transformers._autoencoder import AutoencoderTransformer
from skae.transformers._vae import VAETransformer

__all__ = ["AutoencoderTransformer", "VAETransformer"]
