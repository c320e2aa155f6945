"""The load generator of the benchmark suite against servers that are right, and wrong."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `benches`

from benches import load

pytestmark = [
    pytest.mark.skipif(
        not (os.environ.get(load.BINARY_VARIABLE) or shutil.which("cargo", path=load.cargo_path())),
        reason="cargo is not installed: the load generator is built with it",
    ),
    pytest.mark.timeout(170),  # the first test may have to build it
]


@contextmanager
def echo_server(change: Callable[[bytes], bytes]) -> Iterator[int]:
    """A server on a thread for one connection, which sends back what `change` makes of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    while data := connection.recv(65536):
                        if not (reply := change(data)):
                            return
                        connection.sendall(reply)
                except ConnectionError:
                    pass  # the load generator left at once: what it should do

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda data: data[:-1] + b"!", "other bytes than it received"),
        (lambda data: data + data, "more than it received"),
        (lambda data: b"", "closed a connection|Connection reset"),
    ],
    ids=["damaged", "doubled", "closed"],
)
def test_the_load_generator_refuses_a_wrong_echo(
    change: Callable[[bytes], bytes], complaint: str
) -> None:
    with echo_server(change) as port, pytest.raises(load.LoadFailed, match=complaint):
        run_load(port)


def test_the_load_generator_counts_what_a_right_echo_answers() -> None:
    seen = bytearray()

    def remember(data: bytes) -> bytes:
        seen.extend(data)
        return data

    with echo_server(remember) as port:
        report = run_load(port)
    assert report["verified"] is True
    assert 0 < report["requests"] <= seen.count(b"\n")
    assert len(seen) == 100 * seen.count(b"\n")
    assert report["least_on_a_connection"] == report["most_on_a_connection"] == report["requests"]


def run_load(port: int) -> dict[str, Any]:
    return load.run(
        {"address": f"127.0.0.1:{port}"},
        flags=["verify"],
        connections=1,
        size=100,
        in_flight=3,
        seconds=0.05,
        warm_up=0.01,
        server_pid=os.getpid(),
    )
