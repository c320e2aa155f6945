"""The command `batuta`: a program finds everything as `python` would have set it up.

Most tests run one program with `python` and with `python -m batuta` and compare all that comes
out; addresses are blanked, and of a traceback through a running loop the loop's own frames.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import batuta
import pytest

BATUTA = ("-m", "batuta")


class Outcome(NamedTuple):
    """What a program left behind."""

    code: int
    out: str
    err: str


def execute(
    folder: Path, *words: str, options: tuple[str, ...] = (), stdin: str = "", **extra: str
) -> Outcome:
    """Run the interpreter in `folder`; `extra` goes into its environment."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHONASYNCIO")}
    done = subprocess.run(
        [sys.executable, *options, *words],
        cwd=folder,
        env={**inherited, **extra},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-f]+", " at 0x", text)


def without_loop_frames(text: str) -> str:
    """A traceback without the frames of asyncio and Batuta: each with its lines of source."""
    frame = r'  File "[^"\n]*/(?:asyncio|batuta)/[^"\n]*", line .*\n(?:    .*\n)*'
    return re.sub(frame, "", text)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a program into the folder of the test."""

    def write(name: str, source: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    return write


def assert_same(folder: Path, *words: str, stdin: str = "", options: tuple[str, ...] = ()) -> None:
    """The interpreter and Batuta must make the same of the command line."""
    expected = execute(folder, *words, stdin=stdin, options=options)
    found = execute(folder, *BATUTA, *words, stdin=stdin, options=options)
    assert expected.out or expected.err or expected.code, "the program shows nothing to compare"
    assert found.code == expected.code
    assert without_addresses(found.out) == without_addresses(expected.out)
    assert without_addresses(found.err) == without_addresses(expected.err)


SHOW = """
    import sys
    print(sys.argv, repr(sys.path[0]), len(sys.path))
    print(list(globals()))
    print({k: v for k, v in globals().items()})
    print(sys.modules["__main__"].__dict__ is globals(), __builtins__)
