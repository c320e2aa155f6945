"""Water marks: pause_writing and resume_writing exactly when stock calls them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from contract.support import Recorder, both_kinds, connected, receive, turns, until
from loops import Report, Run


async def fill(transport: Any) -> int:
    """Write until the kernel takes no more and stays so; the number of bytes written."""
    transport.set_write_buffer_limits(high=1 << 30)
    written = size = 0
    while size == 0 or transport.get_write_buffer_size() != size:
        while transport.get_write_buffer_size() == 0:
            transport.write(b"f" * 50_000)
            written += 50_000
        size = transport.get_write_buffer_size()
        await asyncio.sleep(0.01)
    return written


def paused(protocol: Recorder) -> list[str]:
    return [event for event in protocol.events if event.endswith("_writing")]


@both_kinds
def test_the_default_limits(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, _):
            assert transport.get_write_buffer_limits() == (16384, 65536)
            assert transport.get_write_buffer_size() == 0

    run(main)


@pytest.mark.parametrize(
    ("arguments", "limits"),
    [
        ({}, (16384, 65536)),
        ({"high": 0}, (0, 0)),
        ({"high": 1000}, (250, 1000)),
        ({"low": 1000}, (1000, 4000)),
        ({"high": 100, "low": 100}, (100, 100)),
        ({"high": 2_000_000, "low": 0}, (0, 2_000_000)),
        ({"high": None, "low": 5}, (5, 20)),
        ({"high": 5e5}, (125_000.0, 500_000.0)),
        ({"low": 2.5}, (2.5, 10.0)),
        ({"high": 2**80}, (2**78, 2**80)),
        ({"low": 2**62}, (2**62, 2**64)),
        ({"high": float("inf"), "low": 0}, (0, float("inf"))),
        ({"high": True}, (0, 1)),
    ],
)
def test_limits_that_are_given_set_the_others(
    run: Run, arguments: dict[str, float | None], limits: tuple[float, float]
) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, _):
            transport.set_write_buffer_limits(**arguments)
            assert transport.get_write_buffer_limits() == limits

    run(main)


def test_limits_may_be_fractions(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, protocol, _):
            await fill(transport)
            size = transport.get_write_buffer_size()
            transport.set_write_buffer_limits(high=size + 9.5, low=size - 0.5)
            transport.write(b"123456789")
            assert paused(protocol) == []
            transport.write(b"0")
            assert paused(protocol) == ["pause_writing"]
            assert transport.get_write_buffer_limits() == (size - 0.5, size + 9.5)
            transport.set_write_buffer_limits(high=1 << 30)
            assert transport.get_write_buffer_limits() == (1 << 28, 1 << 30)

    run(main)


@pytest.mark.parametrize(
    "arguments",
    [{"high": 1, "low": 2}, {"high": -1}, {"low": -1}, {"high": -0.5}, {"high": float("nan")}],
)
def test_limits_that_make_no_sense_are_refused(run: Run, arguments: dict[str, float]) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, _):
            with pytest.raises(ValueError, match=r"high .* must be >= low .* must be >= 0"):
                transport.set_write_buffer_limits(**arguments)
            assert transport.get_write_buffer_limits() == (16384, 65536)

    run(main)


@both_kinds
def test_pause_comes_only_above_the_high_mark_and_inside_the_write(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, _):
            await fill(transport)
            size = transport.get_write_buffer_size()
            assert paused(protocol) == []
            transport.set_write_buffer_limits(high=size + 100, low=size)
            transport.write(b"x" * 100)
            assert transport.get_write_buffer_size() == size + 100
            assert paused(protocol) == []
            transport.write(b"x")
            assert paused(protocol) == ["pause_writing"]
            transport.write(b"x" * 1000)
            assert paused(protocol) == ["pause_writing"]
            assert transport.get_write_buffer_size() == size + 1101

    run(main)


@both_kinds
def test_resume_comes_once_when_the_low_mark_is_reached(run: Run, kind: str) -> None:
    sizes: list[int] = []

    class Noting(Recorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            sizes.append(self.transport.get_write_buffer_size())

    async def main() -> None:
        async with connected(kind, Noting) as (transport, protocol, peer):
            written = await fill(transport)
            transport.set_write_buffer_limits(high=100_000, low=30_000)
            transport.write(b"x" * 200_000)
            written += 200_000
            assert paused(protocol) == ["pause_writing"]
            assert await receive(peer, written) == b"f" * (written - 200_000) + b"x" * 200_000
            await until(lambda: len(paused(protocol)) == 2)
            assert paused(protocol) == ["pause_writing", "resume_writing"]
            assert sizes[0] <= 30_000
            await turns(5)
            assert transport.get_write_buffer_size() == 0
            assert paused(protocol) == ["pause_writing", "resume_writing"]

    run(main)


@both_kinds
def test_with_a_high_mark_of_zero_any_buffered_byte_pauses(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            transport.set_write_buffer_limits(high=0)
            transport.write(b"small: leaves at once")
            assert paused(protocol) == []
            transport.write(b"x" * 2_000_000)
            assert paused(protocol) == ["pause_writing"]
            await receive(peer, 2_000_021)
            await until(lambda: paused(protocol) == ["pause_writing", "resume_writing"])

    run(main)


@both_kinds
def test_a_write_inside_resume_writing_is_sent(run: Run, kind: str) -> None:
    class Answering(Recorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            if paused(self).count("resume_writing") == 1:
                self.transport.write(b"more")

    async def main() -> None:
        async with connected(kind, Answering) as (transport, _, peer):
            transport.set_write_buffer_limits(high=0)
            transport.write(b"x" * 2_000_000)
            assert (await receive(peer, 2_000_004))[-4:] == b"more"

    run(main)


@both_kinds
def test_closing_inside_resume_writing_keeps_what_is_buffered(run: Run, kind: str) -> None:
    class Closing(Recorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            self.transport.close()

    async def main() -> None:
        async with connected(kind, Closing) as (transport, protocol, peer):
            transport.set_write_buffer_limits(high=1_000_000, low=500_000)
            transport.write(b"x" * 2_000_000)
            assert await receive(peer, 2_000_000) == b"x" * 2_000_000
            await until(lambda: protocol.lost)
            assert protocol.reason is None

    run(main)


@pytest.mark.parametrize("event", ["pause_writing", "resume_writing"])
def test_exceptions_in_flow_control_are_reported_and_change_nothing(run: Run, event: str) -> None:
    reports: list[Report] = []

    def broken(self: Recorder) -> None:
        raise LookupError(event)

    broken_class = type("Broken", (Recorder,), {event: broken})

    async def main() -> None:
        async with connected("unix", broken_class) as (transport, _, peer):
            transport.set_write_buffer_limits(high=0)
            transport.write(b"x" * 2_000_000)
            assert await receive(peer, 2_000_000) == b"x" * 2_000_000
            await until(lambda: reports)
            assert not transport.is_closing()

    run(main, reports=reports)
    [report] = reports
    assert report["message"] == f"protocol.{event}() failed"
    assert isinstance(report["exception"], LookupError)
    assert set(report) == {"message", "exception", "transport", "protocol"}


@both_kinds
def test_drain_waits_for_the_peer(run: Run, kind: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def streams() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(asyncio.StreamReader())

        async with connected(kind, streams) as (transport, protocol, peer):
            writer = asyncio.StreamWriter(transport, protocol, None, loop)
            await writer.drain()
            writer.write(b"x" * 2_000_000)
            draining = asyncio.ensure_future(writer.drain())
            await asyncio.sleep(0.005)
            assert not draining.done()
            await receive(peer, 2_000_000)
            await draining

    run(main)
