"""loop.getaddrinfo(): numeric addresses, names, errors, replaced resolvers."""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
from typing import Any

import pytest

from loops import Run

ADDRESSES: list[tuple[Any, Any, dict[str, int]]] = [
    ("127.0.0.1", 80, {}),
    ("127.0.0.1", "80", {}),
    ("127.0.0.1", None, {}),
    ("127.0.0.1", 80, {"type": socket.SOCK_STREAM}),
    ("127.0.0.1", 80, {"family": socket.AF_INET, "proto": socket.IPPROTO_UDP}),
    ("::1", 80, {"type": socket.SOCK_DGRAM}),
    ("::ffff:127.0.0.1", 1, {"type": socket.SOCK_STREAM}),
    ("127.0.0.1", 80, {"flags": socket.AI_CANONNAME | socket.AI_NUMERICHOST}),
    (b"127.0.0.1", 80, {}),
    (None, 80, {"flags": socket.AI_PASSIVE}),
    ("localhost", 80, {"type": socket.SOCK_STREAM}),
]


def complaint(host: Any, port: Any, options: dict[str, int]) -> Exception:
    """What the socket module raises."""
    try:
        socket.getaddrinfo(host, port, **options)
    except (OSError, TypeError, ValueError) as error:
        return error
    pytest.fail("the socket module raises nothing")


@pytest.mark.parametrize(("host", "port", "options"), ADDRESSES)
def test_the_answer_is_that_of_the_socket_module(
    run: Run, host: Any, port: Any, options: dict[str, int]
) -> None:
    async def main() -> None:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, **options)
        assert found == socket.getaddrinfo(host, port, **options)

    run(main)


@pytest.mark.parametrize(
    ("host", "port", "options"),
    [
        ("127.0.0.1", 80, {"family": socket.AF_INET6}),
        ("127.0.0.1", 80, {"type": 12345}),
        ("127.0.0.1", 1.5, {}),
        ("::1%", 80, {"flags": socket.AI_NUMERICHOST}),
        (7, 80, {}),
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
