"""The parts of a fitted transformer as ONNX models."""

import warnings

import torch

from skae.nn._modules import Encoder
from skae.onnx._export import OPSET, to_model, write
from skae.onnx._modules import (
    Bound,
    Loss,
    Reconstruction,
    RowDecoder,
    Score,
    for_export,
)
from skae.training._determinism import ordinary_torch

DTYPES = {"float32": torch.float32, "float64": torch.float64}

# Means beyond so many scales lose four of float32's seven digits.
_FAR = 1e4


def _encoder(estimator, model):
    return Encoder(model, with_hidden=estimator.transform_layers == "all")


def _decoder(estimator, model):
    return RowDecoder(model)


def _reconstruction(estimator, model):
    return Reconstruction(model)


def _score(estimator, model):
    # A point code has no density, and takes no draws.
    if model.prior is None:
        return Score(model, Loss(model))
    return Score(model, Bound(model, estimator._score_base_samples(model)))


# part: its module, and the names of its input and its output
PARTS = {
    "encoder": (_encoder, ("X", "codes")),
    "decoder": (_decoder, ("codes", "rows")),
    "reconstruction": (_reconstruction, ("X", "rows")),
    "score": (_score, ("X", "scores")),
}


def write_part(estimator, path, part, dtype):
    """Write a part of a fitted transformer to a file; see its `to_onnx`."""
    for name, value, known in (("part", part, PARTS), ("dtype", dtype, DTYPES)):
        if value not in known:
            listed = ", ".join(map(repr, known))
            raise ValueError(f"{name}={value!r} is not one of {listed}.")
    write(part_model(estimator, part, DTYPES[dtype]).SerializeToString(), path)


@ordinary_torch()
def part_model(estimator, part, dtype, opset=OPSET):
    """The ONNX model of a part, for rows or codes of a dtype of torch."""
    module = part_module(estimator, part, dtype)
    is_decoder = part == "decoder"
    width = estimator._n_features_out if is_decoder else estimator.n_features_in_
    try:
        return to_model(module, width, dtype, PARTS[part][1], opset)
    except Exception as error:
        first_line = str(error).partition("\n")[0]  # of pages on torch's own steps
        raise ValueError(
            f"part={part!r} of this {type(estimator).__name__} has no ONNX form that "
            f"torch knows: {first_line}"
        ) from error


def part_module(estimator, part, dtype):
    """The torch module of a part.

    Raises
    ------
    ValueError
        If it needs steps of refinement, or dataframes.
    """
    check_no_table(estimator)
    if part != "decoder" and estimator._n_code_steps:
        raise ValueError(
            f"part={part!r} has no ONNX form with transform_max_iter="
            f"{estimator._n_code_steps}: the steps need gradients, which ONNX has not. "
            "Set transform_max_iter=0 for the encoder's own codes."
        )
    model = for_export(estimator.net_.module_, dtype)
    if dtype == torch.float32:
        _warn_of_far_rows(model.units)
    return PARTS[part][0](estimator, model).eval()


def check_no_table(estimator):
    """Raise where rows are dataframes."""
    if estimator._table is not None:
        raise ValueError(
            f"This {type(estimator).__name__} was fitted to a dataframe of mixed "
            "columns, which has no ONNX form."
        )


def _warn_of_far_rows(units):
    is_far = units.loc.abs() > _FAR * units.scale
    if is_far.any():
        warnings.warn(
            f"{int(is_far.sum())} of {len(is_far)} features have means beyond "
            f"{_FAR:.0f} times their scale, whose deviations have few digits in "
            'float32: convert for float64 rows (dtype="float64" of to_onnx; float64 '
            "rows for skl2onnx), or centre them before.",
            UserWarning,
            stacklevel=2,
        )
