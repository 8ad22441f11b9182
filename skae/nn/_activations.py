"""Activation functions by name."""

import torch
from torch.nn import functional as F

ACTIVATIONS = {
    "silu": F.silu,
    "relu": F.relu,
    "gelu": F.gelu,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "softplus": F.softplus,
    "tanh": torch.tanh,
    "logistic": torch.sigmoid,
}
