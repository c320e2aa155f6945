"""What a reader's methods say to arguments that programs hardly ever give, and what they chain.

asyncio's own reader says what is right: each case is tried on both, and has to come out the same,
down to what is left in the buffer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from contract.kits import BATUTA_KIT, STOCK_KIT, Kit, both_kits
from contract.streams import new_reader
from loops import Run


class Three:
    def __index__(self) -> int:
        return 3


class Own(int):
    pass


NUMBERS = [
    *(3.0, 3.5, 0.0, float("nan"), float("inf"), "3", None, True, Own(2), Three(), [1], object),
    *(2**70, -(2**70), -1, 0),
]
SEPARATORS = [
    *("\n", bytearray(b"\n"), memoryview(b"\n"), memoryview(b"abcd\n")[::2], None, 1, object),
    *(b"", (), (b"\n", b"d"), (b"", b"x"), ("x",), (b"x", 1), [b"\n"]),
]


def described(exc: BaseException | None) -> Any:
    """An exception with what it says and what it stands in for."""
    if exc is None:
        return None
    partial = getattr(exc, "partial", None)
    return type(exc), str(exc), partial, described(exc.__cause__), described(exc.__context__)


async def outcome(call: Callable[[], Awaitable[Any]]) -> Any:
    """What it gives or raises, or that it waits."""
    try:
        async with asyncio.timeout(0.02):
            return await call()
    except TimeoutError:
        return "waits"
    except Exception as exc:
        return described(exc)


async def cases(
    kit: Kit, method: str, arguments: list[Any], fed: list[bytes], limit: int = 2**16
) -> list[Any]:
    """How a method takes each of the arguments, for each of the contents, open and ended."""
    found = []
    for argument in arguments:
        for data in fed:
            for ended in (False, True):
                reader = new_reader(kit, data, limit=limit)
                if ended:
                    reader.feed_eof()
                got = await outcome(lambda r=reader, a=argument: getattr(r, method)(*a))
                found.append((method, argument, data, ended, got, bytes(reader._buffer)))
    return found


@pytest.mark.parametrize(
    ("method", "arguments", "fed"),
    [
        ("read", NUMBERS, [b"", b"abc", b"abcdef"]),
        ("readexactly", NUMBERS, [b"", b"abc", b"abcdef"]),
        ("readuntil", SEPARATORS, [b"", b"abc\ndef"]),
    ],
)
def test_odd_arguments_are_answered_as_ever(
    method: str, arguments: list[Any], fed: list[bytes], run: Run
) -> None:
    async def main() -> None:
        each = [(argument,) for argument in arguments]
        ours, stock = [await cases(kit, method, each, fed) for kit in (BATUTA_KIT, STOCK_KIT)]
        for one, other in zip(ours, stock, strict=True):
            assert one == other

    run(main)


@pytest.mark.parametrize("method", ["readline", "readuntil"])
def test_lines_beyond_the_limit_are_answered_as_ever(method: str, run: Run) -> None:
    fed = [b"x" * 8 + b"\n", b"x" * 9 + b"\nrest", b"x" * 9, b"x" * 30]

    async def main() -> None:
        ours, stock = [await cases(kit, method, [()], fed, 8) for kit in (BATUTA_KIT, STOCK_KIT)]
        for one, other in zip(ours, stock, strict=True):
            assert one == other

    run(main)


@both_kits
def test_a_line_too_long_names_what_it_came_from(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit, b"much too long\n", limit=4)
        try:
            raise LookupError
        except LookupError as outer:
            with pytest.raises(ValueError, match="longer than limit") as raised:
                await reader.readline()
            context = raised.value.__context__
            assert type(context) is asyncio.LimitOverrunError
            assert context.__context__ is outer
            assert raised.value.__cause__ is None

    run(main)


@both_kits
def test_what_is_in_the_buffer_can_be_fed_again(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit, b"abc")
        reader.feed_data(reader._buffer)
        assert await reader.read(100) == b"abcabc"
        reader.feed_data(b"abc")
        with memoryview(reader._buffer) as held, pytest.raises(BufferError):
            reader.feed_data(held)
        assert await reader.read(100) == b"abc"

    run(main)
