"""uvicorn with `--loop`, as a program of its own, serving Starlette."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from loops import Child, load

from .conftest import answers, free_port, running

HERE = Path(__file__).parent


def fetch(url: str, body: bytes | None = None) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, body, timeout=30) as response:
        data: bytes = response.read()
        return data


@pytest.mark.needs("uvicorn", "starlette")
def test_uvicorn_serves_starlette_on_the_loop(loop_spec: str, tmp_path: Path) -> None:
    loop = load(loop_spec)()
    expected = f"{type(loop).__module__}.{type(loop).__qualname__}"
    loop.close()
    port = free_port()
    log = tmp_path / "log"
    arguments = ["asgi_app:app", "--loop", loop_spec, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), *arguments],
            env=Child(loop_spec).environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        with running(process, lambda: answers(("127.0.0.1", port)), log, signal.SIGINT):
            base = f"http://127.0.0.1:{port}"
            with ThreadPoolExecutor(8) as pool:
                sizes = [0, 1, 1000, 300_000] * 5
                replies = pool.map(lambda size: fetch(f"{base}/echo", b"b" * size), sizes)
                for size, reply in zip(sizes, replies, strict=True):
                    assert json.loads(reply) == {"length": size, "loop": expected}
            text = fetch(f"{base}/stream?count=500").decode()
            assert text.split() == [str(number) for number in range(500)]
    words = log.read_text()
    assert "Finished server process" in words, words
    assert "Traceback" not in words, words
