"""What the native module offers to the Python half."""

import asyncio
from asyncio import transports
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVar, final

from typing_extensions import disjoint_base

__version__: str

class PanicError(RuntimeError): ...

@final
class Handle(asyncio.Handle):
    def get_context(self) -> Context: ...

@final
class TimerHandle(asyncio.TimerHandle):
    def get_context(self) -> Context: ...

_T = TypeVar("_T")

class Future(asyncio.Future[_T]): ...
class Task(asyncio.Task[_T]): ...

# At run time its base is `object`: `batuta.EventLoop` puts it before
# `asyncio.BaseEventLoop`, whose methods it has.
@disjoint_base
class NativeLoop(asyncio.BaseEventLoop):
    slow_callback_duration: float
    _debug: bool
    _stopping: bool
    _thread_id: int | None
    @property
    def _signal_fd(self) -> int: ...
    def _run_turns(self) -> None: ...
    def _run_once(self) -> None: ...
    def _close_native(self) -> None: ...
    def _add_callback(self, handle: asyncio.Handle, /) -> None: ...
    def _add_reader(
        self, fd: Any, callback: Callable[..., object], /, *args: Any
    ) -> asyncio.Handle: ...
    def _add_writer(
        self, fd: Any, callback: Callable[..., object], /, *args: Any
    ) -> asyncio.Handle: ...
    def _remove_reader(self, fd: Any, /) -> bool: ...
    def _remove_writer(self, fd: Any, /) -> bool: ...
    def _callbacks_of(
        self, fd: Any, /
    ) -> tuple[asyncio.Handle | None, asyncio.Handle | None] | None: ...
    def _watched_fds(self) -> list[int]: ...
    def _make_socket_transport(
        self,
        sock: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[Any] | None = None,
        *,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        context: Context | None = None,
    ) -> StreamTransport: ...
    def _make_read_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> ReadPipeTransport: ...
    def _make_write_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> WritePipeTransport: ...
    def _make_datagram_transport(
        self,
        sock: Any,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: asyncio.Future[Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> DatagramTransport: ...

@final
class StreamTransport(transports._FlowControlMixin):
    max_size: int
    @property
    def _sock(self) -> Any: ...
    def _make_empty_waiter(self) -> asyncio.Future[None]: ...
    def _reset_empty_waiter(self) -> None: ...
    def _lend_fd(self) -> None: ...
    def _reclaim_fd(self) -> None: ...

@final
class ReadPipeTransport(asyncio.ReadTransport):
    max_size: int
    _pipe: Any
    @property
    def _fileno(self) -> int: ...

@final
class WritePipeTransport(transports._FlowControlMixin):
    _pipe: Any
    @property
    def _fileno(self) -> int: ...

# At run time its two bases are joined in a class that has no name of its own.
@final
class DatagramTransport(transports._FlowControlMixin, transports.DatagramTransport):
    max_size: int
    @property
    def _sock(self) -> Any: ...
    def is_reading(self) -> bool: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

def _panic_for_tests(*args: Any) -> None: ...
