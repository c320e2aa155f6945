"""Whose descriptor CPython's C handler writes signals to: a loop's own, or somebody else's.

Role: takes ``signal.set_wakeup_fd()`` for a loop that runs in the main thread, with or without
handlers, so that a signal that arrives just before the loop goes to sleep wakes it, and Ctrl-C is
never lost. If another loop, or a library, has its descriptor there, that stays. To find out it has
to be taken away for a moment: what arrives meanwhile comes to our pipe, and is passed on.

Ownership: the loop owns the pipe; this knows the number of its write end. Thread: the main one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading

_NOBODY = -1


class WakeupEnd:
    """The end of a loop's pipe that signals are written to: stands for the socket that asyncio's
    own loop gives to ``signal.set_wakeup_fd()``."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._others = _NOBODY

    def fileno(self) -> int:
        return self._fd

    def take(self) -> bool:
        """Put the pipe in place unless somebody else's descriptor is there; return whether it is
        somebody else's. What was written to the pipe meanwhile is theirs (``pass_on``)."""
        if threading.current_thread() is not threading.main_thread():
            return False
        try:
            former = signal.set_wakeup_fd(self._fd, warn_on_full_buffer=False)
        except ValueError:
            return False  # The main thread of `threading`, not the interpreter's.
        self._others = _NOBODY if former == self._fd else former
        if self._others == _NOBODY:
            return False
        with contextlib.suppress(OSError):
            signal.set_wakeup_fd(former)
        return True

    def release(self) -> bool:
        """Take the pipe out of its place, if it is there; return as ``take``."""
        if self._others != _NOBODY:
            return False  # It has been somebody else's all the time.
        if self.take():
            return True
        if threading.current_thread() is threading.main_thread():
            with contextlib.suppress(ValueError):
                signal.set_wakeup_fd(_NOBODY)
        return False

    def is_in_place(self) -> None:
        """Told when a handler of the loop's has put the pipe in place, whoever's was there."""
        self._others = _NOBODY

    def pass_on(self, signum: int) -> None:
        """Write a signal's number to the other one's descriptor, right after it was put back."""
        if self._others != _NOBODY:
            with contextlib.suppress(OSError):
                os.write(self._others, bytes([signum]))
