"""What the figures were measured on: read from the running system, never assumed."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from benches.child import ROOT

BUSY = 0.25
"""Load per core before the start from which the report warns."""


def facts() -> dict[str, Any]:
    """Read once, before anything is started."""
    load = os.getloadavg()
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": sys.version,
        "python_build": _python_build(),
        "cpu": _cpu_model(),
        "cores": sorted(os.sched_getaffinity(0)),
        "virtual": _is_virtual(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()),
        "load_before": load,
        "busy_before": load[0] > BUSY * len(os.sched_getaffinity(0)),
        "revision": _revision(),
    }


def core_busy_seconds(core: int) -> float:
    """How long the core has been at work since the machine started, for whomever.

    Includes time that the host took away from a virtual machine.
    """
    for line in Path("/proc/stat").read_text().splitlines():
        name, *counts = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, counts[:8])
            busy = user + nice + system + irq + softirq + steal
            return busy / os.sysconf("SC_CLK_TCK")
    raise LookupError(f"no core {core} in /proc/stat")


def _python_build() -> str:
    """What the interpreter says of its build. Distributions may optimise without saying so."""
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    stated = [
        name
        for name, option in (("PGO", "--enable-optimizations"), ("LTO", "--with-lto"))
        if option in arguments
    ]
    kinds = {"a debug build": "Py_DEBUG", "free-threaded": "Py_GIL_DISABLED"}
    return ", ".join(
        [
            f"built with {' and '.join(stated)}"
            if stated
            else "no PGO or LTO in its build options",
            *(kind for kind, variable in kinds.items() if sysconfig.get_config_var(variable)),
        ]
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _is_virtual() -> bool:
    return " hypervisor" in Path("/proc/cpuinfo").read_text()


def _revision() -> str | None:
    """The commit, marked when the tree differs from it; None outside a repository.

    `tools/bench-pythons.sh` names it where git or the repository cannot be reached.
    """
    if named := os.environ.get("BATUTA_REVISION"):
        return named
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
