"""Estimators on each device: the processor, and a GPU where there is one.

`bash benchmarks/gpu.sh` runs these tests on a machine with a GPU; elsewhere half of
them are skipped.
"""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import Callback

import skae
from skae import (
    AutoencoderDetector,
    AutoencoderTransformer,
    SemiSupervisedClassifier,
    VAETransformer,
)

SMALL = {
    "hidden_layer_sizes": (8,),
    "batch_size": 32,
    "max_iter": 3,
    "random_state": 0,
}

# Rounding differs between devices, and so do the kernels that a library chooses.
CLOSE = {"rtol": 1e-3, "atol": 1e-4}

# All rows train, the last epoch is kept, and steps are enough (400) to be recorded.
LONG = {"batch_size": 20, "max_iter": 20, "early_stopping": False}

IMAGE = {"sample_shape": (1, 8)}
SEQUENCE = {"sample_shape": (4, 2)}
OPTIONS = [
    (AutoencoderTransformer, {}),
    (AutoencoderTransformer, {"loss": "absolute_error"}),
    (AutoencoderTransformer, {"ordered": True}),
    (AutoencoderTransformer, {"transform_layers": "all"}),
    (AutoencoderTransformer, {"allow_nan": True}),
    (AutoencoderTransformer, {"architecture": "conv", **IMAGE}),
    (AutoencoderTransformer, {"architecture": "recurrent", **SEQUENCE}),
    (AutoencoderTransformer, {"architecture": "attention", **SEQUENCE}),
    (
        AutoencoderTransformer,
        {"architecture": "recurrent", "penalty": "contractive", **SEQUENCE},
    ),
    *(
        (AutoencoderTransformer, {"noise": name})
        for name in ("gaussian", "masking", "salt_and_pepper", "swap", "dropout")
    ),
    *(
        (AutoencoderTransformer, {"penalty": name})
        for name in (
            "l1",
            "kl_sparsity",
            "contractive",
            "orthogonal",
            "mmd",
            "adversarial",
        )
    ),
    (VAETransformer, {}),
    (VAETransformer, {"ordered": True}),
    (VAETransformer, {"allow_nan": True}),
    (VAETransformer, {"n_draws": 4}),
    (VAETransformer, {"kl_warmup": 0.5, "capacity": 1.0, "free_bits": 0.1}),
    (VAETransformer, {"penalty": "total_correlation"}),
    *((VAETransformer, {"prior": name}) for name in ("mixture", "vamp")),
    *(
        (VAETransformer, {"likelihood": name})
        for name in ("diagonal_gaussian", "laplace", "student_t")
    ),
    (VAETransformer, {"likelihood": [("gaussian", [0, 1]), ("laplace", slice(2, 8))]}),
]

both = pytest.mark.parametrize("estimator", [AutoencoderTransformer, VAETransformer])

LOAD = """
import pickle, sys
import numpy as np
with open(sys.argv[1], "rb") as file:
    model, rows = pickle.load(file)
np.save(sys.argv[2], model.transform(rows))
"""


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    return request.param


@pytest.mark.parametrize("estimator, options", OPTIONS, ids=str)
def test_every_method_gives_finite_arrays(estimator, options, device, curved):
    rows = curved[:120].copy()
    if "allow_nan" in options:
        rows[::3, 1] = np.nan
    model = estimator(2, device=device, **SMALL, **options).fit(rows)
    codes = model.transform(rows)
    found = [
        codes,
        model.inverse_transform(codes),
        model.score_samples(rows),
        model.sample(5, random_state=0),
    ]
    assert torch.device(model.net_.device).type == device
    assert [len(values) for values in found] == [120, 120, 120, 5]
    assert all(isinstance(values, np.ndarray) for values in found)
    assert all(np.isfinite(values).all() for values in found)


