"""What a fit leaves behind."""

from abc import ABC, abstractmethod

import torch

from skae.data._arrays import like
from skae.data._rows import CHUNK
from skae.nn._imputation import learn_from_hidden_cells
from skae.nn._model import frozen
from skae.nn._ordered import truncated
from skae.transformers._code_mixture import CodeMixture
from skae.transformers._order import explained_by_each, set_size_noises, smallest_size

# Rows whose codes are kept for the density behind `sample`.
_N_KEPT_CODES = 10_000

# Held-out rows below which training rows, too, tell how well missing cells are told
# and how far rows are from reconstructions of each size.
_FEWEST_JUDGES = 100

# Rows of which cells are hidden for that.
_N_ROWS_TO_HIDE = 500


class Fitted(ABC):
    """The fitted attributes, and what is learned from rows after training."""

    _n_code_steps = 0  # that refine the encoder's code

    @abstractmethod
    def _study_codes(self, model, kept, seed):
        """Set what is learned from the codes of some training rows, standardized."""

    def _imputation_noise(self):
        """Draws (s, k) of a posterior; a point code has none."""
        return torch.empty(0, self.n_components_)

    def _store(self, net, rows, seed):
        """Set the fitted attributes, once training has ended well."""
        model = net.module_
        self.net_ = net
        self._seed = seed
        self.n_components_ = model.n_components
        # An interrupted epoch has no loss.
        epochs = [e for e in net.history if "train_loss" in e]
        self.n_iter_ = len(epochs)
        self.loss_curve_ = [model.loss_in_data_units(e["train_loss"]) for e in epochs]
        self.__dict__.pop("validation_loss_curve_", None)
        if hasattr(net, "start_loss_"):
            losses = [e["valid_loss"] for e in epochs if "valid_loss" in e]
            self.validation_loss_curve_ = [model.loss_in_data_units(v) for v in losses]
        best = getattr(net, "best_loss_", None)
        self.best_loss_ = None if best is None else model.loss_in_data_units(best)
        judges = net.train_split(rows)[1] if net.train_split else rows
        if model.is_ordered:
            is_start = getattr(net, "kept_start_", True)
            few = len(judges) < _FEWEST_JUDGES
            set_size_noises(model, rows if few else judges, seed, is_start=is_start)
        kept = self._kept_rows(rows, seed)
        self._study_codes(model, kept, seed)
        self._mixture = CodeMixture(self._training_codes(kept, seed), seed)
        self.__dict__.pop("explained_variance_ratio_", None)
        if model.is_ordered:
            self._study_sizes(model, judges)
            model = net.module_  # which may be shorter now
        if model.law is not None:
            x = kept
            if len(judges) >= _FEWEST_JUDGES:
                x = model.standardize(judges).float()
            n_observed = float((~rows.isnan()).sum()) / model.n_features
            self._study_missing(model, x, n_observed, seed)

    def _study_missing(self, model, x, n_observed, seed):
        """Learn from standardized rows how well `model` tells cells it does not see.

        A feature's weights, one for each latent, were learned from `n_observed` rows:
        that widens what is said of a new one, as of a regression.
        """
        x, noise = x[:_N_ROWS_TO_HIDE], self._imputation_noise().to(x)
        whole = model.n_components
        model.size_fills = []
        for size in range(1 if model.is_ordered else whole, whole + 1):
            part = truncated(model, size) if size < whole else model
            generator = torch.Generator(x.device).manual_seed(seed)
            draws, n_steps = noise[:, :size], self._n_code_steps
            learn_from_hidden_cells(part, x, draws, n_steps, generator)
            # Values that are counts or categories cannot be widened.
            if model.likelihood.is_scaled and n_observed:
                widening = (1 + size / n_observed) ** 0.5
                part.spread_of_missing = part.spread_of_missing * widening
            model.size_fills.append((part.share_of_missing, part.spread_of_missing))

    def _study_sizes(self, model, rows):
        """Learn what each latent of an ordered code is worth, and cut the code to the
        share that was asked for."""
        shares = explained_by_each(model, rows, self._n_code_steps)
        self.explained_variance_ratio_ = like(shares, self.mean_)
        if self._is_share:
            self._shorten(smallest_size(shares, self.n_components))

    def _shorten(self, n_components):
        """Keep the first latents of an ordered model."""
        model = truncated(self.net_.module_, n_components)
        vars(self.net_).update(module=model, module_=model)
        self.n_components_ = n_components
        self.explained_variance_ratio_ = self.explained_variance_ratio_[:n_components]
        self._mixture = CodeMixture(self._mixture.codes[:, :n_components], self._seed)
        self._is_incremental = False

    def _fitted_model(self):
        return self.net_.module_ if hasattr(self, "net_") else None

    def _kept_rows(self, rows, seed):
        """As many random training rows as a mixture needs, standardized."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(rows), generator=generator)[:_N_KEPT_CODES]
        return self.net_.module_.standardize(rows[order.to(rows.device)]).float()

    @torch.no_grad()
    def _training_codes(self, kept, seed):
        model = frozen(self.net_.module_)
        generator = torch.Generator().manual_seed(seed)
        size = model.rows_at_once(CHUNK)
        codes = [self._code_draws(model, x, generator) for x in kept.split(size)]
        return torch.cat(codes)

    def _code_draws(self, model, x, generator):
        return model.code(x, self._n_code_steps)
