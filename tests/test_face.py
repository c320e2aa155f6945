"""Batuta from code: `run`, `new_event_loop`, `install` and `uninstall`, the policy."""

from __future__ import annotations

import abc
import asyncio
import importlib.metadata
import inspect
import selectors
import subprocess
import sys
import threading
from asyncio import events, unix_events
from collections.abc import Callable, Iterator
from typing import Any

import batuta
import pytest

STOCK_LOOP = unix_events._UnixSelectorEventLoop
has_policies = pytest.mark.skipif(
    sys.version_info >= (3, 16), reason="this Python has no event loop policies"
)


# 3.14 and newer warn when the public functions are called.
current_policy: Callable[[], Any] = (
    getattr(events, "_get_event_loop_policy", None) or vars(events)["get_event_loop_policy"]
)
set_policy: Callable[[Any], None] = (
    getattr(events, "_set_event_loop_policy", None) or vars(events)["set_event_loop_policy"]
)


def names() -> list[object]:
    """All that `install` may replace."""
    found: list[object] = [unix_events._UnixDefaultEventLoopPolicy._loop_factory]
    for module in (asyncio, unix_events):
        for name in ("SelectorEventLoop", "EventLoop", "new_event_loop", "DefaultEventLoopPolicy"):
            found.append(vars(module).get(name))
    return found


@pytest.fixture
def installed() -> Iterator[None]:
    """Batuta is installed during the test."""
    set_policy(None)
    batuta.install()
    yield
    batuta.uninstall()
    set_policy(None)


async def loop_type() -> type:
    return type(asyncio.get_running_loop())


def close(loop: asyncio.AbstractEventLoop) -> type:
    """The type of the loop, which is closed."""
    loop.close()
    return type(loop)


def test_run_returns_the_result_and_uses_batuta() -> None:
    assert batuta.run(loop_type()) is batuta.EventLoop


def test_run_sets_debug_mode_and_takes_a_loop_factory() -> None:
    class Own(batuta.EventLoop):
        pass

    async def main() -> tuple[type, bool]:
        loop = asyncio.get_running_loop()
        return type(loop), loop.get_debug()

    assert batuta.run(main(), debug=True, loop_factory=Own) == (Own, True)
    assert batuta.run(main(), debug=False) == (batuta.EventLoop, False)


def test_run_takes_what_the_newest_asyncio_run_takes() -> None:
    ours = inspect.signature(batuta.run).parameters
    assert list(ours) == ["main", "debug", "loop_factory", "accelerate"]
    stock = inspect.signature(asyncio.run).parameters
    assert {name: ours[name].kind for name in stock} == {
        name: parameter.kind for name, parameter in stock.items()
    }


def test_run_closes_the_loop_and_cancels_what_is_left() -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    cancelled = []

    async def left_over() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        task = asyncio.create_task(left_over())
        await asyncio.sleep(0)
        assert not task.done()

    batuta.run(main())
    assert cancelled == [True]
    assert loops[0].is_closed()


def test_run_inside_a_running_loop_is_refused() -> None:
    async def main() -> None:
        coroutine = loop_type()
        with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
            batuta.run(coroutine)
        coroutine.close()

    batuta.run(main())


def test_run_refuses_what_is_not_a_coroutine() -> None:
    def errors(run: Callable[..., object]) -> tuple[type, str]:
        with pytest.raises((TypeError, ValueError)) as caught:
            run(42)
        return caught.type, str(caught.value)

    assert errors(batuta.run) == errors(asyncio.run)


def test_new_event_loop_and_runner_make_batuta_loops() -> None:
    assert close(batuta.new_event_loop()) is batuta.EventLoop
    with asyncio.Runner(loop_factory=batuta.new_event_loop) as runner:
        assert runner.run(loop_type()) is batuta.EventLoop
    with asyncio.Runner(loop_factory=batuta.EventLoop) as runner:
        assert runner.run(loop_type()) is batuta.EventLoop


