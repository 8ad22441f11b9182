"""What serving an ONNX file takes, beside what serving the pipeline itself takes.

    python benchmarks/onnx_environment.py

Trains a pipeline, writes it as ONNX, makes a fresh virtual environment of onnxruntime
alone, and answers for the same rows in it and in this one: bytes of the packages that
are needed, and seconds of a new process until its modules are imported and until the
first answer. Writes `benchmarks/results/onnx_environment.json`.
"""

import json
import pickle
import subprocess
import sys
import tempfile
import venv
from importlib import metadata
from pathlib import Path

import numpy as np
from packaging.requirements import Requirement
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import skae.onnx  # makes its estimators known to skl2onnx

RESULTS = Path(__file__).parent / "results" / "onnx_environment.json"
N_STARTS = 5  # processes of each kind, of which the fastest counts

# Both print the seconds to the import and to the answer, and save the answer.
SERVE = """
from time import perf_counter
start = perf_counter()
import numpy as np
import onnxruntime
imported = perf_counter()
session = onnxruntime.InferenceSession("model.onnx")
labels = session.run(["label"], {"X": np.load("rows.npy")})[0]
print(imported - start, perf_counter() - start)
np.save("served.npy", labels)
import sys
assert not {"torch", "sklearn", "skae"} & set(sys.modules)
"""
PREDICT = """
from time import perf_counter
start = perf_counter()
import pickle
import numpy as np
import skae
imported = perf_counter()
with open("model.pickle", "rb") as file:
    labels = pickle.load(file).predict(np.load("rows.npy"))
print(imported - start, perf_counter() - start)
np.save("predicted.npy", labels)
"""


def needed_packages(name, found=None):
    """Names of a distribution and of all that it requires, as they are installed."""
    found = set() if found is None else found
    if name not in found:
        found.add(name)
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": ""}):
                needed_packages(requirement.name.lower(), found)
    return found


def size(name):
    """Bytes of the files of an installed distribution."""
    paths = [file.locate() for file in metadata.files(name) or []]
    return sum(Path(path).stat().st_size for path in paths if Path(path).is_file())


def seconds(python, code, folder):
    """Seconds to the import and to the answer, of the fastest of some processes."""
    runs = []
    for _ in range(N_STARTS):
        made = subprocess.run(
            [*python, "-c", code],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        )
        runs.append([float(number) for number in made.stdout.split()])
    return dict(zip(("import_s", "answer_s"), min(runs, key=lambda run: run[1])))


def main():
    X, y = load_digits(return_X_y=True)
    X = X.astype(np.float32)
    pipeline = make_pipeline(
        MinMaxScaler(),
        skae.AutoencoderTransformer(16, random_state=0),
        LogisticRegression(max_iter=1000),
    ).fit(X, y)
    model = to_onnx(pipeline, X[:1], target_opset=20, options={"zipmap": False})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        (folder / "model.pickle").write_bytes(pickle.dumps(pipeline))
        np.save(folder / "rows.npy", X)
        environment = folder / "environment"
        venv.create(environment, with_pip=True)
        python = environment / "bin" / "python"
        install = [python, "-m", "pip", "install", "--quiet", "onnxruntime"]
        subprocess.run(install, check=True)
        # Isolated: what else this one finds must not be found there.
        served = seconds([python, "-I"], SERVE, folder)
        predicted = seconds([sys.executable], PREDICT, folder)
        same = np.load(folder / "served.npy") == np.load(folder / "predicted.npy")
        served["file_bytes"] = len(model.SerializeToString())
        predicted["file_bytes"] = (folder / "model.pickle").stat().st_size
    packages = {"onnxruntime": served, "skae": predicted}
    for package, result in packages.items():
        result["packages_bytes"] = sum(map(size, needed_packages(package)))
        result["versions"] = {
            name: metadata.version(name) for name in sorted(needed_packages(package))
        }
    print(f"labels as in Python: {same.mean():.0%} of {len(same)}")
    for package, result in packages.items():
        print(
            f"{package:>12}: packages {result['packages_bytes'] / 2**20:.0f} MiB, file "
            f"{result['file_bytes'] / 2**10:.0f} KiB, import {result['import_s']:.2f} "
            f"s, first answer {result['answer_s']:.2f} s"
        )
    RESULTS.write_text(json.dumps({"same": float(same.mean()), **packages}, indent=1))


if __name__ == "__main__":
    main()
