"""A lock around what torch has once in a process, held for a moment only.

A fork waits until it is free: a child would otherwise find it closed, and what it
guards half changed.
"""

import os
import threading

PROCESS_LOCK = threading.RLock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=PROCESS_LOCK.acquire,
        after_in_parent=PROCESS_LOCK.release,
        after_in_child=PROCESS_LOCK.release,
    )
