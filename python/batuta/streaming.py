"""`asyncio.StreamReader` and its kin, native: see "Streams" in asyncio's documentation.

Each class has its native half first and asyncio's own class second: what runs for each message is
native, what runs for each connection is the interpreter's. On a Batuta loop a connection puts what
it receives into the reader without a call; on any other loop it calls `data_received`, as ever.
"""

import asyncio
import sys
from asyncio import streams as _streams
from collections.abc import Callable
from typing import Any

from batuta import _batuta

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

# Looked up once: acceleration puts ours there.
_StreamReaderProtocol = asyncio.StreamReaderProtocol

_Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


class StreamReader(_batuta.NativeStreamReader, asyncio.StreamReader):
    """What a connection receives, for coroutines to read. See `asyncio.StreamReader`."""


class StreamWriter(_batuta.NativeStreamWriter, asyncio.StreamWriter):
    """The sending end of a connection. See `asyncio.StreamWriter`."""

    @property
    def _complete_fut(self) -> asyncio.Future[None]:
        """A future that is done: asyncio makes one for each writer, and nobody uses it."""
        future = self._loop.create_future()
        future.set_result(None)
        return future


class StreamReaderProtocol(_batuta.NativeStreamReaderProtocol, asyncio.StreamReaderProtocol):
    """What stands between a connection and its reader. See `asyncio.StreamReaderProtocol`."""

    # What asyncio's class has.
    _client_connected_cb: _Connected | None
    _reject_connection: bool

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; a server calls the program, with a native writer.

        What the program raises is an error of the connection's from Python 3.14 on, and before of
        whoever calls this.
        """
        if not isinstance(self, StreamReaderProtocol):
            # The class has asyncio's name, and is called with an object of asyncio's own.
            return _StreamReaderProtocol.connection_made(self, transport)
        connected = self._client_connected_cb
        if connected is None or self._reject_connection:
            super().connection_made(transport)
            return
        # All but the call of the program.
        self._client_connected_cb = None
        try:
            super().connection_made(transport)
        finally:
            self._client_connected_cb = connected
        reader = self._stream_reader  # type: ignore[attr-defined]
        writer = StreamWriter(transport, self, reader, self._loop)  # type: ignore[arg-type]
        if sys.version_info < (3, 13):
            self._stream_writer = writer
        try:
            result = connected(reader, writer)
        except Exception as exc:
            if sys.version_info < (3, 14):
                raise
            self._report(exc, transport)
        else:
            if asyncio.iscoroutine(result):
                self._serve(result, transport)
        self._strong_reader = None

    def _serve(self, coroutine: Any, transport: asyncio.BaseTransport) -> None:
        """Run what the program does with the connection; its failure ends the connection."""

        def ended(task: asyncio.Task[Any]) -> None:
            if task.cancelled():
                transport.close()
            elif (exc := task.exception()) is not None:
                self._report(exc, transport)

        self._task = self._loop.create_task(coroutine)
        self._task.add_done_callback(ended)

    def _report(self, exc: BaseException, transport: asyncio.BaseTransport) -> None:
        self._loop.call_exception_handler(
            {
                "message": "Unhandled exception in client_connected_cb",
                "exception": exc,
                "transport": transport,
            }
        )
        transport.close()


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
    reader = StreamReader(limit=limit, loop=loop)
    protocol = StreamReaderProtocol(reader, loop=loop)
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
        reader = StreamReader(limit=limit, loop=loop)
        return StreamReaderProtocol(reader, client_connected_cb, loop=loop)

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
    reader = StreamReader(limit=limit, loop=loop)
    protocol = StreamReaderProtocol(reader, loop=loop)
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
        reader = StreamReader(limit=limit, loop=loop)
        return StreamReaderProtocol(reader, client_connected_cb, loop=loop)

    return await loop.create_unix_server(factory, path, **kwds)
