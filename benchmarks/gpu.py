"""What waits for a GPU, in one run of eight minutes; `gpu.sh` calls it.

Each part is a process of its own, with a share of the time: tests that have to do with
devices, then the parts of `gpu_parts.py`. A part that fails, be it by a fault that the
GPU does not recover from, or that has to be stopped, is reported, and the others go on.
Time that a part leaves is for those after it.
"""

import argparse
import json
import operator
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from reporting import environment, print_table, write_json

_ROOT = Path(__file__).resolve().parent.parent

# Shares of the time.
PARTS = {"tests": 0.24, "epochs": 0.13, "vae": 0.38, "reconstruction": 0.25}

# Files with tests that have to do with devices, and which of them to run.
_ALL_FILES = ("test_devices.py", "test_bad_input.py", "test_sklearn_checks.py")
_TESTS = {
    "whole": (_ALL_FILES, "device or gpu"),
    "cut": (_ALL_FILES, "(device or gpu) and not finite_arrays"),
    "quick": (_ALL_FILES[:1], "come_back"),
}

# Seconds that a process has to end when it is asked to.
_GRACE = 8

_MNIST = "mnist_784.npz"
_STAND_IN_ROWS = {"whole": 70_000, "cut": 5000, "quick": 500}
_COMPARE = {"<=": operator.le, ">=": operator.ge}


@dataclass
class Run:
    """One call of this script."""

    size: str
    device: str
    epochs: int | None  # of a fit, at most; None is the size's own
    mnist: Path | None  # the folder it lies in; None is a stand-in
    output: Path  # folder of gpu.json and the logs
    temporary: Path

    @property
    def data(self) -> str:
        return "a made stand-in for MNIST" if self.mnist is None else "MNIST"

    @property
    def is_judged(self) -> bool:
        """Cut runs and other data say nothing of the goals."""
        return self.size == "whole" and self.mnist is not None

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables of the processes.

        Processors that are busy with other things make two threads ten times as slow as
        one.
        """
        found = os.environ | {"SKAE_DATA": str(self.mnist or self.temporary)}
        if self.device == "cpu":
            found = {"OMP_NUM_THREADS": "1"} | found | {"CUDA_VISIBLE_DEVICES": ""}
        return found


def mnist_folder() -> Path | None:
    """Folder that has MNIST: SKAE_DATA, else shared/data beside or in the checkout."""
    if os.environ.get("SKAE_DATA"):
        folders = [Path(os.environ["SKAE_DATA"])]
    else:
        folders = [folder / "shared" / "data" for folder in (_ROOT.parent, _ROOT)]
    return next((f.resolve() for f in folders if (f / _MNIST).exists()), None)


def write_stand_in(folder: Path, n_rows: int) -> None:
    """Write rows in place of MNIST: as many pixels, mostly dark, of ten latents."""
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(n_rows, 10)).astype(np.float32)
    grey = codes @ rng.normal(size=(10, 784)).astype(np.float32)
    X = (255 / (1 + np.exp(5 - 2 * grey))).astype(np.uint8)
    np.savez(folder / _MNIST, X=X, y=np.arange(len(X)) % 10)


def run_command(
    command: list[str], seconds: float, log: Path, variables: dict[str, str]
) -> str | None:
    """Run Python in the checkout; return what went wrong, None if nothing did.

    What is late gets the signal of Ctrl-C, by which pytest reports what it has and a
    fit ends with its best weights; it is killed if that does not end it.
    """
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-u", *command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=_ROOT,
            env=variables,
        )
    is_late = False
    try:
        process.wait(max(seconds - _GRACE, 0))
    except subprocess.TimeoutExpired:
        is_late = True
        _end(process)
    if process.returncode and is_late:
        return f"not done in {seconds:.0f} s"
    if process.returncode < 0:
        return f"ended by {signal.Signals(-process.returncode).name}"
    return f"exit status {process.returncode}" if process.returncode else None


def _end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run_tests(run: Run, seconds: float, log: Path) -> dict:
    """Numbers of tests that passed, were skipped and failed."""
    names, keyword = _TESTS[run.size]
    files = [f"tests/{name}" for name in names]
    report = run.temporary / "tests.xml"
    options = ["-k", keyword, "-p", "no:cacheprovider", f"--junitxml={report}"]
    command = ["-m", "pytest", *files, *options]
    fault = run_command(command, seconds, log, run.variables)
    found = test_results(report) if report.exists() else {"figures": []}
    if found.get("failed"):
        fault = f"{len(found['failed'])} tests failed, {fault}"
    return found | {"error": fault}


def test_results(report: Path) -> dict:
    """Of pytest's XML: numbers of tests, those that failed, why others did not run."""
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = [c.get("name") for c in cases if {"failure", "error"} & {e.tag for e in c}]
    reasons = [e.get("message") for case in cases for e in case.iter("skipped")]
    numbers = {
        "passed": len(cases) - len(failed) - len(reasons),
        "skipped": len(reasons),
        "failed": len(failed),
    }
    return {
        "figures": [{"name": name, "value": n} for name, n in numbers.items()],
        "failed": failed,
        "skipped_for": {text: reasons.count(text) for text in sorted(set(reasons))},
    }


