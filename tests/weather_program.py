"""What the tests of the weather program share: its parts as processes, and services of our own.

The service always runs on stock asyncio, in its own process, as in the program itself. The client
and the comparison run as subprocesses too, as a user would start them. Services that misbehave are
small servers in a thread of the test's process.
"""

import contextlib
import http.server
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WEATHER = Path(__file__).resolve().parent.parent / "examples" / "weather"
LOOPS = {"stock": [sys.executable], "batuta": [sys.executable, "-m", "batuta"]}
LOOP_MODULES = {"stock": "asyncio", "batuta": "batuta"}
LIMIT = 60.0  # seconds for any one process

Answer = tuple[int, dict[str, Any]]
Done = subprocess.CompletedProcess[str]


def run(*command: str) -> Done:
    """Run a program to its end."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=2 * LIMIT,
        check=False,
    )


def client_command(loop: str, *arguments: str) -> list[str]:
    return [*LOOPS[loop], str(WEATHER / "client.py"), *arguments]


def client(loop: str, *arguments: str) -> Done:
    return run(*client_command(loop, *arguments))


def compare(*arguments: str) -> Done:
    return run(sys.executable, str(WEATHER / "compare.py"), *arguments)


def get(url: str, path: str, **parameters: object) -> Answer:
    """Status and JSON body of one GET."""
    return request("GET", url, path, **parameters)


def request(method: str, url: str, path: str, **parameters: object) -> Answer:
    query = urllib.parse.urlencode(parameters)
    asked = urllib.request.Request(f"{url}{path}?{query}", method=method)
    try:
        with urllib.request.urlopen(asked, timeout=LIMIT) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@contextlib.contextmanager
def started_service(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service process and its address; it is killed if it still runs at the end."""
    process = subprocess.Popen(
        [sys.executable, str(WEATHER / "service.py"), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:  # closes the pipes and waits
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()


@contextlib.contextmanager
def http_server(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A service of our own making: `answer` handles each GET."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def send(handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def wait_for_connection(url: str, running: subprocess.Popen[str]) -> None:
    """Wait until a client, which runs already, is connected to a local service."""
    port = f"{urllib.parse.urlsplit(url).port:04X}"
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline and running.poll() is None:
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if local.endswith(f":{port}") and state == "01":  # established
                return
        time.sleep(0.02)
    raise AssertionError(f"the client never connected: {running.poll()=}")
