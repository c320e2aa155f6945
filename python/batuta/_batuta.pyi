"""What the native module offers to the Python half."""

import asyncio
import sys
from asyncio import gather as gather
from asyncio import sleep as sleep
from asyncio import sslproto, transports
from asyncio import timeout as timeout
from asyncio import timeout_at as timeout_at
from asyncio import wait as wait
from asyncio import wait_for as wait_for
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar, final

from typing_extensions import disjoint_base

__version__: str
__build__: str

class PanicError(RuntimeError): ...

@final
class Handle(asyncio.Handle):
    def get_context(self) -> Context: ...

@final
class TimerHandle(asyncio.TimerHandle):
    def get_context(self) -> Context: ...

_T = TypeVar("_T")

@disjoint_base
class Future(asyncio.Future[_T]): ...

@disjoint_base
class Task(asyncio.Task[_T]):
    def get_context(self) -> Context: ...

@final
class _GatheringFuture(asyncio.Future[_T]):
    @property
    def _children(self) -> list[asyncio.Future[Any]]: ...
    _cancel_requested: bool

# At run time its base is `object`: `batuta.TaskGroup` puts it before `asyncio.TaskGroup`.
@disjoint_base
class NativeTaskGroup(asyncio.TaskGroup): ...

@final
class Timeout(asyncio.Timeout): ...  # type: ignore[misc]  # which says that it is final

# At run time its base is `object`: `batuta.EventLoop` puts it before
# `asyncio.BaseEventLoop`, whose methods it has.
@disjoint_base
class NativeLoop(asyncio.BaseEventLoop):
    slow_callback_duration: float
    coalesce_writes: bool
    _debug: bool
    _stopping: bool
    _selects_by_program: bool
    _thread_id: int | None
    @property
    def _signal_fd(self) -> int: ...
    def _take_signals(self) -> bytes: ...
    def _run_turns(self) -> None: ...
    def _run_once(self) -> None: ...
    def _count_queued(self) -> int: ...
    def _queued_handles(self) -> list[asyncio.Handle]: ...
    def _pop_queued(self) -> asyncio.Handle | None: ...
    def _queue_last(self, handle: asyncio.Handle, /) -> None: ...
    def _queue_first(self, handle: asyncio.Handle, /) -> None: ...
    def _clear_queue(self) -> None: ...
    def _select(self, timeout: float | None, /) -> int: ...
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
    # asyncio names the second parameter so; typeshed does not.
    async def sock_recv(self, sock: Any, n: int) -> bytes: ...
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
    def _accept_ready(self, *listener: Any) -> None: ...
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

# What `sock_recv()` and its kin return: awaitable once, as a coroutine is.
@final
class SockOp(Coroutine[Any, Any, Any]):
    def send(self, value: Any, /) -> Any: ...
    def throw(self, typ: Any, val: Any = ..., tb: Any = ..., /) -> Any: ...
    def close(self) -> None: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...
    def __next__(self) -> Any: ...
    @property
    def cr_await(self) -> Any: ...
    @property
    def cr_code(self) -> Any: ...
    @property
    def cr_frame(self) -> Any: ...
    @property
    def cr_origin(self) -> Any: ...
    @property
    def cr_running(self) -> bool: ...
    @property
    def cr_suspended(self) -> bool: ...
    @property
    def cr_state(self) -> str: ...
    @property
    def __name__(self) -> str: ...
    @property
    def __qualname__(self) -> str: ...

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
    def abort(self) -> None: ...
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

# At run time the base of these is `object`: the public classes put them before asyncio's, whose
# methods they have.
@disjoint_base
class NativeEvent(asyncio.Event):
    _value: bool
    _waiters: Any
    _loop: asyncio.AbstractEventLoop | None

@disjoint_base
class NativeLock(asyncio.Lock):
    _locked: bool
    _waiters: Any
    _loop: asyncio.AbstractEventLoop | None
    def _wake_up_first(self) -> None: ...

@disjoint_base
class NativeSemaphore(asyncio.Semaphore):
    _value: Any
    _bound_value: Any
    _waiters: Any
    _loop: asyncio.AbstractEventLoop | None
    def _wake_up_next(self) -> Any: ...

@disjoint_base
class NativeCondition(asyncio.Condition):
    _waiters: Any
    _loop: asyncio.AbstractEventLoop | None
    if sys.version_info >= (3, 13):
        def _notify(self, n: int) -> None: ...

@disjoint_base
class NativeQueue(asyncio.Queue[_T]):
    _batuta_order: int
    _queue: Any
    _maxsize: int
    _getters: Any
    _putters: Any
    _unfinished_tasks: int
    _finished: Any
    _is_shutdown: bool
    _loop: asyncio.AbstractEventLoop | None

@disjoint_base
class NativeStreamReader(asyncio.StreamReader):
    _buffer: bytearray
    _limit: int
    _eof: bool
    _paused: bool
    _loop: asyncio.AbstractEventLoop
    _waiter: asyncio.Future[None] | None
    _exception: BaseException | None
    _transport: asyncio.BaseTransport | None

@disjoint_base
class NativeStreamReaderProtocol(asyncio.StreamReaderProtocol):
    _loop: asyncio.AbstractEventLoop
    _stream_reader_wr: Any
    _paused: bool
    _connection_lost: bool
    _drain_waiters: Any
    _client_connected_cb: Any
    _closed: Any
    _over_ssl: bool
    _reject_connection: bool
    _stream_writer: Any
    _strong_reader: asyncio.StreamReader | None
    _task: Any
    _transport: Any

@disjoint_base
class NativeStreamWriter(asyncio.StreamWriter):
    _transport: Any
    _protocol: Any
    _reader: asyncio.StreamReader | None
    _loop: asyncio.AbstractEventLoop

@disjoint_base
class NativeSSLProtocol(sslproto.SSLProtocol): ...

@disjoint_base
class NativeSSLTransport(sslproto._SSLProtocolTransport): ...

def _set_task_stand_in(class_: type, /) -> None: ...
def _set_writer_class(class_: type, /) -> None: ...
def _track_origins(tracked: bool, /) -> None: ...
def _coalesce_by_default(coalesce: bool, /) -> None: ...
def _send_held_writes(*args: Any) -> None: ...
def _forget_running_loop(*args: Any) -> None: ...
def _panic_for_tests(*args: Any) -> None: ...

if sys.version_info < (3, 14):
    def take_unregistered_tasks() -> list[asyncio.Task[Any]]: ...
