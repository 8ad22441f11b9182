"""Autoencoders that are scikit-learn transformers.

The names below are the public ones; `skae.model_selection`, `skae.nn.architectures`,
`skae.nn.likelihoods`, `skae.nn.penalties`, `skae.nn.priors` and `skae.tables` hold
more. Imports run one way: folders of users -> training -> data -> io -> nn ->
torch.
"""

from skae.detection import AutoencoderDetector
from skae.io import load
from skae.semi_supervised import SemiSupervisedClassifier
from skae.transformers import (
    AutoencoderImputer,
    AutoencoderTransformer,
    VAETransformer,
)

__all__ = [
    "AutoencoderDetector",
    "AutoencoderImputer",
    "AutoencoderTransformer",
    "SemiSupervisedClassifier",
    "VAETransformer",
    "load",
]

__version__ = "0.1.0"  # pyproject.toml reads it
