"""The event loop: native scheduling and I/O under asyncio's own cold code.

Role: ``EventLoop`` joins two bases. ``_batuta.NativeLoop`` comes first and owns
all that runs often: ready queue, timers, descriptors, transports, the run loop.
``asyncio.BaseEventLoop`` and a few functions of the interpreter's own Unix loop
supply what runs once per program or per connection, so every keyword of the
running Python version is there by construction.

Ownership: a loop owns its descriptors until ``close()``. Thread: a loop is run
by one thread; other threads use ``call_soon_threadsafe()``.
"""

from __future__ import annotations

import asyncio
import functools
import os
import selectors
import stat
import sys
import threading
import warnings
import weakref
from asyncio import constants, events, trsock, unix_events
from asyncio.log import logger
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVarTuple, Unpack

from batuta import _batuta, base_patches, processes, tls
from batuta.ready_view import ReadyView
from batuta.selector_view import SelectorView
from batuta.signals import WakeupEnd

if sys.version_info < (3, 14):
    from batuta import task_set

    task_set.adopt()

if TYPE_CHECKING:
    import contextvars
    import socket
    import ssl

if TYPE_CHECKING:
    _Ts = TypeVarTuple("_Ts")

# asyncio says in a forked child that no loop runs. What waits for the end of the turn is sent
# before the fork, or both processes would send it.
os.register_at_fork(before=_batuta._send_held_writes, after_in_child=_batuta._forget_running_loop)

_NATIVE_RUN_ONCE = _batuta.NativeLoop._run_once

# Looked up once: a program (or `batuta.install()`) may replace the name later.
_UnixLoop: Any = unix_events._UnixSelectorEventLoop

# Cold methods of the interpreter's own Unix loop that stand on nothing but what
# a Batuta loop has, too. What they do per call is one system call and a few
# look-ups; each runs once per signal, connection or server.
_BORROWED: Final = (
    "_accept_connection",
    "_accept_connection2",
    *(("_child_watcher_callback", "_make_subprocess_transport") * (sys.version_info >= (3, 14))),
    "_check_signal",
    "_handle_signal",
    "_sock_connect",
    "_sock_connect_cb",
    "_sock_sendfile_native",
    "_sock_sendfile_native_impl",
    "_sock_sendfile_update_filepos",
    "_sock_add_cancellation_callback",
    "_sock_write_done",
    "create_unix_server",
)


