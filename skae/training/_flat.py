"""All parameters of a module as views of a few long vectors.

An optimiser then makes one call for each vector instead of one for each weight, keeping
the best epoch is one copy, and so is refreshing the half-precision twin that computes.
"""

import copy

import torch
from torch import Tensor, nn

_HALVED = ("spine", "encoder", "decoder")


class FlatParameters:
    """Bind a module, and perhaps its half-precision twin, to flat vectors.

    Parameters
    ----------
    module : nn.Module
        Its parameters become views of the vectors.
    vectors : list of nn.Parameter
        From `flat_vectors(module)`, float32, one for each group.
    precision : {"float32", "bfloat16"}
        With "bfloat16" the forward and backward passes run on a twin whose spine and
        bodies are bfloat16; distributions and their own parameters stay in float32.

    Attributes
    ----------
    computing : nn.Module
        The module to run in training: `module` itself or its twin.
    """

    def __init__(self, module: nn.Module, vectors: list[nn.Parameter], precision: str):
        self.vectors = vectors
        self.halves = [None] * len(vectors)
        self.computing = module
        groups = _groups(module)
        for (params, _), vector in zip(groups, vectors):
            _bind([p for _, p in params], vector.data)
            vector.grad = torch.zeros_like(vector)
        if precision == "bfloat16":
            self.computing = copy.deepcopy(module)
            twins = dict(self.computing.named_parameters())
            for i, ((params, _), vector) in enumerate(zip(groups, vectors)):
                mine = [twins[name] for name, _ in params]
                if params[0][0].startswith(_HALVED):
                    self.halves[i] = vector.detach().to(torch.bfloat16)
                    _bind(mine, self.halves[i])
                else:
                    _bind(mine, vector.data)
        self.params = [[p for _, p in params] for params, _ in _groups(self.computing)]
        self._flat_list = [p for params in self.params for p in params]

    def backward(self, loss: Tensor) -> None:
        """Write the gradient of `loss` into the vectors' ``grad``."""
        gradients = torch.autograd.grad(
            loss, self._flat_list, allow_unused=True, materialize_grads=True
        )
        start = 0
        for params, vector in zip(self.params, self.vectors):
            pieces = [g.reshape(-1) for g in gradients[start : start + len(params)]]
            torch.cat(pieces, out=vector.grad)
            start += len(params)

    @torch.no_grad()
    def refresh(self) -> None:
        """Bring the twin up to date after the vectors have changed."""
        for half, vector in zip(self.halves, self.vectors):
            if half is not None:
                half.copy_(vector)

    def state(self) -> list[Tensor]:
        return [vector.detach().clone() for vector in self.vectors]

    @torch.no_grad()
    def load(self, state: list[Tensor]) -> None:
        for vector, value in zip(self.vectors, state):
            vector.copy_(value)
        self.refresh()


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
