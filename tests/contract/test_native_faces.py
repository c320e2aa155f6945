"""What can be asked of native classes and functions, and what they say to arguments that do not
fit: signatures and messages are asyncio's own.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import re
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import batuta
import pytest
from batuta.natives import NATIVE

STOCK: dict[str, Any] = {name: getattr(asyncio, name) for name in NATIVE}
NAMES = sorted(NATIVE)
CLASSES = sorted(name for name in NAMES if isinstance(STOCK[name], type))
ASKED = ("__aenter__", "__aexit__", "__init__", "__class_getitem__")

# Arguments of which most fit nowhere.
ODD: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    *(((None,) * count, {}) for count in range(6)),
    *(((1,) * count, {}) for count in range(1, 6)),
    (("text",), {}),
    ((object,), {}),
    ((), {"bogus": 1}),
    ((1,), {"bogus": 1}),
]


def methods(name: str) -> list[str]:
    """The methods of asyncio's class that anybody may call."""
    stock = STOCK[name]
    return [
        key
        for key in dir(stock)
        if callable(getattr(stock, key)) and (not key.startswith("_") or key in ASKED)
    ]


def signature(function: Callable[..., object]) -> str:
    """As `inspect` shows it, which it cannot of all of asyncio's own, but for annotations."""
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError) as exc:
        return type(exc).__name__
    bare = [parameter.replace(annotation=found.empty) for parameter in found.parameters.values()]
    return str(inspect.Signature(bare))


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name: str) -> None:
    stock, ours = STOCK[name], NATIVE[name]
    assert signature(ours) == signature(stock)
    if name in CLASSES:
        for method in methods(name):
            found = (method, signature(getattr(ours, method)))
            assert found == (method, signature(getattr(stock, method)))


async def nothing() -> None:
    pass


def make(kind: Any, name: str, loop: asyncio.AbstractEventLoop) -> Any:
    if name == "Future":
        return kind(loop=loop)
    if name == "Task":
        task = kind(nothing(), loop=loop, name="name")
        task._log_destroy_pending = False
        return task
    if name == "StreamReaderProtocol":
        return kind(asyncio.StreamReader(loop=loop))
    if name == "StreamWriter":
        reader = asyncio.StreamReader(loop=loop)
        transport = mock.create_autospec(asyncio.Transport, instance=True)
        return kind(transport, asyncio.StreamReaderProtocol(reader), reader, loop)
    return kind(*{"Barrier": (2,), "Timeout": (None,)}.get(name, ()))


def answer(call: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> str:
    """The exception with its message, or that there is none."""
    try:
        got = call(*args, **keywords)
    except (Exception, asyncio.CancelledError) as exc:
        message = re.sub(r"0x[0-9a-f]+|[\w.]*_batuta\.|[\w.]*asyncio\.(\w+\.)?", "", str(exc))
        return f"{type(exc).__name__}: {message}"
    if inspect.isawaitable(got) and hasattr(got, "close"):
        got.close()
    return "accepted"


def agree(ours: str, stock: str) -> bool:
    """Whether two answers are the same.

    Some methods written in C count their arguments in other words, depending on the release.
    """
    wrong_number = re.compile(
        r"TypeError: (?:\w+\.)?(\w+)\(\) takes (no|exactly|at most|at least)\b.*"
    )
    one, other = wrong_number.fullmatch(ours), wrong_number.fullmatch(stock)
    return ours == stock or (one is not None and other is not None and one[1] == other[1])


def in_a_loop(body: Callable[[asyncio.AbstractEventLoop], None]) -> None:
    async def main() -> None:
        body(asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=batuta.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(lambda _loop, _context: None)
        runner.run(main())
    gc.collect()  # what is said of odd objects at their end is said here


OVERLOOK_KEYWORDS = ("exception", "get_loop") if sys.version_info[:2] == (3, 12) else ()
"""Methods of 3.12's `_asyncio` that take any keyword and overlook it; ours refuse them."""


# A writer that was not made completely says so when it goes.
@pytest.mark.filterwarnings(
    "ignore::RuntimeWarning",
    "ignore::DeprecationWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "eager_task_factory"])
def test_odd_arguments_of_functions_and_constructors(name: str) -> None:
    def each(_loop: asyncio.AbstractEventLoop) -> None:
        for args, keywords in ODD:
            ours = answer(NATIVE[name], args, keywords)
            stock = answer(STOCK[name], args, keywords)
            assert agree(ours, stock), (args, keywords, ours, stock)

    in_a_loop(each)


@pytest.mark.filterwarnings(
    "ignore::RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("name", CLASSES)
def test_odd_arguments_of_methods(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    def each(loop: asyncio.AbstractEventLoop) -> None:
        for method in methods(name):
            for args, keywords in ODD:
                if keywords and method in OVERLOOK_KEYWORDS:
                    continue
                made = [make(kind[name], name, loop) for kind in (NATIVE, STOCK)]
                ours, stock = (answer(getattr(m, method), args, keywords) for m in made)
                assert agree(ours, stock), (method, args, keywords, ours, stock)

    in_a_loop(each)
    capsys.readouterr()  # of print_stack()


def test_native_methods_with_a_model_pass_for_functions() -> None:
    for function in (NATIVE["sleep"], NATIVE["Queue"].put, NATIVE["Lock"].release):
        assert inspect.isfunction(function)
        assert inspect.getsource(function).lstrip().startswith(("async def ", "def "))
    with mock.patch.object(NATIVE["Queue"], "put_nowait", autospec=True) as patched:
        queue = NATIVE["Queue"]()
        queue.put_nowait(3)
        patched.assert_called_once_with(queue, 3)
        with pytest.raises(TypeError, match="missing a required argument: 'item'"):
            queue.put_nowait()
    double = mock.create_autospec(NATIVE["Event"], instance=True)
    with pytest.raises(TypeError, match="too many positional"):
        double.set(1)
    assert isinstance(double.wait, mock.AsyncMock)


LOOP_METHODS = [
    name
    for name, value in vars(asyncio.AbstractEventLoop).items()
    if not name.startswith("_") and callable(value)
]


@pytest.mark.parametrize("name", LOOP_METHODS)
def test_methods_of_the_loop_have_asyncios_parameters(
    loop: asyncio.AbstractEventLoop, name: str
) -> None:
    if name == "create_task" and (3, 13, 3) <= sys.version_info < (3, 14):
        return  # Within 3.13 it has become **kwargs.
    stock = signature(getattr(asyncio.SelectorEventLoop, name))
    assert signature(getattr(loop, name)) == re.sub(r"^\(self(, )?", "(", stock)
