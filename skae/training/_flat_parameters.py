"""All parameters of a module as views of a few long vectors.

An optimiser then makes one call for each vector instead of one for each weight, keeping
the best epoch is one copy, and so is refreshing the half-precision twin that computes.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from skae.nn._init_pca import output_layers

_NETWORK = ("spine", "encoder", "decoder")
_PARTS = ("hidden", "output", "likelihood", "prior", "penalty")

# Slowest speed of the linear start, where it leaves next to nothing unexplained.
_SLOWEST = 1e-2

# Of the linear autoencoder, which has nothing but its spine to move.
_SPEED_OF_LINEAR = 8.0


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
        for params, vector in zip(_groups(module).values(), vectors):
            self.averages.append(torch.cat([p.detach().reshape(-1) for _, p in params]))
            _bind([p for _, p in params], self.averages[-1])
            half = None
            if precision == "bfloat16" and params[0][0].startswith(_NETWORK):
                half = vector.detach().to(torch.bfloat16)
                vector.grad = torch.zeros_like(vector)
            self.halves.append(half)
            mine = [twins[name] for name, _ in params]
            _bind(mine, vector.data if half is None else half)
        self._groups = [
            [p for _, p in params] for params in _groups(self.computing).values()
        ]

    def gradient_step(
        self,
        loss: Callable[..., Tensor],
        inputs: dict[str, Tensor],
        record: Callable[..., Callable] | None = None,
    ) -> Callable[[dict[str, Tensor]], Tensor]:
        """Return what computes ``loss(computing(**inputs))`` and its gradient.

        The gradient is written into the vectors' ``grad``, the loss returned. With
        `record`, such as `traced` and `captured`, the operations are recorded once, for
        the shapes of `inputs`.
        """
        params = [p for group in self._groups for p in group]
        names = {id(p): name for name, p in self.computing.named_parameters()}
        keywords = list(inputs)

        def loss_and_gradients(values, *inputs):
            values = [v.detach().requires_grad_() for v in values]
            named = {names[id(p)]: v for p, v in zip(params, values)}
            terms = functional_call(
                self.computing, named, (), dict(zip(keywords, inputs))
            )
            value = loss(terms)
            return value.detach(), *self._flat_gradients(value, values)

        if record is not None:
            values = [p.detach() for p in params]
            compute = record(loss_and_gradients, values, list(inputs.values()))
        else:

            def compute(*inputs):
                value = loss(self.computing(**dict(zip(keywords, inputs))))
                return value.detach(), *self._flat_gradients(value, params)

        def step(inputs):
            value, *gradients = compute(*inputs.values())
            for vector, half, gradient in zip(self.vectors, self.halves, gradients):
                if half is None:
                    vector.grad = gradient
                else:
                    vector.grad.copy_(gradient)
            return value

        return step

    def _flat_gradients(self, loss: Tensor, params: list[Tensor]) -> list[Tensor]:
        """Gradient of `loss`, a vector for each group."""
        gradients = torch.autograd.grad(
            loss, params, allow_unused=True, materialize_grads=True
        )
        pieces = iter([g.reshape(-1) for g in gradients])
        return [torch.cat([next(pieces) for _ in group]) for group in self._groups]

    @torch.no_grad()
    def update(self) -> None:
        """Bring averages and twin up to date after a step of the optimiser."""
        for average, half, vector in zip(self.averages, self.halves, self.vectors):
            average.lerp_(vector, self.weight)
            if half is not None:
                half.copy_(vector)

    def is_finite(self) -> bool:
        return all(bool(average.isfinite().all()) for average in self.averages)

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


def flat_vectors(module: nn.Module) -> list[dict]:
    """Optimiser groups for `module`: one vector, speed and share of the decay each.

    The linear start, and what the output layers add to it, move in proportion to what
    the start leaves unexplained: an optimiser of fixed step sizes would otherwise undo
    a good start before it can improve on it. A log-variance has nats to walk and moves
    faster than a weight.
    """
    groups = _groups(module)
    output_speed = max(module.unexplained, _SLOWEST)
    if module.is_linear_point:
        output_speed = _SPEED_OF_LINEAR
    speeds = dict.fromkeys(_PARTS, 1.0) | {"output": output_speed, "likelihood": 10.0}
    return [
        {
            "params": [
                nn.Parameter(torch.cat([p.detach().reshape(-1) for _, p in params]))
            ],
            "speed": speeds[name],
            "decay": float(name == "hidden"),
        }
        for name, params in groups.items()
    ]


def _groups(module: nn.Module) -> dict[str, list[tuple[str, nn.Parameter]]]:
    """Named parameters by the part they play: hidden layers; the spine and the output
    layers beside it; likelihood; prior; penalty. Groups of none are left out."""
    outputs = {id(p) for layer in output_layers(module) for p in layer.parameters()}
    groups = {part: [] for part in _PARTS}
    for name, p in module.named_parameters():
        if not p.requires_grad:
            continue
        if not name.startswith(_NETWORK):
            groups[name.split(".")[0]].append((name, p))
        elif name.startswith("spine") or id(p) in outputs:
            groups["output"].append((name, p))
        else:
            groups["hidden"].append((name, p))
    return {name: params for name, params in groups.items() if params}


def _bind(params: list[nn.Parameter], vector: Tensor) -> None:
    pieces = vector.split([p.numel() for p in params])
    for p, piece in zip(params, pieces):
        p.data = piece.view(p.shape)