"""
INVOCATIONS = {
    "file": ["show.py", "-x", "--debug", "a b"],
    "file in a folder": ["sub/show.py", "--version"],
    "code": ["-c", textwrap.dedent(SHOW), "-m", "x"],
    "code in one word": ["-c" + textwrap.dedent(SHOW), "x"],
    "stdin": ["-", "x", "-c"],
    "module": ["-m", "show", "-c", "x"],
    "module in one word": ["-mshow", "x"],
    "module in a package": ["-m", "package.show", "x"],
    "package": ["-m", "package", "x"],
    "folder": ["folder", "x"],
    "zip file": ["app.zip", "x"],
    "link to a file": ["link.py"],
}


@pytest.fixture
def programs(tmp_path: Path, write: Write) -> Path:
    """One program in all the places from which Python can run one."""
    for name in ("show.py", "sub/show.py", "package/show.py", "package/__main__.py"):
        write(name, SHOW)
    write("package/__init__.py", "")
    write("folder/__main__.py", SHOW)
    (tmp_path / "link.py").symlink_to(tmp_path / "sub" / "show.py")
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("__main__.py", textwrap.dedent(SHOW))
    return tmp_path


@pytest.mark.parametrize("kind", INVOCATIONS)
def test_argv_path_and_main_module_are_as_python_makes_them(programs: Path, kind: str) -> None:
    stdin = textwrap.dedent(SHOW) if kind == "stdin" else ""
    assert_same(programs, *INVOCATIONS[kind], stdin=stdin)


@pytest.mark.parametrize("kind", ["file", "code", "module", "folder"])
def test_safe_path_is_respected(programs: Path, kind: str) -> None:
    """With -P the interpreter puts no folder in front; a module is then not found, in both."""
    assert_same(programs, *INVOCATIONS[kind], options=("-P",))


def test_without_a_program_the_standard_input_is_the_program(tmp_path: Path) -> None:
    assert_same(tmp_path, stdin=textwrap.dedent(SHOW))


def test_compiled_file_runs(tmp_path: Path, write: Write) -> None:
    import py_compile

    py_compile.compile(str(write("show.py", SHOW)), cfile=str(tmp_path / "app.pyc"))
    assert_same(tmp_path, "app.pyc", "x")


def test_source_in_another_encoding_runs(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_bytes("# coding: latin-1\nprint(ascii('é'))\n".encode("latin-1"))
    assert_same(tmp_path, "app.py")


def test_future_imports_of_the_command_do_not_leak_into_the_program(
    tmp_path: Path, write: Write
) -> None:
    write("app.py", "def f(x: int): ...\nprint(f.__annotations__)\n")
    assert_same(tmp_path, "app.py")


FAILURES = {
    "raise": "def f():\n    return 1 / 0\nf()\n",
    "chained": """
        try:
            {}["x"]
        except KeyError as error:
            raise RuntimeError("two") from error
        """,
    "group": "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])\n",
    "syntax error": "def (\n",
    "syntax warning": "x = '\\d'\nprint(x)\n",
    "import of a broken module": "import broken\n",
    "keyboard interrupt": "raise KeyboardInterrupt\n",
    "exit 0": "print('x'); import sys; sys.exit()\n",
    "exit 3": "import sys; sys.exit(3)\n",
    "exit with words": "raise SystemExit('no luck')\n",
    "exit with an object": "raise SystemExit([1, 2])\n",
    "base exception": "class E(BaseException): pass\nraise E('x')\n",
    "notes": "e = ValueError('x'); e.add_note('and more'); raise e\n",
    "own hook": "import sys\nsys.excepthook = lambda t, e, tb: print(t, e, tb.tb_lineno)\n1/0\n",
    "hook that fails": "import sys\ndef hook(t, e, tb): 1/0\nsys.excepthook = hook\n[][1]\n",
    "hook that exits": "import sys\nsys.excepthook = lambda *a: sys.exit(9)\n[][1]\n",
    "atexit": """
        import atexit, sys
        atexit.register(lambda: print("at exit", sys.last_type, sys.exc_info()))
        raise LookupError("x")
        """,
    "thread": """
        import threading, time
        threading.Thread(target=lambda: (time.sleep(0.1), print("thread done"))).start()
        raise LookupError("x")
        """,
    "context": "import sys\nsys.excepthook = lambda *a: print(sys.exc_info())\n1/0\n",
    "warning": "import warnings\nwarnings.warn('beware', stacklevel=1)\n",
    "division in a class body": "class A:\n    x = 1 % 0\n",
    "unprintable": "class E(Exception):\n    def __str__(self): 1/0\nraise E\n",
}


@pytest.mark.parametrize("way", ["file", "code", "stdin", "module"])
@pytest.mark.parametrize("kind", FAILURES)
def test_exit_code_and_traceback_are_as_python_gives_them(
    tmp_path: Path, write: Write, kind: str, way: str
) -> None:
    source = textwrap.dedent(FAILURES[kind])
    write("broken.py", "def (\n")
    write("app.py", source)
    words = {"file": ["app.py"], "code": ["-c", source], "stdin": ["-"], "module": ["-m", "app"]}
    assert_same(tmp_path, *words[way], stdin=source if way == "stdin" else "")


@pytest.mark.parametrize(
    "words", [["nope.py"], ["-m", "nope"], ["-m", "nope.sub"], ["-m", "json"], ["empty"]]
)
def test_what_cannot_be_run_is_reported_as_python_does(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert_same(tmp_path, *words)


def test_indented_code_is_taken_as_the_running_python_takes_it(tmp_path: Path) -> None:
    assert_same(tmp_path, "-c", "\n    print(1)\n    1/0\n")


def test_keyboard_interrupt_ends_the_process_by_sigint(tmp_path: Path, write: Write) -> None:
    write("app.py", "import atexit\natexit.register(print, 'bye')\nraise KeyboardInterrupt\n")
    done = execute(tmp_path, *BATUTA, "app.py")
    assert done.code == -signal.SIGINT
    assert done.out == "bye\n"
    assert done.err.endswith("\nKeyboardInterrupt\n")


def test_ctrl_c_during_a_run_cancels_the_main_task_and_ends_by_sigint(
    tmp_path: Path, write: Write
) -> None:
    write(
        "app.py",
        """
        import asyncio
        async def main():
            print("ready", flush=True)
            try:
                await asyncio.sleep(30)
            finally:
                print("cleaned up", flush=True)
        asyncio.run(main())
        """,
    )
    with subprocess.Popen(
        [sys.executable, *BATUTA, "app.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (-signal.SIGINT, "cleaned up\n")
    assert err.endswith("\nKeyboardInterrupt\n")
    assert "batuta/cli.py" not in err
    assert "batuta/program.py" not in err


def test_traceback_through_the_loop_differs_only_in_frames_of_the_loop(
    tmp_path: Path, write: Write
) -> None:
    write(
        "app.py",
        """
        import asyncio
        async def inner():
            raise LookupError("inside")
        async def main():
            await asyncio.gather(asyncio.create_task(inner()), asyncio.sleep(0))
        asyncio.run(main())
        """,
    )
    expected = execute(tmp_path, "app.py")
    found = execute(tmp_path, *BATUTA, "app.py")
    assert found.code == expected.code == 1
    assert without_loop_frames(found.err) == without_loop_frames(expected.err)
    assert 'in inner\n    raise LookupError("inside")' in found.err


def test_closed_output_pipe_ends_as_python_ends(tmp_path: Path, write: Write) -> None:
    write("app.py", "print('x' * 10)\n")

    def run(*words: str) -> tuple[int, str]:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = subprocess.run(
                [sys.executable, *words],
                cwd=tmp_path,
                stdout=writer,
                stderr=subprocess.PIPE,
                text=True,
                timeout=50,
                check=False,
            )
        finally:
            os.close(writer)
        return done.returncode, done.stderr

    code, err = run(*BATUTA, "app.py")
    assert (code, err) == run("app.py")
    assert code != 0
    assert "BrokenPipeError" in err


# Each runs show() once, which prints the module of the loop's class.
SHOW_LOOP = """
    import asyncio, os, sys
    async def show():
        print(type(asyncio.get_running_loop()).__module__)
    def use(loop):
        loop.run_until_complete(show())
        loop.close()