@both
def test_the_start_is_that_of_the_processor(estimator, device, curved):
    options = SMALL | {"max_iter": 0}
    here = estimator(3, device=device, **options).fit(curved)
    processor = estimator(3, device="cpu", **options).fit(curved)
    codes = processor.transform(curved)
    np.testing.assert_allclose(here.transform(curved), codes, **CLOSE)
    np.testing.assert_allclose(
        here.inverse_transform(codes), processor.inverse_transform(codes), **CLOSE
    )


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_on_the_device_come_back_there(estimator, dtype, device, curved):
    X = torch.from_numpy(curved).to(device, dtype)
    options = {"device": device, **SMALL}
    with config_context(array_api_dispatch=True):
        model = estimator(2, **options).fit(X)
        codes = model.transform(X)
        found = [codes, model.inverse_transform(codes), model.score_samples(X)]
        assert np.isfinite(float(model.score(X)))
    assert all(values.device == X.device for values in found)
    assert all(values.dtype == dtype for values in found)
    plain = estimator(2, **options).fit(X.cpu().numpy())
    np.testing.assert_allclose(
        codes.cpu().numpy(), plain.transform(X.cpu().numpy()), **CLOSE
    )


@both
def test_two_fits_are_equal_in_every_bit(estimator, device, curved):
    first, second = (
        estimator(2, device=device, **SMALL | LONG).fit(curved) for _ in range(2)
    )
    assert first.loss_curve_ == second.loss_curve_
    np.testing.assert_array_equal(first.transform(curved), second.transform(curved))
    np.testing.assert_array_equal(
        first.sample(9, random_state=0), second.sample(9, random_state=0)
    )


def test_a_pickle_goes_where_no_gpu_is(device, curved, tmp_path):
    """Loaded in a process that sees none, and on the device itself."""
    options = SMALL | {"early_stopping": False}
    model = VAETransformer(2, device=device, **options).fit(curved)
    codes = model.transform(curved)
    written = pickle.dumps((model, curved))
    np.testing.assert_array_equal(pickle.loads(written)[0].transform(curved), codes)
    (tmp_path / "model.pkl").write_bytes(written)
    # skae itself need not be installed.
    path = os.pathsep.join([str(Path(skae.__file__).parent.parent), *sys.path])
    subprocess.run(
        [sys.executable, "-c", LOAD, "model.pkl", "codes.npy"],
        check=True,
        cwd=tmp_path,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path},
        timeout=100,
    )
    np.testing.assert_allclose(np.load(tmp_path / "codes.npy"), codes, **CLOSE)


class EndAfter(Callback):
    """End a fit as skorch's `EarlyStopping` does."""

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.n_epochs:
            raise KeyboardInterrupt


@both
def test_recorded_steps_train_like_plain_ones(estimator, device, curved, monkeypatch):
    """Steps of a long fit are recorded, on a GPU as a CUDA graph, but not in torch's
    anomaly mode."""
    replays = []
    if device == "cuda":
        replay = torch.cuda.CUDAGraph.replay
        monkeypatch.setattr(
            torch.cuda.CUDAGraph,
            "replay",
            lambda graph: replays.append(graph) or replay(graph),
        )
    options = {"device": device, "callbacks": [EndAfter(4)], **SMALL | LONG}
    recorded = estimator(2, **options).fit(curved).loss_curve_
    n_replays = len(replays)
    with torch.autograd.set_detect_anomaly(True):
        plain = estimator(2, **options).fit(curved).loss_curve_
    assert len(plain) == 4
    np.testing.assert_allclose(recorded, plain, rtol=1e-3)
    assert bool(n_replays) == (device == "cuda")
    assert len(replays) == n_replays


@both
def test_half_precision_trains_about_as_well(estimator, device, digits):
    options = {"device": device, **SMALL, "hidden_layer_sizes": (64,)}
    start = estimator(2, **options | {"max_iter": 0}).fit(digits)
    single, half = (
        estimator(2, precision=name, **options | {"max_iter": 10}).fit(digits)
        for name in ("float32", "bfloat16")
    )
    least, most, score = (m.score(digits) for m in (start, single, half))
    assert least < most
    assert score > most - 0.2 * (most - least)


def test_detector_and_classifier_over_a_transformer(device, curved):
    transformer = AutoencoderTransformer(2, device=device, **SMALL)
    detector = AutoencoderDetector(transformer, random_state=0).fit(curved)
    assert np.isfinite(detector.score_samples(curved)).all()
    y = (curved[:, 0] > 0).astype(float)
    y[::2] = np.nan
    model = SemiSupervisedClassifier(transformer, LogisticRegression()).fit(curved, y)
    assert set(model.predict(curved)) <= {0.0, 1.0}
