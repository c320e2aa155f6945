"""`accelerate=True`: what it puts in asyncio's places, and that it puts everything back."""

from __future__ import annotations

import _asyncio
import abc
import asyncio
import inspect
import pickle
import re
import subprocess
import sys
import threading
import types
import typing
import warnings
from asyncio import streams, tasks
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar
from unittest import mock

import batuta
import pytest
from batuta import _batuta, acceleration
from batuta.natives import NATIVE

T = TypeVar("T")
Places = dict[tuple[str, str], int]
EARLY_TASK = asyncio.Task
early_sleep = asyncio.sleep


def asyncios_modules() -> list[Any]:
    return [m for n, m in sys.modules.copy().items() if n == "asyncio" or n.startswith("asyncio.")]


def names() -> Places:
    """Every class and function that asyncio's modules hold, by identity."""
    return {
        (module.__name__, name): id(value)
        for module in asyncios_modules()
        for name, value in vars(module).items()
        if callable(value)
    }


def changed(before: Places) -> set[str]:
    """Which names differ from `before`."""
    now = names()
    assert now.keys() == before.keys()
    return {name for (module, name), value in now.items() if before[module, name] != value}


def is_accelerated() -> bool:
    return asyncio.Task is acceleration.Task


@pytest.fixture
def accelerated() -> Iterator[None]:
    batuta.install(accelerate=True)
    yield
    batuta.uninstall()


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    before = names()
    yield
    assert changed(before) == set()


async def answer(value: T) -> T:
    await asyncio.sleep(0)
    return value


def native(task: object) -> bool:
    return type(task) is _batuta.Task


def test_nothing_but_the_table_is_replaced() -> None:
    before = names()
    with acceleration.held():
        assert changed(before) == set(NATIVE) - {"Future"}
        assert NATIVE.keys() >= {"Task"}


def test_every_place_that_holds_a_name_gets_the_native_one() -> None:
    stock = {name: getattr(asyncio, name) for name in NATIVE}
    with acceleration.held():
        for name in NATIVE.keys() - {"Future"}:
            for module in asyncios_modules():
                assert vars(module).get(name) is not stock[name], (module, name)
            wanted = acceleration.Task if name == "Task" else NATIVE[name]
            assert getattr(asyncio, name) is wanted
        assert tasks.Task is asyncio.Task
        if "sleep" in NATIVE:
            assert vars(streams)["sleep"] is asyncio.sleep
    for name, value in stock.items():
        assert getattr(asyncio, name) is value


def test_future_stays_and_accepts_all_kinds() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert asyncio.Future is _asyncio.Future
        for future in (loop.create_future(), _batuta.Future(), _asyncio.Future()):
            assert isinstance(future, asyncio.Future)
            assert asyncio.isfuture(future)
        assert isinstance(asyncio.current_task(), asyncio.Future)
        assert issubclass(asyncio.Task, asyncio.Future)
        assert asyncio.Future[int] is not None

        class Own(asyncio.Future[int]):
            pass

        own = Own()
        loop.call_soon(own.set_result, 42)
        assert await own == 42

    batuta.run(main(), accelerate=True)


def test_the_documentation_lists_what_is_replaced() -> None:
    page = (Path(__file__).parent.parent / "docs" / "acceleration.md").read_text()
    section = page.partition("### What is replaced")[2].partition("###")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    listed = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    if sys.version_info < (3, 12):
        listed -= {"eager_task_factory"}
    assert listed == set(NATIVE) - {"Future"}


# The class in the place of `asyncio.Task`


def test_the_stand_in_makes_native_tasks(accelerated: None) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = [
            asyncio.Task(answer(1)),
            asyncio.Task(answer(1), loop=loop, name="one"),
            asyncio.create_task(answer(1)),
            asyncio.create_task(answer(1), name="one"),
            asyncio.ensure_future(answer(1)),
            loop.create_task(answer(1)),
            asyncio.Task[int](answer(1)),
        ]
        if sys.version_info >= (3, 12):
            made.append(asyncio.Task(answer(1), loop=loop, eager_start=True))
            factory = asyncio.create_eager_task_factory(asyncio.Task)
            made.append(factory(loop, answer(1)))
            made.append(asyncio.eager_task_factory(loop, answer(1)))
        assert [native(task) for task in made] == [True] * len(made)
        assert [isinstance(task, asyncio.Task) for task in made] == [True] * len(made)
        assert await asyncio.gather(*made) == [1] * len(made)
        assert native(asyncio.current_task())
        bare: asyncio.Task[int] = asyncio.Task.__new__(asyncio.Task)
        assert native(bare)
        bare.__init__(answer(1), loop=loop)  # type: ignore[misc]
        assert await bare == 1
        with pytest.raises(TypeError, match="a coroutine was expected"):
            asyncio.Task(42)  # type: ignore[arg-type]

    asyncio.run(main())
    asyncio.run(main(), debug=True)


