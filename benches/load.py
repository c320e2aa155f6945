"""The load generator of `crates/load`: built when needed, run once per sample."""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benches.child import ROOT

BINARY_VARIABLE = "BATUTA_LOAD"
"""Names a load generator that is already built."""
PACKAGE = "batuta-load"


class LoadFailed(Exception):
    """No figures: the generator could not be built, or the server did not answer it properly."""


@functools.cache
def binary() -> Path:
    if given := os.environ.get(BINARY_VARIABLE):
        return Path(given)
    cargo = _cargo()
    command = [cargo, "build", "--release", "--package", PACKAGE, "--message-format=json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == PACKAGE:
            return Path(message["executable"])
    problem = next((one for one in done.stderr.splitlines() if one.startswith("error")), "")
    raise LoadFailed(f"cargo build --package {PACKAGE} failed: {problem or done.stderr.strip()}")


def cargo_path() -> str:
    """PATH, and where rustup puts cargo."""
    home = Path(os.environ.get("CARGO_HOME", "~/.cargo")).expanduser()
    return os.pathsep.join([os.environ.get("PATH", os.defpath), str(home / "bin")])


def _cargo() -> str:
    if found := shutil.which("cargo", path=cargo_path()):
        return found
    raise LoadFailed("cargo is not installed; the load generator is built with it")


def certificate(folder: Path) -> None:
    """Write a certificate for loopback and its key into the folder."""
    done = subprocess.run([str(binary()), "certificate", str(folder)], capture_output=True)
    if done.returncode:
        raise LoadFailed(done.stderr.decode(errors="replace").strip())


def serve_command(
    *,
    what: str = "echo",
    place: str = "tcp",
    folder: Path | None = None,
    size: int = 64,
    read: int | None = None,
    core: int | None = None,
    reset: bool = False,
) -> list[str]:
    """The command of the plain epoll server (or, at the place "uring", of the same over TCP by
    io_uring), which answers as a worker does.

    It receives at most `read` bytes at once, if that is given. With `reset` it leaves nothing in
    the kernel of connections that its clients have closed.
    """
    command = [str(binary()), "serve", "--what", what, "--size", str(size)]
    command += ["--reset"] * reset
    command += {
        "tcp": [],
        "uring": ["--uring"],
        "unix": ["--unix", f"{folder}/socket"],
        "udp": ["--udp-echo"],
        "pipes": ["--pipes", str(folder)],
        "tls": ["--tls-key", str(folder)],
    }[place]
    if read is not None:
        command += ["--read", str(read)]
    if core is not None:
        command += ["--core", str(core)]
    return command


def idle_command(host: str, port: int, connections: int, core: int | None) -> list[str]:
    """The command that opens connections, says so, and holds them until its input ends."""
    command = [str(binary()), "idle", "--address", f"{host}:{port}"]
    command += ["--connections", str(connections)]
    if core is not None:
        command += ["--core", str(core)]
    return command


def run(
    where: dict[str, str | Path],
    *,
    seconds: float,
    warm_up: float,
    command: str = "echo",
    flags: Sequence[str] = (),
    **options: int | str | None,
) -> dict[str, Any]:
    """One run; its report, with the processor time of the whole client as `client_total_s`.

    `where` and the other options are those of the load generator; None leaves one out.
    """
    words = [str(binary()), command]
    given = {**where, "seconds": seconds, "warm_up": warm_up, **options}
    for name, value in given.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    words += [f"--{flag}" for flag in flags]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + warm_up + 30)
    except subprocess.TimeoutExpired:
        raise LoadFailed("the load generator did not end") from None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise LoadFailed(done.stderr.strip() or f"load generator: exit code {done.returncode}")
    report: dict[str, Any] = json.loads(done.stdout)
    report["client_total_s"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return report
