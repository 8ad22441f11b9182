"""Evaluation of a model on validation rows, by the same draws each time.

The objective is the final one. Noise scales that are learned are first raised to those
of these rows, which the weights have not seen, if they are below: what a fit finds for
the rows that it learns is too little. Where the density has the initial model as a
component, so has the objective of each row.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from skae.data._rows import CHUNK, Batch, ResidentRows
from skae.nn._log_density import component_log_bounds, weighted
from skae.nn._model import LatentModel
from skae.nn._sizes import rows_at_once

# Iterations of expectation maximisation; more change nothing that epochs differ by.
_MAX_ITER = 20

# The same for the weight of the initial model, which one row in thousands may decide;
# and the draws of its bound.
_MAX_WEIGHT_ITER, _N_WEIGHT_DRAWS = 200, 64


class ValidationTerms(NamedTuple):
    """Terms of the objective of validation rows; float64, nats."""

    losses: Tensor  # (n,), the objective
    deviations: Tensor  # (n, m), of the likelihood's noise scales
    fractions: Tensor  # (n, m), of the entries that are not missing
    noise_terms: Tensor  # (n,), the part of the log-likelihood that those make
    rates: Tensor  # (n,), divergences from the prior
    distortions: Tensor  # (n,), minus the log-likelihoods


class Validation:
    """Losses of validation rows in each epoch.

    Parameters
    ----------
    net : LatentNet
        Says how a batch is given to a model.
    rows : ResidentRows
    """

    def __init__(self, net, rows: ResidentRows):
        self.net, self.rows = net, rows
        self.model = net.module_
        self.initial_losses: Tensor | None = None
        if self.model.initial is not None:
            # Once: neither the initial model nor the draws change in a fit.
            initial = self.model.initial.beside(self.model)
            self.initial_losses = evaluate(net, initial, rows).losses
        self.rate: float | None = None
        self.distortion: float | None = None

    @torch.no_grad()
    def losses(self, *, raises_noise: bool = True) -> Tensor:
        """Objective of each row, (n,); sets `rate` and `distortion`, their means."""
        self.model.eval()
        # Epochs compare by one objective, whatever the step's weights are now.
        self.net.criterion_.set_progress(1.0)
        terms = evaluate(self.net, self.model, self.rows)
        losses = terms.losses
        if raises_noise and self.model.likelihood.n_noises:
            losses = self._raise_noise(terms)
        if self.net.n_draws:
            # Rate and distortion sum to the loss, with the noise as raised.
            raised = (losses - terms.losses).mean()
            self.rate = float(terms.rates.mean())
            self.distortion = float(terms.distortions.mean() + raised)
        if self.initial_losses is None:
            return losses
        return -torch.logaddexp(*self._weighted(losses, self.initial_losses))

    def _weighted(self, losses: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
        return weighted(self.model.initial.weight, -losses, -initial)

    def _raise_noise(self, terms: ValidationTerms) -> Tensor:
        """Set the noise scales that suit rows best, not below the learned ones; return
        their losses.

        Rows that the initial model accounts for are not informative of the noise: which
        ones they are is found by expectation maximisation (Dempster, Laird and Rubin,
        1977).
        """
        likelihood = self.model.likelihood
        learned = self.net.parameters_.compute_copy.likelihood.noise.detach().double()
        # The loss is linear in the log-likelihood: without its noise term, (n,).
        rest = terms.losses + terms.noise_terms

        def losses_at(noise):
            return rest - likelihood.log_density(
                terms.deviations, noise, terms.fractions
            )

        def best(responsibility):
            # (m,), the weighted mean deviation of the observed entries of each noise
            observed = (responsibility @ terms.fractions).clamp(min=1e-30)
            return torch.maximum(responsibility @ terms.deviations / observed, learned)

        noise = best(torch.ones_like(rest))
        if self.initial_losses is not None:
            noise = self._settled(noise, learned, losses_at, best)
        likelihood.set_noise(noise)
        return losses_at(noise)

    def _settled(
        self,
        of_all: Tensor,
        learned: Tensor,
        losses_at: Callable[[Tensor], Tensor],
        best: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Noise scales (m,) to which expectation maximisation converges."""
        assert self.initial_losses is not None
        initial_losses = self.initial_losses

        def settle(noise: Tensor) -> Tensor:
            for _ in range(_MAX_ITER):
                own, initial = self._weighted(losses_at(noise), initial_losses)
                noise = best((own - initial).sigmoid())
            return noise

        def loss(noise: Tensor) -> float:
            mixed = torch.logaddexp(*self._weighted(losses_at(noise), initial_losses))
            return -float(mixed.mean())

        # From the noise of all rows alone, it can stop where a few far rows are still
        # taken for the model's own.
        return min(map(settle, (of_all, learned)), key=loss)


