"""What the benchmarks write: JSON files and text tables."""

import importlib.metadata
import json
import math
import os
import platform
import shlex
import sys
import time
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"

_PACKAGES = (
    "numpy",
    "scikit-learn",
    "torch",
    "skorch",
    "keras",
    "jax",
    "pyod",
    "pythae",
)


def write_json(path: Path, content: dict) -> None:
    """Write to a temporary file, then rename: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(_without_nan(content), indent=1) + "\n")
    temporary.replace(path)


def _arguments() -> list[str]:
    """The command line's arguments but for where the output goes."""
    arguments = sys.argv[1:]
    if "--output" in arguments:
        i = arguments.index("--output")
        del arguments[i : i + 2]
    return arguments


def environment(device: str = "cpu") -> dict:
    """Date, command, versions and hardware of a run."""
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": shlex.join(["python", _script(), *_arguments()]),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "cpu": _cpu_name(),
        "n_cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(device) if _is_cuda(device) else device,
    }


def print_table(header: tuple[str, ...], rows: list[tuple]) -> None:
    """Columns aligned to the right, but the first."""
    cells = [header, *(tuple(_text(value) for value in row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        first, *others = (
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths))
        )
        print("  ".join([first, *others]), flush=True)


def _text(value) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _without_nan(value):
    """JSON knows no NaN or infinity: they become null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _script() -> str:
    return f"benchmarks/{Path(sys.argv[0]).name}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _is_cuda(device: str) -> bool:
    return torch.device(device).type == "cuda"
