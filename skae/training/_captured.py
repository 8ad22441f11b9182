"""A training step as one CUDA graph.

A GPU finishes the operations of a small network before the processor has launched the
next ones. A graph launches all of them in one call.

References
----------
Nguyen, V., Carilli, M., Eryilmaz, S. B., Singh, V., Lin, M., Gimelshein, N., Desmaison,
A. and Yang, E. (2021). Accelerating PyTorch with CUDA graphs. PyTorch blog.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

# Runs that let libraries choose their kernels and take their memory, before a capture.
_N_WARM_UP = 3


def captured(
    function: Callable[..., tuple], constants: list[Tensor], inputs: list[Tensor]
) -> Callable[..., tuple]:
    """Capture ``function(constants, *inputs)`` as a function of the inputs alone.

    Parameters and result are those of `traced`, on a GPU. What cannot be captured is
    called as it is, with a `RuntimeWarning`.
    """
    given = [x.clone() for x in inputs]
    with torch.cuda.device(given[0].device):
        _warm_up(lambda: function(constants, *given))
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                loss, *others = function(constants, *given)
        except RuntimeError as error:
            warnings.warn(
                f"The training step is no CUDA graph, and slower than one: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
            return lambda *inputs: function(constants, *inputs)

    def replay(*inputs: Tensor) -> tuple:
        for mine, new in zip(given, inputs):
            mine.copy_(new)
        graph.replay()
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
