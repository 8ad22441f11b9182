"""
How many components: a grid search
==================================

Two ways to choose the size of a code. With labels, a search over the whole pipeline
takes the size that serves the classifier. Without labels, the log-likelihood of new
rows, the `score` of :class:`~skae.VAETransformer` and of PCA, rises while further
components tell of structure and falls when they tell of noise. The error of a
reconstruction cannot choose: it falls with each component.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer

# %%
# With labels
# -----------
# The reducer is a step of the pipeline; its size is searched as any other parameter.
# Above eight components the linear classifier has from PCA what it needs.

X, y = load_digits(return_X_y=True)
X = X / 16
SIZES = [2, 4, 8, 16]


def search_size(reducer):
    pipeline = Pipeline(
        [("reduce", reducer), ("classify", LogisticRegression(max_iter=1000))]
    )
    return GridSearchCV(pipeline, {"reduce__n_components": SIZES}, cv=2).fit(X, y)


searches = {
    "PCA": search_size(PCA()),
    "skae": search_size(AutoencoderTransformer(random_state=0)),
}
for name, search in searches.items():
    accuracies = search.cv_results_["mean_test_score"]
    listed = "  ".join(f"{k}: {a:.3f}" for k, a in zip(SIZES, accuracies))
    print(f"{name:>4}  {listed}  chosen: {search.best_params_}")

# %%
# Without labels
# --------------
# No scorer is given: that of both models is the mean log-likelihood of held-out rows,
# in nats. PCA's is that of probabilistic PCA.

table = StandardScaler().fit_transform(load_wine().data)
TABLE_SIZES = [1, 2, 3, 5, 8]
likelihoods = {
    name: GridSearchCV(model, {"n_components": TABLE_SIZES}, cv=3).fit(table)
    for name, model in {"PCA": PCA(), "skae": VAETransformer(random_state=0)}.items()
}
for name, search in likelihoods.items():
    print(f"{name:>4}  {search.best_params_}, {search.best_score_:.2f} nats a row")

# %%
# The picture
# -----------

figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for ax, found, sizes, label in (
    (axes[0], searches, SIZES, "accuracy, digits"),
    (axes[1], likelihoods, TABLE_SIZES, "nats a row, wine"),
):
    for name, search in found.items():
        ax.plot(sizes, search.cv_results_["mean_test_score"], "o-", label=name)
    ax.set(xscale="log", xlabel="components", ylabel=label)
    ax.set_xticks(sizes, sizes, minor=False)
    ax.minorticks_off()
axes[0].legend()
plt.show()
