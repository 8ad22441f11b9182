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

_aten = torch.ops.aten
_ALIASES = (_aten.detach.default, _aten.alias.default)
_TRANSPOSE = _aten.t.default
_VIEWS = (_TRANSPOSE, _aten.permute.default, _aten.view.default)


def traced(
    function: Callable[..., tuple], constants: list[Tensor], inputs: list[Tensor]
) -> Callable[..., tuple]:
    """Trace ``function(constants, *inputs)`` into a function of the inputs alone.

    Parameters
    ----------
    function : callable
        Returns tensors. It must do the same for all inputs of these shapes.
    constants : list of Tensor
        Tensors that stay where they are, such as weights; their values may change.
    inputs : list of Tensor
        Examples.
    """

    def flat(*tensors: Tensor) -> tuple:
        return function(tensors[: len(constants)], *tensors[len(constants) :])

    module = make_fx(flat)(*constants, *inputs)
    _drop_aliases(module.graph)
    views = _hoist_views(module.graph, constants)
    module.graph.eliminate_dead_code()
    module.graph.set_codegen(CodeGen())
    module.recompile()
    return torch.no_grad()(partial(module.forward, *views, *constants))


def _drop_aliases(graph: Graph) -> None:
    """Remove what only autograd needed, and transposes that undo each other."""
    for node in list(graph.nodes):
        source = node.args[0] if node.args else None
        if node.target in _ALIASES:
            node.replace_all_uses_with(source)
            graph.erase_node(node)
        elif node.target == _TRANSPOSE == getattr(source, "target", None):
            node.replace_all_uses_with(source.args[0])


def _hoist_views(graph: Graph, constants: list[Tensor]) -> list[Tensor]:
    """Turn views of constants into further constants, the first inputs of the graph."""
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    known: dict[Node, Tensor] = dict(zip(placeholders, constants))
    views = []
    for node in list(graph.nodes):
        if node.target in _VIEWS and node.args[0] in known:
            with graph.inserting_before(placeholders[0]):
                placeholder = graph.placeholder(f"view_{len(views)}")
            known[placeholder] = node.target(known[node.args[0]], *node.args[1:])
            views.append(known[placeholder])
            node.replace_all_uses_with(placeholder)
    return views
