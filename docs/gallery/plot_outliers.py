"""
Outliers, and which features make them
======================================

Benign tumours are the training rows, malignant ones the outliers among new rows. The
detector is compared with the error of PCA's reconstruction and with scikit-learn's
detectors, by the area under the curve of its score. Then `explain` says which features
make the most outlying row what it is.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import RocCurveDisplay
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderDetector

data = load_breast_cancer()
X, is_benign = data.data, data.target == 1
is_train = is_benign & (np.arange(len(X)) % 2 == 0)
scaler = StandardScaler().fit(X[is_train])
X_train, X_test = scaler.transform(X[is_train]), scaler.transform(X[~is_train])
is_outlier = ~is_benign[~is_train]

# %%
# Scores of new rows
# ------------------
# The training rows are known to be clean, so that none is left out (``trim=0``).

pca = PCA(8).fit(X_train)
residual = X_test - pca.inverse_transform(pca.transform(X_test))
scores = {"PCA, error": np.square(residual).sum(1)}
detector = AutoencoderDetector(trim=0, random_state=0)
for name, model in {
    "AutoencoderDetector": detector,
    "IsolationForest": IsolationForest(random_state=0),
    "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
}.items():
    scores[name] = -model.fit(X_train).score_samples(X_test)

# %%
# Which features
# --------------

contributions = detector.explain(X_test)
most_outlying = contributions.sum(1).argmax()
share = contributions[most_outlying] / contributions[most_outlying].sum()
largest = share.argsort()[::-1][:6]
for j in largest:
    value = X_test[most_outlying, j]
    print(
        f"{data.feature_names[j]:>24}: {share[j]:.0%}, {value:+.1f} standard deviations"
    )

# %%
# The picture
# -----------

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
for name, score in scores.items():
    RocCurveDisplay.from_predictions(is_outlier, score, name=name, ax=axes[0])
axes[0].legend(fontsize="small")
axes[1].barh(data.feature_names[largest][::-1], share[largest][::-1])
axes[1].set_xlabel("part of the score of the most outlying row")
plt.show()
