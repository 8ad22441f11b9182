"""All parameters of a module as views of a few long vectors.

An optimiser then makes one call for each vector instead of one for each weight, keeping
the best epoch is one copy, and so is updating the half-precision compute copy.
"""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from skae.nn._model import LatentModel

# Parts that compute in half precision; and groups of parameters, each with a rate.
_NETWORK = ("skip", "encoder", "decoder")
_PARTS = ("hidden", "output", "likelihood", "prior", "penalty")

# Rates relative to the hidden layers'. A log-variance has nats to walk and moves faster
# than a weight; the linear autoencoder has nothing but its skip to move.
_LIKELIHOOD_RATE = 10.0
_RATE_OF_LINEAR = 8.0


class FlatParameters:
    """Bind a module to averages of flat vectors, and a compute copy to the vectors.

    Parameters
    ----------
    module : LatentModel
        Its parameters become views of the averages until `unbind`: it is the model that
        is evaluated and kept. An average over steps has the accuracy that the weights
        themselves would only reach at a low rate (Polyak and Juditsky, 1992).
    vectors : list of nn.Parameter
        From `flat_vectors(module)`, float32, one for each group; the optimiser's.
    precision : {"float32", "bfloat16"}
        Of the copy's skip and networks; distributions and their own parameters are
        always float32.
    n_averaged : float
        Steps that an average looks back, exponentially.

    Attributes
    ----------
    compute_copy : LatentModel
        For the forward and backward passes of training.
    groups : list of list of nn.Parameter
        The compute copy's parameters, by vector.
    """

    def __init__(
        self,
        module: LatentModel,
        vectors: list[nn.Parameter],
        precision: str,
        n_averaged: float,
    ):
        self.module, self.vectors = module, vectors
        self.weight = 1 / max(n_averaged, 1)
        self.compute_copy = copy.deepcopy(module)
        self.averages: list[Tensor] = []
        self.halves: list[Tensor | None] = []
        copies = dict(self.compute_copy.named_parameters())
        # The module shows averages, the compute copy the weights as they are now, in
        # half precision where that is asked for.
        for params, vector in zip(_groups(module).values(), vectors):
            self.averages.append(torch.cat([p.detach().reshape(-1) for _, p in params]))
            _bind([p for _, p in params], self.averages[-1])
            half = None
            # Master weights stay float32: a step is smaller than half precision
            # resolves.
            if precision == "bfloat16" and params[0][0].startswith(_NETWORK):
                half = vector.detach().to(torch.bfloat16)
                vector.grad = torch.zeros_like(vector)
            self.halves.append(half)
            mine = [copies[name] for name, _ in params]
            _bind(mine, vector.data if half is None else half)
        # In the order of `vectors`: gradients are written by position.
        self.groups = [
            [p for _, p in params] for params in _groups(self.compute_copy).values()
        ]

    def set_gradients(self, gradients: list[Tensor]) -> None:
        """Write flat gradients where the optimiser reads them."""
        for vector, half, gradient in zip(self.vectors, self.halves, gradients):
            if half is None:
                vector.grad = gradient
            else:
                assert vector.grad is not None  # made together with the copy
                vector.grad.copy_(gradient)

    def named_views(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Each weight by its name, as a view of a vector, and its gradient likewise:
        what is changed in place, the optimiser sees."""
        for params, vector in zip(_groups(self.module).values(), self.vectors):
            sizes = [p.numel() for _, p in params]
            assert vector.grad is not None  # a step has been computed
            pieces = zip(vector.data.split(sizes), vector.grad.split(sizes))
            for (name, p), (value, gradient) in zip(params, pieces):
                view = nn.Parameter(value.view(p.shape))
                view.grad = gradient.view(p.shape)
                yield name, view

    @torch.no_grad()
    def update(self) -> None:
        """Bring averages and compute copy up to date after a step of the optimiser."""
        for average, half, vector in zip(self.averages, self.halves, self.vectors):
            # average += weight (vector - average)
            average.lerp_(vector, self.weight)
            if half is not None:
                half.copy_(vector)

    def is_finite(self) -> bool:
        return all(bool(average.isfinite().all()) for average in self.averages)

    def state(self) -> list[Tensor]:
        return [average.clone() for average in self.averages]

    @torch.no_grad()
    def load(self, state: list[Tensor]) -> None:
        """Set averages, vectors and compute copy to `state`."""
        for average, value in zip(self.averages, state):
            average.copy_(value)
        # Training goes on from the average, which the weights become.
        self.set_vectors(state)

    @torch.no_grad()
    def set_vectors(self, values: list[Tensor]) -> None:
        """Set vectors and compute copy, and leave the averages as they are."""
        for half, vector, value in zip(self.halves, self.vectors, values):
            vector.copy_(value)
            if half is not None:
                half.copy_(value)

    def reload(self) -> None:
        """Go on from what was loaded into the module."""
        buffers = dict(self.module.named_buffers())
        for name, buffer in self.compute_copy.named_buffers():
            buffer.copy_(buffers[name])
        self.load(self.state())

    def unbind(self) -> None:
        """Let the module's parameters own their memory again."""
        for p in self.module.parameters():
            # A view keeps the whole vector alive: pickles would hold it once for each
            # weight.
            p.data = p.data.clone()


def flat_vectors(module: LatentModel, output_rate: float = 1.0) -> list[dict]:
    """Optimiser groups for `module`: one vector, relative rate and decay each."""
    if module.is_linear_autoencoder:
        output_rate = _RATE_OF_LINEAR
    rates = dict.fromkeys(_PARTS, 1.0) | {
        "output": output_rate,
        "likelihood": _LIKELIHOOD_RATE,
    }
    return [
        {
            "params": [
                nn.Parameter(torch.cat([p.detach().reshape(-1) for _, p in params]))
            ],
            "rate": rates[name],
            "decay": float(name == "hidden"),
        }
        for name, params in _groups(module).items()
    ]


def _groups(module: LatentModel) -> dict[str, list[tuple[str, nn.Parameter]]]:
    """Named parameters by their part: hidden layers; the skip and the output layers
    beside it; likelihood; prior; penalty. Groups of none are left out."""
    # By identity: the names of a user's layers are unknown.
    outputs = {id(p) for body in module.bodies for p in body.output.parameters()}
    groups: dict[str, list] = {part: [] for part in _PARTS}
    for name, p in module.named_parameters():
        if not p.requires_grad:
            continue
        # Likelihood, prior and penalty have a group each.
        if not name.startswith(_NETWORK):
            groups[name.split(".")[0]].append((name, p))
        elif name.startswith("skip") or id(p) in outputs:
            groups["output"].append((name, p))
        else:
            groups["hidden"].append((name, p))
    return {name: params for name, params in groups.items() if params}


def _bind(params: list[nn.Parameter], vector: Tensor) -> None:
    # In the order in which they were concatenated.
    pieces = vector.split([p.numel() for p in params])
    for p, piece in zip(params, pieces):
        p.data = piece.view(p.shape)
