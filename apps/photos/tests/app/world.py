"""What the tests share: a folder, an account, the local service, and ways to run the uploader.

Most tests run the uploader and the service on one loop in this process. Where it is to be killed or
its exit code matters it runs as a command of its own (`World.command`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import batuta

from batuta_photos.album_template import AlbumTemplate
from batuta_photos.pacing import Waits
from batuta_photos.settings import Account, RunOptions, Selection, Service
from batuta_photos.sources import Titles
from batuta_photos.tally import Tally
from batuta_photos.upload import Outcome, Run, Task
from fake_google_photos import FakeGooglePhotos
from fake_google_photos.library import Album
from fake_google_photos.samples import samples

T = TypeVar("T")
PHOTOS = Path(__file__).resolve().parents[2]
ALBUM = "Summer"

# Real waits are seconds to minutes; what is tested is their order, so they are short here.
QUICK = Waits(after_429=0.05, after_5xx=0.02, longest=0.2, tries=8)
QUICK_WORDS = ("--wait-429", "0.05", "--wait-5xx", "0.02", "--writes-per-minute", "0")


def on_batuta(main: Coroutine[Any, Any, T]) -> T:
    return batuta.run(main, accelerate=True)


LOOPS: dict[str, Callable[[Coroutine[Any, Any, Any]], Any]] = {
    "asyncio": asyncio.run,
    "batuta": on_batuta,
}


@dataclass
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        assert found["event"] == "summary", self.out
        return found

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class World:
    """A service, an account that is signed in to it, and an empty folder."""

    fake: FakeGooglePhotos
    root: Path
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.root / "pictures"

    @property
    def account(self) -> Account:
        return Account(self.root / "home" / "default")

    @property
    def service(self) -> Service:
        return Service(self.fake.base_url, self.fake.ca_file)

    def sign_in(self) -> None:
        credentials = self.fake.issue_credentials()
        self.account.make()
        kept = {
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
            "refresh_token": credentials.refresh_token,
            "token_uri": self.fake.token_url,
            "scopes": list(credentials.scopes),
        }
        self.account.token_file.write_text(json.dumps(kept))
        self.account.token_file.chmod(0o600)

    def pictures(self, count: int, *, seed: int = 0, folder: Path | None = None) -> list[Path]:
        """Sample pictures, each different from all others."""
        place = folder or self.folder
        place.mkdir(parents=True, exist_ok=True)
        paths = []
        for sample in samples(count, seed=seed, size=(32, 24)):
            path = place / sample.name
            path.write_bytes(sample.data)
            paths.append(path)
        return paths

    def task(
        self,
        album: str = ALBUM,
        *,
        template: str = "",
        selection: Selection | None = None,
        retry_failed: bool = False,
        watch: bool = False,
        **options: Any,
    ) -> Task:
        settings = RunOptions(**{"waits": QUICK, "writes_per_minute": 0, **self.options, **options})
        made = AlbumTemplate(template, album, self.folder.name) if template else None
        return Task(
            self.account,
            self.service,
            settings,
            None if retry_failed else os.path.realpath(self.folder),
            selection or Selection(),
            None if retry_failed else Titles(album, made),
            template or album,
            watch,
        )

    async def upload(self, album: str = ALBUM, **words: Any) -> Run:
        """One run in this process."""
        run = Run(self.task(album, **words), Tally())
        await run.execute()
        return run

    async def up(self, album: str = ALBUM, **words: Any) -> Outcome:
        """A run that must end well."""
        run = await self.upload(album, **words)
        assert run.outcome.exit_code == 0, run.outcome
        return run.outcome

    async def start(
        self, *words: str, stdin: int = asyncio.subprocess.DEVNULL
    ) -> asyncio.subprocess.Process:
        """The command, running."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(PHOTOS), str(PHOTOS / "fake"), os.environ.get("PYTHONPATH")])
            ),
            "BATUTA_PHOTOS_HOME": str(self.root / "home"),
            "BATUTA_PHOTOS_API_URL": self.fake.base_url,
            "COLUMNS": "200",
        }
        if self.fake.ca_file is not None:
            environment["BATUTA_PHOTOS_CA_FILE"] = str(self.fake.ca_file)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "batuta_photos",
            *words,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )

    async def command(self, *words: str) -> Finished:
        """The command, until it ends by itself."""
        process = await self.start(*words)
        out, err = await process.communicate()
        assert process.returncode is not None
        return Finished(process.returncode, out.decode(), err.decode())

    async def upload_command(self, *words: str, album: str = ALBUM) -> Finished:
        return await self.command("upload", str(self.folder), album, "--json", *QUICK_WORDS, *words)

    # What arrived

    def album(self, title: str = ALBUM) -> Album:
        """The one album of this title."""
        albums = self.fake.library.albums_named(title)
        assert len(albums) == 1, [album.title for album in self.fake.library.albums]
        return albums[0]

    def hashes_in(self, title: str = ALBUM) -> list[str]:
        """The contents in an album, in order of their hashes."""
        return sorted(item.sha256 for item in self.fake.library.items_in(self.album(title)))

    def assert_all_up(self, paths: list[Path], title: str = ALBUM) -> None:
        """Each content is in the album, once, and there is nothing else anywhere."""
        wanted = sorted({sha(path) for path in paths})
        assert self.hashes_in(title) == wanted
        assert sorted(item.sha256 for item in self.fake.library.items) == wanted


def sha(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.asynccontextmanager
async def world(root: Path, **words: Any) -> AsyncIterator[World]:
    """A world whose service speaks TLS; `words` are FakeGooglePhotos's."""
    async with FakeGooglePhotos(**{"tls": True, **words}) as fake:
        made = World(fake, root)
        made.folder.mkdir(parents=True, exist_ok=True)
        made.sign_in()
        yield made


async def kill(process: asyncio.subprocess.Process) -> None:
    """SIGKILL: nothing is written, closed or said."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    await process.communicate()