def test_other_loops_make_native_tasks_too() -> None:
    async def main() -> bool:
        return native(asyncio.current_task()) and native(asyncio.create_task(answer(1)))

    with acceleration.held():
        with asyncio.Runner() as runner:
            assert not isinstance(runner.get_loop(), batuta.EventLoop)
            assert runner.run(main())


def test_tasks_and_subclasses_made_before_are_tasks() -> None:
    class Before(EARLY_TASK[int]):  # type: ignore[type-arg, valid-type, misc]
        pass

    async def main() -> None:
        early = [EARLY_TASK(answer(1)), Before(answer(1))]
        assert not any(map(native, early))
        with acceleration.held():
            late = [asyncio.create_task(answer(1)), asyncio.Task(answer(1))]
            assert asyncio.Task is not EARLY_TASK
            for task in early + late:
                assert isinstance(task, asyncio.Task)
                assert issubclass(type(task), asyncio.Task)
            assert await asyncio.gather(*early, *late) == [1] * 4
            assert not isinstance(asyncio.Future(), asyncio.Task)
            assert not issubclass(int, asyncio.Task)
        for task in late:
            assert isinstance(task, asyncio.Task)

    batuta.run(main())


def test_subclasses_of_the_stand_in_are_native(accelerated: None) -> None:
    class Named(abc.ABC):
        @abc.abstractmethod
        def label(self) -> str: ...

    class Own(asyncio.Task[T], Named, Generic[T]):  # type: ignore[misc]
        def __init__(self, coro: Any, *, label: str, **keywords: Any) -> None:
            super().__init__(coro, **keywords)
            self._label = label

        def label(self) -> str:
            return self._label

    async def main() -> None:
        task = Own(answer(7), label="x", name="own")
        assert _batuta.Task in type(task).__mro__
        assert acceleration.Task not in type(task).__mro__
        assert (task.label(), task.get_name()) == ("x", "own")
        assert isinstance(task, asyncio.Task)
        assert not isinstance(asyncio.current_task(), Own)
        assert await task == 7

    asyncio.run(main())


def test_the_stand_in_looks_like_a_class_of_tasks(accelerated: None) -> None:
    assert inspect.isclass(asyncio.Task)
    assert asyncio.Task.__name__ == "Task"
    assert inspect.signature(asyncio.Task) == inspect.signature(_batuta.Task)
    assert pickle.loads(pickle.dumps(asyncio.Task)) is asyncio.Task
    assert issubclass(batuta.Task, asyncio.Task)
    assert issubclass(asyncio.Task, batuta.Task)
    assert issubclass(asyncio.Task, asyncio.Task)


# Putting in place and putting back


def test_install_accelerates_only_when_asked() -> None:
    before = names()
    batuta.install()
    assert not is_accelerated()
    batuta.install(accelerate=True)
    assert is_accelerated()
    batuta.install()
    batuta.install(accelerate=True)
    assert is_accelerated()
    batuta.uninstall()
    assert changed(before) == set()
    batuta.uninstall()
    assert changed(before) == set()


def test_run_accelerates_until_its_end() -> None:
    before = names()
    seen: list[bool] = []

    async def main(error: BaseException | None = None) -> None:
        seen.append(is_accelerated())
        await asyncio.sleep(0)
        if error is not None:
            raise error

    batuta.run(main())
    assert changed(before) == set()
    batuta.run(main(), accelerate=True)
    assert changed(before) == set()
    for kind in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(kind):
            batuta.run(main(kind()), accelerate=True)
        assert changed(before) == set()
    with pytest.raises((TypeError, ValueError)):
        batuta.run(42, accelerate=True)  # type: ignore[arg-type]
    assert changed(before) == set()
    assert seen == [False, True, True, True, True]


def test_a_failing_loop_factory_leaves_nothing_behind() -> None:
    before = names()

    def fail() -> Any:
        raise OSError("no loop today")

    coroutine = answer(1)
    with pytest.raises(OSError, match="no loop today"):
        batuta.run(coroutine, accelerate=True, loop_factory=fail)
    coroutine.close()
    assert changed(before) == set()


def test_run_inside_an_accelerated_run_is_refused_and_undoes_nothing() -> None:
    async def main() -> bool:
        coroutine = answer(1)
        with pytest.raises(RuntimeError):
            batuta.run(coroutine, accelerate=True)
        coroutine.close()
        return is_accelerated()

    assert batuta.run(main(), accelerate=True)


def test_run_leaves_an_installation_in_place(accelerated: None) -> None:
    async def main() -> bool:
        return is_accelerated()

    assert batuta.run(main())
    assert batuta.run(main(), accelerate=True)
    assert is_accelerated()


def test_uninstall_during_an_accelerated_run_waits_for_its_end() -> None:
    batuta.install(accelerate=True)

    async def main() -> bool:
        batuta.uninstall()
        return is_accelerated()

    assert batuta.run(main(), accelerate=True)
    assert not is_accelerated()


