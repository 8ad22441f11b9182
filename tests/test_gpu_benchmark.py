"""`benchmarks/gpu.sh` on the processor, and what it says of what goes wrong."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"

SLEEPER = "import time; time.sleep(60)"
DEAF_SLEEPER = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {SLEEPER}"

TEST_REPORT = """
<testsuites><testsuite>
<testcase name="a"/>
<testcase name="b"><failure message="wrong"/></testcase>
<testcase name="c"><error message="no fixture"/></testcase>
<testcase name="d"><skipped message="no GPU here"/></testcase>
<testcase name="e"><skipped message="no GPU here"/></testcase>
</testsuite></testsuites>
"""


@pytest.fixture
def benchmark_module(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.fixture
def gpu(benchmark_module, monkeypatch):
    module = benchmark_module("gpu")
    monkeypatch.setattr(module, "_GRACE", 1)
    return module


def run_script(*arguments, **variables):
    return subprocess.run(
        ["bash", str(FOLDER / "gpu.sh"), *arguments],
        env=os.environ | {"PYTHON": sys.executable} | variables,
        capture_output=True,
        text=True,
        timeout=400,
    )


def test_every_part_runs_on_the_processor(tmp_path):
    done = run_script("--device", "cpu", "--quick", OUT=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "gpu.json").read_text())
    assert results["environment"]["device"] == "cpu"
    assert results["data"] == "a made stand-in for MNIST"
    parts = results["parts"]
    assert [part["error"] for part in parts.values()] == [None] * 4
    figures = {
        f"{name}: {figure['name']}": figure["value"]
        for name, part in parts.items()
        for figure in part["figures"]
    }
    assert figures["tests: passed"] >= 4 and figures["tests: failed"] == 0
    goals = {
        "epochs: mnist, times as fast, skae": ">= 3",
        "vae: nats": "<= 82.0",
        "reconstruction: squared error": "<= 2.4",
    }
    assert figures.keys() >= goals.keys()
    assert all(figures[name] > 0 for name in goals)
    rows = done.stdout.splitlines()
    for name in figures:
        (row,) = [row for row in rows if row.startswith(f"{name}  ")]
        assert goals.get(name, "") in row
    assert [f"{name}: done" in done.stdout for name in parts] == [True] * 4


def test_missing_packages_are_named_in_a_line(tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    done = run_script(PYTHON=str(bare))
    assert done.returncode == 2 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("gpu.sh: ") and "skorch torch" in line


@pytest.mark.parametrize(
    "code, fault",
    [
        ("pass", None),
        ("raise SystemExit(3)", "exit status 3"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL"),
        (SLEEPER, "not done in 3 s"),
        (DEAF_SLEEPER, "not done in 3 s"),
    ],
)
def test_what_went_wrong_with_a_process(gpu, code, fault, tmp_path):
    log = tmp_path / "log"
    assert gpu.run_command(["-c", code], 3, log, dict(os.environ)) == fault


def test_a_part_that_fails_leaves_the_others_alone(gpu, monkeypatch, tmp_path, capsys):
    def run_command(command, seconds, log, variables):
        log.write_text("the end of the output")
        if "vae" not in command:
            return "exit status 1"
        found = {"figures": [{"name": "nats", "value": 81.5, "goal": ["<=", 82.0]}]}
        Path(command[-1]).write_text(json.dumps(found))
        return None

    monkeypatch.setattr(gpu, "run_command", run_command)
    run = gpu.Run("whole", "cpu", None, tmp_path, tmp_path, tmp_path)
    results = gpu.run_all(["epochs", "vae", "reconstruction"], run, end=1e12)
    assert json.loads((tmp_path / "gpu.json").read_text()) == results
    errors = [part["error"] for part in results["parts"].values()]
    assert errors == ["exit status 1", None, "exit status 1"]
    assert capsys.readouterr().out.count("the end of the output") == 2
    assert gpu.table(results) == [
        ("epochs: FAILED: exit status 1", None, None, None, 0),
        ("vae: nats", "81.50", "<= 82.0", "yes", None),
        ("vae: done", None, None, None, 0),
        ("reconstruction: FAILED: exit status 1", None, None, None, 0),
    ]


def test_tests_are_counted(gpu, tmp_path):
    report = tmp_path / "tests.xml"
    report.write_text(TEST_REPORT)
    found = gpu.test_results(report)
    assert [figure["value"] for figure in found["figures"]] == [1, 2, 2]
    assert found["failed"] == ["b", "c"]
    assert found["skipped_for"] == {"no GPU here": 2}


def test_a_folder_without_mnist_is_none(gpu, monkeypatch, tmp_path):
    monkeypatch.setenv("SKAE_DATA", str(tmp_path))
    assert gpu.mnist_folder() is None
    gpu.write_stand_in(tmp_path, 20)
    assert gpu.mnist_folder() == tmp_path.resolve()


def test_epochs_that_there_is_time_for(benchmark_module):
    """Two of 2 s in a probe of 14 s: 10 s beside them, and 85 of 100 s are planned."""
    affordable = benchmark_module("gpu_parts").affordable
    assert affordable(100, probe=14, epoch=2, most=1000) == 37
    assert affordable(100, probe=14, epoch=2, most=30) == 30
    assert affordable(1, probe=14, epoch=2, most=30) == 1