def measure(name: str, run: Run, seconds: float, log: Path) -> dict:
    """What a part of `gpu_parts.py` finds."""
    output = run.temporary / f"{name}.json"
    deadline = time.time() + seconds - 2 * _GRACE
    command = ["benchmarks/gpu_parts.py", name, "--size", run.size]
    command += ["--device", run.device, "--deadline", f"{deadline:.1f}"]
    command += [] if run.epochs is None else ["--epochs", str(run.epochs)]
    command += ["--output", str(output)]
    fault = run_command(command, seconds, log, run.variables)
    found = json.loads(output.read_text()) if output.exists() else {"figures": []}
    return found | {"error": found.get("error") or fault}


def run_part(name: str, run: Run, seconds: float) -> dict:
    """Run one part, and print how it went."""
    begun = time.time()
    log = run.output / f"{name}.log"
    if name == "tests":
        part = run_tests(run, seconds, log)
    else:
        part = measure(name, run, seconds, log)
    part["seconds"] = time.time() - begun
    print(f"{name}: {part['error'] or 'done'}, {part['seconds']:.0f} s", flush=True)
    if part["error"]:
        lines = log.read_text(errors="replace").replace("\r", "\n").splitlines()
        print("  " + "\n  ".join(lines[-12:]), flush=True)
    return part


def run_all(names: list[str], run: Run, end: float) -> dict:
    """Run parts before the time `end`; what there is is written after each."""
    results = {
        "environment": environment(run.device),
        "cuda": torch.version.cuda,
        "data": run.data,
        "size": run.size,
        "is_judged": run.is_judged,
        "parts": {},
    }
    print(f"{results['environment']['device']}, {run.data}", flush=True)
    for i, name in enumerate(names):
        share = PARTS[name] / sum(PARTS[n] for n in names[i:])
        results["parts"][name] = run_part(name, run, share * (end - time.time()))
        write_json(run.output / "gpu.json", results)
    return results


def table(results: dict) -> list[tuple]:
    """Rows to print: figures, goals and whether they are met; outcome of each part."""
    rows = []
    for name, part in results["parts"].items():
        for figure in part["figures"]:
            goal = _goal(figure, results["is_judged"])
            rows.append((f"{name}: {figure['name']}", _text(figure["value"]), *goal))
        outcome = "done"
        if part["error"]:
            outcome = f"FAILED: {part['error'].splitlines()[0][:80]}"
        rows.append((f"{name}: {outcome}", None, None, None, int(part["seconds"])))
    return rows


def _goal(figure: dict, is_judged: bool) -> tuple:
    """Goal, whether it is met, and the seconds, which are those of a part."""
    if "goal" not in figure:
        return None, None, None
    relation, bound = figure["goal"]
    value = float("nan") if figure["value"] is None else figure["value"]
    met = "yes" if _COMPARE[relation](value, bound) else "no"
    return f"{relation} {bound}", met if is_judged else None, None


def _text(value: float | None) -> str | None:
    """Text of a figure; JSON has null for what is not finite."""
    if value is None or isinstance(value, int):
        return None if value is None else str(value)
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:.0f}"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="gpu.sh")
    add = parser.add_argument
    add("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: few rows")
    add("--quick", action="store_true", help="with the cpu: fewer still, made ones")
    add("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART")
    add("--epochs", type=int, help="of a fit, at most")
    add("--seconds", type=float, default=460, help="of all parts together")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and arguments.quick:
        parser.error("--quick is for --device cpu")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu.sh: torch finds no GPU here; --device cpu takes the processor")
    return arguments


def main() -> None:
    end = time.time()
    arguments = parse_arguments()
    end += arguments.seconds
    size = "whole" if arguments.device == "cuda" else "cut"
    size, mnist = ("quick", None) if arguments.quick else (size, mnist_folder())
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(os.environ.get("OUT") or temporary).resolve()
        output.mkdir(parents=True, exist_ok=True)
        device, epochs = arguments.device, arguments.epochs
        run = Run(size, device, epochs, mnist, output, Path(temporary))
        if mnist is None:
            write_stand_in(run.temporary, _STAND_IN_ROWS[size])
        results = run_all(arguments.parts, run, end)
    print_table(("figure", "value", "goal", "met", "seconds"), table(results))
    if not run.is_judged:
        print(f"goals are not judged: {run.data}, {run.size} run", flush=True)
    sys.exit(any(part["error"] for part in results["parts"].values()))


if __name__ == "__main__":
    main()
