"""What every contender of `speed.py` is given: a task and a watch."""

import gc
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
import torch
from torch import nn

LEARNING_RATE = 1e-3


class StopTrainingError(Exception):
    """Raised by a watch to end a contender's training."""


class Laps:
    """Seconds of each epoch; the first holds the start and compilation too."""

    def __init__(self, device: str):
        self.device = device

    def start(self) -> None:
        self.laps = []
        self.last = time.perf_counter()

    def epoch(self, reconstruct: Callable) -> None:
        synchronise(self.device)
        now = time.perf_counter()
        self.laps.append(now - self.last)
        self.last = now

    @property
    def seconds_per_epoch(self) -> float:
        return median(self.laps[1:])

    @property
    def seconds_of_start(self) -> float:
        return max(self.laps[0] - self.seconds_per_epoch, 0.0)


class Race:
    """Seconds until the held-out error is down to a goal; judging costs no time."""

    def __init__(self, X: np.ndarray, goal: float, limit: float, device: str):
        self.X, self.goal, self.limit, self.device = X, goal, limit, device

    def start(self) -> None:
        self.seconds, self.n_epochs = 0.0, 0
        self.reached, self.best_error = False, float("inf")
        self.last = time.perf_counter()

    def epoch(self, reconstruct: Callable) -> None:
        synchronise(self.device)
        self.seconds += time.perf_counter() - self.last
        self.n_epochs += 1
        error = squared_error(reconstruct(self.X), self.X)
        self.best_error = min(self.best_error, error)
        self.reached = error <= self.goal
        if self.reached or self.seconds > self.limit:
            raise StopTrainingError
        synchronise(self.device)
        self.last = time.perf_counter()


@dataclass
class Task:
    """One training.

    `with_defaults` leaves the batch size to each package, and to skae everything but
    the number of components.
    """

    X: np.ndarray  # (n, d), float32
    hidden: tuple[int, ...]  # widths of the encoder
    n_components: int
    batch_size: int
    n_epochs: int
    watch: Laps | Race
    device: str = "cpu"
    seed: int = 0
    with_defaults: bool = False

    @property
    def widths(self) -> tuple[int, ...]:
        """Of all layers, from the input to the output."""
        d = self.X.shape[1]
        return (d, *self.hidden, self.n_components, *self.hidden[::-1], d)

    def batch_size_or(self, default: int) -> int:
        return default if self.with_defaults else self.batch_size


def run(contender: Callable[[Task], None], task: Task) -> None:
    """Let a contender train under its watch."""
    gc.collect()
    torch.manual_seed(task.seed)
    task.watch.start()
    with suppress(StopTrainingError):
        contender(task)


def synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def squared_error(a: np.ndarray, b: np.ndarray) -> float:
    """Summed over features, mean over rows."""
    return float(np.square(a - b).sum(1).mean(dtype=float))


def layers(widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    modules = []
    for n_in, n_out in pairwise(widths):
        modules += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def autoencoder(task: Task) -> nn.Sequential:
    """The net of a task, with a linear code."""
    middle = len(task.hidden) + 2
    return nn.Sequential(
        layers(task.widths[:middle]), layers(task.widths[middle - 1 :])
    )


def reconstruction(module: nn.Module, device: str, function=None) -> Callable:
    """Arrays through a module, or a function of it, in evaluation mode."""

    @torch.no_grad()
    def reconstruct(X: np.ndarray) -> np.ndarray:
        was_training = module.training
        module.eval()
        output = (function or module)(torch.from_numpy(X).to(device))
        module.train(was_training)
        return output.cpu().numpy()

    return reconstruct
