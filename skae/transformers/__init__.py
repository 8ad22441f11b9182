"""The transformers: autoencoders that users fit, with the methods of scikit-learn.

`_base.py` has the public methods; `_building.py`, `_fitting.py` and `_finalising.py`
have the functions of a fit, in their order.

Imported by users, and by `detection` and `semi_supervised` through public methods
alone. May import torch, NumPy, scikit-learn and the folders `training`, `data` and
`nn`; not skorch, which `training` hides, and no other folder of users.
"""

from skae.transformers._autoencoder import AutoencoderTransformer
from skae.transformers._imputer import AutoencoderImputer
from skae.transformers._vae import VAETransformer

__all__ = ["AutoencoderImputer", "AutoencoderTransformer", "VAETransformer"]
