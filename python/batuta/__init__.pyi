"""What type checkers see of `batuta`: its own names, and asyncio's.

The native classes and functions appear as asyncio's own, which they are subclasses of, or have the
signatures of: so `import batuta as asyncio` changes the meaning of no annotation, and what takes
asyncio's objects takes Batuta's.
"""

import sys
from asyncio import ALL_COMPLETED as ALL_COMPLETED
from asyncio import FIRST_COMPLETED as FIRST_COMPLETED
from asyncio import FIRST_EXCEPTION as FIRST_EXCEPTION
from asyncio import AbstractEventLoop as AbstractEventLoop
from asyncio import AbstractServer as AbstractServer
from asyncio import Barrier as Barrier
from asyncio import BaseEventLoop as BaseEventLoop
from asyncio import BaseProtocol as BaseProtocol
from asyncio import BaseTransport as BaseTransport
from asyncio import BoundedSemaphore as BoundedSemaphore
from asyncio import BrokenBarrierError as BrokenBarrierError
from asyncio import BufferedProtocol as BufferedProtocol
from asyncio import CancelledError as CancelledError
from asyncio import Condition as Condition
from asyncio import DatagramProtocol as DatagramProtocol
from asyncio import DatagramTransport as DatagramTransport
from asyncio import Event as Event
from asyncio import Future as Future
from asyncio import Handle as Handle
from asyncio import IncompleteReadError as IncompleteReadError
from asyncio import InvalidStateError as InvalidStateError
from asyncio import LifoQueue as LifoQueue
from asyncio import LimitOverrunError as LimitOverrunError
from asyncio import Lock as Lock
from asyncio import PriorityQueue as PriorityQueue
from asyncio import Protocol as Protocol
from asyncio import Queue as Queue
from asyncio import QueueEmpty as QueueEmpty
from asyncio import QueueFull as QueueFull
from asyncio import ReadTransport as ReadTransport
from asyncio import Semaphore as Semaphore
from asyncio import SendfileNotAvailableError as SendfileNotAvailableError
from asyncio import Server as Server
from asyncio import StreamReader as StreamReader
from asyncio import StreamReaderProtocol as StreamReaderProtocol
from asyncio import StreamWriter as StreamWriter
from asyncio import SubprocessProtocol as SubprocessProtocol
from asyncio import SubprocessTransport as SubprocessTransport
from asyncio import Task as Task
from asyncio import TaskGroup as TaskGroup
from asyncio import Timeout as Timeout
from asyncio import TimeoutError as TimeoutError  # noqa: A004
from asyncio import TimerHandle as TimerHandle
from asyncio import Transport as Transport
from asyncio import WriteTransport as WriteTransport
from asyncio import _enter_task as _enter_task
from asyncio import _get_running_loop as _get_running_loop
from asyncio import _leave_task as _leave_task
from asyncio import _register_task as _register_task
from asyncio import _set_running_loop as _set_running_loop
from asyncio import _unregister_task as _unregister_task
from asyncio import all_tasks as all_tasks
from asyncio import as_completed as as_completed
from asyncio import base_events as base_events
from asyncio import coroutines as coroutines
from asyncio import create_subprocess_exec as create_subprocess_exec
from asyncio import create_subprocess_shell as create_subprocess_shell
from asyncio import create_task as create_task
from asyncio import current_task as current_task
from asyncio import ensure_future as ensure_future
from asyncio import events as events
from asyncio import exceptions as exceptions
from asyncio import futures as futures
from asyncio import gather as gather
from asyncio import get_event_loop_policy as get_event_loop_policy
from asyncio import get_running_loop as get_running_loop
from asyncio import iscoroutine as iscoroutine
from asyncio import iscoroutinefunction as iscoroutinefunction
from asyncio import isfuture as isfuture
from asyncio import log as log
from asyncio import open_connection as open_connection
from asyncio import open_unix_connection as open_unix_connection
from asyncio import protocols as protocols
from asyncio import run_coroutine_threadsafe as run_coroutine_threadsafe
from asyncio import set_event_loop as set_event_loop
from asyncio import set_event_loop_policy as set_event_loop_policy
from asyncio import shield as shield
from asyncio import sleep as sleep
from asyncio import start_server as start_server
from asyncio import start_unix_server as start_unix_server
from asyncio import streams as streams
from asyncio import subprocess as subprocess
from asyncio import tasks as tasks
from asyncio import threads as threads
from asyncio import timeout as timeout
from asyncio import timeout_at as timeout_at
from asyncio import to_thread as to_thread
from asyncio import transports as transports
from asyncio import wait as wait
from asyncio import wait_for as wait_for
from asyncio import wrap_future as wrap_future

