"""Measures of samples and of codes, on plain arrays."""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import mutual_info_score
from sklearn.model_selection import cross_val_score

# Bins of a latent, as of Locatello et al. (2019).
_N_BINS = 20


def frechet_distance(X: np.ndarray, Y: np.ndarray) -> float:
    """Squared Frechet distance of two sets of features (n, d), as normal laws.

    Heusel, M. et al. (2017). GANs trained by a two time-scale update rule. NeurIPS.
    """
    mean = X.mean(0) - Y.mean(0)
    a, b = np.cov(X.T), np.cov(Y.T)
    # The trace of a root is the sum of the eigenvalues' roots; rounding aside, none is
    # negative.
    roots = np.sqrt(np.linalg.eigvals(a @ b).real.clip(0))
    return float(mean @ mean + np.trace(a) + np.trace(b) - 2 * roots.sum())


def two_sample_accuracy(X: np.ndarray, Y: np.ndarray, seed: int = 0) -> float:
    """Accuracy of a classifier that tells X from Y, cross-validated; 0.5 is best.

    Lopez-Paz, D. and Oquab, M. (2017). Revisiting classifier two-sample tests. ICLR.
    """
    rows = np.concatenate([X, Y])
    side = np.repeat([0, 1], [len(X), len(Y)])
    order = np.random.default_rng(seed).permutation(len(rows))
    classifier = HistGradientBoostingClassifier(random_state=seed)
    return float(cross_val_score(classifier, rows[order], side[order], cv=3).mean())


def mutual_information_gap(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """MIG of each factor: how much more the best latent knows of it than the second.

    In shares of the factor's entropy, (n_factors,). Latents (n, k) are binned at equal
    widths, factors (n, n_factors) are discrete.

    Chen, R. T. Q. et al. (2018). Isolating sources of disentanglement in variational
    autoencoders. NeurIPS.
    """
    binned = [np.digitize(z, np.histogram(z, _N_BINS)[1][1:-1]) for z in codes.T]
    gaps = []
    for factor in factors.T:
        shared = sorted(mutual_info_score(factor, z) for z in binned)
        entropy = mutual_info_score(factor, factor)
        gaps.append((shared[-1] - shared[-2]) / entropy)
    return np.array(gaps)
