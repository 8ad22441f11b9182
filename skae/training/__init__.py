"""Training with skorch. Nothing outside this folder knows of skorch."""

from skae.training._callbacks import training_callbacks
from skae.training._trainer import LatentNet

__all__ = ["LatentNet", "training_callbacks"]
