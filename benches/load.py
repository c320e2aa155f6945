"""The load generator of `crates/load`: built when needed, run once per sample."""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import subprocess
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


def run(
    host: str,
    port: int,
    *,
    connections: int,
    size: int,
    in_flight: int,
    seconds: float,
    warm_up: float,
    server_pid: int,
    core: int | None = None,
    verify: bool = False,
) -> dict[str, Any]:
    """One run; its report, with the processor time of the whole client as `client_total_s`."""
    options: dict[str, Any] = {
        "address": f"{host}:{port}",
        "connections": connections,
        "size": size,
        "in-flight": in_flight,
        "seconds": seconds,
        "warm-up": warm_up,
        "server-pid": server_pid,
    }
    if core is not None:
        options["core"] = core
    command = [str(binary())]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    if verify:
        command.append("--verify")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + warm_up + 30
        )
    except subprocess.TimeoutExpired:
        raise LoadFailed("the load generator did not end") from None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise LoadFailed(done.stderr.strip() or f"load generator: exit code {done.returncode}")
    report: dict[str, Any] = json.loads(done.stdout)
    report["client_total_s"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return report
