"""All parameters of a module as views of a few long vectors.

An optimiser then makes one call for each vector instead of one for each weight, keeping
the best epoch is one copy, and so is refreshing the half-precision twin that computes.
"""

import copy

import torch
from torch import Tensor, nn

_HALVED = ("spine", "encoder", "decoder")


class FlatParameters:
    """Bind a module to averages of flat vectors, and a computing twin to the vectors.

    Parameters
    ----------
    module : nn.Module
        Its parameters become views of the averages: it is the model that is judged and
        kept. An average over steps has the accuracy that the weights themselves would
        only reach at a low rate (Polyak and Juditsky, 1992).
    vectors : list of nn.Parameter
        From `flat_vectors(module)`, float32, one for each group; the optimiser's.
    precision : {"float32", "bfloat16"}
        Of the twin's spine and bodies; distributions and their own parameters are
        always float32.
    n_averaged : float
        Steps that an average looks back, exponentially.

    Attributes
    ----------
    computing : nn.Module
        The twin, for the forward and backward passes of training.
    """

    def __init__(
        self,
        module: nn.Module,
        vectors: list[nn.Parameter],
        precision: str,
        n_averaged: float,
    ):
        self.vectors = vectors
        self.weight = 1 / max(n_averaged, 1)
        self.computing = copy.deepcopy(module)
        self.averages, self.halves = [], []
        twins = dict(self.computing.named_parameters())
        for (params, _), vector in zip(_groups(module), vectors):
            self.averages.append(torch.cat([p.detach().reshape(-1) for _, p in params]))
            _bind([p for _, p in params], self.averages[-1])
            half = None
            if precision == "bfloat16" and params[0][0].startswith(_HALVED):
                half = vector.detach().to(torch.bfloat16)
            self.halves.append(half)
            mine = [twins[name] for name, _ in params]
            _bind(mine, vector.data if half is None else half)
            vector.grad = torch.zeros_like(vector)
        self._groups = [[p for _, p in g] for g, _ in _groups(self.computing)]
        self._params = [p for params in self._groups for p in params]

    def backward(self, loss: Tensor) -> None:
        """Write the gradient of `loss` into the vectors' ``grad``."""
        gradients = torch.autograd.grad(
            loss, self._params, allow_unused=True, materialize_grads=True
        )
        start = 0
        for params, vector in zip(self._groups, self.vectors):
            pieces = [g.reshape(-1) for g in gradients[start : start + len(params)]]
            torch.cat(pieces, out=vector.grad)
            start += len(params)

    @torch.no_grad()
    def update(self) -> None:
        """Bring averages and twin up to date after a step of the optimiser."""
        for average, half, vector in zip(self.averages, self.halves, self.vectors):
            average.lerp_(vector, self.weight)
            if half is not None:
                half.copy_(vector)

    def state(self) -> list[Tensor]:
        return [average.clone() for average in self.averages]

    @torch.no_grad()
    def load(self, state: list[Tensor]) -> None:
        """Set averages, vectors and twin to `state`."""
        for average, half, vector, value in zip(
            self.averages, self.halves, self.vectors, state
        ):
            average.copy_(value)
            vector.copy_(value)
            if half is not None:
                half.copy_(value)


def flat_vectors(module: nn.Module, alpha: float) -> list[dict]:
    """Optimiser groups for `module`: one vector each, only weights of bodies decay."""
    return [
        {
            "params": [
                nn.Parameter(torch.cat([p.detach().reshape(-1) for _, p in params]))
            ],
            "weight_decay": alpha if decays else 0.0,
        }
        for params, decays in _groups(module)
    ]


def _groups(module: nn.Module) -> list[tuple[list[tuple[str, nn.Parameter]], bool]]:
    """Named parameters in up to three groups: weights of the bodies, which decay; the
    rest of the network; the distributions."""
    bodies, network, distributions = [], [], []
    for name, p in module.named_parameters():
        if name.startswith(("encoder", "decoder")) and p.ndim > 1:
            bodies.append((name, p))
        elif name.startswith(_HALVED):
            network.append((name, p))
        else:
            distributions.append((name, p))
    groups = [(bodies, True), (network, False), (distributions, False)]
    return [group for group in groups if group[0]]


def _bind(params: list[nn.Parameter], vector: Tensor) -> None:
    pieces = vector.split([p.numel() for p in params])
    for p, piece in zip(params, pieces):
        p.data = piece.view(p.shape)
