"""A training step as one flat list of tensor operations.

Recording the autograd graph anew in each step costs a small network more than its
arithmetic. The loss and its gradient can be traced once instead, for one batch shape,
and the list of operations that comes out is replayed.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.graph import CodeGen
from torch.fx.node import map_arg

_aten = torch.ops.aten
_ALIASES = (_aten.detach.default, _aten.alias.default)
_TRANSPOSE, _VIEW = _aten.t.default, _aten.view.default
_INVOLUTIONS = (_TRANSPOSE, _aten.neg.default)
_VIEWS = (_TRANSPOSE, _aten.permute.default, _VIEW)
_CAT = _aten.cat.default
_WRITERS = (_aten.mm.default, _aten.sum.dim_IntList)
_ONES = _aten.ones_like.default
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

    module = make_fx(flat)(*constants, *inputs)
    _cancel(module.graph)
    hoisted = _hoist(module.graph, constants)
    module.graph.eliminate_dead_code()
    written = _write_in_place(module.graph)
    _call_quickly(module.graph)
    module.graph.set_codegen(CodeGen())
    module.recompile()
    return torch.no_grad()(partial(module.forward, *written, *hoisted, *constants))


def _cancel(graph: Graph) -> None:
    """Shorten chains: aliases, which autograd alone needed, views of the same shape,
    operations that undo each other, and views of views."""
    for node in list(graph.nodes):
        source = node.args[0] if node.args else None
        if node.target in _ALIASES or _is_idle_view(node):
            node.replace_all_uses_with(source)
            graph.erase_node(node)
            continue
        if node.target == _aten.permute.default and list(node.args[1]) == [1, 0]:
            node.target, node.args = _TRANSPOSE, (source,)
        if node.target == _TRANSPOSE:  # the first of equal ones serves all
            twin = next(n for n in source.users if n.target == _TRANSPOSE)
            if twin is not node:
                node.replace_all_uses_with(twin)
        if node.target != getattr(source, "target", None):
            continue
        if node.target in _INVOLUTIONS:
            node.replace_all_uses_with(source.args[0])
        elif node.target == _VIEW:
            node.args = (source.args[0], *node.args[1:])
    graph.eliminate_dead_code()


def _is_idle_view(node: Node) -> bool:
    """Whether the shape is the one that there was."""
    return (
        node.target == _VIEW
        and node.meta["val"].shape == node.args[0].meta["val"].shape
    )


def _hoist(graph: Graph, constants: list[Tensor]) -> list[Tensor]:
    """Turn views of constants, and what depends on shapes alone, into further
    constants, the first inputs of the graph."""
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    known: dict[Node, Tensor] = dict(zip(placeholders, constants))
    fixed: set[Node] = set()  # whose values never change
    for node in list(graph.nodes):
        sources = node.all_input_nodes
        if node.target == _ONES:
            value = node.meta["val"]
            known[node] = torch.ones(
                value.shape, dtype=value.dtype, device=value.device
            )
            fixed.add(node)
        elif sources and node.op == "call_function" and fixed.issuperset(sources):
            known[node] = _run(node, known).contiguous()
            fixed.add(node)
        elif node.target in _VIEWS and sources[0] in known:
            known[node] = _run(node, known)
    hoisted = []
    for node in list(known)[len(constants) :]:
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
    args = map_arg(node.args, known.__getitem__)
    return node.target(*args, **map_arg(node.kwargs, known.__getitem__))
