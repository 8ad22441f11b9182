"""Fits that go on from a checkpoint end as if they had never ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from skorch.callbacks import Callback

from skae import AutoencoderTransformer, VAETransformer
from skae.io import read
from skae.nn.penalties import Adversarial
from skae.training import Checkpoint

AE, VAE = AutoencoderTransformer, VAETransformer
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 12, "random_state": 0}


class StopError(Exception):
    pass


def stop_after(n_writes, monkeypatch):
    """Let the process of a fit "end" when it has written so many times."""
    write, written = Checkpoint.write, []

    def stopping(self):
        write(self)
        written.append(1)
        if len(written) == n_writes:
            raise StopError

    monkeypatch.setattr(Checkpoint, "write", stopping)


def assert_same_fit(found, truth, X):
    assert_array_equal(found.transform(X), truth.transform(X))
    assert_array_equal(found.score_samples(X), truth.score_samples(X))
    for name in ("loss_curve_", "validation_loss_curve_", "stopped_by_", "best_iter_"):
        assert getattr(found, name, None) == getattr(truth, name, None), name
    assert found.net_.plain_history() == truth.net_.plain_history()


CASES = {
    "autoencoder": AE(2, **SMALL),
    "linear": AE(2, init="random", **SMALL | {"hidden_layer_sizes": ()}),
    "bfloat16": AE(2, precision="bfloat16", **SMALL),
    "noise": AE(2, noise="swap", **SMALL),
    "adversarial": AE(2, penalty=Adversarial(), **SMALL),
    "ordered": AE(3, ordered=True, **SMALL),
    "returns": AE(2, n_iter_no_change=1, **SMALL | {"learning_rate_init": 0.1}),
    "recurrent": AE(2, architecture="recurrent", sample_shape=(8, 1), **SMALL),
    "variational": VAE(2, **SMALL),
    "mixed": VAE(2, likelihood=[("gaussian", [0, 1, 2, 3]), ("laplace", [4, 5, 6, 7])]),
    "warmup": VAE(2, kl_warmup=0.5, n_draws=2, **SMALL),
    "vamp": VAE(2, prior="vamp", **SMALL),
    "missing": VAE(2, allow_nan=True, **SMALL),
}
CASES["mixed"].set_params(**SMALL)


@pytest.mark.parametrize("n_writes", [1, 5, 12, 13])
@pytest.mark.parametrize("name", CASES)
def test_a_fit_goes_on_with_the_same_bits(
    name, n_writes, curved, tmp_path, monkeypatch
):
    X = curved.copy()
    if name == "missing":
        X[::7, 3] = np.nan
    truth = CASES[name].fit(X)
    path = tmp_path / "checkpoint"
    model = clone(truth).set_params(checkpoint=path)
    stop_after(n_writes, monkeypatch)
    try:
        model.fit(X)
        # Shorter, and without training of the encoder alone.
        assert n_writes > len(truth.loss_curve_)
    except StopError:
        assert path.exists() and not hasattr(model, "net_")
    monkeypatch.undo()
    model.fit(X)
    assert_same_fit(model, truth, X)
    assert list(tmp_path.iterdir()) == []


def test_each_epoch_is_done_once(curved, tmp_path, monkeypatch):
    class Counting(Callback):
        n = 0

        def on_epoch_end(self, net, **kwargs):
            Counting.n += 1

    model = VAE(2, checkpoint=tmp_path / "file", callbacks=[Counting()], **SMALL)
    stop_after(7, monkeypatch)
    with pytest.raises(StopError):
        model.fit(curved)
    model.fit(curved)
    assert Counting.n == SMALL["max_iter"]


def test_without_a_seed_that_of_the_first_call_is_used(curved, tmp_path, monkeypatch):
    params = SMALL | {"random_state": None}
    model = AE(2, checkpoint=str(tmp_path / "file"), **params)
    stop_after(3, monkeypatch)
    with pytest.raises(StopError):
        model.fit(curved)
    before = read(tmp_path / "file")[0]
    model.fit(curved)
    assert model._seed == before["seed"]
    assert len(model.loss_curve_) == SMALL["max_iter"]


def test_a_warm_start_goes_on(curved, tmp_path, monkeypatch):
    first = AE(2, warm_start=True, **SMALL).fit(curved)
    truth = AE(2, warm_start=True, **SMALL).fit(curved).fit(curved)
    first.set_params(checkpoint=tmp_path / "file")
    stop_after(4, monkeypatch)
    with pytest.raises(StopError):
        first.fit(curved)
    assert_same_fit(first.fit(curved), truth, curved)


@pytest.mark.parametrize(
    "other",
    [
        {"params": {"alpha": 1.0}},
        {"params": {"random_state": 1}},
        {"rows": 1.0},
        {"dtype": np.float32},
        {"estimator": VAE},
    ],
    ids=str,
)
def test_another_fit_is_refused(other, curved, tmp_path, monkeypatch):
    path = tmp_path / "file"
    stop_after(2, monkeypatch)
    with pytest.raises(StopError):
        AE(2, checkpoint=path, **SMALL).fit(curved)
    before = path.read_bytes()
    X = (curved + other.get("rows", 0)).astype(other.get("dtype", float))
    params = SMALL | other.get("params", {})
    with pytest.raises(ValueError, match="checkpoint of another fit"):
        other.get("estimator", AE)(2, checkpoint=path, **params).fit(X)
    assert path.read_bytes() == before


def test_a_model_is_no_checkpoint(curved, tmp_path):
    path = tmp_path / "file"
    AE(2, **SMALL).fit(curved).save(path)
    with pytest.raises(ValueError, match="no checkpoint"):
        AE(2, checkpoint=path, **SMALL).fit(curved)
    path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="damaged"):
        AE(2, checkpoint=path, **SMALL).fit(curved)


def test_a_folder_that_is_not_there_is_refused_before_training(curved, tmp_path):
    model = AE(2, checkpoint=tmp_path / "no" / "file", **SMALL)
    with pytest.raises(FileNotFoundError, match="folder of checkpoint"):
        model.fit(curved)


def test_what_a_killed_process_was_writing_is_removed(curved, tmp_path):
    (tmp_path / "file.0123.part").write_bytes(b"half")
    AE(2, checkpoint=tmp_path / "file", **SMALL).fit(curved)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_fit_keeps_its_checkpoint(curved, tmp_path):
    class Interrupt(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 5:
                os.kill(os.getpid(), signal.SIGINT)

    truth = AE(2, **SMALL).fit(curved)
    model = AE(2, checkpoint=tmp_path / "file", **SMALL)
    model.set_params(callbacks=[Interrupt()])
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(curved)
    assert model.stopped_by_ == "interrupt" and (tmp_path / "file").exists()
    assert_same_fit(model.set_params(callbacks=None).fit(curved), truth, curved)


def test_partial_fit_writes_none(curved, tmp_path):
    AE(2, checkpoint=tmp_path / "file", **SMALL).partial_fit(curved)
    assert list(tmp_path.iterdir()) == []


PROGRAM = """
import sys
import numpy as np
from skae import AutoencoderTransformer, VAETransformer
X, kind = np.load("X.npy"), getattr(sys.modules["skae"], sys.argv[1])
model = kind(2, hidden_layer_sizes=(64, 64), max_iter=30, random_state=0,
             checkpoint="checkpoint").fit(X)
np.savez("result.npz", codes=model.transform(X), scores=model.score_samples(X))
"""


@pytest.mark.parametrize("kind", ["AutoencoderTransformer", "VAETransformer"])
def test_a_killed_process(kind, curved, tmp_path):
    np.save(tmp_path / "X.npy", curved)
    command = [sys.executable, "-c", PROGRAM, kind]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(command, cwd=tmp_path, env=environment)
    path = Path(tmp_path, "checkpoint")
    while not path.exists():
        time.sleep(0.002)
    child.kill()
    assert child.wait() == -signal.SIGKILL and path.exists()
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    resumed = np.load(tmp_path / "result.npz")
    assert not path.exists()
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    truth = np.load(tmp_path / "result.npz")
    for name in truth:
        assert_array_equal(resumed[name], truth[name])


def test_torchs_generator_is_untouched(curved, tmp_path):
    before = torch.get_rng_state()
    AE(2, checkpoint=tmp_path / "file", **SMALL).fit(curved)
    assert torch.equal(torch.get_rng_state(), before)