"""
WAYS = {
    "asyncio.run": "asyncio.run(show())",
    "Runner": "with asyncio.Runner() as runner: runner.run(show())",
    "new_event_loop": "use(asyncio.new_event_loop())",
    "SelectorEventLoop": "use(asyncio.SelectorEventLoop())",
    "EventLoop": "use(asyncio.EventLoop())",
    "factory": "with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as r: r.run(show())",
    "unix_events": "use(asyncio.unix_events.SelectorEventLoop())",
    "selector": "import selectors; use(asyncio.SelectorEventLoop(selectors.DefaultSelector()))",
    "policy": "use(asyncio.get_event_loop_policy().new_event_loop())",
    "default policy again": "asyncio.set_event_loop_policy(None); asyncio.run(show())",
    "default policy by name": (
        "asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy()); asyncio.run(show())"
    ),
    "policy of the program": (
        "P = type('P', (asyncio.DefaultEventLoopPolicy,), {});"
        " asyncio.set_event_loop_policy(P()); asyncio.run(show())"
    ),
    "current loop": (
        "asyncio.set_event_loop(asyncio.new_event_loop()); use(asyncio.get_event_loop())"
    ),
    "thread": "import threading; threading.Thread(target=asyncio.run, args=(show(),)).start()",
    "unittest": """
        import unittest
        class Case(unittest.IsolatedAsyncioTestCase):
            async def test(self): await show()
        unittest.TextTestRunner(stream=open(os.devnull, "w")).run(Case("test"))
        """,
    "fork": """
        pid = os.fork()
        if pid == 0:
            asyncio.run(show())
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(pid, 0)
        """,
}
POLICIES = [way for way in WAYS if "policy" in way]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_get_a_loop_gives_batuta(tmp_path: Path, write: Write, way: str) -> None:
    if way in POLICIES and sys.version_info >= (3, 16):
        pytest.skip("this Python has no event loop policies")
    if way == "EventLoop" and sys.version_info < (3, 13):
        pytest.skip("asyncio.EventLoop came with Python 3.13")
    write("app.py", textwrap.dedent(SHOW_LOOP) + textwrap.dedent(WAYS[way]))
    quiet = ("-W", "ignore::DeprecationWarning")
    done = execute(tmp_path, *BATUTA, "app.py", options=quiet)
    assert (done.code, done.out, done.err) == (0, "batuta.loop\n", "")
    stock = execute(tmp_path, "app.py", options=quiet)
    assert (stock.code, stock.out) == (0, "asyncio.unix_events\n")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("way", ["file", "module"])
def test_children_of_multiprocessing_know_the_program_and_have_batuta(
    tmp_path: Path, write: Write, method: str, way: str
) -> None:
    write(
        "app.py",
        f"""
        import asyncio, multiprocessing, warnings
        class Box:
            def __init__(self, value): self.value = value
        async def kind():
            return type(asyncio.get_running_loop()).__module__
        def work(box):
            return asyncio.run(kind()), Box(box.value + 1)
        if __name__ == "__main__":
            with multiprocessing.get_context({method!r}).Pool(1) as pool:
                kind_of_loop, box = pool.apply(work, (Box(1),))
                print(kind_of_loop, type(box) is Box, box.value)
                pool.close()
                pool.join()
        """,
    )
    words = ["app.py"] if way == "file" else ["-m", "app"]
    done = execute(tmp_path, *BATUTA, *words, options=("-W", "ignore::DeprecationWarning"))
    assert (done.code, done.out, done.err) == (0, "batuta.loop True 2\n", "")


def test_classes_of_the_program_can_be_pickled(tmp_path: Path, write: Write) -> None:
    write("app.py", "import pickle\nclass A: pass\nprint(pickle.dumps(A))\n")
    assert_same(tmp_path, "app.py")


def test_debug_turns_on_asyncio_debug_mode(tmp_path: Path, write: Write) -> None:
    write(
        "app.py",
        """
        import asyncio, sys
        async def main():
            print(asyncio.get_running_loop().get_debug(), sys.argv)
        asyncio.run(main())
        """,
    )
    assert execute(tmp_path, *BATUTA, "--debug", "app.py").out == "True ['app.py']\n"
    assert execute(tmp_path, *BATUTA, "app.py", "--debug").out == "False ['app.py', '--debug']\n"
    assert execute(tmp_path, *BATUTA, "app.py", options=("-X", "dev")).out == "True ['app.py']\n"
    assert execute(tmp_path, *BATUTA, "app.py", PYTHONASYNCIODEBUG="1").out.startswith("True")


def test_debug_says_when_the_interpreter_ignores_it(tmp_path: Path) -> None:
    paths = os.pathsep.join(sys.path)
    start = f"import sys; sys.path[:] = {paths!r}.split(':'); from batuta.cli import main; "
    start += "main(['--debug', '-c', 'print(1)'])"
    done = execute(tmp_path, "-c", start, options=("-E",))
    assert (done.code, done.out) == (2, "")
    assert "use python -X dev" in done.err


def test_version_and_help(tmp_path: Path) -> None:
    done = execute(tmp_path, *BATUTA, "--version")
    assert done == (0, f"batuta {batuta.__version__}\n", "")
    for option in ("-h", "--help"):
        done = execute(tmp_path, *BATUTA, option)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("usage: batuta ")
        assert "-m MODULE" in done.out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--nope", "app.py"], "unknown option --nope"),
        (["-m"], "option -m needs an argument"),
        (["-c"], "option -c needs an argument"),
    ],
)
def test_wrong_usage_is_explained_and_exits_with_2(
    tmp_path: Path, words: list[str], reason: str
) -> None:
    done = execute(tmp_path, *BATUTA, *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"batuta: {reason}\nusage: batuta ")


def test_two_dashes_end_the_options(tmp_path: Path, write: Write) -> None:
    write("--debug", "import sys; print(sys.argv)\n")
    done = execute(tmp_path, *BATUTA, "--", "--debug", "x")
    assert done == (0, "['--debug', 'x']\n", "")


def test_installed_script_is_the_same_command(tmp_path: Path, write: Write) -> None:
    script = Path(sys.executable).with_name("batuta")
    if not script.exists():
        pytest.skip("batuta is not installed as a package here")
    write("app.py", SHOW)
    done = subprocess.run(
        [script, "app.py", "x"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    expected = execute(tmp_path, "app.py", "x")
    assert (done.returncode, done.stderr) == (0, "")
    assert without_addresses(done.stdout) == without_addresses(expected.out)
    broken = subprocess.run(
        [script, "-c", "1/0"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (broken.returncode, broken.stderr) == execute(tmp_path, "-c", "1/0")[::2]
