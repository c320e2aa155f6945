"""Importing Batuta again, in a sub-interpreter, and in odd places: clear words, never a crash.

Each test is a program in a child process; on stock the same programs import asyncio.
"""

from __future__ import annotations

import sys

import pytest

from loops import Child

HEAD = """
import sys
MODULE = LOOP.partition(":")[0]

def make_interpreter():
    \"\"\"Returns run(code): runs code in a new sub-interpreter, None or the error as text.\"\"\"
    try:
        from concurrent import interpreters  # 3.14+
    except ImportError:
        interpreters = None
    if interpreters is not None:
        interpreter = interpreters.create()
        def run_code(code):
            try:
                interpreter.exec(code)
            except interpreters.ExecutionFailed as error:
                return str(error)
        return run_code, interpreter.close
    try:
        import _interpreters as raw  # 3.13
    except ImportError:
        import _xxsubinterpreters as raw  # 3.11 and 3.12
    try:
        interpreter = raw.create(**SETTINGS)
    except TypeError:
        interpreter = raw.create("legacy" if SETTINGS else "isolated")
    def run_code(code):
        try:
            result = raw.run_string(interpreter, code)
        except Exception as error:
            return repr(error)
        if result is not None:
            return str(getattr(result, "formatted", result))
    return run_code, lambda: raw.destroy(interpreter)
"""

CODE = """
import importlib, sys
sys.path[:] = {path!r}
import asyncio
try:
    module = importlib.import_module({module!r})
    loop = module.new_event_loop()
    assert loop.run_until_complete(asyncio.sleep(0.001, "ran")) == "ran"
    loop.close()
except ImportError as error:
    assert "interpreter" in str(error), error
"""


@pytest.mark.parametrize("settings", ["{}", "{'isolated': False}"])
@pytest.mark.parametrize("first", ["main", "sub"])
def test_a_sub_interpreter_gets_a_loop_that_works_or_a_clear_import_error(
    child: Child, is_stock: bool, settings: str, first: str
) -> None:
    """In both orders of import; and the main interpreter goes on afterwards."""
    if is_stock and sys.version_info[:2] == (3, 12) and settings == "{}":
        pytest.skip("CPython 3.12.1 crashes at exit after asyncio ran under a GIL of its own")
    done = child(f"""
SETTINGS = {settings}
{HEAD}
CODE = {CODE!r}
import asyncio
import warnings
warnings.simplefilter("ignore")
if {first!r} == "main":
    new_event_loop().close()
run_code, close = make_interpreter()
for _ in range(2):
    print(run_code(CODE.format(path=sys.path, module=MODULE)))
close()
print(run(asyncio.sleep(0.001, "main goes on")))
""")
    assert (done.returncode, done.stdout) == (0, "None\nNone\nmain goes on\n"), done.stderr


def test_the_module_can_be_imported_again(child: Child) -> None:
    out = child.check(f"""{HEAD}
import asyncio, importlib
print(run(asyncio.sleep(0, 1)))
kept = new_event_loop()
for name in [name for name in sys.modules if name.partition(".")[0] == MODULE]:
    if MODULE != "asyncio":
        del sys.modules[name]
importlib.import_module(MODULE)
print(run(asyncio.sleep(0.001, 2)))
print(kept.run_until_complete(asyncio.sleep(0.001, 3)))
kept.close()
importlib.reload(sys.modules[MODULE])
print(run(asyncio.sleep(0.001, 4)))
""")
    assert out == "1\n2\n3\n4\n"


def test_the_module_can_be_imported_in_a_thread_first(child: Child) -> None:
    out = child.check("""
import asyncio, threading
results = []
def work():
    results.append(run(asyncio.sleep(0.001, "thread")))
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(results, run(asyncio.sleep(0.001, "main")))
""")
    assert out == "['thread', 'thread', 'thread', 'thread'] main\n"


def test_subclasses_of_the_loop_work(child: Child) -> None:
    out = child.check("""
import asyncio
kind = type(new_event_loop_once := new_event_loop())
new_event_loop_once.close()
class Loop(kind):
    def call_soon(self, callback, *args, **kwargs):
        calls.append(callback)
        return super().call_soon(callback, *args, **kwargs)
calls = []
loop = Loop()
loop.note = "attributes too"
ran = []
loop.call_soon(ran.append, 1)
loop.call_later(0.005, loop.stop)
loop.run_forever()
print(ran, len(calls) >= 1, loop.note, isinstance(loop, asyncio.BaseEventLoop))
loop.close()
""")
    assert out == "[1] True attributes too True\n"
