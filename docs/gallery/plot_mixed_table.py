"""
A data frame in, a data frame out
=================================

A table of numbers with spikes, categories, booleans, dates and missing values goes into
:class:`~skae.VAETransformer` as it is, and drawn rows come back with its columns and
dtypes. Beside it, the same by PCA on one-hot columns and a normal distribution, which
knows nothing of spikes and categories.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skae import VAETransformer
from skae.plotting import ReportDisplay
from skae.tables import report

rng = np.random.default_rng(0)
N_ROWS = 2000
age = rng.gamma(9, 4.5, N_ROWS).round().clip(18, 90)
is_working = rng.random(N_ROWS) < 1 / (1 + np.exp((age - 62) / 4))
income = np.where(
    is_working, np.exp(9.8 + 0.012 * age + 0.4 * rng.normal(size=N_ROWS)), 0
)
people = pd.DataFrame(
    {
        "age": age.astype(int),
        "income": income.round(-2),
        "works": is_working,
        "home": pd.Categorical(
            np.where(rng.random(N_ROWS) < age / 90, "own", "rent"), ["rent", "own"]
        ),
        "moved in": pd.Timestamp("2026-01-01")
        - pd.to_timedelta(
            (365 * (age - 17) * rng.beta(1, 2, N_ROWS)).round(), unit="D"
        ),
    }
)
people.loc[rng.random(N_ROWS) < 0.1, "home"] = None
train, test = people[:1000], people[1000:].reset_index(drop=True)

# %%
# The model
# ---------
#
# What was understood of each column is in ``columns_``.

vae = VAETransformer(4, allow_nan=True, random_state=0).fit(train)
for column in vae.columns_:
    print(column.name, column.kind, column.categories or column.bounds)
drawn = vae.sample(len(test), missing=True, random_state=0)
print(drawn.head())

# %%
# The same by hand
# ----------------
#
# PCA of one-hot columns, and normal codes.

complete = train.dropna().assign(
    **{"moved in": lambda d: d["moved in"].astype("int64")}
)
encode = make_column_transformer(
    (OneHotEncoder(sparse_output=False), ["works", "home"]),
    (StandardScaler(), ["age", "income", "moved in"]),
)
X = encode.fit_transform(complete)
pca = PCA(4, whiten=True).fit(X)
rows = pca.inverse_transform(rng.normal(size=(len(test), 4)))
scaler = encode.named_transformers_["standardscaler"]
by_hand = pd.DataFrame(
    scaler.inverse_transform(rows[:, -3:]), columns=["age", "income", "t"]
)

# %%
# Side by side
# ------------

_, axes = plt.subplots(1, 3, figsize=(9, 3), sharex=True, sharey=True, layout="tight")
tables = {"new rows": test, "VAE": drawn, "PCA, normal codes": by_hand}
for ax, (name, table) in zip(axes, tables.items()):
    ax.plot(table["age"], table["income"] / 1000, ".", markersize=2)
    ax.set(title=name, xlabel="age, years", xlim=(0, 95), ylim=(-25, 130))
axes[0].set_ylabel("income, thousands")
plt.show()

# %%
# How good are the rows?
# ----------------------
#
# Each measure stands beside that of fresh rows and of a bootstrap, which copies. Below
# the mean of all columns are the single ones, those that differ most on top.

found = report(train, test, drawn, by_column=True, random_state=0)
ReportDisplay.from_report(found, name="VAE")
plt.show()

# %%
# Conditions need no rejection: people over eighty who work are rare.

print(vae.sample(5, given={"age": (80, 90), "works": True}, random_state=0))
