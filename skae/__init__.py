"""Autoencoders that are scikit-learn transformers."""

from skae._autoencoder import AutoencoderTransformer
from skae._vae import VAETransformer

__all__ = ["AutoencoderTransformer", "VAETransformer"]
