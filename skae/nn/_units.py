"""Units of the data, of the network, of the likelihood and of the code."""

import torch
from torch import Tensor, nn


class Units(nn.Module):
    """Centres and scales of rows and of codes.

    The network sees centred rows, divided by one scale for all features that the
    likelihood treats alike, so that a squared error means what it means for PCA. A
    likelihood of measurements sees the same numbers; one of counts or categories sees
    the data as they are: `target_loc` and `target_scale` lead from the network's units
    to its own.

    Parameters
    ----------
    n_features, n_components : int
        Sizes d of a row and k of its code.

    Attributes
    ----------
    loc, scale, target_loc, target_scale : Tensor of shape (d,)
        In float64, so that rows far from zero lose nothing when they are centred.
    lowest, highest : Tensor of shape (d,)
        Least and greatest value of each feature in training, in the units of the data;
        infinite until one was observed.
    code_scale : Tensor of shape (k,)
        From the network's code to the one that users see.
    """

    loc: Tensor
    scale: Tensor
    target_loc: Tensor
    target_scale: Tensor
    lowest: Tensor
    highest: Tensor
    code_scale: Tensor

    def __init__(self, n_features: int, n_components: int):
        super().__init__()
        self.n_features, self.n_components = n_features, n_components
        for name, value, size in (
            ("loc", 0.0, n_features),
            ("scale", 1.0, n_features),
            ("target_loc", 0.0, n_features),
            ("target_scale", 1.0, n_features),
            ("lowest", float("inf"), n_features),
            ("highest", -float("inf"), n_features),
            ("code_scale", 1.0, n_components),
        ):
            self.register_buffer(name, torch.full((size,), value, dtype=torch.float64))

    @torch.no_grad()
    def set(self, loc: Tensor, scale: Tensor, is_scaled: Tensor) -> None:
        """Take centre and scale (d,), and the mask (d,) of the features that the
        likelihood sees centred and scaled."""
        self.loc.copy_(loc)
        self.scale.copy_(scale)
        is_scaled = is_scaled.to(scale.device)
        # Zero and one where the likelihood sees standardized values as they are.
        self.target_loc.copy_(loc.where(~is_scaled, 0.0))
        self.target_scale.copy_(scale.where(~is_scaled, 1.0))

    @torch.no_grad()
    def observe(self, X: Tensor) -> None:
        """Widen the range of the features to that of rows (n, d); NaN is missing."""
        is_missing = X.isnan()
        lowest = X.masked_fill(is_missing, torch.inf).amin(0)
        highest = X.masked_fill(is_missing, -torch.inf).amax(0)
        self.lowest.copy_(torch.minimum(self.lowest, lowest.to(self.lowest)))
        self.highest.copy_(torch.maximum(self.highest, highest.to(self.highest)))

    @property
    def data_scale(self) -> Tensor:
        """From the units of the likelihood to those of the data, (d,)."""
        return self.scale / self.target_scale

    def to_net(self, X: Tensor) -> Tensor:
        """Rows of the data as the network sees them."""
        if X.dtype != torch.float32:
            return ((X.to(self.loc.dtype) - self.loc) / self.scale).to(X.dtype)
        # The centre in two parts loses nothing, and float64 would take twice as long.
        high = self.loc.float()
        low = (self.loc - high).float()
        return ((X - high) - low) / self.scale.float()

    def to_target(self, x: Tensor) -> Tensor:
        """Standardized rows as the likelihood sees them."""
        return x * self.target_scale.to(x.dtype) + self.target_loc.to(x.dtype)

    def from_target(self, target: Tensor) -> Tensor:
        """Inverse of `to_target`."""
        loc, scale = self.target_loc.to(target.dtype), self.target_scale
        return (target - loc) / scale.to(target.dtype)

    def to_data(self, target: Tensor) -> Tensor:
        """Values as the likelihood sees them, in the units of the data."""
        # In float64: rows far from zero would lose digits to their centre.
        X = target.to(self.loc.dtype) * self.data_scale + (self.loc - self.target_loc)
        return X.to(target.dtype)

    def to_users_code(self, z: Tensor) -> Tensor:
        """In float64, since units of the data may be beyond single precision."""
        return z * self.code_scale

    def from_users_code(self, code: Tensor) -> Tensor:
        return (code / self.code_scale).to(code.dtype)

    def first(self, k: int) -> "Units":
        """Those of the first `k` latents."""
        short = Units(self.n_features, k).to(self.loc.device)
        state = self.state_dict()
        # The features stay; codes are shorter.
        short.load_state_dict(state | {"code_scale": state["code_scale"][:k]})
        return short