def test_importing_batuta_changes_nothing() -> None:
    program = (
        "import asyncio, asyncio.unix_events as u; before = [vars(asyncio)[n] for n in dir(asyncio)"
        " if n in vars(asyncio)]; import batuta; after = [vars(asyncio)[n] for n in dir(asyncio)"
        " if n in vars(asyncio)]; assert before == after;"
        " assert asyncio.events._event_loop_policy is None;"
        " assert u._UnixDefaultEventLoopPolicy._loop_factory is u._UnixSelectorEventLoop"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=50)


def test_install_gives_batuta_and_uninstall_puts_everything_back() -> None:
    set_policy(None)
    before, policy = names(), current_policy()
    assert asyncio.run(loop_type()) is STOCK_LOOP
    batuta.install()
    try:
        assert asyncio.run(loop_type()) is batuta.EventLoop
        assert names() != before
        assert current_policy() is not policy
    finally:
        batuta.uninstall()
    assert names() == before
    assert current_policy() is policy
    assert asyncio.run(loop_type()) is STOCK_LOOP
    assert close(asyncio.SelectorEventLoop()) is STOCK_LOOP


def test_second_install_and_second_uninstall_do_nothing() -> None:
    set_policy(None)
    before = names()
    batuta.uninstall()
    batuta.install()
    during = names()
    batuta.install()
    assert names() == during
    batuta.uninstall()
    assert names() == before
    batuta.uninstall()
    assert names() == before


@pytest.mark.usefixtures("installed")
def test_asyncio_names_make_batuta_loops() -> None:
    assert close(asyncio.new_event_loop()) is batuta.EventLoop
    for module in (asyncio, unix_events):
        assert close(module.SelectorEventLoop()) is batuta.EventLoop
        if sys.version_info >= (3, 13):
            assert close(module.EventLoop()) is batuta.EventLoop
    with asyncio.Runner() as runner:
        assert runner.run(loop_type()) is batuta.EventLoop


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="EventLoop is asyncio's own from 3.13 on")
@pytest.mark.usefixtures("installed")
def test_names_that_this_python_lacks_are_not_added() -> None:
    assert not hasattr(asyncio, "EventLoop")


@pytest.mark.usefixtures("installed")
def test_loops_of_both_kinds_are_selector_event_loops() -> None:
    ours, stock = batuta.EventLoop(), STOCK_LOOP()
    try:
        for loop in (ours, stock):
            assert isinstance(loop, asyncio.SelectorEventLoop)
            assert issubclass(type(loop), asyncio.SelectorEventLoop)
        assert not isinstance(object(), asyncio.SelectorEventLoop)
        assert not issubclass(asyncio.BaseEventLoop, asyncio.SelectorEventLoop)
        assert inspect.isclass(asyncio.SelectorEventLoop)
        assert issubclass(asyncio.SelectorEventLoop, asyncio.BaseEventLoop)
    finally:
        ours.close()
        stock.close()


@pytest.mark.usefixtures("installed")
def test_selector_of_the_standard_library_is_no_reason_for_another_loop() -> None:
    for kind in (selectors.DefaultSelector, selectors.SelectSelector, selectors.PollSelector):
        selector = kind()
        assert close(asyncio.SelectorEventLoop(selector)) is batuta.EventLoop
        selector.close()


@pytest.mark.usefixtures("installed")
def test_selector_of_the_program_is_used_by_asyncio_own_loop() -> None:
    asked: list[float | None] = []

    class Selector(selectors.SelectSelector):
        def select(self, timeout: float | None = None) -> Any:
            asked.append(timeout)
            return super().select(timeout)

    loop = asyncio.SelectorEventLoop(Selector())
    try:
        loop.run_until_complete(asyncio.sleep(0))
        assert type(loop) is STOCK_LOOP
        assert asked
    finally:
        loop.close()


