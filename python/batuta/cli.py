"""The command `batuta`: run any asyncio program, unchanged, with Batuta as its event loop.

Reads the command line, puts Batuta in place and leaves the rest to `program`. Options before the
program are the command's, all after it are the program's.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, NoReturn

from batuta import __version__, install, program
from batuta.children import install_in_children

_USAGE: Final = """\
usage: batuta [OPTIONS] PROGRAM [ARGS...]
       batuta [OPTIONS] -m MODULE [ARGS...]
       batuta [OPTIONS] -c CODE [ARGS...]
       batuta [OPTIONS] -  [ARGS...]
       batuta --version | --help
"""

_HELP: Final = f"""\
{_USAGE}
Run an asyncio program with Batuta as its event loop, without changing the program.

  PROGRAM      a Python file, or a folder or zip file with a __main__.py
  -m MODULE    a module or package, as python -m does
  -c CODE      a program given as a string
  -            a program read from the standard input
  ARGS         left to the program, options included

Options:
  --debug           asyncio's debug mode, as PYTHONASYNCIODEBUG=1
  --no-accelerate   replace asyncio's event loop only, and leave asyncio.Task,
                    asyncio.Queue, asyncio.sleep and so on as they are
  --version         print the version of Batuta and exit
  -h, --help        print this help and exit

With no program: the standard input, or asyncio's console if that is a terminal.
Options of the interpreter go before: python -X dev -m batuta PROGRAM
"""


class _Invocation(NamedTuple):
    """What the command line asks for."""

    kind: str  # "file", "-m", "-c" or "stdin"
    target: str
    args: list[str]
    debug: bool
    accelerate: bool


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"batuta: {message}\n{_USAGE}")
    raise SystemExit(2)


def _parse(argv: Sequence[str]) -> _Invocation:
    """Read the options up to the program; what comes after it is the program's."""
    debug = False
    accelerate = True
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--debug":
            debug = True
        elif word == "--no-accelerate":
            accelerate = False
        elif word == "--version":
            print(f"batuta {__version__}")
            raise SystemExit(0)
        elif word in ("-h", "--help"):
            print(_HELP, end="")
            raise SystemExit(0)
        elif word[:2] in ("-m", "-c"):
            if not word[2:] and not rest:
                _fail(f"option {word} needs an argument")
            return _Invocation(word[:2], word[2:] or rest.pop(0), rest, debug, accelerate)
        elif word == "-":
            return _Invocation("stdin", "-", rest, debug, accelerate)
        elif word == "--":
            break
        elif word.startswith("-"):
            _fail(f"unknown option {word}")
        else:
            return _Invocation("file", word, rest, debug, accelerate)
    if rest:
        return _Invocation("file", rest[0], rest[1:], debug, accelerate)
    return _Invocation("stdin", "", [], debug, accelerate)


_RUN: Final[dict[str, Callable[[str, list[str]], None]]] = {
    "file": program.run_file,
    "-m": program.run_module,
    "-c": program.run_string,
    "stdin": program.run_stdin,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line `argv`, by default that of the process."""
    invocation = _parse(sys.argv[1:] if argv is None else argv)
    if invocation.debug:
        if sys.flags.ignore_environment:
            _fail("--debug has no effect under the interpreter's -E and -I; use python -X dev")
        os.environ["PYTHONASYNCIODEBUG"] = "1"
    install(accelerate=invocation.accelerate)
    install_in_children(accelerate=invocation.accelerate)
    program.run_to_its_end(_RUN[invocation.kind], invocation.target, invocation.args)
