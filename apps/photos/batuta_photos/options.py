"""The words of the command line, and what they mean for a run."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from batuta_photos import __version__
from batuta_photos.pacing import Waits
from batuta_photos.settings import (
    API_URL,
    LOOPBACK,
    MIB,
    Account,
    RunOptions,
    Selection,
    Service,
    default_home,
)
from batuta_photos.stops import UsageError

EPILOG = """exit codes: 0 all files are up; 1 some failed; 2 wrong usage; 3 sign-in needed;
4 the day's quota is used up; 130 interrupted"""


def _size(text: str) -> int:
    """A size in MiB."""
    value = float(text)
    if not 0 < value < 1 << 20:
        raise ValueError
    return int(value * MIB)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError
    return value


def _concurrency(text: str) -> int | None:
    return None if text == "auto" else _positive(text)


_size.__name__ = "size in MiB"
_positive.__name__ = "positive number"
_seconds.__name__ = "number of seconds"
_concurrency.__name__ = "'auto' or positive number"


def _add_common(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("for every command")
    group.add_argument(
        "--account",
        default="default",
        metavar="NAME",
        help="which Google account (default: default)",
    )
    group.add_argument(
        "--home", type=Path, metavar="DIR", help="where accounts are kept (BATUTA_PHOTOS_HOME)"
    )
    group.add_argument(
        "--loop", choices=("batuta", "asyncio"), default="batuta", help="the event loop to run on"
    )
    group.add_argument("--verbose", action="store_true", help="say everything that happens")
    group.add_argument("--log-file", type=Path, metavar="FILE", help="write that to a file")
    group.add_argument(
        "--api-url",
        default=os.environ.get("BATUTA_PHOTOS_API_URL", API_URL),
        metavar="URL",
        help="another service, such as that of `demo` (BATUTA_PHOTOS_API_URL)",
    )
    group.add_argument(
        "--ca-file",
        type=Path,
        default=os.environ.get("BATUTA_PHOTOS_CA_FILE"),
        metavar="FILE",
        help="a certificate to trust for it (BATUTA_PHOTOS_CA_FILE)",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how to upload")
    add = group.add_argument
    add(
        "--concurrency",
        type=_concurrency,
        default=None,
        metavar="auto|N",
        help="uploads at once; auto (the default) finds out what the service takes",
    )
    add(
        "--most-uploads",
        type=_positive,
        default=64,
        metavar="N",
        help="the bound of auto (default: 64)",
    )
    add(
        "--resumable-from",
        type=_size,
        default=8 * MIB,
        metavar="MIB",
        help="files from this size on can be resumed in the middle (default: 8)",
    )
    add(
        "--on-quota",
        choices=("wait", "exit"),
        default="wait",
        help="when the day's quota is used up: go on when it is there again, or exit with 4",
    )
    add(
        "--daily-limit",
        type=_positive,
        metavar="N",
        help="requests a day to stop at (default: when the service says so, at 10,000)",
    )
    add(
        "--quota-check",
        type=_seconds,
        default=1800.0,
        metavar="SECONDS",
        help="how often to ask whether the quota is there again (default: 1800)",
    )
    add(
        "--wait-429",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="least wait after `too many requests`, doubled each time (default: 30)",
    )
    add(
        "--wait-5xx",
        type=_seconds,
        default=1.0,
        metavar="SECONDS",
        help="least wait after an error of the service, doubled each time (default: 1)",
    )
    add("--tries", type=_positive, default=8, metavar="N", help="tries for one thing (default: 8)")
    add(
        "--writes-per-minute",
        type=int,
        default=30,
        metavar="N",
        help="most requests a minute that make items or albums, 0 for no bound (default: 30)",
    )
    add(
        "--one-by-one",
        action="store_true",
        help="finish each file before the next one is begun; slow, for comparison",
    )
    add(
        "--delete-after-verified",
        action="store_true",
        help="remove files once the service has confirmed their items by id",
    )
    add("--failed-to", type=Path, metavar="FILE", help="write the failed files and why to FILE")
    add("--json", action="store_true", help="print what happens as lines of JSON")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="batuta-photos",
        description="Upload folders of pictures to Google Photos albums.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"batuta-photos {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    upload = commands.add_parser("upload", help="upload a folder to an album", epilog=EPILOG)
    upload.add_argument("folder", metavar="FOLDER")
    upload.add_argument("album", metavar="ALBUM", nargs="?", default="")
    what = upload.add_argument_group("what to upload")
    what.add_argument(
        "--include", action="append", default=[], metavar="PATTERN", help="only these, e.g. '*.jpg'"
    )
    what.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN", help="not these; goes first"
    )
    what.add_argument(
        "--recursive",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="folders in the folder, too (the default)",
    )
    what.add_argument("--hidden", action="store_true", help="names that begin with a dot, too")
    what.add_argument(
        "--album-template",
        metavar="TEXT",
        help="an album for each file: {album} {folder} {path} {year} {month} {day} {date}",
    )
    what.add_argument("--dry-run", action="store_true", help="say what would be done")
    what.add_argument("--watch", action="store_true", help="go on with what comes to the folder")
    _add_run(upload)
    _add_common(upload)

    retry = commands.add_parser(
        "retry-failed", help="try the failed files of earlier runs again", epilog=EPILOG
    )
    _add_run(retry)
    _add_common(retry)

    login = commands.add_parser("login", help="sign in to Google")
    login.add_argument(
        "--client-secret",
        type=Path,
        metavar="FILE",
        help="the JSON file of your client id (needed the first time)",
    )
    login.add_argument(
        "--no-browser", action="store_true", help="for a machine without one: paste the address"
    )
    login.add_argument("--keyring", action="store_true", help="keep the sign-in in the keyring")
    _add_common(login)

    status = commands.add_parser("status", help="what is up, what is not, and why")
    status.add_argument("--json", action="store_true", help="as JSON")
    status.add_argument("--failed-to", type=Path, metavar="FILE", help="write the failed files")
    _add_common(status)

    albums = commands.add_parser("albums", help="list the albums that this program has made")
    albums.add_argument("--json", action="store_true", help="as JSON")
    _add_common(albums)

    demo = commands.add_parser("demo", help="upload sample pictures to a service on this machine")
    demo.add_argument("--pictures", type=_positive, default=200, metavar="N")
    demo.add_argument(
        "--latency", type=float, default=0.05, metavar="SECONDS", help="of each request (0.05)"
    )
    demo.add_argument(
        "--faults", default="0", metavar="PLAN", help="a share of requests that fail, e.g. 0.05"
    )
    demo.add_argument(
        "--compare", action="store_true", help="measure one by one, and on stock asyncio, too"
    )
    demo.add_argument(
        "--stay", action="store_true", help="keep the service and its page until Ctrl-C"
    )
    _add_common(demo)
    return top


def account_of(given: argparse.Namespace) -> Account:
    """The folder of the account that a command is for.

    Raises:
        UsageError: the name is no name for a folder.
    """
    name: str = given.account
    if not name or "/" in name or name.startswith("."):
        raise UsageError(f"{name!r} cannot be the name of an account")
    return Account((given.home or default_home()) / name)


def service_of(given: argparse.Namespace) -> Service:
    """Where the API is."""
    ca_file = Path(given.ca_file) if given.ca_file else None
    if ca_file is not None and not ca_file.is_file():
        raise UsageError(f"there is no certificate {ca_file}")
    if not given.api_url.startswith(("https://", *LOOPBACK)):
        raise UsageError("--api-url: tokens go over https only, except to this machine")
    return Service(given.api_url, ca_file)


def selection_of(given: argparse.Namespace) -> Selection:
    return Selection(tuple(given.include), tuple(given.exclude), given.recursive, given.hidden)


def run_options(given: argparse.Namespace) -> RunOptions:
    """How a run is to go."""
    if given.writes_per_minute < 0:
        raise UsageError("--writes-per-minute cannot be negative")
    alone = {"concurrency": 1, "most_uploads": 1, "in_flight": 1, "batch": 1}
    options = RunOptions(
        concurrency=given.concurrency,
        most_uploads=given.most_uploads,
        resumable_from=given.resumable_from,
        writes_per_minute=given.writes_per_minute,
        daily_requests=given.daily_limit,
        wait_for_quota=given.on_quota == "wait",
        quota_check=given.quota_check,
        dry_run=getattr(given, "dry_run", False),
        delete_after_verified=given.delete_after_verified,
        waits=Waits(given.wait_429, given.wait_5xx, max(120.0, given.wait_429), given.tries),
    )
    return replace(options, **alone) if given.one_by_one else options  # type: ignore[arg-type]
