"""Interrupt fits at random moments, and kill processes that write checkpoints.

    python tests/stress_interrupts.py [--interrupts 200] [--kills 100]

Each interrupted fit must warn and leave a usable model, and each checkpoint must load.
Prints what happened how often, and fails where something else did.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, Checkpoint

from skae import AutoencoderTransformer, VAETransformer

PARAMS = {
    "hidden_layer_sizes": (32,),
    "learning_rate_init": 0.01,
    "max_iter": 10,
    "random_state": 0,
}


GOOD = {
    "a warning and a usable model",
    "raised by the fit",  # in its first or last lines, and nothing changed
    "after the fit",
    "loaded",
}


class Slow(Callback):
    """So that some interrupts meet a callback."""

    def on_epoch_end(self, net, **kwargs):
        time.sleep(0.002)


def make_rows():
    rng = np.random.default_rng(0)
    z = rng.uniform(-2, 2, (200, 2))
    waves = np.sin(z @ rng.normal(size=(2, 4)) * 0.7)
    X = np.hstack([z @ rng.normal(size=(2, 4)), 2 * waves])
    return X + 0.05 * rng.normal(size=X.shape)


def duration_of(estimator, X):
    """Seconds of a whole fit, the second one of a process."""
    model = estimator(2, callbacks=[Slow()], **PARAMS).fit(X)
    begun = time.perf_counter()
    model.fit(X)
    return time.perf_counter() - begun


def interrupt(estimator, X, duration, rng):
    """Outcome of a fit that is interrupted somewhere."""
    model = estimator(2, callbacks=[Slow()], **PARAMS).set_params(max_iter=0).fit(X)
    before = model.set_params(max_iter=PARAMS["max_iter"]).net_
    pressed = threading.Timer(
        rng.uniform(0, 0.7 * duration), os.kill, (os.getpid(), signal.SIGINT)
    )
    pressed.start()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X)
        pressed.join()
    except KeyboardInterrupt as error:
        frames = traceback.extract_tb(error.__traceback__)
        is_inside = any(frame.name == "_fit" for frame in frames)
        if not is_usable(model, X):
            return "BROKEN"
        return "raised by the fit" if is_inside else "after the fit"
    if model.stopped_by_ != "interrupt":
        return "SILENT"
    is_warned = any(w.category is ConvergenceWarning for w in caught)
    is_new = model.net_ is not before
    is_good = is_warned and is_new and is_usable(model, X)
    return "a warning and a usable model" if is_good else "BROKEN"


def is_usable(model, X):
    codes = model.transform(X)
    return bool(np.isfinite(codes).all() and np.isfinite(model.score(X)))


def kill(X, rng, folder):
    """Outcome of loading the checkpoint of a fit whose process was killed."""
    checkpoint = Checkpoint(monitor=lambda net: True, dirname=folder)
    params = {**PARAMS, "hidden_layer_sizes": (256, 256)}
    child = os.fork()
    if child == 0:
        params |= {"max_iter": 10_000, "n_iter_no_change": 10_000}
        AutoencoderTransformer(2, callbacks=[checkpoint], **params).fit(X)
        os._exit(0)
    last = os.path.join(folder, checkpoint.f_history)
    while not os.path.exists(last):  # the file that is written last
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.2))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    model = AutoencoderTransformer(2, **params | {"max_iter": 0}).fit(X)
    try:
        model.net_.load_params(checkpoint=checkpoint)
    except Exception as error:
        return f"NOT LOADED: {type(error).__name__}: {error}"[:100]
    return "loaded" if is_usable(model, X) else "BROKEN"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--interrupts", type=int, default=200)
    parser.add_argument("--kills", type=int, default=100)
    args = parser.parse_args()
    X, rng = make_rows(), random.Random(0)
    kinds = AutoencoderTransformer, VAETransformer
    durations = [duration_of(kind, X) for kind in kinds]
    interrupts = Counter(
        interrupt(kinds[i % 2], X, durations[i % 2], rng)
        for i in range(args.interrupts)
    )
    print("interrupts:", dict(interrupts))
    with tempfile.TemporaryDirectory() as folder:
        kills = Counter(
            kill(X, rng, os.path.join(folder, str(i))) for i in range(args.kills)
        )
    print("kills:", dict(kills))
    return int(not {*interrupts, *kills} <= GOOD)


if __name__ == "__main__":
    sys.exit(main())
