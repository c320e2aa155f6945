"""The local service as a command, its state between two runs, and Google's own sign-in library."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_client import GRANULE, Run, jpeg, service
from fake_google_photos import SCOPES, FakeGooglePhotos

COMMANDS = {
    "stock": [sys.executable, "-m", "fake_google_photos"],
    "batuta": [sys.executable, "-m", "batuta", "-m", "fake_google_photos"],
}


@contextmanager
def started(command: list[str]) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The service as a process of its own, with the addresses that it printed."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, process.communicate()
        yield process, json.loads(line)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def access_token(addresses: dict[str, str], context: ssl.SSLContext | None = None) -> str:
    form = "&".join(
        f"{name}={addresses[name]}" for name in ("client_id", "client_secret", "refresh_token")
    )
    data = f"grant_type=refresh_token&{form}".encode()
    with urllib.request.urlopen(addresses["token_url"], data, context=context) as response:
        token: str = json.loads(response.read())["access_token"]
    return token


@pytest.mark.parametrize("loop", ["stock", "batuta"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_a_signal(loop: str, number: signal.Signals) -> None:
    command = [*COMMANDS[loop], "--json", "--tls", "--latency", "0.001", "--faults", "0,seed=1"]
    with started(command) as (process, addresses):
        context = ssl.create_default_context(cafile=addresses["ca_file"])
        request = urllib.request.Request(
            addresses["base_url"] + "/v1/albums",
            headers={"Authorization": f"Bearer {access_token(addresses, context)}"},
        )
        with urllib.request.urlopen(request, context=context) as response:
            assert json.loads(response.read()) == {}
        with urllib.request.urlopen(addresses["page_url"]) as response:
            assert b"Nothing has arrived yet." in response.read()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert not os.path.exists(addresses["ca_file"])


@pytest.mark.parametrize("loop", ["stock", "batuta"])
def test_the_service_can_end_with_the_program_that_started_it(loop: str) -> None:
    with started([*COMMANDS[loop], "--json", "--until-eof"]) as (process, addresses):
        assert process.stdin is not None
        process.stdin.write("something\n")
        process.stdin.flush()
        with urllib.request.urlopen(addresses["page_url"]) as response:
            assert response.status == 200
        process.stdin.close()
        assert process.wait(10) == 0
        process.stdin = None  # closed: `communicate` is not to touch it


def test_the_addresses_are_printed_for_people_too() -> None:
    process = subprocess.Popen(COMMANDS["stock"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    shown = []
    for line in lines:
        shown.append(line)
        if line.startswith("Ctrl-C"):
            break
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert any(re.match(r"page_url +http://127\.0\.0\.1:\d+/$", line) for line in shown)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--faults", "nonsense=1"], 2, "nonsense"),
        (["--faults", "2"], 2, "share"),
        (["--port", "x"], 2, "--port"),
        (["--host", "203.0.113.1"], 1, "fake_google_photos:"),
        (["--until-eof"], 1, "pipe"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], code: int, word: str) -> None:
    done = subprocess.run(
        [*COMMANDS["stock"], *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == code
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_the_state_is_kept_from_one_run_to_the_next(run: Run, tmp_path: Path) -> None:
    async def first() -> tuple[str, str, str]:
        async with service(state=tmp_path) as (photos, client):
            album = await client.album("京都")
            item = await client.item(jpeg(400_000), album, "first.jpg")
            return album, item, photos.client_id

    async def second(album: str, item: str, client_id: str) -> None:
        async with service(state=tmp_path) as (photos, client):
            assert photos.client_id == client_id
            listed = (await client.get("/v1/albums")).json["albums"]
            assert [(shown["id"], shown["mediaItemsCount"]) for shown in listed] == [(album, "1")]
            assert await client.item(jpeg(400_000), name="again.jpg") == item
            assert photos.library.items[0].file_name == "first.jpg"
            assert photos.library.total_bytes == len(jpeg(400_000))
            # It was too large for the memory, and is there all the same.
            async with client.session.get(f"{photos.page_url}picture/{item}") as response:
                assert await response.read() == jpeg(400_000)

    kept = run(first())
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
    run(second(*kept))


def test_unfinished_sessions_leave_no_files(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        media = tmp_path / "media"
        media.mkdir()
        (media / "partial-of-a-killed-run").write_bytes(b"x")
        async with service(state=tmp_path) as (_, client):
            assert list(media.iterdir()) == []
            data = jpeg(4 * GRANULE)
            url = await client.session_url(len(data))
            await client.chunk(url, data[: 2 * GRANULE], 0)
            assert len(list(media.iterdir())) == 1
        assert list(media.iterdir()) == []

    run(main())


def test_a_refresh_token_is_good_in_the_next_run(tmp_path: Path) -> None:
    command = [*COMMANDS["stock"], "--json", "--state", str(tmp_path)]
    with started(command) as (process, addresses):
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    with started(command) as (process, again):
        assert access_token({**again, "refresh_token": addresses["refresh_token"]})


def test_the_state_is_written_while_the_service_runs(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with service(state=tmp_path) as (_, client):
            await client.album("京都")
            async with asyncio.timeout(10):
                while not (tmp_path / "state.json").exists():
                    await asyncio.sleep(0.05)
            assert "京都" in (tmp_path / "state.json").read_text()

    run(main())


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 99}', '{"version": 1}'])
def test_a_damaged_state_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        FakeGooglePhotos(state=tmp_path)


def test_googles_own_library_signs_in(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    flows = pytest.importorskip("google_auth_oauthlib.flow")
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # the token endpoint without TLS

    class Browser:
        """Opens the page as a person's browser would, and follows it back."""

        def open(self, url: str, *_: Any, **__: Any) -> bool:
            threading.Thread(target=lambda: urllib.request.urlopen(url).read()).start()
            return True

    monkeypatch.setattr("webbrowser.get", lambda *_: Browser())

    async def main() -> None:
        async with service() as (photos, client):
            flow = flows.InstalledAppFlow.from_client_config(photos.client_config(), list(SCOPES))
            signed = await asyncio.to_thread(
                flow.run_local_server,
                host="127.0.0.1",
                port=0,
                authorization_prompt_message="",
            )
            assert signed.refresh_token in photos.accounts.grants
            client.token = signed.token
            assert (await client.get("/v1/albums")).status == 200
            from google.auth.transport.requests import Request

            await asyncio.to_thread(signed.refresh, Request())
            assert signed.token != client.token
            photos.revoke_tokens()
            from google.auth.exceptions import RefreshError

            with pytest.raises(RefreshError, match="invalid_grant"):
                await asyncio.to_thread(signed.refresh, Request())

    run(main())
