"""A training step: the loss, and its gradient in flat vectors.

Recording the autograd graph anew in each step costs a small network more than its
arithmetic. For one shape of a batch, the operations of loss and gradient can be
recorded once and replayed: as a flat list by FX on a processor, as a CUDA graph on a
GPU (Nguyen et al., 2021). Where recording fails, each step computes as usual, with a
warning.

References
----------
Nguyen, V. et al. (2021). Accelerating PyTorch with CUDA graphs. PyTorch blog.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.graph import CodeGen
from torch.fx.node import map_arg

from skae.nn._process_lock import PROCESS_LOCK
from skae.training._flat_parameters import FlatParameters

# Runs that let libraries choose their kernels and take their memory, before a capture.
_N_WARM_UP = 3

_aten = torch.ops.aten
# Operations of the recorded graph, by what can be simplified about them: results that
# are their argument; operations that undo themselves; those that copy nothing.
_ALIASES = (_aten.detach.default, _aten.alias.default)
_TRANSPOSE, _VIEW = _aten.t.default, _aten.view.default
_INVOLUTIONS = (_TRANSPOSE, _aten.neg.default)
_VIEWS = (_TRANSPOSE, _aten.permute.default, _VIEW)
_CAT = _aten.cat.default
_WRITERS = (_aten.mm.default, _aten.sum.dim_IntList)
_ONES = _aten.ones_like.default
# The same operations as Python functions; the others are called by `torch.ops`.
_BINDINGS = {
    _aten.add.Tensor: torch.add,
    _aten.addmm.default: torch.addmm,
    _aten.addmm_.default: Tensor.addmm_,
    _aten.cat.default: torch.cat,
    _aten.exp.default: torch.exp,
    _aten.linalg_vector_norm.default: torch.linalg.vector_norm,
    _aten.mean.default: torch.mean,
    _aten.mm.default: torch.mm,
    _aten.mul.Scalar: torch.mul,
    _aten.mul.Tensor: torch.mul,
    _aten.neg.default: torch.neg,
    _aten.pow.Tensor_Scalar: torch.pow,
    _aten.relu.default: torch.relu,
    _aten.sub.Tensor: torch.sub,
    _aten.sum.dim_IntList: torch.sum,
    _aten.t.default: torch.t,
}


class GradientStep:
    """Compute ``loss(model(**inputs))`` and its gradient into flat vectors.

    Parameters
    ----------
    parameters : FlatParameters
    loss : callable
        From a model's terms to one number.
    inputs : dict of str to Tensor
        An example; all later ones have the same names and shapes.
    record : callable or None
        `traced` or `captured`; None computes each step anew.
    """

    def __init__(
        self,
        parameters: FlatParameters,
        loss: Callable[..., Tensor],
        inputs: dict[str, Tensor],
        record: Callable[..., Callable] | None = None,
    ):
        self.parameters, self.loss = parameters, loss
        self.names = list(inputs)
        self.compute, self.is_recorded = self._eager, record is not None
        if record is not None:
            # Where the weights lie: a replay reads what the optimiser wrote there.
            values = [p.detach() for group in parameters.groups for p in group]
            self.compute = recorded(
                record, self._functional, values, list(inputs.values()), self._eager
            )

    def __call__(self, inputs: dict[str, Tensor]) -> Tensor:
        """Write the gradient where the optimiser reads it, and return the loss."""
        value, *gradients = self.compute(*inputs.values())
        self.parameters.set_gradients(gradients)
        return value

    def _eager(self, *inputs: Tensor) -> tuple:
        params = [p for group in self.parameters.groups for p in group]
        terms = self.parameters.compute_copy(**dict(zip(self.names, inputs)))
        return self._with_gradients(self.loss(terms), params)

    def _functional(self, values: list[Tensor], *inputs: Tensor) -> tuple:
        values = [v.detach().requires_grad_() for v in values]
        model = self.parameters.compute_copy
        params = [p for group in self.parameters.groups for p in group]
        with _replaced(model, params, values):  # which the loss may ask for as well
            loss = self.loss(model(**dict(zip(self.names, inputs))))
        return self._with_gradients(loss, values)

    def _with_gradients(self, loss: Tensor, params: Sequence[Tensor]) -> tuple:
        """The loss, and its gradient as a vector for each group."""
        # Zeros for what a step does not use, a mean that is masked for example: each
        # group is one vector.
        gradients = torch.autograd.grad(
            loss, params, allow_unused=True, materialize_grads=True
        )
        # Concatenated within the recorded step: the optimiser then takes one tensor.
        pieces = iter([g.reshape(-1) for g in gradients])
        groups = self.parameters.groups
        vectors = [torch.cat([next(pieces) for _ in group]) for group in groups]
        return loss.detach(), *vectors


@contextmanager
def _replaced(
    model: nn.Module, params: list[nn.Parameter], values: list[Tensor]
) -> Iterator[None]:
    """Let `model` compute with `values` in place of its parameters.

    `torch.func.functional_call` loses the parameters of a layer that a module has under
    two names.
    """
    # By identity, so that a parameter under two names is found under both.
    by_id = dict(zip(map(id, params), values))
    places: list[tuple[dict[str, Any], str, Any]] = [
        (module._parameters, name, p)
        for module in model.modules()
        for name, p in module._parameters.items()
        if id(p) in by_id
    ]
    try:
        for own, name, p in places:
            own[name] = by_id[id(p)]
        yield
    finally:
        for own, name, p in places:
            own[name] = p


def recorded(
    record: Callable[..., Callable],
    function: Callable[..., tuple],
    constants: list[Tensor],
    inputs: list[Tensor],
    fallback: Callable[..., tuple],
) -> Callable[..., tuple]:
    """``record(function, constants, inputs)``; what cannot be recorded is computed by
    `fallback` as usual, with a `RuntimeWarning`."""
    try:
        return record(function, constants, inputs)
    except Exception as error:  # whatever a version of torch raises
        warnings.warn(
            "The training step could not be recorded, and is slower: "
            f"{type(error).__name__}: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
        return fallback


def traced(
    function: Callable[..., tuple], constants: list[Tensor], inputs: list[Tensor]
) -> Callable[..., tuple]:
    """Trace ``function(constants, *inputs)`` into a function of the inputs alone.

    Parameters
    ----------
    function : callable
        Returns a loss and further tensors. It must do the same for all inputs of these
        shapes, without a value that is read from the device.
    constants : list of Tensor
        Tensors that stay where they are, such as weights; their values may change.
    inputs : list of Tensor
        Examples.

    Returns
    -------
    recorded : callable
        Its results lie where those of the last call lay, but for the loss.
    """

    def flat(*tensors: Tensor) -> tuple:
        return function(tensors[: len(constants)], *tensors[len(constants) :])

    # Autograd runs under the tracer: the backward pass becomes operations like the
    # forward pass.
    with PROCESS_LOCK:  # two traces at once would patch one another's functions
        module = make_fx(flat)(*constants, *inputs)
    _cancel(module.graph)
    hoisted = _hoist(module.graph, constants)
    module.graph.eliminate_dead_code()
    written = _write_in_place(module.graph)
    _call_quickly(module.graph)
    # The plain one: it takes tensors by position, without trees of arguments.
    module.graph.set_codegen(CodeGen())
    module.recompile()
    # The gradient is in the graph already.
    return torch.no_grad()(partial(module.forward, *written, *hoisted, *constants))


def _cancel(graph: Graph) -> None:
    """Shorten chains: aliases, which autograd alone needed, views of the same shape,
    operations that undo each other, and views of views."""
    for node in list(graph.nodes):
        source: Any = node.args[0] if node.args else None
        if node.target in _ALIASES or _is_idle_view(node):
            node.replace_all_uses_with(source)
            graph.erase_node(node)
            continue
        # The transpose of a matrix has two spellings.
        if node.target == _aten.permute.default and list(node.args[1]) == [1, 0]:
            node.target, node.args = _TRANSPOSE, (source,)
        if node.target == _TRANSPOSE:  # the first of equal ones serves all
            twin = next(n for n in source.users if n.target == _TRANSPOSE)
            if twin is not node:
                node.replace_all_uses_with(twin)
        # Only pairs of the same operation, one after the other, are left.
        if node.target != getattr(source, "target", None):
            continue
        if node.target in _INVOLUTIONS:
            node.replace_all_uses_with(source.args[0])
        elif node.target == _VIEW:
            node.args = (source.args[0], *node.args[1:])
    graph.eliminate_dead_code()


def _is_idle_view(node: Node) -> bool:
    """Whether the shape is the one that there was."""
    if node.target != _VIEW:
        return False
    source: Any = node.args[0]
    return node.meta["val"].shape == source.meta["val"].shape


def _hoist(graph: Graph, constants: list[Tensor]) -> list[Tensor]:
    """Turn views of constants, and what depends on shapes alone, into further
    constants, the first inputs of the graph."""
    # In the order of the arguments: constants first, then inputs.
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    known: dict[Node, Tensor] = dict(zip(placeholders, constants))
    fixed: set[Node] = set()  # whose values never change
    for node in list(graph.nodes):
        sources = node.all_input_nodes
        # The gradient of the loss with respect to itself, for one.
        if node.target == _ONES:
            value = node.meta["val"]
            known[node] = torch.ones(
                value.shape, dtype=value.dtype, device=value.device
            )
            fixed.add(node)
        # Made of fixed values alone: computed once.
        elif sources and node.op == "call_function" and fixed.issuperset(sources):
            known[node] = _run(node, known).contiguous()
            fixed.add(node)
        # A view of a weight stays a view: it shows each new value.
        elif node.target in _VIEWS and sources[0] in known:
            known[node] = _run(node, known)
    hoisted: list[Tensor] = []
    for node in list(known)[len(constants) :]:
        # Only the ends of such chains are asked for in a step.
        if all(user in known for user in node.users):
            continue
        with graph.inserting_before(placeholders[0]):
            placeholder = graph.placeholder(f"hoisted_{len(hoisted)}")
        node.replace_all_uses_with(placeholder)
        hoisted.append(known[node])
    return hoisted


def _write_in_place(graph: Graph) -> list[Tensor]:
    """Write the pieces of vectors that are joined into one tensor, which stays, instead
    of copying them there; return these tensors, the first inputs of the graph."""
    first = next(iter(graph.nodes))
    tensors = []

    def constant(value: Tensor) -> Node:
        with graph.inserting_before(first):
            tensors.append(value)
            return graph.placeholder(f"written_{len(tensors)}")

    for cat in graph.find_nodes(op="call_function", target=_CAT):
        like, pieces = cat.meta["val"], cat.args[0]
        if like.ndim != 1:
            continue
        joined = torch.empty(like.shape, dtype=like.dtype, device=like.device)
        places = joined.split([len(piece.meta["val"]) for piece in pieces])
        for piece, place in zip(pieces, places):
            source = piece.args[0] if piece.target == _VIEW else piece
            is_alone = len(source.users) == len(piece.users) == pieces.count(piece) == 1
            if source.target in _WRITERS and is_alone:
                place = place.view(source.meta["val"].shape)
                source.kwargs = {**source.kwargs, "out": constant(place)}
            else:
                with graph.inserting_before(cat):
                    graph.call_function(Tensor.copy_, (constant(place), piece))
        cat.replace_all_uses_with(constant(joined))
        graph.erase_node(cat)
        for piece in set(pieces):
            if piece.target == _VIEW and not piece.users:
                graph.erase_node(piece)
    return tensors


def _call_quickly(graph: Graph) -> None:
    """Call the commonest operations by the bindings that users call, which take their
    arguments apart in half the time of `torch.ops`."""
    for node in graph.nodes:
        if node.target in _BINDINGS:
            node.target = _BINDINGS[node.target]
        elif node.target == _VIEW:
            node.op, node.target = "call_method", "view"


def _run(node: Node, known: dict[Node, Tensor]) -> Tensor:
    target: Any = node.target  # of a call, a function
    args = map_arg(node.args, known.__getitem__)
    return target(*args, **map_arg(node.kwargs, known.__getitem__))


def captured(
    function: Callable[..., tuple], constants: list[Tensor], inputs: list[Tensor]
) -> Callable[..., tuple]:
    """Capture ``function(constants, *inputs)`` as a function of the inputs alone.

    Parameters and result are those of `traced`, on a GPU.
    """
    # A graph reads and writes fixed places: inputs are copied there.
    given = [x.clone() for x in inputs]
    with torch.cuda.device(given[0].device):
        _warm_up(lambda: function(constants, *given))
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss, *others = function(constants, *given)

    def replay(*inputs: Tensor) -> tuple:
        for mine, new in zip(given, inputs):
            mine.copy_(new)
        graph.replay()
        # The next replay overwrites it; gradients are used before that.
        return loss.clone(), *others

    return replay


def _warm_up(function: Callable[[], tuple]) -> None:
    """On a stream beside the current one, as a capture wants it."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(_N_WARM_UP):
            function()
    torch.cuda.current_stream().wait_stream(beside)
