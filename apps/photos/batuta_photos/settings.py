"""What a command works with: places of files, the service's address, and the options of a run."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from batuta_photos.pacing import Waits

API_URL = "https://photoslibrary.googleapis.com"
CHUNK = 262_144  # bytes; sizes of what is read and sent at once are multiples of it
LOOPBACK = ("http://127.0.0.1:", "http://localhost:")  # the only addresses without TLS
MIB = 1 << 20


def default_home() -> Path:
    """Where accounts live unless BATUTA_PHOTOS_HOME or `--home` says otherwise."""
    named = os.environ.get("BATUTA_PHOTOS_HOME")
    return Path(named) if named else platformdirs.user_data_path("batuta-photos")


@dataclass(frozen=True)
class Account:
    """One Google account's folder: its sign-in and its journal.

    A journal belongs to the account whose pictures it lists, so each has its own.
    """

    folder: Path

    @property
    def token_file(self) -> Path:
        return self.folder / "token.json"

    @property
    def journal_file(self) -> Path:
        return self.folder / "journal.sqlite3"

    @property
    def lock_file(self) -> Path:
        return self.folder / "journal.lock"

    def make(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@dataclass(frozen=True)
class Service:
    """Where the API is, and whom to trust for it besides the usual authorities."""

    url: str = API_URL
    ca_file: Path | None = None

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.ca_file is not None:
            context.load_verify_locations(self.ca_file)
        return context


@dataclass(frozen=True)
class Selection:
    """Which files of a folder are taken."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    recursive: bool = True
    hidden: bool = False


@dataclass(frozen=True)
class RunOptions:
    """The options of `upload` and `retry-failed` that concern how, not what.

    Attributes:
        concurrency: byte uploads at once; None adapts.
        most_uploads: the bound of adapting.
        resumable_from: files of at least so many bytes go up in resumable sessions.
        chunk: bytes of one request of a resumable upload, before rounding to the service's unit.
        batch: items in one `batchCreate`.
        linger: seconds that a batch which is not full waits for more.
        writes_per_minute: bound of `batchCreate` and its kin; 0 for none.
        album_items: how many items an album takes.
        daily_requests: requests a day to stop at by ourselves; None leaves it to the service.
        quota_check: seconds between two looks whether the quota is there again.
        stall: seconds without any progress after which a transfer counts as dead.
        in_flight: contents between readers and creator; 1 takes one file after the other.
        token_age: seconds that an upload token is trusted (it is good for a day).
    """

    concurrency: int | None = None
    most_uploads: int = 64
    resumable_from: int = 8 * MIB
    chunk: int = 8 * MIB
    batch: int = 50
    linger: float = 30.0
    writes_per_minute: int = 30
    album_items: int = 20_000
    daily_requests: int | None = None
    wait_for_quota: bool = True
    quota_check: float = 1800.0
    stall: float = 60.0
    token_age: float = 23 * 3600.0
    in_flight: int = 1000
    dry_run: bool = False
    delete_after_verified: bool = False
    waits: Waits = field(default_factory=Waits)
