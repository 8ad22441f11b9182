"""Interrupt fits at random moments, and kill processes that write files.

    python tests/stress_processes.py [--interrupts 200] [--kills 100] [--saves 200]
                                     [--fits 200]

Each interrupted fit must warn and leave a usable model, each checkpoint of skorch must
load, each file must be the old or the new one, and each fit that is killed and called
again must end with the bits of one that was not.
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

import skae
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
    "the old file",
    "the new file",
    "same bits, gone on",
    "same bits, from the start",
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
        rng.uniform(0, duration), os.kill, (os.getpid(), signal.SIGINT)
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


def start(function):
    """A child process that runs `function`, once it has begun."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"x")
        function()
        os._exit(0)
    os.read(reading, 1)
    os.close(reading)
    os.close(writing)
    return child


def kill_after(child, seconds):
    """Whether the child was killed before it came to its end."""
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def kill_save(models, path, rng):
    """Outcome of killing a process that replaces the file of one model by another's."""
    old, new = models
    old.save(path)
    child = start(lambda: [new.save(path), time.sleep(60)])
    kill_after(child, rng.uniform(0, 0.02))
    found = skae.load(path)
    for name, model in ("the old file", old), ("the new file", new):
        if found.get_params() == model.get_params():
            is_same = np.array_equal(found.mean_, model.mean_)
            return name if is_same else "BROKEN"
    return "BROKEN"


def kill_fit(estimator, X, truth, duration, path, rng):
    """Outcome of a fit that is killed, up to three times, and called again."""
    params = PARAMS | {"max_iter": 30, "checkpoint": path}
    n_killed = 0
    for _ in range(3):
        child = start(lambda: estimator(2, **params).fit(X))
        n_killed += kill_after(child, rng.uniform(0, duration))
    goes_on = os.path.exists(path)
    model = estimator(2, **params).fit(X)
    is_same = np.array_equal(model.transform(X), truth.transform(X))
    is_same &= np.array_equal(model.score_samples(X), truth.score_samples(X))
    if not is_same or os.path.exists(path):
        return "BROKEN"
    return "same bits, gone on" if goes_on else "same bits, from the start"


def time_of(function):
    begun = time.perf_counter()
    found = function()
    return found, time.perf_counter() - begun


def stress_files(n_saves, n_fits, X, rng):
    """Counts of what came of killing saves and fits with checkpoints."""
    kinds = AutoencoderTransformer, VAETransformer
    models = [AutoencoderTransformer(k, **PARAMS).fit(X) for k in (2, 3)]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        saves = Counter(kill_save(models, path, rng) for _ in range(n_saves))
        print("saves:", dict(saves), flush=True)
        params = PARAMS | {"max_iter": 30}
        truths = [kind(2, **params).fit(X) for kind in kinds]
        path = os.path.join(folder, "checkpoint")
        params["checkpoint"] = path
        times = [time_of(lambda k=k: k(2, **params).fit(X))[1] for k in kinds]
        fits = Counter(
            kill_fit(kinds[i % 2], X, truths[i % 2], times[i % 2], path, rng)
            for i in range(n_fits)
        )
        print("fits:", dict(fits), flush=True)
    return saves, fits


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--interrupts", type=int, default=200)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--saves", type=int, default=200)
    parser.add_argument("--fits", type=int, default=200)
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
    saves, fits = stress_files(args.saves, args.fits, X, rng)
    return int(not {*interrupts, *kills, *saves, *fits} <= GOOD)


if __name__ == "__main__":
    sys.exit(main())
