"""The parts of a model: what it is made of, and copies with other parts."""

from typing import TYPE_CHECKING, TypeVar

from torch import nn

from skae.nn._imputation import Imputer
from skae.nn._initial import InitialModel
from skae.nn._ordered import OrderedCode
from skae.nn._posteriors import DiagonalNormal, Point
from skae.nn._refinement import CodeRefiner
from skae.nn._skip import LinearSkip
from skae.nn._units import Units
from skae.nn.architectures import Body
from skae.nn.likelihoods import Likelihood
from skae.nn.priors import Prior

if TYPE_CHECKING:  # penalties import the model
    from skae.nn.penalties import Penalty

_PARTS = ["units", "skip", "encoder", "decoder", "posterior", "likelihood", "prior"]
_OPTIONS = ["penalty", "ordered", "imputer", "initial", "refiner"]

Model = TypeVar("Model", bound="ModelParts")


class ModelParts(nn.Module):
    """Encoder, decoder and the distributions between them.

    Made by `skae.nn._build.build_model` from its `config`; every learned number is a
    parameter or a buffer of one of its parts.

    Parameters
    ----------
    units : Units
    skip : LinearSkip
    encoder, decoder : Body or None
        `f`, from (n, d) to (n, k * n_code_params), and `g`, from (n, k) to
        (n, d * likelihood.n_params). None is a zero map. With an ordered code, `g` is
        from (n, 2 k): latents, and ones for those that are there.
    posterior : type
        `Point` or `DiagonalNormal`.
    likelihood : Likelihood
    prior : Prior or None
        None for point codes.
    penalty : Penalty or None
    ordered : OrderedCode or None
        Where prefixes of a code are codes as well.
    imputer : Imputer or None
        Where entries of rows may be missing.
    initial : InitialModel or None
        The linear model that training started at, a component of the density.
    refiner : CodeRefiner or None
        Improves the encoder's codes by steps through the decoder.
    config : dict
        What all of this was built from: JSON values.
    """

    def __init__(
        self,
        units: Units,
        skip: LinearSkip,
        encoder: Body | None,
        decoder: Body | None,
        posterior: type[Point] | type[DiagonalNormal],
        likelihood: Likelihood,
        prior: Prior | None = None,
        *,
        penalty: "Penalty | None" = None,
        ordered: OrderedCode | None = None,
        imputer: Imputer | None = None,
        initial: InitialModel | None = None,
        refiner: CodeRefiner | None = None,
        config: dict | None = None,
    ):
        super().__init__()
        self.n_features, self.n_components = units.n_features, units.n_components
        self.units, self.skip, self.posterior = units, skip, posterior
        self.encoder, self.decoder = encoder, decoder
        self.likelihood, self.prior, self.penalty = likelihood, prior, penalty
        self.ordered, self.imputer = ordered, imputer
        self.initial, self.refiner = initial, refiner
        # What `build_model` made this of, and the user's own parts in it.
        self._config: dict = config or {}
        self.given: dict = {}

    def config(self) -> dict:
        """The structure alone, in JSON values: `build_model` takes it."""
        return self._config

    def replaced(self: Model, **parts) -> Model:
        """A model with other parts in place of some; the rest is shared."""
        model = type(self)(
            **{name: getattr(self, name) for name in _PARTS + _OPTIONS} | parts
        )
        model._config, model.given = self._config, self.given
        return model.train(self.training)

    @property
    def bodies(self) -> list[Body]:
        """Those that are not zero maps."""
        return [body for body in (self.encoder, self.decoder) if body is not None]

    @property
    def is_linear_autoencoder(self) -> bool:
        """Whether the loss has one minimum, and what fits the rows fits others."""
        return self.prior is None and not self.bodies

    def train(self: Model, mode: bool = True) -> Model:
        """Batch normalisation, which would mix rows, keeps its stored statistics, as
        when a pretrained network is fine-tuned."""
        super().train(mode)
        # The code of a row must not depend on the other rows of a batch.
        kinds = nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm
        for module in self.modules():
            if isinstance(module, kinds):
                module.eval()
        return self
