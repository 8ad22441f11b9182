"""Plain modules of a fitted model, from data units to codes and back.

They are what users export or compile: rows or codes in, one tensor out, any number of
rows.
"""

import torch
from torch import Tensor, nn

from skae.nn._model import LatentModel


class Encoder(nn.Module):
    """Rows (n, d) in data units to codes (n, k); of a posterior its mean.

    Parameters
    ----------
    model : LatentModel
        Shared, not copied.
    n_steps : int
        Steps that refine the code.
    with_hidden : bool
        Whether the values of the hidden layers follow the code, (n, k + n_hidden).
    """

    def __init__(self, model: LatentModel, n_steps: int = 0, with_hidden: bool = False):
        super().__init__()
        self.model, self.n_steps, self.with_hidden = model, n_steps, with_hidden

    def forward(self, X: Tensor) -> Tensor:
        model = self.model
        x = model.complete(model.units.to_net(X))
        # In the network's units, in which losses are computed.
        z = model.best_code(x, self.n_steps)
        code = model.units.to_users_code(z).to(X.dtype)
        if not self.with_hidden:
            return code
        return torch.cat([code, *hidden_values(model, x, z)], -1).to(X.dtype)


class Decoder(nn.Module):
    """Codes (n, k) to rows (n, d) in data units: the likelihood's means.

    Parameters
    ----------
    model : LatentModel
        Shared, not copied.
    """

    def __init__(self, model: LatentModel):
        super().__init__()
        self.model = model

    def forward(self, code: Tensor) -> Tensor:
        return self.model.reconstruct(*self.latents(code))

    def latents(self, code: Tensor) -> tuple[Tensor, Tensor | None]:
        """Latents of the network, and the mask of those that are there: a code that
        ends in zeros is a prefix of an ordered code."""
        z = self.model.units.from_users_code(code)
        if self.model.ordered is None:
            return z, None
        # One up to the last latent that is not zero, and zero from there on. By a sum,
        # since ONNX has no running maximum.
        return z, (code != 0).flip(-1).cumsum(-1).flip(-1) > 0

    def sample(self, code: Tensor, generator: torch.Generator) -> Tensor:
        """Rows drawn from the likelihood around the means."""
        params = self.model.decode(*self.latents(code))
        return self.model.units.to_data(self.model.likelihood.sample(params, generator))


def hidden_values(model: LatentModel, x: Tensor, z: Tensor) -> list[Tensor]:
    """Values (n, width) of the hidden layers: the encoder's of complete standardized
    rows, then the decoder's of their codes."""
    values = []
    if model.encoder is not None:
        values += model.encoder.hidden_values(x.to(model.skip.encode_weight.dtype))
    if model.decoder is not None:
        values += model.decoder.hidden_values(model.decoder_input(z)[0])
    return values


def n_hidden(model: LatentModel) -> int:
    """Number of values of the hidden layers of both networks.

    Raises
    ------
    ValueError
        If a network has no hidden layers to show.
    """
    n_values = 0
    for body in model.bodies:
        widths = getattr(body, "hidden_widths", None)
        if widths is None:
            raise ValueError(
                "transform_layers='all' needs fully connected hidden layers, those of "
                f"architecture='mlp'; {type(body).__name__} has none to show."
            )
        n_values += sum(widths)
    return n_values