def test_the_last_of_several_threads_puts_everything_back() -> None:
    before = names()
    inside, leave = threading.Barrier(4, timeout=30), [threading.Event() for _ in range(3)]
    states: list[bool] = []

    def program(end: threading.Event) -> None:
        async def main() -> None:
            await asyncio.to_thread(inside.wait)
            await asyncio.to_thread(end.wait, 30)
            states.append(is_accelerated() and native(asyncio.current_task()))

        batuta.run(main(), accelerate=True)

    threads = [threading.Thread(target=program, args=[end]) for end in leave]
    for thread in threads:
        thread.start()
    inside.wait()
    for thread, end in zip(threads, leave, strict=True):
        assert is_accelerated()
        end.set()
        thread.join()
    assert states == [True] * 3
    assert changed(before) == set()


def test_what_the_program_put_in_place_meanwhile_is_left_there() -> None:
    stock = asyncio.Task

    class Own(asyncio.Task[Any]):
        pass

    batuta.install(accelerate=True)
    asyncio.Task = Own  # type: ignore[misc]
    try:
        batuta.uninstall()
        assert asyncio.Task is Own
        assert tasks.Task is stock
    finally:
        asyncio.Task = stock  # type: ignore[misc]


def test_what_the_program_put_in_place_before_is_left_there() -> None:
    class Own(asyncio.Task[Any]):
        pass

    async def kinds() -> tuple[type, type]:
        return asyncio.Task, type(asyncio.create_task(answer(1)))

    stock = asyncio.Task
    asyncio.Task = tasks.Task = Own  # type: ignore[misc]
    try:
        assert batuta.run(kinds(), accelerate=True) == (Own, Own)
        assert asyncio.Task is Own
        # One of ours, put there by the program: it is the program's as well.
        asyncio.Task = tasks.Task = acceleration.Task  # type: ignore[misc]
        assert batuta.run(kinds(), accelerate=True) == (acceleration.Task, _batuta.Task)
        assert asyncio.Task is acceleration.Task
    finally:
        asyncio.Task = tasks.Task = stock  # type: ignore[misc]


def test_a_module_of_asyncio_imported_meanwhile_is_put_back_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late: Any = types.ModuleType("asyncio.late")
    stock = asyncio.Task
    batuta.install(accelerate=True)
    monkeypatch.setitem(sys.modules, "asyncio.late", late)
    exec("from asyncio import Task", vars(late))
    assert late.Task is asyncio.Task is not stock
    batuta.uninstall()
    assert late.Task is asyncio.Task is stock


def test_names_taken_before_are_stock_and_work(accelerated: None) -> None:
    async def main() -> int:
        await early_sleep(0)
        return await EARLY_TASK(answer(3))

    assert asyncio.run(main()) == 3


# By the command


@pytest.mark.parametrize(
    ("options", "wanted"), [([], "True True"), (["--no-accelerate"], "False False")]
)
def test_the_command_accelerates_unless_told_not_to(
    tmp_path: Any, options: list[str], wanted: str
) -> None:
    program = tmp_path / "app.py"
    program.write_text(
        "import asyncio, multiprocessing\n"
        "def is_ours(_=None):\n"
        "    return asyncio.Task.__module__.startswith('batuta')\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(is_ours(), *pool.map(is_ours, [0]))\n"
        "        pool.close()\n"
        "        pool.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "batuta", *options, program],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{wanted}\n", "")


@pytest.mark.parametrize("name", sorted(NATIVE))
def test_a_native_name_is_the_same_kind_of_thing_as_asyncios(name: str) -> None:
    stock, ours = getattr(asyncio, name), NATIVE[name]
    for question in (inspect.isclass, inspect.iscoroutinefunction, asyncio.iscoroutinefunction):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the last one, from 3.14 on
            assert question(ours) == question(stock)
    assert ours.__name__ == stock.__name__
    with acceleration.held(), mock.patch(f"asyncio.{name}") as patched:
        is_asynchronous = isinstance(patched, mock.AsyncMock)
    with mock.patch(f"asyncio.{name}") as patched:
        assert isinstance(patched, mock.AsyncMock) == is_asynchronous
    assert getattr(asyncio, name) is stock


def test_the_generic_classes_are_generic(accelerated: None) -> None:
    for generic in (asyncio.Queue, asyncio.Task, asyncio.Future):
        assert typing.get_origin(generic[int]) is generic
        assert typing.get_args(generic[int]) == (int,)

    class Jobs(asyncio.PriorityQueue[int], metaclass=abc.ABCMeta):
        def put_nowait(self, item: int) -> None:
            super().put_nowait(-item)

    async def main() -> list[int]:
        queue = Jobs(maxsize=3)
        for number in range(3):
            await queue.put(number)
        return [await queue.get() for _ in range(3)]

    assert asyncio.run(main()) == [-2, -1, 0]
    assert issubclass(Jobs, NATIVE["PriorityQueue"])
    assert issubclass(Jobs, NATIVE["Queue"])


def test_a_mock_of_a_task_is_a_task(accelerated: None) -> None:
    assert isinstance(mock.Mock(spec=asyncio.Task), asyncio.Task)
    assert isinstance(mock.create_autospec(asyncio.Task, instance=True), asyncio.Task)
