"""
An architecture of your own
===========================

`architecture` may be any callable that makes two modules of torch: a body for the
encoder and one for the decoder. What they compute is added to a linear map that begins
as PCA, so that any network starts from there. Here they are gated linear units, in the
place of the perceptron.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from torch import nn

from skae import AutoencoderTransformer

N_COMPONENTS = 8
X_train, X_test = train_test_split(load_digits().data / 16, random_state=0)

# %%
# The function
# ------------
# It is given the sizes: `n_in` and `n_out` are pairs, the encoder's first. ``nn.GLU``
# halves its input, half of which are gates of the other half.


def gated_units(sample_shape, hidden_layer_sizes, activation, n_in, n_out):
    def body(n_inputs, n_outputs):
        layers = []
        for width in hidden_layer_sizes:
            layers += [nn.Linear(n_inputs, 2 * width), nn.GLU()]
            n_inputs = width
        return nn.Sequential(*layers, nn.Linear(n_inputs, n_outputs))

    return body(n_in[0], n_out[0]), body(n_in[1], n_out[1])


# %%
# Beside PCA and the default
# --------------------------

models = {
    "PCA": PCA(N_COMPONENTS),
    "mlp": AutoencoderTransformer(N_COMPONENTS, random_state=0),
    "gated units": AutoencoderTransformer(
        N_COMPONENTS,
        architecture=gated_units,
        hidden_layer_sizes=(64, 64),
        random_state=0,
    ),
}
rows = {"new images": X_test}
for name, model in models.items():
    rows[name] = model.fit(X_train).inverse_transform(model.transform(X_test))
    error = np.square(rows[name] - X_test).sum(1).mean()
    print(f"{name:>11}: squared error {error:.2f}")

# %%
# The picture
# -----------

figure, axes = plt.subplots(len(rows), 1, figsize=(7, 4.6), layout="constrained")
for ax, (name, images) in zip(axes, rows.items()):
    ax.imshow(np.hstack(images[:12].reshape(-1, 8, 8)), "gray_r", vmin=0, vmax=1)
    ax.set_title(name, fontsize="medium", loc="left")
    ax.set_axis_off()
plt.show()
