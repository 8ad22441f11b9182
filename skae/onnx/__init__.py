"""ONNX models of fitted estimators, which run without torch and scikit-learn.

`to_onnx` of the transformers writes one part of a model. Importing this module makes
its estimators known to skl2onnx, which converts whole pipelines; both need the extra,
``pip install "skae[onnx]"``. Imported by users, and by `to_onnx`. May import skae, the
packages of the extra, NumPy, scikit-learn and torch.

In a pipeline, :class:`~skae.AutoencoderTransformer` and :class:`~skae.VAETransformer`
are their `transform`. :class:`~skae.AutoencoderDetector` has the outputs "label", its
`predict`, and "scores", its `decision_function`, both of shape (n_samples, 1), and with
``options={"score_samples": True}`` also "score_samples".
:class:`~skae.SemiSupervisedClassifier` is converted where its transformer and its
classifier are.

>>> import numpy as np
>>> import onnxruntime
>>> from skl2onnx import to_onnx
>>> from sklearn.datasets import load_iris
>>> from sklearn.linear_model import LogisticRegression
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> import skae.onnx
>>> X, y = load_iris(return_X_y=True)
>>> X = X.astype(np.float32)
>>> pipeline = make_pipeline(
...     StandardScaler(),
...     skae.AutoencoderTransformer(2, max_iter=3, random_state=0),
...     LogisticRegression(),
... ).fit(X, y)
>>> model = to_onnx(pipeline, X[:1], target_opset=20, options={"zipmap": False})
>>> session = onnxruntime.InferenceSession(model.SerializeToString())
>>> labels, probabilities = session.run(None, {"X": X})
>>> bool((labels == pipeline.predict(X)).all())
True
"""

from skae.onnx._converters import register
from skae.onnx._parts import write_part

__all__ = ["write_part"]

register()
