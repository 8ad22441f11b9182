"""
Few labels
==========

Of 1,797 digits, 100 have a label. A support vector machine sees these alone, on pixels
or on components of PCA that were fitted to all images;
:class:`~skae.SemiSupervisedClassifier` without arguments learns features from all
images and chooses them by cross-validation on the labelled ones.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from skae import SemiSupervisedClassifier

X, digits = load_digits(return_X_y=True)
is_known = np.random.default_rng(0).permutation(len(X)) < 100

# %%
# Unlabelled rows have the label -1
# ---------------------------------

y = np.where(is_known, digits, -1)
models = {
    "SVC": SVC().fit(X[is_known], digits[is_known]),
    "PCA, SVC": make_pipeline(PCA(16).fit(X), SVC()).fit(X[is_known], digits[is_known]),
    "skae": SemiSupervisedClassifier(random_state=0).fit(X, y),
}
accuracies = {
    name: model.score(X[~is_known], digits[~is_known]) for name, model in models.items()
}
for name, accuracy in accuracies.items():
    print(f"{name:>8}: accuracy {accuracy:.3f} on the other rows")

# %%
# What was chosen
# ---------------
# The loss of each pair of features and classifier on held-out labelled rows.

model = models["skae"]
print(f"features: {model.features_}")
found = model.cv_results_
for features, classifier, loss in zip(
    found["features"], found["classifier"], found["mean_test_loss"]
):
    print(f"{features:>20} {loss:.3f} {type(classifier).__name__}")

# %%
# The picture
# -----------
# Images that the support vector machine takes for another digit, and what both say.

X_other, y_other = X[~is_known], digits[~is_known]
said = {name: model.predict(X_other) for name, model in models.items()}
wrong = np.flatnonzero(said["PCA, SVC"] != y_other)[:12]

figure, axes = plt.subplots(1, 12, figsize=(10, 1.6), layout="constrained")
for ax, i in zip(axes, wrong):
    ax.imshow(X_other[i].reshape(8, 8), "gray_r")
    ax.set_title(f"PCA: {said['PCA, SVC'][i]}\nskae: {said['skae'][i]}", fontsize=9)
    ax.set_axis_off()
plt.show()
