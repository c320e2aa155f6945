"""Helpers of the tests of connecting: places where a connection is made, refused, or takes long."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

REFUSED = "Connect call failed {}"


@contextmanager
def listening() -> Iterator[Any]:
    """The address of a listener that has room for connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()


def refusing() -> Any:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()


@contextmanager
def crowded() -> Iterator[Any]:
    """The address of a listener whose queue is full: a further connection waits for a long time."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()


def descriptors() -> set[str]:
    """The descriptors that are open."""
    found = set(os.listdir("/proc/self/fd"))
    return {fd for fd in found if os.path.exists(f"/proc/self/fd/{fd}")}


def resolving_to(loop: Any, *addresses: Any) -> list[tuple[Any, ...]]:
    """Lets the loop find these IPv4 addresses for every name; returns what it is asked."""
    asked: list[tuple[Any, ...]] = []

    async def getaddrinfo(host: Any, port: Any, **hints: int) -> Any:
        asked.append((host, port, *(hints[name] for name in ("family", "type", "proto", "flags"))))
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, address) for address in addresses]

    loop.getaddrinfo = getaddrinfo
    return asked


class Ticks:
    """Counts the turns of the running loop from now on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_soon(self._tick)
        self.count = 0

    def _tick(self) -> None:
        self.count += 1
        self._handle = self._loop.call_soon(self._tick)

    def stop(self) -> None:
        """Count no more."""
        self._handle.cancel()
