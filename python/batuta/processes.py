"""Child processes: spawning by the standard library, reaping through pidfds.

Role: what tells a loop that a child has ended. From 3.14 on that is asyncio's
own watcher (``make_watcher``); before, asyncio takes one from the policy, which
may cost a thread per child, so ``ChildWatcher`` and ``make_transport`` stand in:
a pidfd that the loop watches (Linux 5.3), or a waiting thread where there is none.

Ownership: a pidfd is the callback's that waits for its child, and ends with it, also
when the loop is closed before; a loop owns no watcher that knows it. Thread: the
loop's; a fallback thread only hands its result to the loop.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import warnings
from asyncio import events, unix_events
from asyncio.log import logger
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from batuta.loop import EventLoop

# typeshed knows few of its private names.
_stock: Any = unix_events

# `_child_watcher_callback(pid, returncode, transport)` of asyncio's watchers.
_Callback = Callable[..., object]


class _Pidfd:
    """A descriptor of a child process, closed when nobody has it any more."""

    def __init__(self, pid: int) -> None:
        self._number = -1
        self._number = os.pidfd_open(pid)

    def fileno(self) -> int:
        return self._number

    def close(self) -> None:
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)

    __del__ = close


class ChildWatcher:
    """Watches child processes for one loop, up to Python 3.13."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop

    def add_child_handler(self, pid: int, callback: _Callback, *args: Any) -> None:
        """Call ``callback(pid, returncode, *args)`` in the loop when `pid` has ended."""
        try:
            pidfd = _Pidfd(pid)
        except OSError:
            threading.Thread(
                target=self._wait_in_thread,
                args=(pid, callback, args),
                name=f"batuta-waitpid-{pid}",
                daemon=True,
            ).start()
        else:
            self._loop._add_reader(pidfd, self._child_ended, pidfd, pid, callback, args)

    def _child_ended(
        self, pidfd: _Pidfd, pid: int, callback: _Callback, args: tuple[Any, ...]
    ) -> None:
        self._loop._remove_reader(pidfd)
        pidfd.close()
        callback(pid, _reap(pid), *args)

    def _wait_in_thread(self, pid: int, callback: _Callback, args: tuple[Any, ...]) -> None:
        returncode = _reap(pid)
        try:
            self._loop.call_soon_threadsafe(callback, pid, returncode, *args)
        except RuntimeError:
            logger.warning("Loop %r that handles pid %r is closed", self._loop, pid)


def make_watcher() -> Any:
    """Return what tells a loop that a child process has ended, from 3.14 on: asyncio's own
    watcher, which uses a pidfd wherever there is one."""
    if _stock.can_use_pidfd():
        return _stock._PidfdChildWatcher()
    return _stock._ThreadedChildWatcher()


def _reap(pid: int) -> int:
    """Collect a child that has ended; its exit status as ``Popen`` gives it."""
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        # Somebody else has collected it: its status is lost.
        logger.warning(
            "child process pid %d exit status already read: will report returncode 255", pid
        )
        return 255
    return os.waitstatus_to_exitcode(status)


def _chosen_watcher() -> Any:
    """The child watcher that the program has set on its policy (Python 3.11 to
    3.13), if it is not the kind that asyncio chooses by itself."""
    if not hasattr(events, "get_child_watcher"):
        return None
    policy: Any = events.get_event_loop_policy()
    if type(policy).get_child_watcher is _stock._UnixDefaultEventLoopPolicy.get_child_watcher:
        # Without its warnings, and without making one that nobody uses.
        watcher = policy._watcher
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                watcher = policy.get_child_watcher()
            except NotImplementedError:
                return None
    own = (type(None), _stock.ThreadedChildWatcher, _stock.PidfdChildWatcher)
    return None if type(watcher) in own else watcher


async def make_transport(
    loop: EventLoop,
    protocol: asyncio.SubprocessProtocol,
    args: Any,
    shell: bool,
    stdin: Any,
    stdout: Any,
    stderr: Any,
    bufsize: int,
    extra: dict[str, Any] | None = None,
    **kwargs: Any,
) -> asyncio.SubprocessTransport:
    """Start a child process and return its transport.

    Raises:
        RuntimeError: the program has set a child watcher that is not active.
        OSError: the program cannot be started.
    """

    async def start(watcher: Any) -> asyncio.SubprocessTransport:
        return await _start(
            loop, watcher, protocol, args, shell, stdin, stdout, stderr, bufsize, extra, kwargs
        )

    chosen = _chosen_watcher()
    if chosen is None:
        return await start(ChildWatcher(loop))
    with chosen as entered:
        # What the watcher is, and what it gives to `with`, may differ.
        watcher = entered if sys.version_info < (3, 12) else chosen
        if not watcher.is_active():
            raise RuntimeError(
                "asyncio.get_child_watcher() is not activated, subprocess support is not installed."
            )
        return await start(watcher)


async def _start(
    loop: EventLoop,
    watcher: Any,
    protocol: asyncio.SubprocessProtocol,
    args: Any,
    shell: bool,
    stdin: Any,
    stdout: Any,
    stderr: Any,
    bufsize: int,
    extra: dict[str, Any] | None,
    kwargs: dict[str, Any],
) -> asyncio.SubprocessTransport:
    waiter = loop.create_future()
    transport = _stock._UnixSubprocessTransport(
        loop,
        protocol,
        args,
        shell,
        stdin,
        stdout,
        stderr,
        bufsize,
        waiter=waiter,
        extra=extra,
        **kwargs,
    )

    def ended(pid: int, returncode: int, transport: Any) -> None:
        # A foreign watcher may call from a thread of its own.
        loop.call_soon_threadsafe(transport._process_exited, returncode)

    def watch() -> None:
        watcher.add_child_handler(transport.get_pid(), ended, transport)

    # On 3.11 a thread of asyncio's waits for the child, so that its end comes after what it has
    # written before; a pidfd would be found ready before the pipes are read.
    late = sys.version_info < (3, 12) and isinstance(watcher, ChildWatcher)
    if not late:
        watch()
    try:
        try:
            await waiter
        finally:
            if late:
                watch()
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException:
        transport.close()
        await transport._wait()
        raise
    return cast(asyncio.SubprocessTransport, transport)
