"""Displays of fitted estimators, after those of scikit-learn, and an explorer.

Imported by users; no other folder needs it. May import NumPy, SciPy, scikit-learn and,
for its callback, `training`; matplotlib is imported when something is drawn. Displays
ask estimators for their public methods, so that pipelines, and PCA, will do for most.
"""

from skae.plotting._animation import animate_codes
from skae.plotting._explained_variance import ExplainedVarianceDisplay
from skae.plotting._latent import LatentDisplay
from skae.plotting._loadings import LoadingsDisplay
from skae.plotting._loss_curve import LossCurveDisplay
from skae.plotting._manifold import ManifoldDisplay
from skae.plotting._outlier import OutlierDisplay
from skae.plotting._reconstruction import ReconstructionDisplay
from skae.plotting._report import ReportDisplay
from skae.plotting._traversal import TraversalDisplay
from skae.training import CodeRecorder

__all__ = [
    "CodeRecorder",
    "ExplainedVarianceDisplay",
    "LatentDisplay",
    "LoadingsDisplay",
    "LossCurveDisplay",
    "ManifoldDisplay",
    "OutlierDisplay",
    "ReconstructionDisplay",
    "ReportDisplay",
    "TraversalDisplay",
    "animate_codes",
]
