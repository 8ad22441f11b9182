"""
Text: sparse rows
=================

Documents become sparse rows of tf-idf, which the models take as they are; a fit makes
only a batch at a time dense where there are many. The documents here are the docstrings
of SciPy's functions, and the task is to say which part of SciPy one is of, from 50
numbers. ``TruncatedSVD`` is the usual reducer of text, PCA without centring.
"""

import importlib
import re

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer

PARTS = ("stats", "signal", "linalg", "optimize", "special", "ndimage", "sparse")
N_COMPONENTS = 50

# %%
# Documents
# ---------
# Their names would give them away: words with a dot or an underscore are left out, and
# so are those of the parts.

documents, labels = [], []
for part in PARTS:
    module = importlib.import_module(f"scipy.{part}")
    for name in dir(module):
        text = getattr(module, name).__doc__ if name[0].isalpha() else None
        if isinstance(text, str) and len(text) > 300:
            documents.append(re.sub(r"\S*[._]\S*", " ", text))
            labels.append(part)
vectorizer = TfidfVectorizer(
    sublinear_tf=True, min_df=3, stop_words=["scipy", *PARTS], dtype=np.float32
)
X = vectorizer.fit_transform(documents)
print(
    f"{X.shape[0]} documents, {X.shape[1]} words, {X.nnz / np.prod(X.shape):.1%} filled"
)
X_train, X_test, y_train, y_test = train_test_split(
    X, labels, test_size=0.4, stratify=labels, random_state=0
)

# %%
# Codes of 50 numbers before a linear classifier
# ----------------------------------------------

models = {
    "TruncatedSVD": TruncatedSVD(N_COMPONENTS, random_state=0),
    "PCA": PCA(N_COMPONENTS, random_state=0),
    "skae": AutoencoderTransformer(N_COMPONENTS, random_state=0),
    "skae, noise": AutoencoderTransformer(
        N_COMPONENTS,
        noise="dropout",
        noise_level=0.5,
        learning_rate_init=2e-4,
        max_iter=6,
        random_state=0,
    ),
}
accuracies, epochs = {}, {}
for name, model in models.items():
    pipeline = make_pipeline(model, StandardScaler(), LogisticRegression(C=0.01))
    accuracies[name] = pipeline.fit(X_train, y_train).score(X_test, y_test)
    epochs[name] = getattr(model, "best_iter_", None)
    print(f"{name:>12}: accuracy {accuracies[name]:.3f}")

# %%
# Tf-idf is often close to linear. Where no epoch is better on validation rows, the
# initial model is kept, which is PCA: ``best_iter_`` is the epoch that was kept. With
# words left out at random the model learns which ones go together. That pays with many
# documents, 20,000 of the benchmarks; of these few, a handful make all differences.

print("epochs that were kept:", epochs["skae"], "and", epochs["skae, noise"])

# %%
# The picture
# -----------

figure, ax = plt.subplots(figsize=(5.5, 2.2), layout="constrained")
ax.barh(list(accuracies)[::-1], list(accuracies.values())[::-1])
ax.set(xlabel="accuracy of new documents", xlim=(0.5, 1))
plt.show()
