"""The load generator of the benchmark suite against servers that are right, and wrong."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `benches`

from benches import load
from benches.child import Worker

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


@pytest.mark.parametrize("command", ["echo", "connect"])
def test_the_load_generator_reaches_servers_at_ipv6_addresses(command: str) -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as problem:
        pytest.skip(f"no IPv6 on loopback: {problem}")
    with listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(ConnectionError):
                        while data := connection.recv(65536):
                            connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        where: dict[str, str | Path] = {"address": f"[::1]:{port}"}
        flags = ["exchange"] if command == "connect" else ["verify"]
        report = run_load(0, where=where, command=command, flags=flags, connections=1)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert report["requests"] > 0
    assert report["verified"] is True


# The other ways to talk


def answers(*replies: bytes) -> Callable[[bytes], bytes]:
    """Whatever arrives is answered with the next of these; then with the last."""
    left = list(replies)

    def answer(_: bytes) -> bytes:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def head(length: int, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (head(3) + b"abc", r"answered with Some\(3\) bytes, not 100"),
        (head(100, "500 Oh No") + b"x" * 100, 'answered "HTTP/1.1 500 Oh No"'),
        (b"x" * 20_000, "head does not end"),
        (2 * (head(100) + b"x" * 100), "more than it received"),
    ],
    ids=["length", "status", "no-http", "two-answers"],
)
def test_the_load_generator_refuses_a_wrong_http_answer(reply: bytes, complaint: str) -> None:
    with echo_server(answers(reply)) as port, pytest.raises(load.LoadFailed, match=complaint):
        run_load(port, talk="http", in_flight=1)


def test_answers_over_http_are_not_said_to_be_compared() -> None:
    with echo_server(answers(head(100) + b"x" * 100)) as port:
        report = run_load(port, talk="http", in_flight=1, flags=["verify"])
    assert report["requests"] > 0
    assert report["verified"] is False


def test_the_load_generator_refuses_what_is_no_websocket() -> None:
    refusal = answers(head(0, "400 Bad Request"))
    complaint = 'answered "HTTP/1.1 400 Bad Request" to the upgrade'
    with echo_server(refusal) as port, pytest.raises(load.LoadFailed, match=complaint):
        run_load(port, talk="websocket")


def test_the_load_generator_refuses_a_damaged_websocket_message() -> None:
    frame = b"\x82\x64" + b"w" * 100
    server = answers(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", frame)
    complaint = "other bytes than it received"
    with echo_server(server) as port, pytest.raises(load.LoadFailed, match=complaint):
        run_load(port, talk="websocket", in_flight=1)


@contextmanager
def counting_server(error: int) -> Iterator[int]:
    """Counts an upload, and answers at its end with a count that is wrong by so much."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                counted = sum(len(data) for data in iter(lambda: connection.recv(65536), b""))
                connection.sendall(b"%d" % (counted + error))

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def test_an_upload_must_have_been_counted() -> None:
    with counting_server(0) as port:
        report = run_load(port, talk="one-way", in_flight=1)
    assert report["bytes"] == 100 * report["requests"] > 0
    assert "p50_ns" not in report, "nothing answers a single request"
    with counting_server(-1) as port, pytest.raises(load.LoadFailed, match="the server counted"):
        run_load(port, talk="one-way", in_flight=1)


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [(b"short", "another size"), (b"?" * 100, "other bytes")],
    ids=["size", "content"],
)
def test_the_load_generator_refuses_a_wrong_datagram(reply: bytes, complaint: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)

        def serve() -> None:
            _, client = sock.recvfrom(65536)
            sock.sendto(reply, client)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(load.LoadFailed, match=complaint):
            run_load(0, where={"udp": f"127.0.0.1:{sock.getsockname()[1]}"}, in_flight=1)
        thread.join(10)


def test_datagrams_that_never_come_back_are_counted_as_lost() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)

        def serve() -> None:
            for _ in range(1000):
                data, client = sock.recvfrom(65536)
                sock.sendto(data, client)

        thread = threading.Thread(target=serve)
        thread.start()
        where = {"udp": f"127.0.0.1:{sock.getsockname()[1]}"}
        report = run_load(0, where=where, warm_up=0.0, seconds=0.5)
        thread.join(10)
    assert report["lost"] == 3, "all that were in flight when the server went deaf"
    assert report["requests"] == 1000


@pytest.mark.parametrize("size", [1024, 10_240])
def test_the_limit_loses_no_datagram_of_a_hundred_clients(size: int) -> None:
    with Worker.of_command(load.serve_command(place="udp")) as server:
        where: dict[str, str | Path] = {"udp": f"127.0.0.1:{server.identity['port']}"}
        report = run_load(0, where=where, size=size, connections=100, in_flight=1)
    assert report["lost"] == 0
    assert report["least_on_a_connection"] > 0


