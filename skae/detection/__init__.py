"""Outlier detection: a detector over the transformers, and its scores.

Uses the public methods of `transformers` alone.
"""

from skae.detection._detector import AutoencoderDetector

__all__ = ["AutoencoderDetector"]
