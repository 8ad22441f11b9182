"""The last functions of a fit: from a trained model to the fitted attributes.

They estimate from some rows what training does not learn, and return all attributes by
name; the estimator is not changed. Rows are standardized.
"""

import torch

from skae.data._arrays import like
from skae.data._rows import CHUNK
from skae.nn._imputation import learn_from_masked_entries
from skae.nn._log_density import loss_of_data
from skae.nn._ordered import truncated
from skae.nn._sizes import rows_at_once
from skae.transformers._code_mixture import CodeMixture
from skae.transformers._diagnostics import (
    explained_variance_ratio,
    set_noises_of_sizes,
    smallest_size,
)
from skae.transformers._missing_pattern import MissingPattern
from skae.transformers._parameters import is_ratio

# Rows whose codes the mixture behind `sample` is fitted to: 200 for each of its ten
# clusters.
_N_CODES = 2000

# Validation rows below which training rows, too, estimate noise and imputations: the
# bias of rows that were trained on matters less than the error of so few.
_MIN_VALIDATION_ROWS = 100

# Rows of which entries are masked to calibrate imputations. Each is decoded from many
# draws, which takes time and memory.
_N_ROWS_TO_MASK = 500


@torch.no_grad()
def finalise(estimator, fit, net, result, *, like_X) -> dict:
    """Estimate what training does not learn, and return the fitted attributes.

    Parameters
    ----------
    estimator : BaseAutoencoder
    fit : Fit
    net : LatentNet
        After training; its model is replaced where a ratio selects fewer latents.
    result : TrainingResult
    like_X : array of shape (n, d)
        Training rows: attributes are arrays of their kind and dtype.

    Returns
    -------
    fitted : dict
        Attributes of the estimator by name.
    """
    rows, model, seed = fit.rows, fit.model.eval(), fit.seed
    split = net.train_split
    # The same split as in training.
    validation = split(rows)[1] if split else rows
    is_few = validation.n_rows < _MIN_VALIDATION_ROWS
    subsample = rows.take(_N_CODES, seed)
    if result.kept_initial and model.imputer is not None and model.initial is not None:
        # Both components are one distribution, but the density of incomplete rows is
        # exact under the initial model alone.
        model.initial.weight.fill_(1 - 1 / (rows.n_rows + 1))
    fitted = {}
    # Before the refiner, whose information of a code depends on the noise.
    if model.ordered is not None:
        estimating = rows if is_few else validation
        set_noises_of_sizes(model, estimating, seed, is_initial=result.kept_initial)
    if model.refiner is not None:
        generator = torch.Generator(rows.device).manual_seed(seed)
        model.refiner.fit(model, subsample.gathered(), generator)
    # After the refiner, since the codes are refined; before what depends on their size.
    if model.ordered is not None:
        ratios = explained_variance_ratio(model, validation, estimator._n_code_steps)
        if is_ratio(estimator):
            model = truncated(model, smallest_size(ratios, estimator.n_components))
            net.set_model(model)
        fitted["explained_variance_ratio_"] = like(ratios[: model.n_components], like_X)
    if model.imputer is not None:
        estimating = subsample if is_few else validation
        learn_imputation(estimator, model, estimating, seed)
    # (n, k), in the units that users see.
    codes = torch.cat(list(_code_draws(estimator, model, subsample, seed)))
    fitted |= estimator._diagnose(model, subsample, seed, like_X)
    if estimator._table is not None:
        x = subsample.gathered().numpy(force=True)
        fitted["_missing_pattern"] = MissingPattern(
            estimator._table, x, codes.numpy(force=True)
        )
    return (
        fitted
        | loss_attributes(model, net, result)
        | {
            "net_": net,
            "n_components_": model.n_components,
            "mean_": like(model.units.loc, like_X),
            "_seed": seed,
            "_device": estimator.device,
            "_is_incremental": fit.is_incremental,
            "_code_mixture": CodeMixture(codes, seed),
        }
    )


def learn_imputation(estimator, model, rows, seed) -> None:
    """Learn the weight of the model's own imputations for each size of the code, and
    the calibration of draws, on masked entries of rows (n, d)."""
    x, imputer = rows.first(_N_ROWS_TO_MASK).gathered(), model.imputer
    # (s, k); prefixes of a code take the first columns of the same draws.
    base_samples = estimator._imputation_base_samples(model.n_components, seed).to(x)
    k = model.n_components
    for size in range(k + 1 - len(imputer.weight), k + 1):
        part = truncated(model, size) if size < k else model
        # The same entries are masked for all sizes, so that weights compare.
        generator = torch.Generator(x.device).manual_seed(seed)
        weight, calibration = learn_from_masked_entries(
            part, x, base_samples[:, :size], estimator._n_code_steps, generator
        )
        imputer.weight[size - 1 - k] = weight
    # One factor for all sizes: that of the whole code, the last of the loop.
    imputer.calibration.fill_(calibration)


def _code_draws(estimator, model, rows, seed):
    """Chunks (n, k) of codes, drawn from the posteriors of a variational model."""
    generator = torch.Generator().manual_seed(seed)
    for batch in rows.chunks(rows_at_once(model, CHUNK)):
        yield estimator._code_draws(model, batch.x, generator)


def loss_attributes(model, net, result) -> dict:
    """Attributes of the losses, in data units or nats, and of how training ended."""

    def of_data(loss):
        return None if loss is None else loss_of_data(model, loss)

    fitted = {
        "n_iter_": len(result.history),
        "loss_curve_": [e["train_loss"] for e in result.history],
        "initial_loss_": of_data(result.initial_loss),
        "best_loss_": of_data(result.best_loss),
        "best_iter_": result.best_epoch,
        "stopped_by_": result.stopped_by,
    }
    # An earlier `partial_fit`, whose history goes on, had no validation rows.
    losses = [e["valid_loss"] for e in result.history if "valid_loss" in e]
    if result.initial_loss is not None:
        fitted["validation_loss_curve_"] = losses
    return fitted
