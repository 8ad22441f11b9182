"""Who may import whom: users' folders -> training -> data -> io -> nn -> torch."""

import ast
import sys
from pathlib import Path

import pytest

import skae

ROOT = Path(skae.__file__).parent
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))

# What a plain install has; anything else is imported where it is needed.
ALWAYS_THERE = {"numpy", "scipy", "sklearn", "skorch", "skae", "torch", "tqdm"}
ALWAYS_THERE |= {"safetensors", "threadpoolctl"}

# room: packages, and rooms of skae, that it may enter beside itself; "top" is
# `skae/__init__.py` and `skae/_sklearn.py`
OPEN = {
    "nn": ({"torch"}, set()),
    "data": ({"torch", "numpy", "scipy", "sklearn"}, {"io", "nn", "top"}),
    "io": ({"torch", "numpy", "scipy", "sklearn", "safetensors"}, {"nn", "top"}),
    "training": ({"torch", "sklearn", "skorch", "tqdm"}, {"io", "data", "nn"}),
    "transformers": (
        {"torch", "numpy", "scipy", "sklearn", "threadpoolctl"},
        {"training", "io", "data", "nn", "top"},
    ),
    "detection": ({"numpy", "sklearn"}, {"transformers", "data", "io", "top"}),
    "semi_supervised": (
        {"numpy", "scipy", "sklearn"},
        {"transformers", "data", "io", "top"},
    ),
    "model_selection": ({"numpy", "sklearn"}, {"semi_supervised", "top"}),
    "tables": ({"numpy", "scipy", "sklearn"}, {"data", "top"}),
    "plotting": ({"numpy", "scipy", "sklearn"}, {"training", "top"}),
    "onnx": (
        {"torch", "numpy", "scipy", "sklearn"},
        {"transformers", "detection", "semi_supervised", "training", "io", "nn"},
    ),
    "top": ({"sklearn"}, {"transformers", "detection", "semi_supervised", "io"}),
}

# Rooms that hold what a method does, and are entered when it is called: plain
# installations lack their packages.
WHEN_CALLED = {"transformers": {"onnx"}}


def room_of(parts):
    """Folder of a module, given by its path within skae; "top" where it has none."""
    return parts[0] if parts and parts[0] in OPEN else "top"


def imports(tree):
    """Pairs of imported names, dotted, and whether they stand in a function."""
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside.update(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((name, node in inside) for name in names)


def faults(path, source):
    """What the imports of a module, given by its path within skae, do wrong."""
    room = room_of(path.parts[:-1])
    packages, rooms = OPEN[room]
    for name, is_inside in imports(ast.parse(source)):
        package, *rest = name.split(".")
        if name.startswith("."):
            yield f"{name} is relative"
        if package in ALWAYS_THERE - packages - {"skae"}:
            yield f"{room} imports {package}"
        open_here = {*rooms, room, *(WHEN_CALLED.get(room, ()) if is_inside else ())}
        if package == "skae" and room_of(rest) not in open_here:
            yield f"{room} imports {name}"
        if package == "sklearn" and any(part.startswith("_") for part in rest):
            if path != Path("_sklearn.py"):
                yield f"{name} is private"
        is_known = package in ALWAYS_THERE or package in sys.stdlib_module_names
        if not is_inside and package and not is_known:
            yield f"{package} is imported before it is needed"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_arrow_turns_back(path):
    assert list(faults(path, (ROOT / path).read_text())) == []


TURNED = [
    ("nn/_model.py", "import numpy as np"),
    ("nn/_model.py", "def f():\n    from sklearn.utils import check_array"),
    ("nn/priors/_normal.py", "from skorch import NeuralNet"),
    ("nn/_model.py", "from skae.training import LatentNet"),
    ("nn/_model.py", "from skae.data._arrays import as_tensor"),
    ("nn/_model.py", "from skae import VAETransformer"),
    ("data/_rows.py", "from skae.training import LatentNet"),
    ("data/_rows.py", "from skorch import NeuralNet"),
    ("training/_trainer.py", "from skae.transformers._base import BaseAutoencoder"),
    ("transformers/_base.py", "import skorch"),
    ("transformers/_base.py", "def f():\n    from skorch.callbacks import Callback"),
    ("transformers/_base.py", "from sklearn.base import _fit_context"),
    ("transformers/_base.py", "from skae.detection import AutoencoderDetector"),
    ("detection/_detector.py", "from skae.training import LatentNet"),
    ("detection/_detector.py", "import torch"),
    ("plotting/_latent.py", "import matplotlib.pyplot as plt"),
    ("plotting/_latent.py", "from skae.transformers import VAETransformer"),
    (
        "training/_trainer.py",
        "from sklearn.utils._array_api import get_namespace",
    ),
    ("transformers/_base.py", "import matplotlib.pyplot as plt"),
    ("transformers/_base.py", "from dask import array"),
    ("transformers/_base.py", "from ._arrays import as_tensor"),
    ("transformers/_onnx.py", "from skae.onnx import write_part"),
    ("onnx/_export.py", "import onnx"),
    ("tables/_report.py", "from skae.transformers import VAETransformer"),
    ("tables/_frames.py", "import narwhals as nw"),
]


@pytest.mark.parametrize("path, source", TURNED)
def test_a_turned_arrow_is_seen(path, source):
    assert len(list(faults(Path(path), source))) >= 1


STRAIGHT = [
    ("nn/_model.py", "import math\nfrom torch import nn\nfrom skae.nn import _units"),
    (
        "training/_trainer.py",
        "from skorch import NeuralNet\nfrom skae.nn import _model",
    ),
    ("transformers/_base.py", "import numpy\nfrom skae.training import LatentNet"),
    ("detection/_detector.py", "from skae.transformers import VAETransformer"),
    ("_sklearn.py", "from sklearn.base import _fit_context"),
    ("transformers/_base.py", "def plot():\n    import matplotlib.pyplot as plt"),
    ("transformers/_onnx.py", "def f():\n    from skae.onnx import write_part"),
]


@pytest.mark.parametrize("path, source", STRAIGHT)
def test_a_straight_arrow_is_not_blamed(path, source):
    assert list(faults(Path(path), source)) == []


def test_all_rooms_are_there():
    assert {room_of(path.parts[:-1]) for path in MODULES} == set(OPEN)


def test_the_public_names_are_these():
    assert sorted(skae.__all__) == [
        "AutoencoderDetector",
        "AutoencoderImputer",
        "AutoencoderTransformer",
        "SemiSupervisedClassifier",
        "VAETransformer",
        "load",
    ]
