"""A panic in Rust is an exception like any other: reported, and the interpreter lives on.

The hook `_panic_for_tests` is a callable of the native module that panics. Rust's own words about
the panic go to stderr, where whoever reports the bug finds them.
"""

from __future__ import annotations

from loops import SUBJECT, Child

HEAD = """
import asyncio
from batuta import _batuta
"""


def output_of(code: str) -> str:
    """What a program that panics prints; it must end well all the same."""
    done = Child(SUBJECT)(HEAD + code)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_panic_in_a_callback_reaches_the_exception_handler() -> None:
    out = output_of("""
reports = []
loop = new_event_loop()
loop.set_exception_handler(lambda loop, context: reports.append(context))
ran = []
loop.call_soon(_batuta._panic_for_tests)
loop.call_soon(ran.append, "behind it in the same turn")
loop.call_later(0.001, _batuta._panic_for_tests)
assert loop.run_until_complete(asyncio.sleep(0.02, "ran")) == "ran"
for report in reports:
    error = report["exception"]
    assert isinstance(error, _batuta.PanicError), error
    assert isinstance(error, RuntimeError)
    assert str(error)
    assert "handle" in report
print(len(reports), ran)
loop.close()
""")
    assert out == "2 ['behind it in the same turn']\n"


def test_a_panic_called_from_python_is_raised_there() -> None:
    out = output_of("""
async def main():
    try:
        _batuta._panic_for_tests()
    except _batuta.PanicError as error:
        return "caught"
print(run(main()))
""")
    assert out == "caught\n"


def test_a_panic_in_a_task_ends_the_task_and_not_the_process() -> None:
    out = output_of("""
async def broken():
    await asyncio.sleep(0)
    _batuta._panic_for_tests()
async def main():
    results = await asyncio.gather(broken(), asyncio.sleep(0.01, "other"), return_exceptions=True)
    print(type(results[0]).__name__, results[1])
run(main())
""")
    assert out == "PanicError other\n"
