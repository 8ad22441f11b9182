"""What held-out rows say of a model, by the same draws each time."""

from contextlib import contextmanager
from typing import NamedTuple

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from skae.data._rows import CHUNK, ResidentBatches


class Judged(NamedTuple):
    """What held-out rows say of a model; float64, nats."""

    losses: Tensor  # (n,), the objective
    deviations: Tensor  # (n, m), of the likelihood's noises
    shares: Tensor  # (n, m), of the cells that are not missing
    known: Tensor  # (n,), the part of the log-likelihood that those make
    rates: Tensor  # (n,), divergences from the prior
    distortions: Tensor  # (n,), minus the log-likelihoods


def judge(net: NeuralNet, model: nn.Module, X: Tensor) -> Judged:
    """`model`, the net's or its start, on rows as a step of `net` sees them; means over
    draws."""
    generator = torch.Generator(net.device).manual_seed(net.seed)
    n_turns = max(1, net.n_valid_draws // max(1, net.n_draws))
    # A penalty is one of a batch.
    size = net.batch_size
    if model.penalty is None:
        size = net.module_.rows_at_once(CHUNK)
    with _same_draws(net):
        chunks = [
            [_judge_once(net, model, x, generator) for _ in range(n_turns)]
            for x in ResidentBatches(X, size)
        ]
    means = [[sum(values) / n_turns for values in zip(*turns)] for turns in chunks]
    return Judged(*(torch.cat(values) for values in zip(*means)))


def _judge_once(
    net: NeuralNet, model: nn.Module, x: Tensor, generator: torch.Generator
) -> Judged:
    likelihood = model.likelihood
    inputs = net.make_inputs(x, generator)
    x, terms = inputs["x"], model(**inputs)
    target = model.target(x)
    deviations = likelihood.deviations(terms.params, target)
    shares = likelihood.observed_shares(target).double()
    rates = terms.divergence if net.n_draws else x.new_zeros(len(x))
    values = -terms.log_likelihood, rates, deviations
    if net.n_draws > 1 or model.is_ordered:
        values = (value.mean(0) if value.ndim > 1 else value for value in values)
    distortions, rates, deviations = (value.double() for value in values)
    known = likelihood.log_density(deviations, likelihood.noise.double(), shares)
    losses = net.criterion_(terms).double()
    return Judged(losses, deviations, shares, known, rates, distortions)


@contextmanager
def _same_draws(net: NeuralNet):
    """What draws without a generator of its own draws the same each time."""
    device = torch.device(net.device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(net.seed)
        yield
