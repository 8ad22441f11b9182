"""Training with skorch. Nothing outside this folder knows of skorch.

Imports from `data` and `nn`; estimators call `LatentNet(...).train(rows)`.
"""

from skae.training._callbacks import training_callbacks
from skae.training._checkpoint import Checkpoint, Phase
from skae.training._code_recorder import CodeRecorder
from skae.training._trainer import LatentNet, TrainingResult

__all__ = [
    "Checkpoint",
    "CodeRecorder",
    "LatentNet",
    "Phase",
    "TrainingResult",
    "training_callbacks",
]
