"""`import batuta as asyncio`: all of asyncio's public names, native where Batuta has them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import types
import warnings
from asyncio import events, unix_events
from pathlib import Path
from typing import Any

import batuta
import pytest
from batuta.natives import NATIVE

OWN = {"EventLoop", "Runner", "SelectorEventLoop", "get_event_loop", "new_event_loop", "run"}


def test_every_public_name_of_asyncio_is_there() -> None:
    assert set(asyncio.__all__) <= set(batuta.__all__)
    assert "TaskGroup" in batuta.__all__  # 3.11 leaves it out of its own list
    namespace: dict[str, Any] = {}
    exec("from batuta import *", namespace)
    assert set(batuta.__all__) <= set(namespace)


@pytest.mark.parametrize("name", sorted({*asyncio.__all__, "TaskGroup"} - OWN))
def test_a_name_is_the_native_one_or_asyncios_own(name: str) -> None:
    ours, stock = getattr(batuta, name), getattr(asyncio, name)
    if name in NATIVE:
        assert ours is NATIVE[name]
        assert ours is not stock
        if isinstance(stock, type):
            assert issubclass(ours, stock)
    else:
        assert ours is stock


def test_the_table_of_native_names_has_public_names_of_asyncio_only() -> None:
    assert set(NATIVE) <= {*asyncio.__all__, "TaskGroup"}


def test_the_type_checkers_names_are_those_of_the_running_version() -> None:
    namespace: dict[str, Any] = {}
    stub = Path(batuta.__file__).with_suffix(".pyi")
    exec(compile(stub.read_text(), str(stub), "exec"), namespace)
    assert sorted(namespace["__all__"]) == sorted(batuta.__all__)
    assert set(namespace["__all__"]) <= set(namespace)
    for name in set(namespace) - set(batuta.__all__) - {"sys", "__builtins__"}:
        if not name.startswith("__"):
            assert getattr(batuta, name) is namespace[name], name


def test_asyncios_modules_are_there() -> None:
    for name in ("subprocess", "events", "tasks", "futures", "streams", "exceptions", "sslproto"):
        assert getattr(batuta, name) is getattr(asyncio, name)
    assert isinstance(batuta.subprocess, types.ModuleType)


def test_a_name_that_asyncio_has_not_is_an_error() -> None:
    with pytest.raises(AttributeError, match="module 'batuta' has no attribute 'nonsense'"):
        _ = batuta.nonsense  # type: ignore[attr-defined]
    assert not hasattr(batuta, "__wrapped__")


def test_a_program_with_batuta_under_asyncios_name_runs_on_it() -> None:
    program = """
import batuta as asyncio

async def worker(queue: asyncio.Queue[int], done: asyncio.Event) -> int:
    async with asyncio.timeout(30):
        await done.wait()
        return sum([await queue.get() for _ in range(10)])

async def main():
    assert isinstance(asyncio.get_running_loop(), asyncio.EventLoop)
    queue, done = asyncio.Queue(), asyncio.Event()
    task = asyncio.create_task(worker(queue, done))
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(queue.put(number))
    done.set()
    await asyncio.sleep(0)
    child = await asyncio.create_subprocess_exec("true", stdout=asyncio.subprocess.DEVNULL)
    await child.wait()
    return await asyncio.wait_for(asyncio.shield(task), 30)

print(asyncio.run(main()))
with asyncio.Runner() as runner:
    print(runner.run(main()))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "45\n45\n", "")


def test_the_runner_makes_a_batuta_loop_or_what_it_is_told() -> None:
    async def kind() -> type:
        return type(asyncio.get_running_loop())

    with batuta.Runner() as runner:
        assert isinstance(runner, asyncio.Runner)
        assert runner.run(kind()) is batuta.EventLoop
    with batuta.Runner(loop_factory=unix_events._UnixSelectorEventLoop) as runner:
        assert runner.run(kind()) is unix_events._UnixSelectorEventLoop
    with batuta.Runner(debug=True) as runner:
        assert runner.get_loop().get_debug()


def test_get_event_loop_gives_the_running_loop() -> None:
    async def main() -> bool:
        return batuta.get_event_loop() is asyncio.get_running_loop()

    assert batuta.run(main())
    assert asyncio.run(main())


before_3_14 = pytest.mark.skipif(sys.version_info >= (3, 14), reason="makes no loop from 3.14 on")


@pytest.fixture
def no_current_loop() -> Any:
    asyncio.set_event_loop_policy(None)
    yield
    asyncio.set_event_loop_policy(None)


@before_3_14
@pytest.mark.usefixtures("no_current_loop")
def test_get_event_loop_makes_a_batuta_loop_where_asyncio_makes_its_own() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop = batuta.get_event_loop()
    try:
        assert isinstance(loop, batuta.EventLoop)
        assert batuta.get_event_loop() is asyncio.get_event_loop() is loop
    finally:
        loop.close()
    warned = [(w.category, str(w.message), w.filename) for w in caught]
    expected = (DeprecationWarning, "There is no current event loop", __file__)
    assert warned == ([expected] if sys.version_info >= (3, 12) else [])


@before_3_14
@pytest.mark.usefixtures("no_current_loop")
def test_get_event_loop_respects_the_policy_and_the_loop_that_is_set() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    assert batuta.get_event_loop() is loop
    asyncio.set_event_loop(None)
    with pytest.raises(RuntimeError, match="no current event loop"):
        batuta.get_event_loop()

    class Policy(events.AbstractEventLoopPolicy):  # type: ignore[name-defined, misc]
        def get_event_loop(self) -> Any:
            return loop

    asyncio.set_event_loop_policy(Policy())
    assert batuta.get_event_loop() is loop
    loop.close()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="makes a loop before 3.14")
def test_get_event_loop_is_an_error_without_a_loop() -> None:
    with pytest.raises(RuntimeError, match="There is no current event loop"):
        batuta.get_event_loop()


def test_get_event_loop_makes_none_in_other_threads() -> None:
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            batuta.get_event_loop()
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert ["There is no current event loop in thread" in str(error) for error in caught] == [True]
