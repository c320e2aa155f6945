"""The projects of `projects.toml`: their sources and the environment that each has for itself.

Both lie in `build/suites/`, named after the release, and are used again. The sources are the
project's source release on the package index, the environment has the same release and what its
tests need; Batuta comes in from this checkout, by a `.pth` file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HOME = ROOT / "build" / "suites"
LISTING = Path(__file__).with_name("projects.toml")
MINUTES = 8
"""That pip may take for one step."""


class NotInstallable(Exception):
    """The project or something it needs cannot be had; the message says why."""


@dataclass(frozen=True)
class Project:
    """A release and how its tests are run; the fields are those of `projects.toml`."""

    name: str
    version: str
    extras: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    departures: dict[str, str] = field(default_factory=dict)

    @property
    def release(self) -> str:
        return f"{self.name}-{self.version}"

    @property
    def requirements(self) -> list[str]:
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return [f"{self.name}{extras}=={self.version}", "pytest", "pytest-timeout", *self.needs]


def listed(listing: Path = LISTING) -> dict[str, Project]:
    """All projects by name."""
    with listing.open("rb") as file:
        return {name: Project(name, **facts) for name, facts in tomllib.load(file).items()}


def sources(project: Project, home: Path = HOME) -> Path:
    """The unpacked source release, downloaded if it is not there."""
    place = home / "sources" / project.release
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        _pip(
            sys.executable,
            *("download", "--no-deps", "--no-binary", project.name, "--dest", folder),
            f"{project.name}=={project.version}",
        )
        archive = next(Path(folder).glob("*.tar.gz"))
        unpacked = Path(folder) / "unpacked"
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
        next(unpacked.iterdir()).rename(place)
    return place


def python(project: Project, home: Path = HOME) -> Path:
    """The interpreter of the project's environment, which is made if what it needs has changed."""
    place = home / f"venv-{sys.implementation.cache_tag}-{project.release}"
    interpreter = place / "bin" / "python"
    stamp = place / "complete"
    wanted = "\n".join([sys.version, *project.requirements])
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        _pip(interpreter, "install", *project.requirements)
        [packages] = place.glob("lib/python*/site-packages")
        (packages / "batuta.pth").write_text(f"{ROOT / 'python'}\n")
        stamp.write_text(wanted)
    return interpreter


def _pip(interpreter: Path | str, *words: str) -> None:
    command = [str(interpreter), "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MINUTES * 60)
    except subprocess.TimeoutExpired:
        raise NotInstallable(f"pip {words[0]} was not done after {MINUTES} minutes") from None
    if done.returncode:
        raise NotInstallable(f"pip {words[0]}: {done.stderr.strip() or done.stdout.strip()}")
