"""Exceptions in callbacks: the exception handler, its context, what escapes the loop."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import re
import socket
import sys

import pytest

from contract.reporting import SCHEDULES, every_way, fail, spin
from contract.support import until
from loops import Report


@every_way
def test_the_handler_gets_the_loop_and_the_context(
    loop: asyncio.AbstractEventLoop, way: str
) -> None:
    got: list[tuple[asyncio.AbstractEventLoop, Report]] = []
    loop.set_exception_handler(lambda *args: got.append(args))
    handle = SCHEDULES[way](loop, fail)
    spin(loop)
    [(where, context)] = got
    assert where is loop
    assert set(context) == {"message", "exception", "handle"}
    assert isinstance(context["exception"], LookupError)
    assert context["handle"] is handle
    assert re.fullmatch(
        r"Exception in callback fail\(\) at \S*reporting\.py:\d+", context["message"]
    ), context["message"]


@every_way
def test_the_handler_is_called_where_the_exception_is_handled(
    loop: asyncio.AbstractEventLoop, way: str
) -> None:
    """So that `logging.exception()` in it has a traceback to show."""
    seen: list[object] = []
    loop.set_exception_handler(lambda _, context: seen.extend([sys.exc_info(), context]))
    SCHEDULES[way](loop, fail)
    spin(loop)
    (kind, exception, traceback), context = seen  # type: ignore[misc]
    assert kind is LookupError
    assert exception is context["exception"]
    assert traceback is exception.__traceback__
    assert sys.exc_info() == (None, None, None)


def test_that_of_a_protocol_as_well(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[object] = []
    loop.set_exception_handler(lambda *_: seen.append(sys.exc_info()[0]))

    class Fails(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            raise LookupError

    async def main() -> None:
        near, peer = socket.socketpair()
        await loop.create_connection(Fails, sock=near)
        peer.send(b"data")
        await until(lambda: seen)
        peer.close()

    loop.run_until_complete(main())
    assert seen == [LookupError]


@every_way
def test_the_loop_goes_on_after_an_exception(loop: asyncio.AbstractEventLoop, way: str) -> None:
    loop.set_exception_handler(lambda *_: None)
    ran: list[int] = []
    SCHEDULES[way](loop, fail)
    SCHEDULES[way](loop, lambda: ran.append(1))
    spin(loop)
    assert ran == [1]


def test_the_message_shows_the_arguments_in_debug_mode(loop: asyncio.AbstractEventLoop) -> None:
    got: list[Report] = []
    loop.set_debug(True)
    loop.set_exception_handler(lambda _, context: got.append(context))
    loop.call_soon(int, "not a number")
    spin(loop)
    assert "('not a number')" in got[0]["message"]


def test_without_a_handler_the_error_is_logged_with_its_traceback(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.call_soon(fail)
    spin(loop)
    [record] = caplog.records
    assert (record.name, record.levelno) == ("asyncio", logging.ERROR)
    assert record.getMessage().startswith("Exception in callback fail()")
    assert "\nhandle: <Handle fail() at " in record.getMessage()
    assert record.exc_info
    assert record.exc_info[0] is LookupError


def test_debug_mode_adds_where_the_handle_was_made(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[Report] = []
    loop.set_debug(True)
    loop.set_exception_handler(
        lambda _, context: (got.append(context), loop.default_exception_handler(context))
    )
    loop.call_soon(fail)
    spin(loop)
    frames = got[0]["source_traceback"]
    assert frames[-1].filename == __file__
    assert "Object created at (most recent call last):" in caplog.text


def test_a_failing_handler_falls_back_to_the_default_one(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: asyncio.AbstractEventLoop, context: Report) -> None:
        raise ValueError("broken handler")

    loop.set_exception_handler(broken)
    loop.call_soon(fail)
    spin(loop)
    [record] = caplog.records
    assert record.getMessage().startswith("Unhandled error in exception handler")
    assert record.exc_info
    assert record.exc_info[0] is ValueError
    assert "from a callback" in record.getMessage()


@pytest.mark.parametrize("escaping", [KeyboardInterrupt, SystemExit])
def test_a_handler_may_end_the_run(
    loop: asyncio.AbstractEventLoop, escaping: type[BaseException]
) -> None:
    def leave(_: asyncio.AbstractEventLoop, context: Report) -> None:
        raise escaping

    loop.set_exception_handler(leave)
    loop.call_soon(fail)
    with pytest.raises(escaping):
        loop.run_forever()
    loop.set_exception_handler(None)
    spin(loop)


@every_way
def test_the_handler_runs_in_the_context_of_the_handle(
    loop: asyncio.AbstractEventLoop, way: str
) -> None:
    if not hasattr(asyncio.Handle, "get_context"):
        pytest.skip("call_exception_handler looks at contexts from Python 3.12 on")
    name = contextvars.ContextVar("name", default="none")
    seen: list[str] = []
    loop.set_exception_handler(lambda *_: seen.append(name.get()))
    context = contextvars.copy_context()
    context.run(name.set, "of the handle")
    context.run(SCHEDULES[way], loop, fail)
    spin(loop)
    assert seen == ["of the handle"]


@every_way
@pytest.mark.parametrize("escaping", [KeyboardInterrupt, SystemExit])
def test_exits_escape_run_forever_and_the_loop_can_be_run_again(
    loop: asyncio.AbstractEventLoop, way: str, escaping: type[BaseException]
) -> None:
    reports: list[Report] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))

    def leave() -> None:
        raise escaping("out")

    ran: list[str] = []
    loop.call_later(0.02, ran.append, "later")
    SCHEDULES[way](loop, leave)
    with pytest.raises(escaping, match="out"):
        loop.run_forever()
    assert not loop.is_running()
    assert asyncio._get_running_loop() is None
    loop.run_until_complete(asyncio.sleep(0.04))
    assert ran == ["later"]
    assert reports == []


def test_what_follows_an_exit_in_the_same_turn_runs_in_the_next_run(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """The queue survives; only the callback that raised is gone."""
    ran: list[str] = []

    def leave() -> None:
        raise KeyboardInterrupt

    loop.call_soon(leave)
    loop.call_soon(ran.append, "behind")
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert ran == []
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == ["behind"]


@pytest.mark.parametrize("escaping", [KeyboardInterrupt, SystemExit])
def test_an_exit_in_a_task_is_stored_in_the_task_and_escapes(
    loop: asyncio.AbstractEventLoop, escaping: type[BaseException]
) -> None:
    async def leave() -> None:
        await asyncio.sleep(0)
        raise escaping("out")

    task = loop.create_task(leave())
    with pytest.raises(escaping, match="out"):
        loop.run_until_complete(task)
    assert task.done()
    assert isinstance(task.exception(), escaping)
    spin(loop)


def test_handlers_that_cannot_be_called_are_refused(loop: asyncio.AbstractEventLoop) -> None:
    with pytest.raises(TypeError, match="callable"):
        loop.set_exception_handler("spam")  # type: ignore[arg-type]
    assert loop.get_exception_handler() is None
