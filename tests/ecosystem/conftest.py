"""What the ecosystem tests share: a time limit, free ports, servers that are always stopped."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from batuta import acceleration

from loops import STOCK, SUBJECT, Run, load
from needs import postgres_program

HERE = Path(__file__).parent
PATIENCE = 40.0

collect_ignore = ["programs"]  # run by the tests here


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(90))


@pytest.fixture(params=["stock", "batuta", "accelerated"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine function on a new loop; the third time with asyncio's names replaced."""
    if request.param != "accelerated":
        yield Run(load(STOCK if request.param == "stock" else SUBJECT))
        return
    with acceleration.held():
        yield Run(load(SUBJECT))


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def answers(address: tuple[str, int] | str) -> bool:
    """Whether somebody accepts connections there."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(1)
        return sock.connect_ex(address) == 0


@contextlib.contextmanager
def running(
    process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, stop: signal.Signals
) -> Iterator[None]:
    """Wait until a server is ready; stop it at the end, whatever happens in between."""
    try:
        deadline = time.monotonic() + PATIENCE
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.02)
        yield
    finally:
        if process.poll() is None:
            process.send_signal(stop)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A redis-server of our own, without persistence."""
    folder = tmp_path_factory.mktemp("redis")
    port = free_port()
    log = folder / "log"
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["redis-server", *arguments, "--dir", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        with running(process, lambda: answers(("127.0.0.1", port)), log, signal.SIGTERM):
            yield port


def postgres(name: str) -> str:
    """The path of a PostgreSQL program that is known to be installed."""
    found = postgres_program(name)
    assert found is not None
    return found


def unprivileged() -> tuple[int | None, int | None]:
    """User and group for PostgreSQL, which refuses to run as root."""
    if os.geteuid() != 0:
        return None, None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    pytest.fail("no user to run PostgreSQL as")


@pytest.fixture(scope="module")
def postgres_socket() -> Iterator[str]:
    """A PostgreSQL of our own that listens on a Unix socket; gives the folder of the socket."""
    user, group = unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # pytest's own folders are closed to other users
    try:
        if user is not None and group is not None:
            os.chown(folder, user, group)
        data, log = folder / "data", folder / "log"
        with log.open("wb") as output:
            common = {
                "user": user,
                "group": group,
                "extra_groups": [] if user is not None else None,
                "cwd": folder,
                "stdin": subprocess.DEVNULL,
                "stdout": output,
                "stderr": subprocess.STDOUT,
            }
            made = subprocess.run(
                [postgres("initdb"), "-D", data, "-U", "tester", "-A", "trust", "--no-sync"],
                check=False,
                **common,  # type: ignore[call-overload]
            )
            if made.returncode != 0:
                pytest.fail(f"initdb failed:\n{log.read_text(errors='replace')}")
            settings = ["listen_addresses=", "fsync=off", "shared_buffers=16MB"]
            options = [part for setting in settings for part in ("-c", setting)]
            process = subprocess.Popen(
                [postgres("postgres"), "-D", data, "-k", folder, *options],
                **common,  # type: ignore[call-overload]
            )
            ready = str(folder / ".s.PGSQL.5432")
            with running(process, lambda: answers(ready), log, signal.SIGINT):
                yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