from batuta._batuta import __version__ as __version__
from batuta.installer import SelectorEventLoop as SelectorEventLoop
from batuta.installer import install as install
from batuta.installer import uninstall as uninstall
from batuta.loop import EventLoop as EventLoop
from batuta.runners import Runner as Runner
from batuta.runners import get_event_loop as get_event_loop
from batuta.runners import new_event_loop as new_event_loop
from batuta.runners import run as run

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "AbstractEventLoop",
    "AbstractServer",
    "Barrier",
    "BaseEventLoop",
    "BaseProtocol",
    "BaseTransport",
    "BoundedSemaphore",
    "BrokenBarrierError",
    "BufferedProtocol",
    "CancelledError",
    "Condition",
    "DatagramProtocol",
    "DatagramTransport",
    "Event",
    "EventLoop",
    "Future",
    "Handle",
    "IncompleteReadError",
    "InvalidStateError",
    "LifoQueue",
    "LimitOverrunError",
    "Lock",
    "PriorityQueue",
    "Protocol",
    "Queue",
    "QueueEmpty",
    "QueueFull",
    "ReadTransport",
    "Runner",
    "SelectorEventLoop",
    "Semaphore",
    "SendfileNotAvailableError",
    "Server",
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "SubprocessProtocol",
    "SubprocessTransport",
    "Task",
    "TaskGroup",
    "Timeout",
    "TimeoutError",
    "TimerHandle",
    "Transport",
    "WriteTransport",
    "__version__",
    "_enter_task",
    "_get_running_loop",
    "_leave_task",
    "_register_task",
    "_set_running_loop",
    "_unregister_task",
    "all_tasks",
    "as_completed",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "create_task",
    "current_task",
    "ensure_future",
    "gather",
    "get_event_loop",
    "get_event_loop_policy",
    "get_running_loop",
    "install",
    "iscoroutine",
    "iscoroutinefunction",
    "isfuture",
    "new_event_loop",
    "open_connection",
    "open_unix_connection",
    "run",
    "run_coroutine_threadsafe",
    "set_event_loop",
    "set_event_loop_policy",
    "shield",
    "sleep",
    "start_server",
    "start_unix_server",
    "timeout",
    "timeout_at",
    "to_thread",
    "uninstall",
    "wait",
    "wait_for",
    "wrap_future",
]

if sys.version_info < (3, 14):
    from asyncio import AbstractChildWatcher as AbstractChildWatcher
    from asyncio import AbstractEventLoopPolicy as AbstractEventLoopPolicy
    from asyncio import DefaultEventLoopPolicy as DefaultEventLoopPolicy
    from asyncio import FastChildWatcher as FastChildWatcher
    from asyncio import MultiLoopChildWatcher as MultiLoopChildWatcher
    from asyncio import PidfdChildWatcher as PidfdChildWatcher
    from asyncio import SafeChildWatcher as SafeChildWatcher
    from asyncio import ThreadedChildWatcher as ThreadedChildWatcher
    from asyncio import get_child_watcher as get_child_watcher
    from asyncio import set_child_watcher as set_child_watcher

    __all__ += [
        "AbstractChildWatcher",
        "AbstractEventLoopPolicy",
        "DefaultEventLoopPolicy",
        "FastChildWatcher",
        "MultiLoopChildWatcher",
        "PidfdChildWatcher",
        "SafeChildWatcher",
        "ThreadedChildWatcher",
        "get_child_watcher",
        "set_child_watcher",
    ]

if sys.version_info >= (3, 12):
    from asyncio import create_eager_task_factory as create_eager_task_factory
    from asyncio import eager_task_factory as eager_task_factory

    __all__ += [
        "create_eager_task_factory",
        "eager_task_factory",
    ]

if sys.version_info >= (3, 13):
    from asyncio import QueueShutDown as QueueShutDown

    __all__ += [
        "QueueShutDown",
    ]

if sys.version_info >= (3, 14):
    from asyncio import FrameCallGraphEntry as FrameCallGraphEntry
    from asyncio import FutureCallGraph as FutureCallGraph
    from asyncio import capture_call_graph as capture_call_graph
    from asyncio import format_call_graph as format_call_graph
    from asyncio import future_add_to_awaited_by as future_add_to_awaited_by
    from asyncio import future_discard_from_awaited_by as future_discard_from_awaited_by
    from asyncio import print_call_graph as print_call_graph

    __all__ += [
        "FrameCallGraphEntry",
        "FutureCallGraph",
        "capture_call_graph",
        "format_call_graph",
        "future_add_to_awaited_by",
        "future_discard_from_awaited_by",
        "print_call_graph",
    ]

if sys.version_info < (3, 16):
    from batuta.policy import EventLoopPolicy as EventLoopPolicy

    __all__ += ["EventLoopPolicy"]
