"""TLS connections: asyncio's `sslproto` with its hot half native.

Each class has its native half first and asyncio's own class second: what runs for each message is
native, what runs for each connection (handshake, shutdown, timeouts, reports) is the
interpreter's. Cryptography, and what an `ssl.SSLContext` can be told, is the `ssl` module's.
"""

from __future__ import annotations

from asyncio import sslproto
from typing import TYPE_CHECKING, Any

from batuta import _batuta

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable

# Looked up once, to see whether a program has put something else there.
_STOCK: Any = sslproto.SSLProtocol
_STOCK_TRANSPORT: Any = sslproto._SSLProtocolTransport
_STOCK_METHODS: Any = (dict(vars(_STOCK)), dict(vars(_STOCK_TRANSPORT)))

Protocol: Any

if hasattr(_batuta, "NativeSSLProtocol"):

    class _SSLProtocolTransport(_batuta.NativeSSLTransport, sslproto._SSLProtocolTransport):
        """What a program writes to. See `asyncio.Transport`."""

    class SSLProtocol(_batuta.NativeSSLProtocol, sslproto.SSLProtocol):
        """What stands between a transport and TLS."""

        def _get_app_transport(self) -> asyncio.Transport:
            if self._app_transport is None:
                if self._app_transport_created:
                    raise RuntimeError("Creating _SSLProtocolTransport twice")
                self._app_transport = _SSLProtocolTransport(self._loop, self)
                self._app_transport_created = True
            transport: asyncio.Transport = self._app_transport
            return transport

    Protocol = SSLProtocol
else:  # The interpreter has no ssl module: asyncio's class says so.
    Protocol = _STOCK


def protocol_class() -> Any:
    """The class of a new connection's protocol: asyncio's own place has precedence if a program
    has put something there, or has replaced something in asyncio's class."""
    wanted: Any = sslproto.SSLProtocol
    if wanted is not _STOCK or sslproto._SSLProtocolTransport is not _STOCK_TRANSPORT:
        return wanted
    if (vars(_STOCK), vars(_STOCK_TRANSPORT)) != _STOCK_METHODS:
        return wanted
    return Protocol


class _Handshake:
    """Stands where a connection's maker has a future: a server waits for no handshake, but ends
    the connection, and reports it in debug mode, when one fails."""

    __slots__ = ("_loop", "_protocol", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol) -> None:
        self._loop = loop
        self._protocol = protocol
        self.transport: asyncio.Transport | None = None

    def cancelled(self) -> bool:
        return False

    def set_result(self, _result: None) -> None:
        self.transport = None

    def set_exception(self, exc: BaseException) -> None:
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.close()
        if not self._loop.get_debug():
            return
        report: dict[str, Any] = {
            "message": "Error on transport creation for incoming connection",
            "exception": exc,
            "protocol": self._protocol,
        }
        if transport is not None:
            report["transport"] = transport
        self._loop.call_exception_handler(report)


class Acceptor:
    """What makes the protocol of each connection of a TLS server.

    Args:
        loop: The server's loop.
        protocol_factory: Makes the program's protocols.
        sslcontext: The server's settings.
        handshake_timeout: How long a handshake may take, in seconds.
        shutdown_timeout: How long the end may take, in seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sslcontext: ssl.SSLContext,
        handshake_timeout: float | None,
        shutdown_timeout: float | None,
    ) -> None:
        self._loop = loop
        self._protocol_factory = protocol_factory
        self._sslcontext = sslcontext
        self._timeouts = {
            "ssl_handshake_timeout": handshake_timeout,
            "ssl_shutdown_timeout": shutdown_timeout,
        }

    def __call__(self) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection.

        Raises:
            ValueError: a timeout is not positive. What the program's factory raises is raised.
        """
        protocol = self._protocol_factory()
        handshake = _Handshake(self._loop, protocol)
        made = protocol_class()(
            self._loop, protocol, self._sslcontext, handshake, True, **self._timeouts
        )
        handshake.transport = made._app_transport
        accepted: asyncio.BaseProtocol = made
        return accepted


def take_over_buffered(protocol: asyncio.BaseProtocol, tls: Any) -> None:
    """Give `tls` what a stream reader has received already: the client has begun its handshake
    right behind the last plain line. (asyncio does so from 3.14.3 on; before, these bytes would
    be taken for what came encrypted.)

    Args:
        protocol: The program's protocol.
        tls: The protocol that decrypts.
    """
    from asyncio import StreamReaderProtocol

    if not isinstance(protocol, StreamReaderProtocol):
        return
    reader: Any = getattr(protocol, "_stream_reader", None)
    if reader is not None and reader._buffer:
        tls._incoming.write(reader._buffer)
        reader._buffer.clear()


def check_start_tls(transport: Any, sslcontext: ssl.SSLContext) -> None:
    """Raise what `loop.start_tls()` raises.

    Raises:
        TypeError: `sslcontext` is no context, or the transport cannot be upgraded.
        RuntimeError: the interpreter has no TLS.
    """
    try:
        import ssl
    except ImportError:
        raise RuntimeError("Python ssl module is not available") from None

    if not isinstance(sslcontext, ssl.SSLContext):
        raise TypeError(
            f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}"
        )
    if not getattr(transport, "_start_tls_compatible", False):
        raise TypeError(f"transport {transport!r} is not supported by start_tls()")
