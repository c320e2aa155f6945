"""`__dict__` of readers, writers and their protocol.

What asyncio's classes keep there, ours keep in native fields, which show there and can be changed
there.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from contract.kits import Kit, both_kits
from contract.streams import stream
from contract.support import turns
from loops import Run

# asyncio sets these when it needs them for the first time.
LATE = {"_strong_reader", "_stream_writer"}


def names_of(kept: Any) -> set[str]:
    return set(vars(kept)) - LATE


@both_kits
def test_names(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = kit.StreamReader()
        protocol = kit.StreamReaderProtocol(reader)
        assert names_of(reader) == names_of(asyncio.StreamReader())
        assert names_of(protocol) == names_of(asyncio.StreamReaderProtocol(asyncio.StreamReader()))
        assert vars(reader)["_limit"] == 2**16
        assert vars(protocol)["_paused"] is False
        assert isinstance(vars(reader), dict)
        async with stream(kit) as (reader, writer, _):
            assert names_of(writer) == {
                *("_transport", "_protocol", "_reader", "_loop", "_complete_fut")
            }
            assert vars(writer)["_reader"] is reader
            assert vars(reader)["_transport"] is writer.transport

    run(main)


@both_kits
def test_what_is_written_there_arrives(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = kit.StreamReader()
        kept = vars(reader)
        kept["_eof"] = True
        assert reader.at_eof()
        kept.update(_eof=False, mine=1)
        assert not reader.at_eof()
        assert reader.mine == 1
        assert kept.pop("mine") == 1
        assert not hasattr(reader, "mine")
        assert kept.setdefault("mine", 2) == reader.mine == 2
        assert kept.setdefault("_eof", True) is False
        kept |= {"mine": 3}
        assert reader.mine == vars(reader)["mine"] == 3
        del kept["mine"]
        assert not hasattr(reader, "mine")
        with pytest.raises(KeyError):
            del kept["mine"]
        reader.mine = 4
        assert vars(reader)["mine"] == 4
        copy = vars(reader).copy()
        copy["_eof"] = True
        assert type(copy) is dict
        assert not reader.at_eof()
        reader.__dict__ = copy
        assert reader.at_eof()
        assert reader.mine == 4

    run(main)


@both_kits
def test_a_method_can_be_put_there(kit: Kit, run: Run) -> None:
    async def main() -> list[bytes]:
        got: list[bytes] = []
        async with stream(kit) as (reader, _, peer):
            vars(reader)["feed_data"] = got.append
            peer.send(b"one")
            while not got:
                await asyncio.sleep(0)
            del vars(reader)["feed_data"]
            peer.send(b"two")
            got.append(await reader.readexactly(3))
        return got

    assert run(main) == [b"one", b"two"]


@both_kits
def test_a_subclass_can_put_its_state_back(kit: Kit, run: Run) -> None:
    """One protocol for several pipes: the first that is closed is not to end the others."""

    class Kept(kit.StreamReaderProtocol):  # type: ignore[misc,name-defined]
        def connection_made(self, transport: Any) -> None:
            if self._stream_reader._transport is None:
                super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            state = self.__dict__.copy()
            super().connection_lost(exc)
            self.__dict__.update(state)

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        (source, questions), (answers, sink) = os.pipe(), os.pipe()
        reader = kit.StreamReader()
        protocol = Kept(reader)
        await loop.connect_read_pipe(lambda: protocol, open(source, "rb", 0))
        transport, _ = await loop.connect_write_pipe(lambda: protocol, open(sink, "wb", 0))
        writer = kit.StreamWriter(transport, protocol, reader, loop)
        os.write(questions, b"question")
        os.close(questions)
        assert await reader.read() == b"question"
        await turns(5)
        assert protocol._connection_lost is False
        assert protocol._transport is not None
        assert protocol._stream_reader is reader
        writer.write(b"answer")
        await writer.drain()
        got = os.read(answers, 100)
        writer.close()
        await turns(5)
        os.close(answers)
        return got

    assert run(main) == b"answer"
