"""From a torch module to an ONNX model, and to a file that is whole or not there."""

import logging
import warnings
from contextlib import contextmanager
from pathlib import Path

import torch

from skae.io import replaced_when_whole
from skae.onnx._special import DECOMPOSITIONS

# Operators of 2023: torch exports to them, skl2onnx knows them, and so does any runtime
# since.
OPSET = 20

# Rows of the example that torch follows; any number but zero and one, which it takes
# for constants.
_N_ROWS = 3


def to_model(module, n_columns, dtype, names, opset=OPSET):
    """The ONNX model of a module from (n, n_columns) to one tensor, for any n.

    Parameters
    ----------
    module : torch.nn.Module
    n_columns : int
    dtype : torch.dtype
        Of the input.
    names : pair of str
        Of the input and of the output.
    opset : int
        Version of the operators.

    Returns
    -------
    model : onnx.ModelProto
    """
    example = torch.zeros(_N_ROWS, n_columns, dtype=dtype)
    shapes = ({0: torch.export.Dim("n_rows")},)
    with _quiet(), torch.no_grad():
        program = torch.export.export(module, (example,), dynamic_shapes=shapes)
        program = program.run_decompositions(DECOMPOSITIONS)
        model = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=names[:1],
            output_names=names[1:],
        ).model_proto
    return model


@contextmanager
def _quiet():
    """Without what torch's exporter warns of in its own code."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def write(data: bytes, path) -> None:
    """Write a file that is whole or not there."""
    with replaced_when_whole(path) as part:
        Path(part).write_bytes(data)
