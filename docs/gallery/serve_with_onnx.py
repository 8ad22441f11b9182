"""
Serving: a pipeline without torch and scikit-learn
==================================================

A scaler, an autoencoder and a logistic regression are trained on digits and written to
one ONNX file. From there on onnxruntime alone answers: it reads the file, and needs
neither torch nor scikit-learn, nor skae. Labels and probabilities are compared with
Python's, and so is the time of an answer, beside that of the same pipeline with PCA. It
needs the extra ``skae[onnx]``.
"""

from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import skae.onnx  # makes its estimators known to skl2onnx

FILE = Path("digits.onnx")
SECONDS = 0.5  # of calls that are timed

# %%
# Training
# --------
# In float32, the dtype of most that is served.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X.astype(np.float32), y, random_state=0
)
pipeline, with_pca = (
    make_pipeline(MinMaxScaler(), reducer, LogisticRegression(max_iter=1000)).fit(
        X_train, y_train
    )
    for reducer in (skae.AutoencoderTransformer(16, random_state=0), PCA(16))
)

# %%
# One file
# --------
# The first row says how many columns there are, and of which dtype.


def written(pipeline):
    options = {"zipmap": False}
    model = to_onnx(pipeline, X_train[:1], target_opset=20, options=options)
    return model.SerializeToString()


FILE.write_bytes(written(pipeline))
print(f"{FILE}: {FILE.stat().st_size / 1024:.0f} KiB")

# %%
# Serving
# -------
# One thread: a row is too little work for more.

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
providers = ["CPUExecutionProvider"]
session = onnxruntime.InferenceSession(FILE, options, providers=providers)
pca_session = onnxruntime.InferenceSession(
    written(with_pca), options, providers=providers
)
labels, probabilities = session.run(None, {"X": X_test})

difference = np.abs(probabilities - pipeline.predict_proba(X_test)).max()
print(f"accuracy {(labels == y_test).mean():.3f}")
print(f"labels as in Python: {(labels == pipeline.predict(X_test)).mean():.0%}")
print(f"largest difference of a probability: {difference:.0e}")

# %%
# Latency
# -------


def milliseconds(call, rows):
    """Median time of a call."""
    call(rows)
    times = []
    while sum(times) < SECONDS:
        start = perf_counter()
        call(rows)
        times.append(perf_counter() - start)
    return 1000 * np.median(times)


calls = {
    "onnxruntime": lambda rows: session.run(None, {"X": rows}),
    "onnxruntime, PCA": lambda rows: pca_session.run(None, {"X": rows}),
    "Python": pipeline.predict,
    "Python, PCA": with_pca.predict,
}
times = {name: milliseconds(call, X_test[:1]) for name, call in calls.items()}
for name, time in times.items():
    hundred = milliseconds(calls[name], X_test[:100])
    print(f"{name:>16}: {time:.3f} ms for a row, {hundred:.3f} ms for 100")

# %%
# The picture
# -----------

figure, ax = plt.subplots(figsize=(6, 2.2), layout="constrained")
ax.barh(list(times)[::-1], list(times.values())[::-1])
ax.set(xscale="log", xlabel="milliseconds of an answer for one row")
plt.show()
