"""
Serving: a pipeline without torch and scikit-learn
==================================================

A scaler, an autoencoder and a logistic regression are trained on digits and written to
one ONNX file. From there on onnxruntime alone answers: it reads the file, and needs
neither torch nor scikit-learn, nor skae. Labels and probabilities are compared with
Python's, and so is the time of an answer. It needs the extra ``skae[onnx]``.
"""

from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
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
pipeline = make_pipeline(
    MinMaxScaler(),
    skae.AutoencoderTransformer(16, random_state=0),
    LogisticRegression(max_iter=1000),
).fit(X_train, y_train)

# %%
# One file
# --------
# The first row says how many columns there are, and of which dtype.

model = to_onnx(pipeline, X_train[:1], target_opset=20, options={"zipmap": False})
FILE.write_bytes(model.SerializeToString())
print(f"{FILE}: {FILE.stat().st_size / 1024:.0f} KiB")

# %%
# Serving
# -------
# One thread: a row is too little work for more.

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(
    FILE, options, providers=["CPUExecutionProvider"]
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


def serve(rows):
    return session.run(None, {"X": rows})


print("\nrows | onnxruntime |    Python  (milliseconds of a call)")
for n_rows in (1, 100):
    rows = X_test[:n_rows]
    served = milliseconds(serve, rows)
    print(
        f"{n_rows:>4} | {served:>11.3f} | {milliseconds(pipeline.predict, rows):>9.3f}"
    )
