"""loop.getaddrinfo(): numeric addresses, names, errors, replaced resolvers."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from loops import Child, Run

ADDRESSES: list[tuple[Any, Any, dict[str, int]]] = [
    *[("127.0.0.1", True, {"type": socket.SOCK_STREAM})] * (sys.version_info >= (3, 14)),
    ("127.0.0.1", 80, {}),
    ("127.0.0.1", "80", {}),
    ("127.0.0.1", None, {}),
    ("127.0.0.1", 80, {"type": socket.SOCK_STREAM}),
    ("127.0.0.1", 80, {"family": socket.AF_INET, "proto": socket.IPPROTO_UDP}),
    ("::1", 80, {"type": socket.SOCK_DGRAM}),
    ("::ffff:127.0.0.1", 1, {"type": socket.SOCK_STREAM}),
    ("127.0.0.1", 80, {"flags": socket.AI_CANONNAME | socket.AI_NUMERICHOST}),
    ("127.0.0.1", 80, {"type": socket.SOCK_DGRAM, "proto": socket.IPPROTO_UDP}),
    ("127.0.0.1", 0, {"type": 1, "family": 2, "proto": 6}),
    ("127.0.0.1", 65535, {"type": socket.SOCK_STREAM}),
    ("127.0.0.1", 65536, {"type": socket.SOCK_STREAM}),
    ("0.0.0.0", 80, {"type": socket.SOCK_STREAM}),
    ("127.1", 80, {"type": socket.SOCK_STREAM}),
    ("0001:0::0:A", 80, {"type": socket.SOCK_STREAM, "family": socket.AF_INET6}),
    ("::127.0.0.1", 80, {"type": socket.SOCK_STREAM}),
    ("::1", 80, {"type": socket.SOCK_STREAM, "flags": socket.AI_PASSIVE}),
    ("fe80::1", None, {"type": socket.SOCK_DGRAM}),
    (b"127.0.0.1", 80, {}),
    (None, 80, {"flags": socket.AI_PASSIVE}),
    ("localhost", 80, {"type": socket.SOCK_STREAM}),
    ("localhost", 80, {}),
    ("LocalHost", None, {"family": socket.AF_INET}),
    ("localhost", "http", {"type": socket.SOCK_STREAM}),
    ("localhost", "80", {"type": socket.SOCK_DGRAM}),
    ("localhost", b"80", {"type": socket.SOCK_STREAM}),
    ("localhost", 65536, {"type": socket.SOCK_STREAM}),
    ("localhost", 80, {"flags": socket.AI_CANONNAME, "family": socket.AF_INET}),
    ("localhost", None, {"type": socket.SOCK_RAW, "proto": socket.IPPROTO_ICMP}),
]


def complaint(host: Any, port: Any, options: dict[str, int]) -> Exception:
    """What the socket module raises."""
    try:
        socket.getaddrinfo(host, port, **options)
    except (OSError, OverflowError, TypeError, ValueError) as error:
        return error
    pytest.fail("the socket module raises nothing")


@pytest.mark.parametrize(("host", "port", "options"), ADDRESSES)
def test_the_answer_is_that_of_the_socket_module(
    run: Run, host: Any, port: Any, options: dict[str, int]
) -> None:
    async def main() -> None:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, **options)
        expected = socket.getaddrinfo(host, port, **options)
        assert found == expected
        assert repr(found) == repr(expected)

    run(main)


@pytest.mark.parametrize(
    ("host", "port", "options"),
    [
        ("127.0.0.1", 80, {"family": socket.AF_INET6}),
        ("127.0.0.1", 80, {"type": 12345}),
        ("127.0.0.1", 80, {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_UDP}),
        ("127.0.0.1", 80, {"type": socket.SOCK_RAW}),
        *[("127.0.0.1", True, {"type": socket.SOCK_STREAM})] * (sys.version_info < (3, 14)),
        ("127.0.0.1", 1.5, {}),
        ("127.0.0.1", -1, {"type": socket.SOCK_STREAM}),
        ("127.0.0.1", 80, {"type": "stream"}),
        ("127.0.0.1", 80, {"flags": 1 << 70}),
        ("::1%", 80, {"flags": socket.AI_NUMERICHOST}),
        (7, 80, {}),
        ("", 80, {}),
        ("no such host!", 80, {}),
        ("a" * 64, 80, {}),
        ("a..b", 80, {}),
        ("nul\0l", 80, {}),
        ("localhost", "no such service", {}),
        ("localhost", -1, {}),
        ("localhost", 80, {"family": 1 << 40}),
        ("localhost", 80, {"type": 77}),
    ],
)
def test_what_cannot_be_raises_as_in_the_socket_module(
    run: Run, host: Any, port: Any, options: dict[str, int]
) -> None:
    async def main() -> None:
        expected = complaint(host, port, options)
        with pytest.raises(type(expected)) as raised:
            await asyncio.get_running_loop().getaddrinfo(host, port, **options)
        assert str(raised.value) == str(expected)

    run(main)


@pytest.mark.parametrize("host", ["127.0.0.1", "example.invalid"])
def test_a_replaced_resolver_is_asked_in_a_thread(
    run: Run, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    threads: list[threading.Thread] = []

    def resolver(*_: Any) -> list[str]:
        threads.append(threading.current_thread())
        return ["found"]

    async def main() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        assert await asyncio.get_running_loop().getaddrinfo(host, 80) == ["found"]

    run(main)
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


def test_it_is_a_coroutine_function(run: Run) -> None:
    async def main() -> None:
        assert inspect.iscoroutinefunction(asyncio.get_running_loop().getaddrinfo)

    run(main)


def test_audit_hooks_hear_of_it(child: Child) -> None:
    told = child.check("""
        import asyncio, socket, sys

        heard = []
        sys.addaudithook(lambda name, args: heard.append(args) if "getaddrinfo" in name else None)

        async def main():
            loop = asyncio.get_running_loop()
            for host in ("127.0.0.1", "localhost"):
                await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM, proto=6)

        run(main())
        print(heard)
    """)
    assert told.strip() == "[('127.0.0.1', 80, 0, 1, 6), ('localhost', 80, 0, 1, 6)]"


def test_a_replaced_run_in_executor_is_called(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        calls: list[Any] = []

        async def run_in_executor(*arguments: Any) -> list[str]:
            calls.append(arguments)
            return ["found"]

        loop.run_in_executor = run_in_executor
        assert await loop.getaddrinfo("localhost", 80, type=1, family=2) == ["found"]
        assert calls == [(None, socket.getaddrinfo, "localhost", 80, 2, 1, 0, 0)]

    run(main)


def test_arguments_that_do_not_fit(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        for call in (
            lambda: loop.getaddrinfo("localhost"),
            lambda: loop.getaddrinfo("localhost", 80, 2),
            lambda: loop.getaddrinfo("localhost", 80, colour=1),
        ):
            with pytest.raises(TypeError, match=r"getaddrinfo\(\) (missing|got|takes)"):
                call()

    run(main)


def test_names_go_to_the_executor_that_the_program_has_chosen(run: Run) -> None:
    class Chosen(ThreadPoolExecutor):
        submitted: ClassVar[list[Any]] = []

        def submit(self, /, *call: Any, **keywords: Any) -> Any:
            self.submitted.append(call)
            return super().submit(*call, **keywords)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await loop.getaddrinfo("localhost", 80)
        with Chosen(1) as chosen:
            loop.set_default_executor(chosen)
            assert await loop.getaddrinfo("localhost", 80, family=socket.AF_INET)
            assert chosen.submitted == [
                (socket.getaddrinfo, "localhost", 80, socket.AF_INET, 0, 0, 0)
            ]
            await loop.shutdown_default_executor()
            with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
                await loop.getaddrinfo("localhost", 80)

    run(main)


def test_names_after_the_default_executor_was_shut_down(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, int)
        assert await loop.getaddrinfo("localhost", 80)
        await loop.shutdown_default_executor()
        for host in ("localhost", "127.0.0.1"):
            with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
                await loop.getaddrinfo(host, 80)

    run(main)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_closed_loop_answers_nothing(loop: asyncio.AbstractEventLoop, host: str) -> None:
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.getaddrinfo(host, 80).send(None)  # type: ignore[attr-defined]


def test_many_names_at_once(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        hosts = ["localhost", "no such host!", "127.0.0.1"] * 60
        calls = [loop.getaddrinfo(host, 80, family=socket.AF_INET) for host in hosts]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        for host, outcome in zip(hosts, outcomes, strict=True):
            if " " in host:
                assert isinstance(outcome, socket.gaierror)
            else:
                assert outcome[0][4] == ("127.0.0.1", 80)  # type: ignore[index]

    run(main)


def test_a_look_up_that_is_cancelled(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(100):
            task = asyncio.ensure_future(loop.getaddrinfo("localhost", 80))
            await asyncio.sleep(0)
            if task.cancel():
                break
            await task  # A thread of the executor was as quick as that.
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await loop.getaddrinfo("localhost", 80)

    run(main)


def test_a_loop_that_is_closed_before_the_answer(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(50):
            with contextlib.suppress(StopIteration):  # It is found already: stock, 3.14.
                loop.getaddrinfo("localhost", 80).send(None)  # type: ignore[attr-defined]

    for _ in range(5):
        run(main)


@pytest.mark.parametrize("turns", [0, 1])
def test_names_in_a_forked_child(child: Child, turns: int) -> None:
    told = child.check(f"""
        import asyncio, os, socket, warnings

        async def main():
            loop = asyncio.get_running_loop()
            return (await loop.getaddrinfo("localhost", 80, family=socket.AF_INET))[0][4]

        warnings.simplefilter("ignore", DeprecationWarning)
        for _ in range({turns}):
            print(run(main()), flush=True)
        pid = os.fork()
        if pid == 0:
            assert run(main()) == ("127.0.0.1", 80)
            os._exit(7)
        print(run(main()), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """)
    assert told.split("\n")[-2] == "('127.0.0.1', 80) 7"


def test_the_end_of_the_process_waits_for_no_answer(child: Child) -> None:
    told = child.check("""
        import asyncio

        async def main():
            loop = asyncio.get_running_loop()
            for _ in range(20):
                loop.create_task(loop.getaddrinfo("localhost", 80))
            await asyncio.sleep(0)

        run(main())
        print("done")
    """)
    assert told == "done\n"
