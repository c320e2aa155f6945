"""What both kinds of worker share: the line protocol, the loop's identity, the core.

A worker reads one JSON object per line from its standard input and answers each with one line; the
end of the input ends it. What benchmarked code prints goes to standard error, never into the
answers.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import resource
import sys
from importlib import metadata
from typing import Any, TextIO


def take_stdout() -> TextIO:
    """The stream for answers; standard output itself is turned into standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def answer(stream: TextIO, **fields: Any) -> None:
    stream.write(json.dumps(fields) + "\n")
    stream.flush()


def pin(cores: list[int]) -> None:
    if cores:
        os.sched_setaffinity(0, cores)


def raise_descriptors() -> int:
    """Allow this process and those that it starts as many descriptors as the machine gives; so
    many that is. Beyond the hard limit where the system lets us, which is root's right."""
    with open("/proc/sys/fs/nr_open", encoding="ascii") as file:
        most = int(file.read())
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def rss_kib() -> float:
    """Memory of this process that is in place now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1024


def enter(start: dict[str, Any]) -> tuple[asyncio.AbstractEventLoop, dict[str, Any]]:
    """The loop that the runner asked for, and what it is."""
    replaced = accelerate(start["package"]) if start["accelerate"] else []
    loop = new_loop(start["package"])
    return loop, {**identity(loop, start["distribution"]), "accelerated": replaced}


def accelerate(package: str) -> list[str]:
    """Put the package's own classes behind asyncio's names; return the names that it replaced.

    A RuntimeError if that cannot be had or replaces no more than loops: figures of the plain loop
    must not stand under the name of the accelerated one.
    """
    install = importlib.import_module(package).install
    if "accelerate" not in inspect.signature(install).parameters:
        raise RuntimeError(f"not available: {package}.install() has no argument `accelerate`")
    # Not `asyncio.__all__`: on 3.11 `TaskGroup` and `timeout` are missing there.
    before = {name: value for name, value in vars(asyncio).items() if not name.startswith("_")}
    install(accelerate=True)
    replaced = sorted(name for name, old in before.items() if getattr(asyncio, name) is not old)
    if not [name for name in replaced if not name.endswith(("EventLoop", "EventLoopPolicy"))]:
        raise RuntimeError(f"{package}.install(accelerate=True) replaced nothing but loops")
    return replaced


def new_loop(package: str) -> asyncio.AbstractEventLoop:
    """A loop from the package's own factory, set as the thread's loop.

    A loop whose type does not come from that package is refused: a figure must never stand under
    another loop's name.
    """
    loop: asyncio.AbstractEventLoop = importlib.import_module(package).new_event_loop()
    home = type(loop).__module__.partition(".")[0]
    if home != package:
        loop.close()
        raise RuntimeError(f"{package}.new_event_loop() made a {_name(type(loop))}")
    asyncio.set_event_loop(loop)
    return loop


def identity(loop: asyncio.AbstractEventLoop, distribution: str | None) -> dict[str, Any]:
    """What this worker really runs, as far as it can be seen from inside."""
    native = sorted(
        path
        for name, module in sys.modules.items()
        if name.partition(".")[0] == type(loop).__module__.partition(".")[0]
        and (path := getattr(module, "__file__", None) or "").endswith(".so")
    )
    return {
        "type": _name(type(loop)),
        "bases": [_name(base) for base in type(loop).__mro__[1:]],
        "version": metadata.version(distribution) if distribution else None,
        "build": _build(type(loop).__module__.partition(".")[0]),
        "native": [os.path.basename(path) for path in native],
        "native_bytes": [os.path.getsize(path) for path in native],
        "python": sys.version,
        "cores": sorted(os.sched_getaffinity(0)),
        "pid": os.getpid(),
    }


def _build(package: str) -> str | None:
    """How the package's native module was compiled, where it says so (Batuta does)."""
    build: str | None = getattr(sys.modules.get(f"{package}._{package}"), "__build__", None)
    return build


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
