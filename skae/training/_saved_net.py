"""Files and pickles of a net: its model in plain values, and its history."""

import copy
import os
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from skorch import NeuralNet
from skorch.history import History

from skae.io import Given, register, replaced_when_whole
from skae.nn._build import load_model
from skae.nn._given import make_given
from skae.nn._model import LatentModel
from skae.training._determinism import ordinary_torch
from skae.training._device import available_devices

# What a pickled net keeps of its constructor's parameters.
_SETTINGS = [
    "alpha",
    "lr",
    "max_epochs",
    "batch_size",
    "precision",
    "seed",
    "output_rate",
    "device",
]


class SavedNet(NeuralNet):
    """A net whose files are whole at each moment, and whose pickles hold no tensor."""

    # Those of the net.
    module_: LatentModel
    optimizer_: Any
    history_: History
    parameters_: Any  # in the course of a fit

    def set_model(self, model: LatentModel) -> None:
        """Replace the trained model, by a shorter one say."""
        self.__dict__.update(module=model, module_=model)

    def _make_optimizer(self) -> None:
        raise NotImplementedError

    def save_params(self, use_safetensors=False, **files):
        """As skorch's, but a path holds a whole file at each moment, the old one or the
        new one, also where the process is killed."""
        for name, file in files.items():
            is_path = isinstance(file, str | os.PathLike)
            whole = replaced_when_whole(file) if is_path else nullcontext(file)
            with whole as part:
                super().save_params(**{name: part}, use_safetensors=use_safetensors)

    def load_params(self, *args, **kwargs):
        """As skorch's, in the course of a fit as well as after it."""
        if "parameters_" in vars(self):
            super().load_params(*args, **kwargs)
            self.parameters_.reload()
            return
        # A place for what another `partial_fit` goes on from.
        self._make_optimizer()
        try:
            super().load_params(*args, **kwargs)
            if self.optimizer_.state:
                self.optimizer_state_ = self.optimizer_.state_dict()
        finally:
            self.optimizer_ = None
        self.last_weights_ = None  # of other weights
        # Another object: copies in other dtypes are kept by the model that they are of.
        self.set_model(copy.deepcopy(self.module_))

    def plain_history(self) -> list[dict]:
        """The history in plain values, and of batches what callbacks recorded."""
        # A place for each batch without a record would be longer than the weights.
        return [
            {**epoch, "batches": [batch for batch in epoch["batches"] if batch]}
            for epoch in self.history
        ]

    def __getstate__(self):
        """The model in arrays and plain values, and what was recorded of its fit."""
        model: LatentModel = self.module_
        state = model.state_dict()
        return {
            "settings": {name: getattr(self, name) for name in _SETTINGS},
            "config": model.config(),
            "given": model.given,
            "state": {n: v.numpy(force=True).copy() for n, v in state.items()},
            "history": self.plain_history(),
            "n_rows": self.n_rows_,
        }

    @ordinary_torch()
    def __setstate__(self, state):
        # Copied: arrays of a memory-mapped pickle cannot be written to.
        tensors = {n: torch.from_numpy(v.copy()) for n, v in state["state"].items()}
        model = load_model(state["config"], tensors, state["given"])
        # On another machine the device may be missing.
        settings = state["settings"]
        if settings["device"] not in available_devices():
            settings = settings | {"device": "cpu"}
        # The one way to set up a net that was made without its constructor.
        self.__init__(model.to(settings["device"]), **settings)  # type: ignore[misc]
        self.initialize()
        self.history_ = History(state["history"])
        self.n_rows_ = state["n_rows"]

    def __init_subclass__(cls):
        register(cls, _to_file, partial(_from_file, cls))


def _to_file(net):
    state = net.__getstate__()
    names = {name: name for name in state["given"]}
    if state["config"]["posterior"] == "point" and "likelihood" in names:
        names["likelihood"] = "loss"  # as its estimator calls it
    given = {n: Given(names[n], own) for n, own in state["given"].items()}
    return state | {"given": given}


def _from_file(kind, state):
    # What users pass for their parts, by which the net's are made.
    given = {
        n: make_given(n, own, state["config"]) for n, own in state["given"].items()
    }
    net = kind.__new__(kind)
    net.__setstate__(state | {"given": given})
    return net
