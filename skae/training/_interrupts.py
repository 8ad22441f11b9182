"""Ctrl-C during a fit, which ends it in order.

An exception between any two instructions could leave weights half written, or come
where nothing catches it. So a fit notes the first signal alone, and training stops
after the batch at hand; what comes before and after training is done as ever. A second
signal raises `KeyboardInterrupt`.
"""

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sklearn.exceptions import ConvergenceWarning

# The fit that runs in a thread. Signals go to the main one.
_RUNNING = threading.local()


class Interrupts:
    """Whether the user has interrupted a fit."""

    noted = False

    def note(self) -> None:
        self.noted = True

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if so: called where it does no harm."""
        if self.noted:
            raise KeyboardInterrupt


def interrupts() -> Interrupts:
    """Those of the fit that runs in this thread; where none does, new ones."""
    return getattr(_RUNNING, "interrupts", None) or Interrupts()


@contextmanager
def noting_interrupts() -> Iterator[Interrupts]:
    """Note the first Ctrl-C of a fit, which then does not raise."""
    outer, own = getattr(_RUNNING, "interrupts", None), Interrupts()
    before = signal.getsignal(signal.SIGINT)
    # Elsewhere it cannot be handled; and some callers ignore it, or leave it to C.
    is_main = threading.current_thread() is threading.main_thread()
    is_handled = is_main and callable(before)
    handler = _handler(own, before) if callable(before) else None
    _RUNNING.interrupts = own
    if is_handled:
        signal.signal(signal.SIGINT, handler)
    try:
        yield own
    finally:
        _RUNNING.interrupts = outer
        # A callback's own handler stays.
        if is_handled and signal.getsignal(signal.SIGINT) is handler:
            signal.signal(signal.SIGINT, before)


def _handler(own: Interrupts, before: Callable) -> Callable:
    def handle(number, frame):
        if before is signal.default_int_handler and not own.noted:
            own.note()
            return
        # Another handler decides itself what a signal means.
        try:
            before(number, frame)
        except KeyboardInterrupt:
            own.note()
            raise

    return handle


def warn_of_interrupt() -> None:
    warnings.warn(
        "Training interrupted by user; the best weights so far are kept.",
        ConvergenceWarning,
        stacklevel=5,  # whoever called `fit`
    )