class EventLoop(_batuta.NativeLoop, asyncio.BaseEventLoop):
    """asyncio's event loop, native. See "Event loop" in asyncio's documentation."""

    if TYPE_CHECKING:
        # asyncio's own, which typeshed leaves out.
        _asyncgen_firstiter_hook: Callable[..., None]
        _asyncgen_finalizer_hook: Callable[..., None]

        def _check_closed(self) -> None: ...
        def _check_running(self) -> None: ...
        def _handle_signal(self, sig: int) -> None: ...

    def __init__(self) -> None:
        self._adopt_patches()
        asyncio.BaseEventLoop.__init__(self)
        self._signal_handlers: dict[int, asyncio.Handle] = {}
        self._transports: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._unix_server_sockets: dict[socket.socket, int] = {}
        self._csock: WakeupEnd | None = WakeupEnd(self._signal_fd)
        if sys.version_info >= (3, 14):
            self._watcher = processes.make_watcher()
        self._selector: SelectorView | None = SelectorView(self)

    # Running

    def run_forever(self) -> None:
        """Run until ``stop()`` is called.

        Raises:
            RuntimeError: the loop is closed, or a loop runs in this thread.
        """
        self._check_closed()
        self._check_running()
        self._adopt_patches()
        self._set_coroutine_origin_tracking(self._debug)
        former_hooks = sys.get_asyncgen_hooks()
        try:
            self._thread_id = threading.get_ident()
            sys.set_asyncgen_hooks(
                firstiter=self._asyncgen_firstiter_hook,
                finalizer=self._asyncgen_finalizer_hook,
            )
            events._set_running_loop(self)
            self._watch_signals()
            if type(self)._run_once is _NATIVE_RUN_ONCE and "_run_once" not in self.__dict__:
                self._run_turns()
            else:
                self._run_patched_turns()
        finally:
            self._unwatch_signals()
            self._stopping = False
            self._thread_id = None
            events._set_running_loop(None)
            self._set_coroutine_origin_tracking(False)
            sys.set_asyncgen_hooks(*former_hooks)

    @staticmethod
    def _adopt_patches() -> None:
        """Show what a program has replaced in asyncio's base class."""
        base_patches.adopt(EventLoop)

    @property
    def _ready(self) -> ReadyView:
        return ReadyView(self)

    @_ready.setter
    def _ready(self, queue: Any) -> None:
        # `BaseEventLoop.__init__` gives each loop an empty one.
        if queue:
            raise AttributeError("the queue of a native loop cannot be replaced")

    def _process_events(self, event_list: list[tuple[selectors.SelectorKey, int]]) -> None:
        """Queue the handles of events. Those of our own `_selector.select()` are queued already."""
        for key, mask in event_list:
            reader, writer = key.data
            if mask & selectors.EVENT_READ and reader is not None:
                self._add_callback(reader)
            if mask & selectors.EVENT_WRITE and writer is not None:
                self._add_callback(writer)

    def _set_coroutine_origin_tracking(self, enabled: bool) -> None:
        asyncio.BaseEventLoop._set_coroutine_origin_tracking(self, enabled)  # type: ignore[attr-defined]
        _batuta._track_origins(sys.get_coroutine_origin_tracking_depth() > 0)

    def _run_patched_turns(self) -> None:
        """Run turns through a `_run_once` that a subclass or a tool has replaced."""
        while True:
            self._run_once()
            if self._stopping:
                return

    def close(self) -> None:
        """Close the loop: pending callbacks are dropped, the executor is told to
        shut down without waiting.

        Raises:
            RuntimeError: the loop is running.
        """
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self.is_closed():
            return
        if not sys.is_finalizing():
            for signum in list(self._signal_handlers):
                self.remove_signal_handler(signum)
        elif self._signal_handlers:
            warnings.warn(
                f"Closing the loop {self!r} on interpreter shutdown stage, "
                "skipping signal handlers removal",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )
            self._signal_handlers.clear()
        try:
            asyncio.BaseEventLoop.close(self)
        finally:
            self._forget_signals()
            self._csock = None
            self._selector = None  # Holds the loop, which is to go without the collector's help.
            self._close_native()

    # Signals: CPython's C handler writes each signal's number to our pipe, which wakes the loop;
    # or to somebody else's (`batuta.signals`).

    def _watch_signals(self) -> None:
        if self._csock is not None and self._csock.take():
            self._handle_signals_of_others()

    def _unwatch_signals(self) -> None:
        # Handlers stay in force between runs.
        if not self._signal_handlers:
            self._forget_signals()

    def _forget_signals(self) -> None:
        """Take our pipe back from the interpreter if it is the one in use."""
        if self._csock is not None and self._csock.release():
            self._handle_signals_of_others()

    def _handle_signals_of_others(self) -> None:
        """What has come to our pipe while another one was out of its place."""
        for signum in self._take_signals():
            if signum in self._signal_handlers:
                self._handle_signal(signum)
            elif self._csock is not None:
                self._csock.pass_on(signum)

    def add_signal_handler(
        self, sig: int, callback: Callable[[Unpack[_Ts]], Any], *args: *_Ts
    ) -> None:
        """Call ``callback(*args)`` in the loop whenever the signal `sig` arrives.

        Raises:
            ValueError, RuntimeError: `sig` is no signal or cannot be caught, or
                this is not the main thread.
        """
        _UnixLoop.add_signal_handler(self, sig, callback, *args)
        if self._csock is not None:
            self._csock.is_in_place()

    def remove_signal_handler(self, sig: int) -> bool:
        """Remove a handler; return whether there was one.

        Raises:
            ValueError, RuntimeError: `sig` is no signal, or cannot be handled.
        """
        removed: bool = _UnixLoop.remove_signal_handler(self, sig)
        if self.is_running() and not self._signal_handlers:
            self._watch_signals()
        return removed

    # Transports and servers

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl.SSLContext,
        waiter: asyncio.Future[Any] | None = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: dict[str, Any] | None = None,
        server: asyncio.Server | None = None,
        ssl_handshake_timeout: float | None = constants.SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: float | None = constants.SSL_SHUTDOWN_TIMEOUT,
        context: contextvars.Context | None = None,
    ) -> asyncio.Transport:
        """Return the TLS transport over a new transport for `rawsock`."""
        ssl_protocol = tls.protocol_class()(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        self._make_socket_transport(
            rawsock, ssl_protocol, extra=extra, server=server, context=context
        )
        transport: asyncio.Transport = ssl_protocol._app_transport
        return transport

    async def start_tls(
        self,
        transport: Any,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> asyncio.Transport:
        """Upgrade a transport to TLS; return the one that `protocol` is to use from now on.

        Args:
            transport: A transport of a stream socket, or one of TLS.
            protocol: What has used it, and will use the new one.
            sslcontext: The settings.
            server_side: Whether this is the server's end.
            server_hostname: The name that the peer's certificate must have.
            ssl_handshake_timeout: How long the handshake may take, in seconds; 60 by default.
            ssl_shutdown_timeout: How long the end may take, in seconds; 30 by default.

        Raises:
            TypeError: `sslcontext` is no context, or the transport cannot be upgraded.
            ssl.SSLError, ConnectionError: the handshake has failed.
        """
        protocol_class = tls.protocol_class()
        if protocol_class is not tls.Protocol:
            return await super().start_tls(  # type: ignore[return-value]
                transport,
                protocol,
                sslcontext,
                server_side=server_side,
                server_hostname=server_hostname,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )
        tls.check_start_tls(transport, sslcontext)
        waiter = self.create_future()
        ssl_protocol = protocol_class(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
            call_connection_made=False,
        )
        # Nothing must come between here and connection_made().
        transport.pause_reading()
        if server_side:
            tls.take_over_buffered(protocol, ssl_protocol)
        transport.set_protocol(ssl_protocol)
        begin = self.call_soon(ssl_protocol.connection_made, transport)
        go_on = self.call_soon(transport.resume_reading)
        try:
            await waiter
        except BaseException:
            transport.close()
            begin.cancel()
            go_on.cancel()
            # The exception's traceback refers to this frame.
            del waiter
            raise
        upgraded: asyncio.Transport = ssl_protocol._app_transport
        return upgraded

    async def _sendfile_native(
        self, transp: _batuta.StreamTransport, file: Any, offset: int, count: int | None
    ) -> int:
        """Send a file over a transport's socket, which the transport lends meanwhile."""
        sock = transp._sock
        resume_reading = transp.is_reading()
        transp.pause_reading()
        await transp._make_empty_waiter()
        transp._lend_fd()
        try:
            return await self.sock_sendfile(sock, file, offset, count, fallback=False)
        finally:
            transp._reclaim_fd()
            transp._reset_empty_waiter()
            if resume_reading:
                transp.resume_reading()

    def _start_serving(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sock: socket.socket,
        sslcontext: ssl.SSLContext | None = None,
        server: asyncio.Server | None = None,
        backlog: int = 100,
        ssl_handshake_timeout: float | None = constants.SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: float | None = constants.SSL_SHUTDOWN_TIMEOUT,
        context: contextvars.Context | None = None,
    ) -> None:
        """Accept connections at `sock` from now on: natively, or by asyncio's own coroutine where
        a subclass makes the TLS transports."""
        if sslcontext is not None:
            timeouts = (ssl_handshake_timeout, ssl_shutdown_timeout)
            if self._makes_own_ssl_transports():
                given = (context,) if sys.version_info >= (3, 15) else ()
                settings = (sslcontext, server, backlog, *timeouts, *given)
                _UnixLoop._start_serving(self, protocol_factory, sock, *settings)
                return
            protocol_factory = tls.Acceptor(self, protocol_factory, sslcontext, *timeouts)
        listener = (protocol_factory, sock, server, backlog, context)
        self._add_reader(sock.fileno(), self._accept_ready, *listener)

    def _makes_own_ssl_transports(self) -> bool:
        """Whether a subclass or somebody else has replaced what makes TLS transports."""
        stock = type(self)._make_ssl_transport is EventLoop._make_ssl_transport
        return not stock or "_make_ssl_transport" in self.__dict__

    def _accept_later(
        self,
        exception: OSError,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sock: socket.socket,
        server: asyncio.Server | None,
        backlog: int,
        context: contextvars.Context | None,
    ) -> None:
        """The system is short of descriptors or memory: try again in a second."""
        self.call_exception_handler(
            {
                "message": "socket.accept() out of system resource",
                "exception": exception,
                "socket": trsock.TransportSocket(sock),
            }
        )
        self._remove_reader(sock.fileno())
        again = functools.partial(
            self._start_serving, protocol_factory, sock, None, server, backlog, context=context
        )
        self.call_later(constants.ACCEPT_RETRY_DELAY, again)

    def _stop_serving(self, sock: socket.socket) -> None:
        inode = self._unix_server_sockets.pop(sock, None)
        path = sock.getsockname() if inode is not None else None
        self._remove_reader(sock.fileno())
        sock.close()
        if path is not None:
            _remove_socket_file(path, inode)

    # Child processes

    if sys.version_info < (3, 14):

        async def _make_subprocess_transport(self, *args: Any, **kwargs: Any) -> Any:
            return await processes.make_transport(self, *args, **kwargs)


def _remove_socket_file(path: str, inode: int | None) -> None:
    """Remove a Unix server's socket file if it is still the one it made."""
    try:
        status = os.stat(path)
        if stat.S_ISSOCK(status.st_mode) and status.st_ino == inode:
            os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.error("Unable to clean up listening UNIX socket %r: %r", path, error)


def _borrow() -> None:
    for name in _BORROWED:
        function: Callable[..., Any] | None = getattr(_UnixLoop, name, None)
        if function is not None:
            setattr(EventLoop, name, function)


_borrow()
