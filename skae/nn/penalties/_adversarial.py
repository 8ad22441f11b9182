"""Codes that a discriminator cannot tell from draws of the prior."""

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from skae.nn._model import LatentModel
from skae.nn._outputs import Terms
from skae.nn._params import is_count
from skae.nn.penalties._base import Penalty, prior_draws


class Adversarial(Penalty):
    r"""Loss of a discriminator D, and of an encoder that deceives it.

    .. math:: -\log D(\tilde z) - \log(1 - D(z)) - \log D(z),
              \qquad \tilde z \sim p(z)

    The first two terms train the discriminator on codes as they are, the last one the
    encoder against the discriminator as it is: the adversarial autoencoder (Makhzani et
    al., 2015, arXiv:1511.05644), both in one step of one optimiser. For codes that
    follow the prior, so that draws from it decode into rows.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(64, 64)
        Widths of the discriminator.
    """

    is_comparable = False  # two sides play against one another
    matches_prior = True

    def __init__(self, hidden_layer_sizes: tuple[int, ...] = (64, 64)):
        super().__init__()
        is_sequence = hasattr(hidden_layer_sizes, "__iter__")
        if not is_sequence or not all(map(is_count, hidden_layer_sizes)):
            raise ValueError(
                "hidden_layer_sizes must hold integers >= 1; got "
                f"{hidden_layer_sizes!r}."
            )
        self.hidden_layer_sizes = hidden_layer_sizes

    def build(self, n_components: int) -> None:
        layers, width = [], n_components
        for size in self.hidden_layer_sizes:
            layers += [nn.Linear(width, size), nn.LeakyReLU(0.2)]
            width = size
        self.discriminator = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, model: LatentModel, x: Tensor, terms: Terms) -> Tensor:
        z, drawn = terms.z, prior_draws(terms)
        # Detached codes: the discriminator's terms do not train the encoder.
        of_drawn, of_codes = self.discriminator(drawn), self.discriminator(z.detach())
        weights = self.discriminator.state_dict()  # detached
        # And its detached weights: the encoder's term does not train the discriminator.
        deceived = functional_call(self.discriminator, weights, z)
        # softplus(-a) = -log sigmoid(a), finite for all logits, (n, 1)
        losses = F.softplus(-of_drawn) + F.softplus(of_codes) + F.softplus(-deceived)
        return losses.mean()
