"""`asyncio.StreamReader` and its kin, native: see "Streams" in asyncio's documentation.

Each class has its native half first and asyncio's own class second: what runs for each message and
for each connection is native, the rest is the interpreter's. On a Batuta loop a connection puts
what it receives into the reader without a call; on any other loop it calls `data_received`, as
ever.
"""

import asyncio
from asyncio import streams as _streams
from collections.abc import Callable
from typing import Any

from batuta import _batuta
from batuta.fields import fields

__all__ = [
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "open_connection",
    "open_unix_connection",
    "start_server",
    "start_unix_server",
]

_DEFAULT_LIMIT: int = _streams._DEFAULT_LIMIT  # type: ignore[attr-defined]

_Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


class StreamReader(_batuta.NativeStreamReader, asyncio.StreamReader):
    """What a connection receives, for coroutines to read. See `asyncio.StreamReader`."""

    __dict__ = fields(
        asyncio.StreamReader,
        "_limit", "_loop", "_buffer", "_eof", "_waiter", "_exception", "_transport", "_paused",
    )  # fmt: skip


class StreamWriter(_batuta.NativeStreamWriter, asyncio.StreamWriter):
    """The sending end of a connection. See `asyncio.StreamWriter`."""

    __dict__ = fields(
        asyncio.StreamWriter, "_transport", "_protocol", "_reader", "_loop", "_complete_fut"
    )

    @property
    def _complete_fut(self) -> asyncio.Future[None]:
        """A future that is done: asyncio makes one for each writer, and nobody uses it."""
        future = self._loop.create_future()
        future.set_result(None)
        return future


class StreamReaderProtocol(_batuta.NativeStreamReaderProtocol, asyncio.StreamReaderProtocol):
    """What stands between a connection and its reader. See `asyncio.StreamReaderProtocol`."""

    __dict__ = fields(
        asyncio.StreamReaderProtocol,
        "_loop", "_paused", "_drain_waiters", "_connection_lost", "_stream_reader_wr",
        "_source_traceback", "_strong_reader", "_reject_connection", "_stream_writer", "_task",
        "_transport", "_client_connected_cb", "_over_ssl", "_closed",
    )  # fmt: skip


_batuta._set_writer_class(StreamWriter)


async def open_connection(
    host: Any = None, port: Any = None, *, limit: int = _DEFAULT_LIMIT, **kwds: Any
) -> tuple[StreamReader, StreamWriter]:
    """Connect over TCP: a reader and a writer. See `asyncio.open_connection`.

    Args:
        host: As for `loop.create_connection`, like `port` and `kwds`.
        port: The number of the port, or the name of a service.
        limit: How long a line may be, in bytes; the reader holds up to about twice as much.
        **kwds: What else `loop.create_connection` takes, but `protocol_factory`.

    Raises:
        OSError: There is no connection.
    """
    loop = asyncio.get_running_loop()
    reader = StreamReader(limit, loop)
    protocol = StreamReaderProtocol(reader, None, loop)
    transport, _ = await loop.create_connection(lambda: protocol, host, port, **kwds)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def start_server(
    client_connected_cb: _Connected,
    host: Any = None,
    port: Any = None,
    *,
    limit: int = _DEFAULT_LIMIT,
    **kwds: Any,
) -> asyncio.Server:
    """Accept TCP connections. See `asyncio.start_server`.

    Args:
        client_connected_cb: Called with a reader and a writer for each connection. If it returns a
            coroutine, that becomes a task.
        host: As for `loop.create_server`, like `port` and `kwds`.
        port: The number of the port; 0 for any that is free.
        limit: As for `open_connection`, in bytes.
        **kwds: What else `loop.create_server` takes, but `protocol_factory`.

    Raises:
        OSError: The address cannot be used.
    """
    loop = asyncio.get_running_loop()

    def factory() -> StreamReaderProtocol:
        reader = StreamReader(limit, loop)
        return StreamReaderProtocol(reader, client_connected_cb, loop)

    return await loop.create_server(factory, host, port, **kwds)


async def open_unix_connection(
    path: Any = None, *, limit: int = _DEFAULT_LIMIT, **kwds: Any
) -> tuple[StreamReader, StreamWriter]:
    """Connect to a Unix socket: a reader and a writer. See `asyncio.open_unix_connection`.

    Args:
        path: As for `loop.create_unix_connection`, like `kwds`.
        limit: As for `open_connection`, in bytes.
        **kwds: What else `loop.create_unix_connection` takes, but `protocol_factory`.

    Raises:
        OSError: There is no connection.
    """
    loop = asyncio.get_running_loop()
    reader = StreamReader(limit, loop)
    protocol = StreamReaderProtocol(reader, None, loop)
    transport, _ = await loop.create_unix_connection(lambda: protocol, path, **kwds)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def start_unix_server(
    client_connected_cb: _Connected,
    path: Any = None,
    *,
    limit: int = _DEFAULT_LIMIT,
    **kwds: Any,
) -> asyncio.Server:
    """Accept connections to a Unix socket. See `asyncio.start_unix_server`.

    Args:
        client_connected_cb: As for `start_server`.
        path: As for `loop.create_unix_server`, like `kwds`.
        limit: As for `open_connection`, in bytes.
        **kwds: What else `loop.create_unix_server` takes, but `protocol_factory`.

    Raises:
        OSError: The path cannot be used.
    """
    loop = asyncio.get_running_loop()

    def factory() -> StreamReaderProtocol:
        reader = StreamReader(limit, loop)
        return StreamReaderProtocol(reader, client_connected_cb, loop)

    return await loop.create_unix_server(factory, path, **kwds)
