"""State of a running fit in a file, from which the same fit goes on."""

import os
from glob import escape, glob
from typing import Any, NamedTuple

import torch
from skorch.history import History

from skae.io import Reader, Writer, malformed, read, write
from skae.training._callbacks import BestEpoch, OneCycle, Progress


class Checkpoint:
    """File of a fit, written after each epoch.

    Parameters
    ----------
    path : path-like
        Where the file is, or will be.
    fit : str
        What tells the fit from others.
    seed : int
        Of its generators.

    Attributes
    ----------
    seed : int
        That of the file, where there is one.

    Raises
    ------
    ValueError
        If the file is damaged, or of another fit.
    FileNotFoundError
        If the folder is not there.
    """

    def __init__(self, path, fit: str, seed: int):
        self.path = os.path.abspath(path)
        self.fit, self.seed = fit, seed
        self.states: dict[str, dict] = {}  # of phases, by name
        if not os.path.isdir(os.path.dirname(self.path)):
            raise FileNotFoundError(f"The folder of checkpoint={path!r} is not there.")
        # Of a process that was killed while it wrote.
        for part in glob(f"{escape(self.path)}.*.part"):
            os.remove(part)
        if os.path.exists(self.path):
            self._read()

    def _read(self) -> None:
        values, arrays = read(self.path)
        if "fit" not in values:
            raise malformed(self.path, ValueError("it is no checkpoint"))
        if values["fit"] != self.fit:
            raise ValueError(
                f"{self.path!r} is the checkpoint of another fit: of other rows, "
                "parameters, or versions. Delete it, or choose another path."
            )
        self.seed = values["seed"]
        self.states = Reader(arrays, {}).decode(values["states"])

    def write(self) -> None:
        """Replace the file by the states as they are."""
        writer = Writer()
        values = {"fit": self.fit, "seed": self.seed}
        values["states"] = writer.encode(self.states, "states")
        write(self.path, values, writer.arrays)

    def remove(self) -> None:
        """Delete the file of a fit that has come to its end."""
        if os.path.exists(self.path):
            os.remove(self.path)


class Phase(NamedTuple):
    """Training of one net in the course of a fit.

    Attributes
    ----------
    checkpoint : Checkpoint
    name : str
        Of the phase.
    """

    checkpoint: Checkpoint
    name: str

    def save(self, net, n_epochs: int) -> None:
        """Write the state of the net after so many epochs."""
        self.checkpoint.states[self.name] = {"n_epochs": n_epochs} | _state_of(net)
        self.checkpoint.write()

    def go_on(self, net) -> int:
        """Set the net to the state in the file, if it is there; return the number of
        epochs that it has behind it."""
        state = self.checkpoint.states.get(self.name)
        if state is None:
            return 0
        _restore(net, state)
        for _, callback in net.callbacks_:
            if isinstance(callback, Progress):
                callback.bar_.update(state["n_epochs"])
        return state["n_epochs"]


# What changes in the course of a training, beside weights: plain values of the net.
_VALUES = "n_done_", "rate_factor_", "stopped_by_", "train_loss_"


def _state_of(net) -> dict[str, Any]:
    parameters = net.parameters_
    return {
        "values": {name: getattr(net, name) for name in _VALUES},
        "model": dict(net.module_.state_dict()),  # averages
        "buffers": dict(parameters.compute_copy.named_buffers()),
        "vectors": [vector.data for vector in parameters.vectors],
        "optimizer": net.optimizer_.state_dict(),
        "generator": net.generator_.get_state(),
        "history": net.plain_history(),
        "callbacks": {name: _learned(callback) for name, callback in _own(net)},
    }


@torch.no_grad()
def _restore(net, state: dict[str, Any]) -> None:
    vars(net).update(state["values"])
    parameters = net.parameters_
    # In place: the parameters are views of averages, as the recorded step knows them.
    net.module_.load_state_dict(state["model"])
    for name, buffer in parameters.compute_copy.named_buffers():
        buffer.copy_(state["buffers"][name])
    parameters.set_vectors(state["vectors"])
    net.optimizer_.load_state_dict(state["optimizer"])
    net.generator_.set_state(state["generator"])
    net.history_ = History(state["history"])
    for name, callback in _own(net):
        moved = {n: _on(net.device, v) for n, v in state["callbacks"][name].items()}
        vars(callback).update(moved)


def _own(net) -> list[tuple]:
    """Callbacks, with their names, whose state is known."""
    return [
        pair for pair in net.callbacks_ if isinstance(pair[1], OneCycle | BestEpoch)
    ]


def _learned(callback) -> dict[str, Any]:
    return {name: value for name, value in vars(callback).items() if name[-1] == "_"}


def _on(device: str, value):
    if isinstance(value, list):
        return [_on(device, one) for one in value]
    return value.to(device) if isinstance(value, torch.Tensor) else value
