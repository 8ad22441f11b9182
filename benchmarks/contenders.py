"""The contenders of `speed.py`, and which of them can run here."""

import importlib
import os
from collections.abc import Callable
from typing import NamedTuple

import contenders_jax
import contenders_packages as packages
import contenders_torch as loops
from contest import Task

# The contender that all ratios refer to.
MEASURE = "torch, fused loop"

OURS = "skae"


class Contender(NamedTuple):
    """A function that trains, and the module to import first, if any."""

    train: Callable[[Task], None]
    needs: str | None = None
    is_in_race: bool = True


CONTENDERS = {
    MEASURE: Contender(loops.fused_loop),
    OURS: Contender(loops.skae),
    "skae, float32": Contender(loops.skae_float32, is_in_race=False),
    "skae, bfloat16": Contender(loops.skae_bfloat16, is_in_race=False),
    "torch, DataLoader": Contender(loops.loader_loop),
    "skorch": Contender(loops.plain_skorch),
    "MLPRegressor": Contender(packages.mlp_regressor),
    "pythae": Contender(packages.pythae, "pythae.trainers"),
    "PyOD": Contender(packages.pyod, "pyod.models.auto_encoder"),
    "Keras on torch": Contender(packages.keras, "keras"),
    "JAX, jitted scan": Contender(contenders_jax.jax, "jax"),
}


def available(names: list[str], device: str) -> dict[str, Contender]:
    """Contenders that can run, their packages imported; the others are named."""
    os.environ["KERAS_BACKEND"] = "torch"
    os.environ["KERAS_TORCH_DEVICE"] = device
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if not device.startswith("cuda"):
        os.environ["JAX_PLATFORMS"] = "cpu"
    found = {}
    for name in names:
        reason = _hindrance(CONTENDERS[name], device)
        if reason is None:
            found[name] = CONTENDERS[name]
        else:
            print(f"{name}: skipped, {reason}", flush=True)
    return found


def _hindrance(contender: Contender, device: str) -> str | None:
    if contender.needs is None:
        return None
    try:
        module = importlib.import_module(contender.needs)
    except ImportError as error:
        return f"cannot be imported ({error})"
    wants_gpu = device.startswith("cuda")
    if contender.needs == "jax" and wants_gpu and module.default_backend() != "gpu":
        return f"it runs on {module.default_backend()} here, not on {device}"
    return None
