"""A program as the `__main__` of this process, as the interpreter would run it.

Sets up `sys.argv`, `sys.path[0]` and a `__main__` module of its own for the program, and ends the
process as the interpreter does after an exception that nobody caught: the same traceback, without
a frame of this module, and the same exit code or signal.
Main thread only, once per process.
"""

import builtins
import importlib.machinery
import importlib.util
import linecache
import os
import pkgutil
import runpy
import sys
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any, NoReturn

# The module that was `__main__` when the command started; its frames are still running.
_displaced: list[ModuleType] = []


def _new_main_module(loader: object) -> dict[str, Any]:
    """Put an empty `__main__` in place, as the interpreter prepares it; return its namespace."""
    module = ModuleType("__main__")
    namespace = module.__dict__
    namespace["__loader__"] = loader
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
    namespace["__builtins__"] = builtins
    _displaced.append(sys.modules["__main__"])
    sys.modules["__main__"] = module
    return namespace


def _name_file(namespace: dict[str, Any], path: str) -> None:
    namespace["__file__"] = path
    if sys.version_info < (3, 15):
        namespace["__cached__"] = None


def _set_first_path(path: str) -> None:
    """Put `path` where the interpreter put the folder of this command."""
    if not sys.flags.safe_path:
        sys.path[0] = path


def run_file(path: str, args: list[str]) -> None:
    """Run a source or compiled file, or the `__main__.py` of a folder or zip file."""
    sys.argv = [path, *args]
    full_path = os.path.abspath(path)
    if pkgutil.get_importer(full_path) is not None:
        _run_container(full_path)
        return
    try:
        with open(full_path, "rb") as file:
            source = file.read()
    except OSError as error:
        reason = f"[Errno {error.errno}] {error.strerror}"
        program = sys.orig_argv[0]
        sys.stderr.write(f"{program}: can't open file {full_path!r}: {reason}\n")
        raise SystemExit(2) from None
    _set_first_path(os.path.dirname(os.path.realpath(full_path)))
    if source[:4] == importlib.util.MAGIC_NUMBER:
        compiled = importlib.machinery.SourcelessFileLoader("__main__", full_path)
        namespace = _new_main_module(compiled)
        _name_file(namespace, full_path)
        exec(compiled.get_code("__main__"), namespace)  # type: ignore[arg-type]
    else:
        namespace = _new_main_module(importlib.machinery.SourceFileLoader("__main__", full_path))
        _name_file(namespace, full_path)
        exec(compile(source, full_path, "exec", dont_inherit=True), namespace)


def _run_container(path: str) -> None:
    """Run the `__main__.py` of a folder or zip file."""
    if sys.flags.safe_path:
        sys.path.insert(0, path)
    else:
        sys.path[0] = path
    _new_main_module(importlib.machinery.BuiltinImporter)
    _run_module_as_main("__main__", alter_argv=False)


def run_module(name: str, args: list[str]) -> None:
    """Run a module or a package as `python -m` does."""
    sys.argv = ["-m", *args]
    _set_first_path(os.getcwd())
    _new_main_module(importlib.machinery.BuiltinImporter)
    _run_module_as_main(name, alter_argv=True)


# What `python -m` itself calls. The public functions of runpy do not run a module as the real
# `__main__`, which pickling and multiprocessing need.
_run_module_as_main: Callable[..., object] = runpy._run_module_as_main  # type: ignore[attr-defined]


def run_string(source: str, args: list[str]) -> None:
    """Run a program given as a string."""
    sys.argv = ["-c", *args]
    _set_first_path("")
    if sys.version_info >= (3, 14):
        import textwrap

        source = textwrap.dedent(source)
    namespace = _new_main_module(importlib.machinery.BuiltinImporter)
    code = compile(source, "<string>", "exec", dont_inherit=True)
    if sys.version_info >= (3, 13):
        # So that tracebacks show the lines, as the interpreter arranges it for its own -c.
        by_code = hasattr(linecache, "_interactive_cache")
        linecache._register_code(code if by_code else "<string>", source, "<string>")  # type: ignore[attr-defined]
    exec(code, namespace)


def run_stdin(name: str, args: list[str]) -> None:
    """Run the program on the standard input; a terminal gets asyncio's console."""
    if sys.stdin is not None and sys.stdin.isatty():
        run_module("asyncio", args)
        return
    sys.argv = [name, *args]
    _set_first_path("")
    source = sys.stdin.buffer.read() if sys.stdin is not None else b""
    namespace = _new_main_module(importlib.machinery.BuiltinImporter)
    _name_file(namespace, "<stdin>")
    exec(compile(source, "<stdin>", "exec", dont_inherit=True), namespace)


def _without_own_frames(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_frame.f_globals is globals():
        traceback = traceback.tb_next
    return traceback


def _call_hook(hook: Callable[..., object], error: BaseException) -> None:
    hook(type(error), error, error.__traceback__)


def _end_with(error: BaseException) -> NoReturn:
    """End the process as the interpreter ends it after an exception that nobody caught.

    Letting `error` go on would put the frames of this command into its traceback.
    """
    error.__traceback__ = _without_own_frames(error.__traceback__)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    hook = sys.excepthook
    sys.audit("sys.excepthook", hook, type(error), error, error.__traceback__)
    failure = None
    try:
        _call_hook(hook, error)
    except SystemExit:
        raise
    except BaseException as raised:
        failure = raised
    if failure is not None:
        failure.__traceback__ = _without_own_frames(failure.__traceback__)
        failure.__context__ = None
        sys.stderr.write("Error in sys.excepthook:\n")
        _call_hook(sys.__excepthook__, failure)
        sys.stderr.write("\nOriginal exception was:\n")
        _call_hook(sys.__excepthook__, error)
    if type(error) is KeyboardInterrupt:
        # The interpreter dies of SIGINT after its own end, if this is what leaves the program.
        # Only code compiled from a string, a file or `-m` counts, hence the string.
        sys.excepthook = lambda *_: None
        exec("raise KeyboardInterrupt", {})
    raise SystemExit(1)


def run_to_its_end(run: Callable[[str, list[str]], None], target: str, args: list[str]) -> None:
    """Call `run`, one of the functions above; return or exit as the interpreter would."""
    try:
        run(target, args)
    except SystemExit:
        raise
    except BaseException as raised:
        error = raised
    else:
        return
    _end_with(error)
