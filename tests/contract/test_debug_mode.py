"""Debug mode: thread checks, callback checks, and slow callbacks of every kind named in the log."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from contract.support import Recorder, connected, raw_pair, until
from loops import Child, Run

HOG = 0.03  # how long the slow callbacks block; the limit of each test is a third of that


def hog(*_: object) -> None:
    time.sleep(HOG)


def slow_reports(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [r for r in caplog.records if r.levelno == logging.WARNING and r.name == "asyncio"]
    return [r.getMessage() for r in found if r.getMessage().startswith("Executing ")]


def run_with_limit(run: Run, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        asyncio.get_running_loop().slow_callback_duration = HOG / 3
        await main()

    run(limited, debug=True)


def test_the_default_limit_is_100_ms(loop: asyncio.AbstractEventLoop) -> None:
    assert loop.slow_callback_duration == 0.1
    loop.slow_callback_duration = 0.2
    assert loop.slow_callback_duration == 0.2


def test_debug_mode_can_be_switched(loop: asyncio.AbstractEventLoop) -> None:
    loop.set_debug(True)
    assert loop.get_debug() is True
    loop.set_debug(False)
    assert loop.get_debug() is False


def test_the_environment_and_dev_mode_switch_debug_mode_on(child: Child) -> None:
    code = "loop = new_event_loop(); print(loop.get_debug()); loop.close()"
    assert child.check(code) == "False\n"
    assert child.check(code, PYTHONASYNCIODEBUG="1") == "True\n"
    assert child.check(code, "-X", "dev") == "True\n"


@pytest.mark.parametrize("method", ["call_soon", "call_later", "call_at"])
def test_calls_from_another_thread_are_refused(run: Run, method: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        arguments: list[Any] = [print] if method == "call_soon" else [1, print]
        with pytest.raises(RuntimeError, match="Non-thread-safe operation"):
            await asyncio.to_thread(getattr(loop, method), *arguments)
        await asyncio.to_thread(loop.call_soon_threadsafe, int)

    run(main, debug=True)


@pytest.mark.parametrize("method", ["call_soon", "call_later", "call_at", "call_soon_threadsafe"])
def test_callbacks_that_are_none_are_refused(loop: asyncio.AbstractEventLoop, method: str) -> None:
    loop.set_debug(True)
    early: list[Any] = [1] if method in ("call_later", "call_at") else []

    async def function() -> None: ...

    coroutine = function()
    call = getattr(loop, method)
    with pytest.raises(TypeError, match="coroutines cannot be used"):
        call(*early, coroutine)
    coroutine.close()
    with pytest.raises(TypeError, match="coroutines cannot be used"):
        call(*early, function)
    with pytest.raises(TypeError, match="a callable object was expected"):
        call(*early, object())


def test_a_slow_task_is_reported(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def greedy() -> None:
            hog()

        await asyncio.get_running_loop().create_task(greedy(), name="greedy task")

    run_with_limit(run, main)
    reports = slow_reports(caplog)
    assert any("greedy" in text for text in reports), reports
    assert re.fullmatch(r"Executing <Task .*> took \d+\.\d{3} seconds", reports[0]), reports


def test_a_slow_step_of_a_task_that_waited_is_reported(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        async def greedy() -> None:
            await future
            hog()

        task = loop.create_task(greedy())
        await asyncio.sleep(0.001)
        future.set_result(None)
        await task

    run_with_limit(run, main)
    assert any("greedy" in text for text in slow_reports(caplog)), slow_reports(caplog)


SLOW: dict[str, Callable[[asyncio.AbstractEventLoop, Any, Any], object]] = {
    "call_soon": lambda loop, near, far: loop.call_soon(hog),
    "call_later": lambda loop, near, far: loop.call_later(0.001, hog),
    "call_soon_threadsafe": lambda loop, near, far: loop.call_soon_threadsafe(hog),
    "add_reader": lambda loop, near, far: (
        far.send(b"x"),
        loop.add_reader(near, lambda: (loop.remove_reader(near), hog())),
    ),
    "add_writer": lambda loop, near, far: loop.add_writer(
        near, lambda: (loop.remove_writer(near), hog())
    ),
}


@pytest.mark.parametrize("way", list(SLOW))
def test_a_slow_callback_is_reported(run: Run, caplog: pytest.LogCaptureFixture, way: str) -> None:
    async def main() -> None:
        near, far = raw_pair("unix")
        SLOW[way](asyncio.get_running_loop(), near, far)
        await until(lambda: slow_reports(caplog))
        near.close()
        far.close()

    run_with_limit(run, main)
    reports = slow_reports(caplog)
    pattern = re.compile(r"Executing <\w*Handle .*test_debug_mode.*> took \d+\.\d{3} seconds")
    assert any(pattern.fullmatch(report) for report in reports), reports


def test_a_slow_signal_handler_is_reported(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, hog)
        signal.raise_signal(signal.SIGUSR1)
        await until(lambda: slow_reports(caplog))
        loop.remove_signal_handler(signal.SIGUSR1)

    run_with_limit(run, main)
    assert any("hog" in report for report in slow_reports(caplog)), slow_reports(caplog)


@pytest.mark.parametrize(
    "event",
    ["connection_made", "data_received", "eof_received", "connection_lost", "resume_writing"],
)
def test_a_slow_protocol_method_is_reported(
    run: Run, caplog: pytest.LogCaptureFixture, event: str
) -> None:
    async def main() -> None:
        class Slow(Recorder):
            pass

        def slow(self: Slow, *args: Any) -> Any:
            result = getattr(Recorder, event)(self, *args)
            hog()
            return result

        setattr(Slow, event, slow)
        async with connected("unix", Slow) as (transport, protocol, peer):
            caplog_before = len(slow_reports(caplog)) if event != "connection_made" else 0
            peer.send(b"x")
            await until(lambda: protocol.data)
            if event == "resume_writing":
                transport.set_write_buffer_limits(high=0)
                transport.write(b"y" * 2_000_000)
                assert "pause_writing" in protocol.events

                def resumed() -> bool:
                    try:
                        peer.recv(65536)
                    except BlockingIOError:
                        pass
                    return "resume_writing" in protocol.events

                await until(resumed)
            elif event in ("eof_received", "connection_lost"):
                peer.close()
                await until(lambda: protocol.lost)
            assert len(slow_reports(caplog)) > caplog_before, event

    run_with_limit(run, main)


def test_nothing_is_reported_without_debug_mode(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = HOG / 3
        loop.call_soon(hog)
        await asyncio.sleep(0.001)
        hog()

    run(main, debug=False)
    assert slow_reports(caplog) == []


def test_quick_callbacks_are_not_reported(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 30.0
        loop.call_soon(hog)
        await asyncio.sleep(0.001)
        hog()

    run(main, debug=True)
    assert slow_reports(caplog) == []


def test_debug_mode_from_another_thread_while_the_loop_runs(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=loop.set_debug, args=(True,))
        thread.start()
        thread.join()
        await asyncio.sleep(0)
        assert loop.get_debug()

    run(main)


def test_tasks_and_futures_know_where_they_were_made(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(asyncio.sleep(0))
        for made in (task, loop.create_future()):
            frames = made._source_traceback  # type: ignore[attr-defined]
            assert __file__ in [frame.filename for frame in frames]
        await task

    run(main, debug=True)


def test_an_error_that_the_peer_has_caused_is_logged_with_its_traceback(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="asyncio")

    async def main() -> None:
        async with connected("unix", Recorder) as (transport, protocol, peer):
            transport.pause_reading()
            peer.close()
            transport.write(b"x")
            await until(lambda: protocol.lost)
            assert isinstance(protocol.reason, BrokenPipeError)
            [record] = [one for one in caplog.records if "Fatal write error" in one.getMessage()]
            assert record.levelno == logging.DEBUG
            assert record.exc_info is not None
            assert record.exc_info[:2] == (BrokenPipeError, protocol.reason)

    run(main, debug=True)