@torch.no_grad()
def learn_initial_weight(net, rows: ResidentRows, smallest: float) -> None:
    """Set the weight of the initial model to what suits validation rows best.

    A mixture whose weights are those of rows that neither component has seen is rarely
    worse than the better one (Smyth and Wolpert, 1999).
    """
    model = net.module_
    generator = torch.Generator(net.device).manual_seed(net.seed)
    shape = _N_WEIGHT_DRAWS, model.n_components
    base_samples = torch.randn(
        shape, generator=generator, device=generator.device, dtype=torch.float32
    )
    bounds = [
        component_log_bounds(
            model, model.resample_targets(batch.x, generator), base_samples
        )
        for batch in rows.chunks(rows_at_once(model, CHUNK))
    ]
    own, initial = (torch.cat(values) for values in zip(*bounds))
    model.initial.weight.fill_(mixture_weight(own, initial, smallest))


def mixture_weight(own: Tensor, initial: Tensor, smallest: float) -> float:
    """Weight of the second of two log-densities (n,) in their best mixture.

    By expectation maximisation; `smallest` further rows of each component keep both
    weights from zero, and it is the smallest weight.
    """
    weight = torch.tensor(0.5, dtype=torch.float64)
    difference = (initial - own).double()
    for _ in range(_MAX_WEIGHT_ITER):
        responsibilities = (difference + weight.logit()).sigmoid()
        weight = (responsibilities.sum() + smallest) / (len(difference) + 2 * smallest)
        weight = weight.clamp(smallest, 1 - smallest)
    return float(weight)


def evaluate(net, model: LatentModel, rows: ResidentRows) -> ValidationTerms:
    """Terms of `model`, the net's or its initial one, on rows as a step of `net` sees
    them; means over draws."""
    generator = torch.Generator(net.device).manual_seed(net.seed)
    # Batches of `n_draws` draws each, as many as make the draws of validation.
    n_times = max(1, net.n_valid_draws // max(1, net.n_draws))
    # A penalty is one of a batch.
    size = net.batch_size
    if model.penalty is None:
        size = rows_at_once(net.module_, CHUNK)
    with net.drawing(generator):
        chunks = [
            [_evaluate_once(net, model, batch, generator) for _ in range(n_times)]
            for batch in rows.chunks(size)
        ]
    # Means over the repetitions of each chunk.
    means = [[sum(values) / n_times for values in zip(*times)] for times in chunks]
    return ValidationTerms(*(torch.cat(values) for values in zip(*means)))


def _evaluate_once(
    net, model: LatentModel, batch: Batch, generator: torch.Generator
) -> ValidationTerms:
    likelihood = model.likelihood
    inputs = net.make_inputs(batch, generator)
    x, terms = inputs["x"], model(**inputs)
    target = model.target(x)
    deviations = likelihood.deviations(terms.params, target)
    fractions = likelihood.observed_fractions(target).double()
    rates = terms.divergence if net.n_draws else x.new_zeros(len(x))
    values = [-terms.log_likelihood, rates, deviations]
    if net.n_draws > 1 or model.ordered is not None:
        values = [value.mean(0) if value.ndim > 1 else value for value in values]
    # Sums over rows and epochs compare to more digits than float32 has.
    distortions, rates, deviations = (value.double() for value in values)
    noise = likelihood.noise.double()
    noise_terms = likelihood.log_density(deviations, noise, fractions)
    losses = net.criterion_(terms).double()
    return ValidationTerms(
        losses, deviations, fractions, noise_terms, rates, distortions
    )
