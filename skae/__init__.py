"""Autoencoders that are scikit-learn transformers."""

from skae._autoencoder import AutoencoderTransformer
from skae._detector import AutoencoderDetector
from skae._semi_supervised import SemiSupervisedClassifier
from skae._vae import VAETransformer

__all__ = [
    "AutoencoderDetector",
    "AutoencoderTransformer",
    "SemiSupervisedClassifier",
    "VAETransformer",
]
