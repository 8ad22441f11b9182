"""The linear skip connection around a model's networks."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skae.nn.architectures import Body


class LinearSkip(nn.Module):
    """The linear part of a model: ``z = A x + a`` and ``x^ = B z + b``.

    The weights make the first outputs, means, of each side; the biases all of them.

    Parameters
    ----------
    n_features, n_components : int
    n_code_params, n_data_params : int
        Numbers that the posterior has for a latent, and the likelihood for a feature.
    """

    def __init__(
        self, n_features: int, n_components: int, n_code_params: int, n_data_params: int
    ):
        super().__init__()
        self.encode_weight = nn.Parameter(
            torch.zeros(n_components, n_features, dtype=torch.float32)
        )
        self.encode_bias = nn.Parameter(
            torch.zeros(n_components * n_code_params, dtype=torch.float32)
        )
        self.decode_weight = nn.Parameter(
            torch.zeros(n_features, n_components, dtype=torch.float32)
        )
        self.decode_bias = nn.Parameter(
            torch.zeros(n_features * n_data_params, dtype=torch.float32)
        )

    @torch.no_grad()
    def randomize(self) -> None:
        """Random weights that keep the size of a row."""
        n_components, n_features = self.encode_weight.shape
        # Values of unit variance stay so.
        self.encode_weight.normal_(std=n_features**-0.5)
        self.decode_weight.normal_(std=n_components**-0.5)

    @torch.no_grad()
    def first(self, k: int) -> "LinearSkip":
        """The map from and to the first `k` latents."""
        n_components, n_features = self.encode_weight.shape
        n_code_params = len(self.encode_bias) // n_components
        short = LinearSkip(
            n_features, k, n_code_params, len(self.decode_bias) // n_features
        ).to(self.encode_weight)
        short.encode_weight.copy_(self.encode_weight[:k])
        # (n_code_params, k): the blocks of the posterior's parameters
        bias = self.encode_bias.view(n_code_params, n_components)[:, :k]
        short.encode_bias.copy_(bias.flatten())
        short.decode_weight.copy_(self.decode_weight[:, :k])
        short.decode_bias.copy_(self.decode_bias)
        return short.requires_grad_(self.encode_weight.requires_grad)


def affine_plus(body: Body | None, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``body(x) + bias``, and ``x @ weight.T`` on the first outputs."""
    if body is not None and getattr(body, "carries_skip", False):
        return body(x, (weight, bias))
    # The skip adds to the means, which come first; further parameters have a bias
    # alone.
    value = F.pad(F.linear(x, weight), (0, len(bias) - len(weight))) + bias
    return value if body is None else value + body(x)