def test_connections_that_are_not_closed_as_agreed_are_refused() -> None:
    with echo_server(lambda data: data[:-1] + b"!") as port:
        with pytest.raises(load.LoadFailed, match="other bytes than it received"):
            run_load(port, command="connect", flags=["exchange"])


@pytest.mark.parametrize("place", ["tcp", "unix", "udp", "pipes", "tls"])
def test_the_limit_sends_every_byte_back(place: str, tmp_path: Path) -> None:
    if place == "tls":
        load.certificate(tmp_path)
    if place == "pipes":
        os.mkfifo(tmp_path / "to-server")
        os.mkfifo(tmp_path / "from-server")
    with Worker.of_command(load.serve_command(place=place, folder=tmp_path)) as server:
        address = f"127.0.0.1:{server.identity['port']}"
        where: dict[str, str | Path] = {
            "tcp": {"address": address},
            "unix": {"unix": tmp_path / "socket"},
            "udp": {"udp": address},
            "pipes": {"pipes": tmp_path},
            "tls": {"address": address, "tls": tmp_path / "certificate.pem"},
        }[place]
        for size, in_flight in ((2, 1), (1000, 16), (50_000, 2)):
            report = run_load(0, where=where, size=size, in_flight=in_flight)
            assert report["verified"] is True
            assert report["lost"] == 0
            assert report["bytes"] == report["requests"] * size > 0
        used = server.ask(10.0)
        assert used["user_s"] + used["system_s"] > 0
    assert server.failure() == "exit code 0"


def test_the_limit_receives_no_more_at_once_than_it_is_told() -> None:
    with (
        Worker.of_command(load.serve_command(place="udp", read=10)) as server,
        socket.socket(type=socket.SOCK_DGRAM) as sock,
    ):
        sock.settimeout(10)
        sock.sendto(bytes(range(30)), ("127.0.0.1", server.identity["port"]))
        assert sock.recv(100) == bytes(range(10)), "the rest of a datagram is lost"


def test_the_limit_sees_an_end_that_comes_with_the_last_bytes() -> None:
    with Worker.of_command(load.serve_command(what="sink")) as server:
        for _ in range(200):
            with socket.create_connection(("127.0.0.1", server.identity["port"])) as sock:
                sock.settimeout(10)
                sock.sendall(b"x" * 1000)
                sock.shutdown(socket.SHUT_WR)
                assert sock.recv(100) == b"1000"
                assert sock.recv(100) == b""


@pytest.mark.parametrize("reset", [False, True])
def test_a_reset_leaves_nothing_of_a_connection(reset: bool) -> None:
    def states() -> set[str]:
        """Of the client's end, as the kernel numbers them."""
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        return {state for _, near, far, state, *_ in lines if [near[-4:], far[-4:]] == ports}

    time_wait = "06"
    with Worker.of_command(load.serve_command(reset=reset)) as server:
        with socket.create_connection(("127.0.0.1", server.identity["port"])) as sock:
            ports = [f"{address[1]:04X}" for address in (sock.getsockname(), sock.getpeername())]
            sock.sendall(b"ab")
            assert sock.recv(2) == b"ab"
        deadline = time.monotonic() + 10
        while states() - {time_wait} and time.monotonic() < deadline:
            time.sleep(0.001)
        assert states() == (set() if reset else {time_wait})


def test_a_certificate_of_somebody_else_is_not_trusted(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
        load.certificate(folder)
    with Worker.of_command(load.serve_command(place="tls", folder=theirs)) as server:
        address = f"127.0.0.1:{server.identity['port']}"
        where = {"address": address, "tls": ours / "certificate.pem"}
        with pytest.raises(load.LoadFailed, match="certificate"):
            run_load(0, where=where)


def test_idle_connections_are_held_until_they_are_let_go() -> None:
    with Worker.of_command(load.serve_command()) as server:
        port = server.identity["port"]
        command = load.idle_command(server.identity["host"], port, 50, None)
        with Worker.of_command(command) as holder:
            assert holder.identity["connections"] == 50
            assert holder.failure() is None
        assert holder.failure() == "exit code 0"


def run_load(
    port: int, where: dict[str, str | Path] | None = None, **options: Any
) -> dict[str, Any]:
    given = {
        "flags": ["verify"],
        "connections": 1,
        "size": 100,
        "in_flight": 3,
        "seconds": 0.05,
        "warm_up": 0.01,
        "server_pid": os.getpid(),
        **options,
    }
    return load.run(where or {"address": f"127.0.0.1:{port}"}, **given)
