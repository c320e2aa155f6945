"""How a server counts its connections: `_attach()`, `_detach()` and, from 3.13 on, a WeakSet.

Batuta does to that set what asyncio's methods do, without calling them, unless somebody has put
another in the place of one.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import weakref
from typing import Any

import pytest

from contract.streams import port_of
from contract.support import turns, until
from loops import Run


def test_a_server_counts_its_connections(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        loop_side, peers = [], []
        for count in range(1, 4):
            peer = socket.create_connection(("127.0.0.1", port_of(server)))
            peers.append(peer)
            if sys.version_info >= (3, 13):
                await until(lambda count=count: len(server._clients) == count)
                loop_side = list(server._clients)
            else:
                await until(lambda count=count: server._active_count == count)
        waiting = asyncio.ensure_future(server.wait_closed())
        server.close()
        await turns(2)
        if sys.version_info >= (3, 12):
            assert not waiting.done()
        if sys.version_info >= (3, 13):
            for transport in server._clients:
                assert transport in loop_side
                transport.abort()
            del transport
        else:
            for peer in peers:
                peer.close()
        await asyncio.wait_for(waiting, 1)
        if sys.version_info >= (3, 13):
            assert len(server._clients) == 0
        for peer in peers:
            peer.close()

    run(main)


@pytest.mark.skipif(
    not hasattr(weakref.WeakSet(), "_pending_removals") or sys.version_info < (3, 13),
    reason="only in some releases does a WeakSet put off what it takes out",
)
def test_what_a_server_has_put_off_is_done_with_the_next_connection(run: Run) -> None:
    class Something:
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        things = [Something(), Something()]
        for thing in things:
            server._clients.add(thing)
        going_through = iter(server._clients)
        next(going_through)
        del thing
        things.clear()
        assert server._clients._pending_removals
        del going_through
        gc.collect()
        peer = socket.create_connection(("127.0.0.1", port_of(server)))
        await until(lambda: any(isinstance(one, asyncio.Transport) for one in server._clients))
        assert not server._clients._pending_removals
        assert len(server._clients) == 1
        peer.close()
        await until(lambda: not server._clients)
        server.close()
        await server.wait_closed()

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="before, a server counts")
def test_a_server_may_be_told_otherwise(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)

        async def connect() -> None:
            near, peer = socket.socketpair()
            near.close()
            peer.close()
            peer = socket.create_connection(("127.0.0.1", port_of(server)))
            before = len(told)
            await until(lambda: len(told) > before)
            assert told[-1][0] == "attach"
            peer.close()
            await until(lambda: told[-1][0] == "detach")
            assert told[-2][1] is told[-1][1]

        with monkeypatch.context() as patch:
            for name in ("attach", "detach"):
                patch.setattr(
                    server, f"_{name}", lambda it, name=name: told.append((name, it)), raising=True
                )
            await connect()
        with monkeypatch.context() as patch:
            for name in ("attach", "detach"):
                patch.setattr(
                    type(server),
                    f"_{name}",
                    lambda _, it, name=name: told.append((name, it)),
                )
            await connect()
        with monkeypatch.context() as patch:
            add, discard = weakref.WeakSet.add, weakref.WeakSet.discard

            def note(name: str, method: Any) -> Any:
                def noting(self: Any, item: Any) -> None:
                    if self is server._clients:
                        told.append((name, item))
                    method(self, item)

                return noting

            patch.setattr(weakref.WeakSet, "add", note("attach", add))
            patch.setattr(weakref.WeakSet, "discard", note("detach", discard))
            await connect()
        server.close()
        await server.wait_closed()

    run(main)


# The transport that could not be counted is left to the collector, which says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_protocol_factory_may_close_its_server(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = []

        def factory() -> asyncio.Protocol:
            made.append(asyncio.Protocol())
            server.close()
            return made[-1]

        server = await loop.create_server(factory, "127.0.0.1", 0)
        address = ("127.0.0.1", port_of(server))
        peers = [socket.create_connection(address) for _ in range(3)]
        await until(lambda: made)
        await turns(5)
        for peer in peers:
            peer.close()
        gc.collect()

    run(main)  # Nothing is reported.
