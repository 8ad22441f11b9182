"""The last phase of a fit, in which the encoder learns from the decoder.

An encoder fits its training rows more closely than new ones. A decoder makes as many
further rows as are wanted: here x' = g(z') + r, with z' between or a little beyond the
codes of two training rows, and r the residual of a third. With the decoder as it is,
the encoder learns to reconstruct these as well; validation rows decide whether that is
kept.

References
----------
Zhang, M., Hayes, P. and Barber, D. (2022). Generalization gap in amortized inference.
NeurIPS.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from skae.data._rows import CHUNK, Batch, ResidentBatches, ResidentRows
from skae.nn._model import LatentModel
from skae.training._callbacks import BestEpoch, OneCycle
from skae.training._checkpoint import Phase
from skae.training._trainer import LatentNet, TrainingResult

# Steps of the phase, as a fraction of those before: its cost is at most a fifth of the
# fit. Twice as many gain half as much again (benchmarks/ablations.py).
FRACTION = 0.2

# Peak rate, as a multiple of the fit's: a short phase without the decoder's feedback
# bears a higher one.
_RATE = 2.0

# How far beyond the two codes z' may lie, in distances between them.
_BEYOND = 0.5

# Codes among which the nearest is the partner: near ones are on the same surface.
_N_CANDIDATES = 8

# Rows on disk whose codes and residuals make others.
_N_RESIDUALS = 20_000

# Steps whose weights are averaged.
_N_AVERAGED = 50


class AugmentedBatches:
    """Batches of which half of the rows are made by the decoder.

    Parameters
    ----------
    model : LatentModel
        As it is when the phase begins.
    batches : ResidentBatches
        Of training rows; half as many of them are taken at a time.
    """

    # Without gradients, whose graph would keep the hidden values of all rows.
    @torch.no_grad()
    def __init__(self, model: LatentModel, batches: ResidentBatches):
        self.model = model
        size = max(1, batches.size // 2)
        self.batches = batches.rows.batches(size, batches.generator)
        self.rows = batches.rows.in_memory(
            _N_RESIDUALS, batches.generator.initial_seed()
        )
        # Of training rows, before the encoder moves: the decoder does not move, so that
        # they remain codes of its surface.
        codes = [model.encode(x).mean for x, *_ in self.rows.chunks(CHUNK)]
        self.codes = torch.cat(codes)  # (n, k)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        for x, weight, completed in self.batches:
            # Made rows are dense.
            yield Batch(
                torch.cat([x.to_dense(), self._made(len(x))]), weight, completed
            )

    @torch.no_grad()
    def _made(self, n: int) -> Tensor:
        """Rows (n, d) that the decoder makes."""
        generator = self.batches.generator
        # Row 0: codes z; row 1: rows whose residuals are taken; the others: candidates
        # for the partner of z.
        shape = (2 + _N_CANDIDATES, n)
        index = torch.randint(
            len(self.codes), shape, generator=generator, device=generator.device
        )
        z, others = self.codes[index[0]], self.codes[index[2:]]  # (8, n, k)
        nearest = (others - z).square().sum(-1).argmin(0)
        partner = others[nearest, torch.arange(n, device=z.device)]
        # (n, 1), from -`_BEYOND` to 1 + `_BEYOND` along the line from z to its partner
        t = torch.rand(
            n, 1, generator=generator, device=generator.device, dtype=torch.float32
        )
        between = z + ((1 + 2 * _BEYOND) * t - _BEYOND) * (partner - z)
        residual_of = self.codes[index[1]]
        # One call of the decoder for both, (2 n, d).
        means = self.model.likelihood.mean(
            self.model.decode(torch.cat([between, residual_of]))
        )
        made, fitted = means.chunk(2)
        # g(z') + x - g(f(x)): the residual is what the decoder cannot make of x.
        return made + self.rows.at(index[1]) - fitted


def has_encoder_phase(net: LatentNet, result: TrainingResult) -> bool:
    """Whether the reconstruction of complete rows was trained, and can be compared."""
    model = net.module_
    return (
        result.best_epoch > 0
        and result.initial_loss is not None
        and result.stopped_by in ("max_iter", "converged")
        and model.encoder is not None
        and model.prior is None
        and model.penalty is None
        and model.imputer is None
        and net.corrupt is None
        and model.likelihood.is_scaled
    )


def train_encoder(
    net: LatentNet,
    rows: ResidentRows,
    result: TrainingResult,
    checkpoint: Phase | None = None,
) -> TrainingResult:
    """Train the encoder of a net's model once more, the decoder staying as it is;
    return `result` with the loss that is left."""
    # Half of a batch is made, so that an epoch has twice as many steps.
    n_epochs = int(FRACTION * len(result.history) / 2)
    if n_epochs < 1 or result.best_loss is None or result.initial_loss is None:
        return result
    model = net.module_
    # The smaller an error, the smaller the steps that lower it further.
    is_error = not model.likelihood.is_density
    relative_error = result.best_loss / result.initial_loss if is_error else 1.0
    # A frozen decoder has no vector at the optimiser, and no gradient is computed.
    flags = [(p, p.requires_grad) for p in model.parameters()]
    phase = LatentNet(
        model,
        alpha=net.alpha,
        n_averaged=_N_AVERAGED,
        precision=net.precision,
        seed=net.seed,
        lr=_RATE * net.lr * relative_error**0.5,
        output_rate=net.output_rate,
        max_epochs=n_epochs,
        batch_size=net.batch_size,
        train_split=net.train_split,
        augment=partial(AugmentedBatches, model),
        checkpoint=checkpoint,
        callbacks=[("schedule", OneCycle()), ("best_epoch", BestEpoch(n_epochs))],
        device=net.device,
        verbose=0,
    ).initialize()
    try:
        for name, p in model.named_parameters():
            is_encoder = name.startswith(("encoder.", "skip.encode"))
            p.requires_grad_(p.requires_grad and is_encoder)
        found = phase.train(rows)
    finally:
        for p, flag in flags:
            p.requires_grad_(flag)
    return replace(result, best_loss=found.best_loss)