@pytest.mark.usefixtures("installed")
def test_subclass_of_selector_event_loop_is_a_subclass_of_asyncio_own() -> None:
    class Mixin(abc.ABC):
        @abc.abstractmethod
        def name(self) -> str: ...

    class Own(asyncio.SelectorEventLoop, Mixin):
        turns = 0

        def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
            super().__init__(selector)

        def name(self) -> str:
            return "own"

        def _run_once(self) -> None:
            self.turns += 1
            super()._run_once()  # type: ignore[misc]

    loop = Own()
    try:
        assert loop.run_until_complete(loop_type()) is Own
        assert loop.turns > 0
        assert STOCK_LOOP in Own.__mro__
        assert isinstance(loop, asyncio.SelectorEventLoop)
        batuta.uninstall()
        assert isinstance(loop, asyncio.SelectorEventLoop)
        assert Own.__bases__ == (STOCK_LOOP, Mixin)
    finally:
        loop.close()


@has_policies
@pytest.mark.usefixtures("installed")
def test_installed_policy_is_ours_and_default_policies_make_batuta_loops() -> None:
    assert type(current_policy()) is batuta.EventLoopPolicy
    set_policy(None)
    assert asyncio.run(loop_type()) is batuta.EventLoop
    set_policy(unix_events._UnixDefaultEventLoopPolicy())
    assert asyncio.run(loop_type()) is batuta.EventLoop

    class Own(unix_events._UnixDefaultEventLoopPolicy):
        pass

    set_policy(Own())
    assert asyncio.run(loop_type()) is batuta.EventLoop
    batuta.uninstall()
    assert type(current_policy()) is Own
    assert asyncio.run(loop_type()) is STOCK_LOOP


@has_policies
def test_policy_alone_is_enough_for_asyncio_run() -> None:
    set_policy(batuta.EventLoopPolicy())
    try:
        assert asyncio.run(loop_type()) is batuta.EventLoop
        assert close(asyncio.SelectorEventLoop()) is STOCK_LOOP
    finally:
        set_policy(None)


@has_policies
def test_policy_of_another_loop_is_put_back() -> None:
    class Other(unix_events._UnixDefaultEventLoopPolicy):
        pass

    other = Other()
    set_policy(other)
    try:
        batuta.install()
        assert asyncio.run(loop_type()) is batuta.EventLoop
        batuta.uninstall()
        assert current_policy() is other
    finally:
        batuta.uninstall()
        set_policy(None)


def test_loop_set_before_install_stays_the_current_one_until_replaced() -> None:
    set_policy(None)
    loop, other = STOCK_LOOP(), None
    asyncio.set_event_loop(loop)
    try:
        batuta.install()
        assert asyncio.get_event_loop() is loop
        other = asyncio.new_event_loop()
        asyncio.set_event_loop(other)
        batuta.uninstall()
        assert asyncio.get_event_loop() is other
        assert type(other) is batuta.EventLoop
    finally:
        batuta.uninstall()
        asyncio.set_event_loop(None)
        set_policy(None)
        loop.close()
        if other is not None:
            other.close()


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="child watchers are gone from 3.14 on")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_child_watcher_survives_install_and_uninstall() -> None:
    set_policy(None)
    watcher = unix_events.ThreadedChildWatcher()
    asyncio.set_child_watcher(watcher)
    try:
        batuta.install()
        assert asyncio.get_child_watcher() is watcher
        batuta.uninstall()
        assert asyncio.get_child_watcher() is watcher
    finally:
        batuta.uninstall()
        set_policy(None)


@pytest.mark.usefixtures("installed")
def test_what_the_program_put_in_place_is_left_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "SelectorEventLoop", dict)
    batuta.uninstall()
    assert asyncio.SelectorEventLoop is dict


@pytest.mark.usefixtures("installed")
def test_other_threads_get_batuta() -> None:
    found: list[type] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(loop_type())))
    thread.start()
    thread.join()
    assert found == [batuta.EventLoop]


def test_install_and_uninstall_warn_about_nothing() -> None:
    program = "import batuta; batuta.install(); batuta.uninstall(); batuta.install()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_public_names_are_all_there() -> None:
    assert batuta.__all__ == [*dict.fromkeys(batuta.__all__)]
    for name in batuta.__all__:
        assert hasattr(batuta, name)
    assert issubclass(batuta.EventLoop, asyncio.BaseEventLoop)


def test_version_is_that_of_the_package() -> None:
    try:
        installed_version = importlib.metadata.version("batuta")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("batuta is not installed as a package here")
    assert batuta.__version__ == installed_version
