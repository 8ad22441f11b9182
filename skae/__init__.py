"""Autoencoders that are scikit-learn transformers."""

from skae.detection import AutoencoderDetector
from skae.semi_supervised import SemiSupervisedClassifier
from skae.transformers import AutoencoderTransformer, VAETransformer

__all__ = [
    "AutoencoderDetector",
    "AutoencoderTransformer",
    "SemiSupervisedClassifier",
    "VAETransformer",
]
