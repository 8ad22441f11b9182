"""
Series: windows of a measurement
================================

A series becomes a table of windows, one a row. Here they are 22 years long, two cycles
of the sun, of the yearly numbers of sunspots since 1700. Each window is compressed into
two numbers; windows of the last decades are new to the models. Windows of several
channels have ``architecture="recurrent"`` or ``"attention"`` with
``sample_shape=(length, features)``.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from statsmodels.datasets import sunspots

from skae import AutoencoderTransformer

YEARS = 22
N_COMPONENTS = 2

# %%
# Windows
# -------
# The square root brings counts to one scale. Windows that overlap must not be split at
# random: new ones would be known from their neighbours.

table = sunspots.load_pandas().data
year, series = table["YEAR"].to_numpy(), np.sqrt(table["SUNACTIVITY"].to_numpy())
windows = np.lib.stride_tricks.sliding_window_view(series, YEARS)
begin = year[: len(windows)]
X_train, X_test = windows[begin + YEARS <= 1930], windows[begin >= 1930]
print(f"{len(X_train)} windows to learn from, {len(X_test)} new ones")

# %%
# Three models of two numbers
# ---------------------------

models = {
    "PCA": PCA(N_COMPONENTS),
    "mlp": AutoencoderTransformer(N_COMPONENTS, random_state=0),
    "recurrent": AutoencoderTransformer(
        N_COMPONENTS,
        architecture="recurrent",
        sample_shape=(YEARS, 1),
        hidden_layer_sizes=(32,),
        random_state=0,
    ),
}
restored = {}
for name, model in models.items():
    model.fit(X_train)
    restored[name] = model.inverse_transform(model.transform(X_test))
    error = np.square(restored[name] - X_test).mean()
    print(f"{name:>9}: mean squared error {error:.2f} a year")

# %%
# The picture
# -----------

figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained", sharey=True)
for ax, i in zip(axes, (0, 15, 30)):
    years = begin[begin >= 1930][i] + np.arange(YEARS)
    ax.plot(years, X_test[i], "k.", label="sunspots, root")
    for name in ("PCA", "mlp"):
        ax.plot(years, restored[name][i], label=name)
    ax.set_xlabel("year")
axes[0].legend(fontsize="small")
plt.show()
