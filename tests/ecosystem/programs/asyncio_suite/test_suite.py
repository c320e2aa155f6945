"""Tests as users of pytest-asyncio write them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from report import note

events: list[str] = []
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest_asyncio.fixture
async def queue() -> AsyncIterator[asyncio.Queue[int]]:
    note("fixture")
    made: asyncio.Queue[int] = asyncio.Queue()
    variable.set("by the fixture")
    for number in range(3):
        await made.put(number)
    yield made
    await asyncio.sleep(0)
    events.append("fixture ended")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def background() -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(asyncio.Event().wait())
    yield task
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_fixture_and_its_test_share_the_loop(queue: asyncio.Queue[int]) -> None:
    note("test")
    assert [await queue.get() for _ in range(3)] == [0, 1, 2]
    assert variable.get() == "by the fixture"
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(queue.get(), 0.005)


def test_the_fixture_has_ended() -> None:
    assert events == ["fixture ended"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_task_lives_as_long_as_its_loop(background: asyncio.Task[None]) -> None:
    note("background", background)
    assert background in asyncio.all_tasks()
    assert not background.done()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_task_is_there_in_the_next_test(background: asyncio.Task[None]) -> None:
    assert background in asyncio.all_tasks()


async def test_what_a_test_leaves_is_cancelled() -> None:
    async def left() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            events.append("cancelled")

    task = asyncio.create_task(left())
    await asyncio.sleep(0)
    assert not task.done()


def test_it_was_cancelled() -> None:
    assert events == ["fixture ended", "cancelled"]
