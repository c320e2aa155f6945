"""The memory of a burst is given back while the loop sleeps."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys

import pytest

from leaks.ways import WAYS, Way

BURST = 12_000
FOR_EVER = 1024
"""So many dead handles a loop may keep for ever."""


@pytest.mark.parametrize("kind", ["call_soon", "call_later", "call_soon_threadsafe"])
def test_memory_of_a_burst_is_given_back(loop_way: Way, kind: str) -> None:
    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()

        async def burst() -> None:
            done = loop.create_future()
            ran = 0

            def run() -> None:
                nonlocal ran
                ran += 1
                if ran == BURST:
                    done.set_result(None)

            for _ in range(BURST):
                if kind == "call_later":
                    loop.call_later(0.001, run)
                else:
                    getattr(loop, kind)(run)
            await done

        before = sys.getallocatedblocks()
        await burst()
        for _ in range(200):
            await asyncio.sleep(0.0001)
        gc.collect()
        return before, sys.getallocatedblocks()

    before, after = loop_way.run(main)
    assert after - before < FOR_EVER + 500


@pytest.mark.parametrize("kind", ["call_soon", "call_later", "call_soon_threadsafe"])
def test_callbacks_of_a_burst_share_the_copy_of_their_context(kind: str) -> None:
    """Where the interpreter keeps variables was found, then; without, each has a copy."""

    def contexts() -> int:
        return sum(isinstance(it, contextvars.Context) for it in gc.get_objects())

    async def main() -> int:
        loop = asyncio.get_running_loop()
        before = contexts()
        for _ in range(BURST):
            if kind == "call_later":
                loop.call_later(0.001, len, ())
            else:
                getattr(loop, kind)(len, ())
        made = contexts() - before
        await asyncio.sleep(0.01)
        assert contexts() - before <= 2
        return made

    assert 1 <= WAYS["batuta"].run(main) <= 2
