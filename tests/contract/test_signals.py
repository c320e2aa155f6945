"""add_signal_handler: delivery, order, removal, errors, signals from before the run."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading

import pytest

from contract.support import turns, until
from loops import Child, Run


def test_a_handler_is_called_with_its_arguments_in_the_loop(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        got: list[object] = []

        def handler(*args: object) -> None:
            got.append((args, asyncio.get_running_loop() is loop, threading.get_ident()))

        assert loop.add_signal_handler(signal.SIGUSR1, handler, 1, "two") is None
        os.kill(os.getpid(), signal.SIGUSR1)
        assert got == []
        await until(lambda: got)
        assert got == [((1, "two"), True, threading.get_ident())]
        assert loop.remove_signal_handler(signal.SIGUSR1) is True

    run(main)


def test_a_signal_wakes_a_sleeping_loop(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, woken.set_result, None)
        timer = threading.Timer(0.05, os.kill, args=(os.getpid(), signal.SIGUSR1))
        timer.start()
        await woken  # no timer is set in the loop
        timer.join()
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main)


def test_a_thousand_signals_are_all_delivered(run: Run) -> None:
    """One at a time: the kernel merges standard signals that are pending together."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        got: list[int] = []
        loop.add_signal_handler(signal.SIGUSR1, got.append, 1)
        for number in range(1000):
            signal.raise_signal(signal.SIGUSR1)
            if number % 10 == 0:
                await asyncio.sleep(0)
        await until(lambda: len(got) >= 1000)
        await turns(5)
        loop.remove_signal_handler(signal.SIGUSR1)
        return len(got)

    assert run(main) == 1000


def test_a_thousand_signals_from_another_process_each_answered(run: Run) -> None:
    """The sender waits for the answer, so that none can merge with the next."""
    code = (
        "import os, sys\n"
        "assert sys.stdin.buffer.raw.read(1) == b'.'\n"
        "for _ in range(1000):\n"
        "    os.kill(int(sys.argv[1]), int(sys.argv[2]))\n"
        "    assert sys.stdin.buffer.raw.read(1) == b'.'\n"
    )

    async def main() -> int:
        loop = asyncio.get_running_loop()
        process: asyncio.subprocess.Process | None = None
        count = 0

        def handler() -> None:
            nonlocal count
            count += 1
            assert process is not None
            assert process.stdin is not None
            process.stdin.write(b".")

        number = signal.SIGUSR1
        loop.add_signal_handler(number, handler)
        arguments = ["-S", "-E", "-c", code, str(os.getpid()), str(int(number))]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdin=asyncio.subprocess.PIPE
        )
        assert process.stdin is not None
        process.stdin.write(b".")
        assert await process.wait() == 0
        loop.remove_signal_handler(number)
        return count

    assert run(main) == 1000


def test_signals_of_different_numbers_keep_their_order(run: Run) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        got: list[str] = []
        numbers = {"usr2": signal.SIGUSR2, "hup": signal.SIGHUP, "usr1": signal.SIGUSR1}
        for name, number in numbers.items():
            loop.add_signal_handler(number, got.append, name)
        for _ in range(3):
            for number in numbers.values():
                signal.raise_signal(number)
        await until(lambda: len(got) == 9)
        for number in numbers.values():
            loop.remove_signal_handler(number)
        return got

    assert run(main) == ["usr2", "hup", "usr1"] * 3


