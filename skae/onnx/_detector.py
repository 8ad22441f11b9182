"""The outlier detector as a torch module: labels and scores of rows."""

import torch
from torch import Tensor, nn

from skae.detection._detector import LARGEST
from skae.detection._distances import FARTHEST
from skae.detection._scores import MOST_OF_A_GROUP, NEAR_THE_FENCE
from skae.onnx._parts import part_module
from skae.transformers import AutoencoderTransformer, VAETransformer

_PARTS = {
    "distances": "reconstruction",
    "reconstruction": "reconstruction",
    "likelihood": "score",
}


class Detector(nn.Module):
    """Rows (n, d) to `predict`, `decision_function` and `score_samples`, (n, 1) each.

    Raises
    ------
    TypeError, ValueError
        If a transformer has no ONNX form, or completes rows by its `impute`.
    """

    def __init__(self, detector):
        super().__init__()
        kind = detector.outlier_score
        for transformer in detector.transformers_:
            _check(transformer, kind)
        self.offset = detector.offset_
        self.views = nn.ModuleList(
            part_module(transformer, _PARTS[kind], torch.float64)
            for transformer in detector.transformers_
        )
        self.score = _SCORES[kind](detector._fitted_score)

    def forward(self, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = X.double().clamp(-LARGEST, LARGEST)
        scores = -self.score(rows, [view(rows) for view in self.views])[:, None]
        decisions = (scores - self.offset).to(X.dtype)
        labels = 1 - 2 * (decisions < 0).to(torch.int64)
        return labels, decisions, scores.to(X.dtype)


def _check(transformer, kind):
    if not isinstance(transformer, AutoencoderTransformer | VAETransformer):
        raise TypeError(
            "AutoencoderDetector has an ONNX form with transformers of skae; got "
            f"{transformer!r}."
        )
    if kind == "distances" and transformer.net_.module_.imputer is not None:
        raise ValueError(
            'AutoencoderDetector with outlier_score="distances" has no ONNX form '
            "with allow_nan=True: impute, which completes rows, has none."
        )


class LikelihoodScore(nn.Module):
    """Minus the mean of log-densities; see the class of `detection` of this name."""

    def __init__(self, fitted):
        super().__init__()

    def forward(self, X: Tensor, log_densities: list[Tensor]) -> Tensor:
        return -torch.stack(log_densities).mean(0)


class ReconstructionScore(nn.Module):
    """Squared residuals; see the class of `detection` of this name."""

    def __init__(self, fitted):
        super().__init__()
        self.sizes = [torch.from_numpy(size) for size in fitted._sizes]

    def forward(self, X: Tensor, reconstructions: list[Tensor]) -> Tensor:
        parts = [
            ((X - R).nan_to_num().square() / size).mean(1)
            for R, size in zip(reconstructions, self.sizes)
        ]
        return torch.stack(parts).mean(0)


class DistanceScore(nn.Module):
    """Both distances; see the class of `detection` of this name."""

    def __init__(self, fitted):
        super().__init__()
        self.factors = [torch.from_numpy(f) for f in fitted._factors]
        self.quadratic = nn.ModuleList(map(Quadratic, fitted._quadratic))
        self.neighbours = Neighbours(fitted._near)
        self.sizes = [float(size) for size in fitted._sizes]
        self.reference_terms = torch.from_numpy(fitted._reference_terms)
        self.usual_terms = torch.from_numpy(fitted._usual_terms)
        self.upper, self.fence = float(fitted._upper), float(fitted._fence)

    def forward(self, X: Tensor, reconstructions: list[Tensor]) -> Tensor:
        residuals = [X - R for R in reconstructions]
        beside = [r * factor for r, factor in zip(residuals, self.factors)]
        near, neighbours = self.neighbours(torch.cat([X, *beside], 1))
        squares = [
            quadratic(torch.cat([R, r], 1))
            for quadratic, R, r in zip(self.quadratic, reconstructions, residuals)
        ]
        far = torch.stack(squares).mean(0)
        ratios = [d / size for d, size in zip((near, far), self.sizes)]
        terms = (1 + torch.stack(ratios, 1)).log2()  # (n, 2)
        scores = self._scores(terms, neighbours)
        # Divided among features, as `explain` does, a sum of zero is zero.
        return scores.where(terms.sum(1) > 0, 0.0)

    def _scores(self, terms: Tensor, neighbours: Tensor) -> Tensor:
        around = _median(self.reference_terms[neighbours])  # (n, 2)
        most = torch.tensor(MOST_OF_A_GROUP, dtype=torch.float64)
        above_usual = (around - self.usual_terms).clamp(min=0)
        common = torch.minimum(above_usual, most).mean(1)
        scores = terms.mean(1)
        width = NEAR_THE_FENCE * (self.fence - self.upper)
        above = (scores - (self.fence - width)).clamp(min=0)
        approached = above * width / (width + above).where(above > 0, 1.0)
        return torch.maximum(scores - above + approached, scores - common)


def _median(values: Tensor) -> Tensor:
    """Medians (n, 2) over the k neighbours of values (n, k, 2)."""
    k = values.shape[1]
    ordered = values.sort(1).values
    return (ordered[:, (k - 1) // 2] + ordered[:, k // 2]) / 2


class Neighbours(nn.Module):
    """Mean squared distances (n,) of rows (n, c) from their neighbours (n, k)."""

    def __init__(self, near):
        super().__init__()
        rows = torch.from_numpy(near._rows)
        # Around their centre, products lose no digits of distances.
        self.centre = rows.mean(0)
        self.rows = rows - self.centre
        self.squares = self.rows.square().sum(1)
        self.n_neighbors = near.n_neighbors_

    def forward(self, V: Tensor) -> tuple[Tensor, Tensor]:
        V = V - self.centre
        # But for the square of the row itself, which is the same for all.
        squares = self.squares - 2 * V @ self.rows.T
        found = squares.topk(self.n_neighbors + 1, largest=False).indices
        # The search rounds; these squares are exact.
        squares = (V[:, None] - self.rows[found]).square().sum(2)
        squares, order = squares.sort(1)
        # All but the very nearest.
        return squares[:, 1:].mean(1), found.gather(1, order[:, 1:])


class Quadratic(nn.Module):
    """Squared Mahalanobis distances (n,) of rows (n, c)."""

    def __init__(self, quadratic):
        super().__init__()
        self.centre = torch.from_numpy(quadratic._centre)
        self.axes = torch.from_numpy(quadratic._axes.copy())
        self.rest = float(quadratic._rest)
        self.scales = torch.from_numpy(quadratic._scales) - self.rest

    def forward(self, V: Tensor) -> Tensor:
        V = V - self.centre
        whitened = ((V @ self.axes.T) * self.scales) @ self.axes + self.rest * V
        return whitened.clamp(-FARTHEST, FARTHEST).square().sum(1)


_SCORES = {
    "distances": DistanceScore,
    "reconstruction": ReconstructionScore,
    "likelihood": LikelihoodScore,
}
