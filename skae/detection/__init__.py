"""Outlier detection: a detector on top of a transformer, and the distances it uses.

Imported by users; no other folder needs it. May import NumPy, scikit-learn, `data` and
the public names of `transformers`; not torch, so that any transformer will do.
"""

from skae.detection._detector import AutoencoderDetector

__all__ = ["AutoencoderDetector"]
