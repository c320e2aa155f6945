"""Sign-in: by browser and by paste, kept safely, renewed, revoked; and never in a log."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import re
import signal
import stat
from pathlib import Path

import aiohttp
import pytest

from batuta_photos.credentials import (
    SCOPES,
    FileStore,
    KeyringStore,
    TokenSource,
    choose_store,
    keep_choice,
    open_store,
)
from batuta_photos.redact import HIDDEN, redact, remember
from batuta_photos.settings import Account
from batuta_photos.sign_in import SignIn, read_client
from batuta_photos.stops import Exit, SignInNeeded, UsageError
from fake_google_photos import At, Fault, FaultPlan, Kind
from world import World, kill, on_batuta, world


def client_file(here: World) -> Path:
    path = here.root / "client_secret.json"
    path.write_text(json.dumps(here.fake.client_config()))
    return path


async def browse(address: str) -> str:
    """A browser in which the user says yes; the address that it ends at."""
    async with aiohttp.ClientSession() as session, session.get(address) as page:
        assert page.status == 200, await page.text()
        return str(page.url)


def test_login_by_loopback_and_pkce_then_upload(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            here.account.token_file.unlink()
            paths = here.pictures(3)
            process = await here.start("login", "--client-secret", str(client_file(here)))
            assert process.stdout is not None
            address = (await process.stdout.readline()).decode().strip()
            assert "code_challenge_method=S256" in address
            assert re.search(r"redirect_uri=http%3A%2F%2F127\.0\.0\.1%3A\d+", address)
            await browse(address)
            _, err = await process.communicate()
            assert process.returncode == 0, err
            assert stat.S_IMODE(here.account.token_file.stat().st_mode) == 0o600
            assert stat.S_IMODE(here.account.folder.stat().st_mode) == 0o700
            finished = await here.upload_command()
            assert finished.code == 0, finished.err
            here.assert_all_up(paths)
            # Signing in again needs the client's file no more.
            again = await here.start("login")
            assert again.stdout is not None
            await browse((await again.stdout.readline()).decode().strip())
            await again.communicate()
            assert again.returncode == 0

    on_batuta(main())


def test_login_without_a_browser_by_pasting_the_address(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            here.account.token_file.unlink()
            shown: list[str] = []
            store = FileStore(here.account.token_file)
            sign_in = SignIn(read_client(client_file(here)), store, here.fake.ca_file)

            async def elsewhere() -> str:
                async with aiohttp.ClientSession() as session:
                    address = shown[0]
                    while True:  # until the page that cannot be shown
                        async with session.get(address, allow_redirects=False) as page:
                            address = page.headers["Location"]
                        if address.startswith("http://127.0.0.1:1/"):
                            return address

            loop = asyncio.get_running_loop()

            def ask() -> str:
                return asyncio.run_coroutine_threadsafe(elsewhere(), loop).result() + "\n"

            await sign_in.with_paste(shown.append, ask)
            here.pictures(1)
            await here.up()

    on_batuta(main())


def test_a_box_that_was_not_ticked_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, auto_consent=False) as here:
            here.account.token_file.unlink()
            shown: list[str] = []
            store = FileStore(here.account.token_file)
            sign_in = SignIn(read_client(client_file(here)), store, here.fake.ca_file)

            async def elsewhere() -> str:
                form = [("answer", "allow"), *(("scope", scope) for scope in SCOPES[:2])]
                async with (
                    aiohttp.ClientSession() as session,
                    session.post(shown[0], data=form, allow_redirects=False) as page,
                ):
                    return page.headers["Location"]

            loop = asyncio.get_running_loop()

            def ask() -> str:
                return asyncio.run_coroutine_threadsafe(elsewhere(), loop).result()

            words = f"^not allowed: {SCOPES[2].rpartition('/')[2]}; sign in again"
            with pytest.raises(SignInNeeded, match=words):
                await sign_in.with_paste(shown.append, ask)
            assert store.load() is None
            gc.collect()  # the warning's frames hold the connection, and the warning its frames
            await asyncio.sleep(0.1)  # until the service has seen its end

    on_batuta(main())


def test_what_is_pasted_must_belong_to_this_sign_in(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            client = read_client(client_file(here))
            for pasted, words in (
                ("no address", "no code"),
                ("http://127.0.0.1:1/?error=access_denied", "access_denied"),
                ("http://127.0.0.1:1/?code=abcdefgh&state=another", "not accepted"),
            ):
                store = FileStore(here.root / "token.json")
                sign_in = SignIn(client, store, here.fake.ca_file)
                with pytest.raises(SignInNeeded, match=words):
                    await sign_in.with_paste(lambda _: None, lambda pasted=pasted: pasted)  # type: ignore[misc]
                assert store.load() is None

    on_batuta(main())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot read"),
        ("{", "not JSON"),
        ('{"web": {}}', "desktop"),
        ('{"installed": {"client_id": "x"}}', "lacks auth_uri, client_secret, token_uri"),
    ],
)
def test_a_client_file_that_cannot_be_is_explained(
    tmp_path: Path, text: str | None, words: str
) -> None:
    path = tmp_path / "client.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_client(path)


def test_no_sign_in_and_a_revoked_one_end_with_code_3(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            here.pictures(3)
            here.fake.revoke_tokens()
            revoked = await here.upload_command()
            assert revoked.code == 3
            assert "login" in revoked.summary["stopped"]
            here.account.token_file.write_text("{}")
            assert (await here.upload_command()).code == 3
            here.account.token_file.unlink()
            assert (await here.upload_command()).code == 3
            assert (await here.command("albums")).code == 3

    on_batuta(main())


def test_a_sign_in_revoked_under_way_stops_the_run_and_login_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, latency=0.02) as here:
            paths = here.pictures(200)
            running = asyncio.ensure_future(here.upload(concurrency=4))
            while here.fake.requests.counts["upload_raw"] < 60:
                await asyncio.sleep(0.01)
            here.fake.revoke_tokens()
            run = await running
            assert run.outcome.exit_code is Exit.SIGN_IN
            here.sign_in()
            await here.up()
            here.assert_all_up(paths)

    on_batuta(main())


def test_an_access_token_that_ends_is_renewed_once_for_all(tmp_path: Path) -> None:
    plan = FaultPlan(listed=[At(Kind.UPLOAD_RAW, 20, Fault.TOKEN_EXPIRED)])

    async def main() -> None:
        async with world(tmp_path, faults=plan, latency=0.02) as here:
            paths = here.pictures(60)
            run = await here.upload(concurrency=16)
            assert run.outcome.exit_code is Exit.ALL_UP
            here.assert_all_up(paths)
            assert here.fake.requests.counts["token"] == 2
            kept = json.loads(here.account.token_file.read_text())
            assert kept["refresh_token"]
            assert stat.S_IMODE(here.account.token_file.stat().st_mode) == 0o600
            # What was kept is used by the next run.
            await here.up()
            assert here.fake.requests.counts["token"] == 2

    on_batuta(main())


def test_secrets_are_in_no_log(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, faults=FaultPlan(0.1, seed=3)) as here:
            here.pictures(40)
            video = here.folder / "a.mp4"
            video.write_bytes(b"\0\0\0\x14ftypisom\0\0\0\0isom" + bytes(2 << 20))
            log = here.root / "log.txt"
            words = ("--log-file", str(log), "--verbose", "--resumable-from", "1")
            process = await here.start(
                "login", "--client-secret", str(client_file(here)), *words[:3]
            )
            assert process.stdout is not None
            await browse((await process.stdout.readline()).decode().strip())
            _, login_said = await process.communicate()
            finished = await here.upload_command(*words)
            assert finished.code == 0, finished.err
            text = log.read_text() + login_said.decode() + finished.out + finished.err
            assert "/v1/uploads" in text  # it does log what it does
            kept = json.loads(here.account.token_file.read_text())
            secrets = {kept["token"], kept["refresh_token"], kept["client_secret"]}
            secrets |= set(here.fake.accounts._access)
            secrets |= set(here.fake.uploads._finished)
            secrets |= set(here.fake.uploads.sessions)
            assert len(secrets) > 40
            for secret in secrets:
                assert secret not in text

    on_batuta(main())


def test_secrets_of_known_forms_are_hidden_though_nobody_named_them() -> None:
    for text in (
        "Authorization: Bearer abc.def",
        "https://x/?upload_id=AAbb-cc&y=1",
        "{'access_token': 'qqqq', 'refresh_token': 'wwww'}",
        '{"client_secret": "eeee"}',
        "got ya29.a0AfB_by-x and 1//0gabcdefghijk",
        "http://127.0.0.1:1/?state=s&code=4/0Adeu5B",
    ):
        cleaned = redact(text)
        assert HIDDEN in cleaned
        for secret in ("abc.def", "AAbb", "qqqq", "wwww", "eeee", "ya29", "1//0", "4/0A"):
            assert secret not in cleaned
    remember("a secret of its own")
    assert redact("xa secret of its ownx") == f"x{HIDDEN}x"


def test_the_keyring_keeps_a_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1.0
        kept: dict[tuple[str, str], str] = {}  # noqa: RUF012

        def get_password(self, service: str, username: str) -> str | None:
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.kept[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.kept[service, username]

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())  # type: ignore[no-untyped-call]
    try:
        account = Account(tmp_path / "someone")
        account.make()
        account.token_file.write_text("old")
        store = choose_store(account, keyring=True)
        assert open_store(account).load() == "old"  # until there is a new one
        store.save("secret")
        keep_choice(account, keyring=True)
        assert not account.token_file.exists()
        assert isinstance(open_store(account), KeyringStore)
        assert open_store(account).load() == "secret"
        store = choose_store(account, keyring=False)
        assert open_store(account).load() == "secret"
        store.save("in a file")
        keep_choice(account, keyring=False)
        assert open_store(account).load() == "in a file"
    finally:
        keyring.set_keyring(before)


def test_a_machine_without_a_keyring_says_so_before_anybody_signs_in(tmp_path: Path) -> None:
    import keyring
    from keyring.backends import fail

    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())  # type: ignore[no-untyped-call]
    try:
        with pytest.raises(UsageError, match="no keyring"):
            choose_store(Account(tmp_path / "someone"), keyring=True)
        store = KeyringStore("someone")  # of a sign-in from when there was one
        with pytest.raises(SignInNeeded, match="keyring cannot be read"):
            store.load()
        with pytest.raises(UsageError, match="does not take"):
            store.save("secret")
    finally:
        keyring.set_keyring(before)


def test_a_renewed_sign_in_that_cannot_be_kept_ends_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            kept = here.account.token_file.read_text()
            store = FileStore(here.account.token_file)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(os, "replace", full)
                source = TokenSource(store, here.fake.ca_file)
                assert await source.token()
                with pytest.raises(UsageError, match=r"cannot write .*: No space left"):
                    store.save("{}")
            assert "is not kept" in caplog.text
            assert here.account.token_file.read_text() == kept
            assert not list(here.account.folder.glob(".token-*"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    on_batuta(main())


@pytest.mark.parametrize("loop", ["asyncio", "batuta"])
def test_ctrl_c_ends_a_login_that_waits_for_the_address(tmp_path: Path, loop: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            words = ("--client-secret", str(client_file(here)), "--no-browser", "--loop", loop)
            process = await here.start("login", *words, stdin=asyncio.subprocess.PIPE)
            assert process.stdout is not None
            await process.stdout.readuntil(b"Address: ")
            process.send_signal(signal.SIGINT)
            try:
                async with asyncio.timeout(5):
                    await process.wait()
            finally:
                await kill(process)
            assert process.returncode == 130
            # Nothing to read at all is an answer, too.
            nothing = await here.command("login", *words)
            assert nothing.code == 3
            assert "Traceback" not in nothing.err

    on_batuta(main())