def test_adding_again_replaces_the_handler(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        got: list[str] = []
        loop.add_signal_handler(signal.SIGUSR1, got.append, "first")
        loop.add_signal_handler(signal.SIGUSR1, got.append, "second")
        signal.raise_signal(signal.SIGUSR1)
        await until(lambda: got)
        assert got == ["second"]
        assert loop.remove_signal_handler(signal.SIGUSR1) is True
        assert loop.remove_signal_handler(signal.SIGUSR1) is False

    run(main)


def test_removal_restores_the_default(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number, default in (
            (signal.SIGUSR1, signal.SIG_DFL),
            (signal.SIGINT, signal.default_int_handler),
        ):
            before = signal.getsignal(number)
            loop.add_signal_handler(number, print)
            assert signal.getsignal(number) not in (default, before)
            loop.remove_signal_handler(number)
            assert signal.getsignal(number) == default
            signal.signal(number, before)

    run(main)


def test_closing_the_loop_removes_its_handlers(loop: asyncio.AbstractEventLoop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.add_signal_handler(signal.SIGUSR2, print)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL
    previous = signal.set_wakeup_fd(-1)
    assert previous == -1


def test_a_signal_between_two_runs_is_delivered_in_the_next(
    loop: asyncio.AbstractEventLoop,
) -> None:
    got: list[int] = []
    loop.add_signal_handler(signal.SIGUSR1, got.append, 1)
    signal.raise_signal(signal.SIGUSR1)
    loop.run_until_complete(until(lambda: got))
    signal.raise_signal(signal.SIGUSR1)
    loop.run_until_complete(until(lambda: len(got) == 2))
    assert got == [1, 1]


def test_a_removed_handler_is_not_called_for_a_signal_under_way(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        got: list[int] = []
        loop.add_signal_handler(signal.SIGUSR1, got.append, 1)
        signal.raise_signal(signal.SIGUSR1)
        loop.remove_signal_handler(signal.SIGUSR1)
        await asyncio.sleep(0.01)
        assert got == []

    run(main)


def test_an_exception_in_a_handler_is_reported(run: Run) -> None:
    reports: list[dict[str, object]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def broken() -> None:
            raise LookupError("signal handler")

        loop.add_signal_handler(signal.SIGUSR1, broken)
        signal.raise_signal(signal.SIGUSR1)
        await until(lambda: reports)
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main, reports=reports)
    assert [str(report["exception"]) for report in reports] == ["signal handler"]


@pytest.mark.parametrize(
    ("number", "error"),
    [
        ("text", TypeError),
        (None, TypeError),
        (0, ValueError),
        (-1, ValueError),
        (1000, ValueError),
        (signal.SIGKILL, RuntimeError),
        (signal.SIGSTOP, RuntimeError),
    ],
)
def test_signals_that_cannot_be_handled_are_refused(
    loop: asyncio.AbstractEventLoop, number: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        loop.add_signal_handler(number, print)
    if error is not RuntimeError:
        with pytest.raises(error):
            loop.remove_signal_handler(number)


def test_coroutines_are_refused_as_handlers(loop: asyncio.AbstractEventLoop) -> None:
    async def handler() -> None: ...

    with pytest.raises(TypeError, match="coroutines cannot be used"):
        loop.add_signal_handler(signal.SIGUSR1, handler)
    coroutine = handler()
    with pytest.raises(TypeError, match="coroutines cannot be used"):
        loop.add_signal_handler(signal.SIGUSR1, coroutine)  # type: ignore[arg-type]
    coroutine.close()


def test_signal_handlers_need_the_main_thread(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises((RuntimeError, ValueError), match="main thread"):
            await asyncio.to_thread(loop.add_signal_handler, signal.SIGUSR1, print)

    run(main)


def test_a_handler_may_be_set_for_sigchld(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        got: list[int] = []
        loop.add_signal_handler(signal.SIGCHLD, got.append, 1)
        process = await asyncio.create_subprocess_shell("exit 3")
        assert await process.wait() == 3
        await until(lambda: got)
        loop.remove_signal_handler(signal.SIGCHLD)

    run(main)


def test_a_handler_of_the_signal_module_runs_while_the_loop_sleeps(run: Run) -> None:
    """Handlers that Python knows and the loop does not must not wait for the next event."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        previous = signal.signal(
            signal.SIGUSR1, lambda *_: loop.call_soon_threadsafe(done.set_result, "ran")
        )
        timer = threading.Timer(0.05, os.kill, args=(os.getpid(), signal.SIGUSR1))
        timer.start()
        assert await done == "ran"
        timer.join()
        signal.signal(signal.SIGUSR1, previous)

    run(main)


def test_signals_of_another_loop_are_not_lost_when_one_starts_and_ends(child: Child) -> None:
    out = child.check(
        """
        import asyncio, os, signal, subprocess, sys, threading, time

        count, arrived = 400, 0

        def arrive():
            global arrived
            arrived += 1

        another = new_event_loop()
        # Of real-time signals the kernel keeps each one, however many are pending.
        sent = int(signal.SIGRTMIN)
        another.add_signal_handler(sent, arrive)
        thread = threading.Thread(target=another.run_forever)
        thread.start()
        code = "import os, time\\nfor _ in range(%d): os.kill(%d, %d); time.sleep(0.002)"
        code %= (count, os.getpid(), sent)
        sender = subprocess.Popen([sys.executable, "-S", "-c", code])
        ours = new_event_loop()
        while sender.poll() is None:
            ours.run_until_complete(asyncio.sleep(0))
        ours.close()
        deadline = time.monotonic() + 10
        while arrived < count and time.monotonic() < deadline:
            time.sleep(0.01)
        another.call_soon_threadsafe(another.stop)
        thread.join()
        another.close()
        print(arrived)
        """
    )
    assert int(out) == 400


def test_the_wakeup_descriptor_of_somebody_else_stays(run: Run) -> None:
    theirs, end = socket.socketpair()
    with theirs, end:
        theirs.setblocking(False)
        end.setblocking(False)
        assert signal.set_wakeup_fd(end.fileno()) == -1
        handler = signal.signal(signal.SIGUSR1, lambda *_: None)
        try:

            async def main() -> None:
                os.kill(os.getpid(), signal.SIGUSR1)
                await turns(3)

            run(main)
            os.kill(os.getpid(), signal.SIGUSR1)
            assert theirs.recv(10) == bytes([signal.SIGUSR1] * 2)
        finally:
            signal.signal(signal.SIGUSR1, handler)
            assert signal.set_wakeup_fd(-1) == end.fileno()


def test_a_loop_closed_while_the_interpreter_ends_takes_its_descriptor_back(
    child: Child, is_stock: bool
) -> None:
    if is_stock:
        pytest.skip("stock leaves the number of its closed socket there")
    out = child.check(
        """
        import os, signal, socket, sys, warnings

        warnings.simplefilter("ignore", ResourceWarning)  # The handlers are left, at that time.

        class Late:
            def __init__(self, loop):
                self.loop = loop

            def __del__(self, ends=sys.is_finalizing, write=os.write, take=signal.set_wakeup_fd):
                self.loop.close()
                write(1, f"{ends()} {take(-1)}".encode())

        theirs, end = socket.socketpair()
        end.setblocking(False)
        signal.set_wakeup_fd(end.fileno())
        late = Late(new_event_loop())

        async def main():
            late.loop.add_signal_handler(signal.SIGUSR1, print)

        late.loop.run_until_complete(main())
        """
    )
    assert out == "True -1"
