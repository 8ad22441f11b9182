"""The one objective of training."""

from torch import Tensor, nn

from skae.nn._model import Terms


class Objective(nn.Module):
    """``beta * divergence - log_likelihood``, in nats per row; `beta=1` is the ELBO.

    Higgins, I. et al. (2017). beta-VAE: learning basic visual concepts with a
    constrained variational framework. ICLR.
    """

    def __init__(self, beta: float = 1.0):
        super().__init__()
        self.beta = beta

    def forward(self, terms: Terms) -> Tensor:  # (n,)
        if terms.divergence is None:
            return -terms.log_likelihood
        return self.beta * terms.divergence - terms.log_likelihood
