"""Where each loop runs: the project's own Python, or an environment made for one rival release.

Environments live in `build/bench/`, one for each Python, rival and version, so that a new release
never changes what an older one stood on. A finished one is used again; a half-made one is made
anew.
"""

from __future__ import annotations

import contextlib
import importlib.util
import platform
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benches.child import ROOT, clean_environment
from benches.contestants import Contestant

HOME = ROOT / "build" / "bench"
MINUTES = 5


class NotInstallable(Exception):
    """The rival cannot be had for this Python; the message says why."""


def python_for(
    contestant: Contestant,
    say: Callable[[str], None],
    home: Path = HOME,
    needs: Sequence[str] = (),
) -> tuple[Path, str | None]:
    """The interpreter that has this loop, and which packages are in its environment; of the
    project's own environment, only those in `needs`.

    `needs` are packages that rows use beside the loop: with all that they need in turn they come in
    at the versions that the project's own environment has, so that all loops run the same. One that
    cannot be had is said, and then missed by the row that needs it.
    """
    if contestant.requirement is None:
        there = _versions(_with_their_needs(needs))
        return Path(sys.executable), ", ".join(_listed(there)) or None
    if lacking := _lacking(contestant):
        raise NotInstallable(lacking)
    tag = sys.implementation.cache_tag or "python"
    place = home / f"venv-{tag}-{contestant.requirement.replace('==', '-')}"
    python = place / "bin" / "python"
    stamp = place / "complete"
    if not stamp.exists() or stamp.read_text() != sys.version:
        say(f"installing {contestant.requirement} into {place.relative_to(home.parent)}")
        _run([sys.executable, "-m", "venv", "--clear", str(place)])
        _run(
            # No build from source: it would measure this machine's compiler, and take for ever.
            [str(python), "-m", "pip", "install", "--only-binary=:all:", contestant.requirement]
        )
        stamp.write_text(sys.version)
    _add(python, place, needs, say)
    return python, _frozen(python)


_MAKING = threading.Lock()
"""Loops are started together, and the first of them makes the environment that several share."""


def small(home: Path = HOME) -> Path:
    """The interpreter of an environment with no package but Batuta, from where the project's own
    environment has it.

    For what an environment itself costs: the project's own has files that every start reads, the
    rivals' have not. Errors: `NotInstallable`.
    """
    with _MAKING:
        return _small(home)


def _small(home: Path) -> Path:
    place = home / f"venv-{sys.implementation.cache_tag}-small"
    python = place / "bin" / "python"
    found = importlib.util.find_spec("batuta")
    source = str(Path(found.origin).parent.parent) if found and found.origin else ""
    stamp = place / "complete"
    if not stamp.exists() or stamp.read_text() != sys.version + source:
        _run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(place)])
        [packages] = place.glob("lib/python*/site-packages")
        if source:
            (packages / "batuta.pth").write_text(f"{source}\n")
            version = metadata.version("batuta")
            facts = packages / f"batuta-{version}.dist-info"
            facts.mkdir()
            (facts / "METADATA").write_text(f"Name: batuta\nVersion: {version}\n")
        stamp.write_text(sys.version + source)
    return python


def _add(python: Path, place: Path, needs: Sequence[str], say: Callable[[str], None]) -> None:
    stamp = place / "needs"
    there = dict(one.split("==") for one in stamp.read_text().split()) if stamp.exists() else {}
    wanted = _versions(_with_their_needs(needs))
    for package in needs:
        if package not in wanted:
            say(f"{package} is not installed beside Batuta: its rows will fail")
    differing = {name: version for name, version in wanted.items() if there.get(name) != version}
    if missing := _listed(differing):
        say(f"installing {', '.join(missing)} into {place.name}")
        try:
            _run([str(python), "-m", "pip", "install", "--only-binary=:all:", *missing])
        except NotInstallable as problem:
            say(f"not all of it: {problem}")
            return
        stamp.write_text(" ".join(_listed({**there, **wanted})))


def _with_their_needs(packages: Sequence[str]) -> list[str]:
    """These and all that they need in turn, as far as it is in the project's own environment."""
    found: dict[str, None] = {}
    waiting = list(packages)
    while waiting:
        if (name := canonicalize_name(waiting.pop(0))) in found:
            continue
        found[name] = None
        with contextlib.suppress(metadata.PackageNotFoundError):
            for requirement in map(Requirement, metadata.requires(name) or ()):
                if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                    waiting.append(requirement.name)
    return list(found)


def _versions(packages: Sequence[str]) -> dict[str, str]:
    """Those of the project's own environment; nothing for a package that is not in it."""
    found = {}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _listed(versions: dict[str, str]) -> list[str]:
    return [f"{package}=={version}" for package, version in versions.items()]


def _lacking(contestant: Contestant) -> str | None:
    """What this Python or this machine is too old for, before pip says it in more words."""
    if sys.version_info[:2] < contestant.oldest_python:
        wanted = ".".join(map(str, contestant.oldest_python))
        return (
            f"{contestant.requirement} needs Python {wanted}; this is {platform.python_version()}"
        )
    libc, version = platform.libc_ver()
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if libc == "glibc" and found < contestant.oldest_glibc:
        wanted = ".".join(map(str, contestant.oldest_glibc))
        return f"{contestant.requirement} needs glibc {wanted}; this machine has {version}"
    return None


def _frozen(python: Path) -> str:
    listing = _run([str(python), "-m", "pip", "freeze", "--disable-pip-version-check"])
    return ", ".join(listing.split())


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MINUTES * 60,
        )
    except subprocess.TimeoutExpired:
        raise NotInstallable(f"not done after {MINUTES} minutes: {_shown(command)}") from None
    if done.returncode:
        raise NotInstallable(f"{_shown(command)}: {_reason(done.stderr or done.stdout)}")
    return done.stdout


def _shown(command: list[str]) -> str:
    return " ".join([Path(command[0]).name, *command[1:4]])


def _reason(output: str) -> str:
    """The line that names the error, else the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"error\b", line, re.IGNORECASE)]
    return (errors or lines or ["it failed and said nothing"])[-1]
