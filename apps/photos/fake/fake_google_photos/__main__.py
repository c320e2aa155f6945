"""`python -m fake_google_photos`: the service by hand, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from . import FakeGooglePhotos, FaultPlan, Quota

T = TypeVar("T")


def _said(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse`, with its own words in argparse's message where an argument is wrong."""

    def checked(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(
        prog="python -m fake_google_photos", description="A local Google Photos."
    )
    add = arguments.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=0, help="port of the API (default: a free one)")
    add("--page-port", type=int, default=0, help="port of the page and of sign-in")
    add("--tls", action="store_true", help="the API speaks TLS, with a CA of its own")
    add("--latency", type=float, default=0.0, metavar="SECONDS", help="least time of a request")
    add(
        "--faults",
        type=_said(FaultPlan.parse),
        metavar="PLAN",
        help="what goes wrong: a share (0.05), and seed=N, faults=A+B, on=A+B, "
        "create_items:3=cut_after, separated by commas",
    )
    add("--requests-per-day", type=int, default=10_000, metavar="N", help="the day's quota")
    add("--writes-per-minute", type=int, metavar="N", help="a limit of writes (Google's: 30)")
    add("--state", type=Path, metavar="FOLDER", help="keep library, sign-ins and pictures there")
    add("--ask", action="store_true", help="sign-in waits for a click in the browser")
    add("--json", action="store_true", help="print the addresses as one line of JSON")
    add(
        "--until-eof",
        action="store_true",
        help="end when standard input, a pipe, ends: with the program that started the service, "
        "however that one ends",
    )
    return arguments


def addresses(photos: FakeGooglePhotos) -> dict[str, str]:
    """What a program needs to use the service."""
    credentials = photos.issue_credentials()
    shown = {
        "base_url": photos.base_url,
        "auth_url": photos.auth_url,
        "token_url": photos.token_url,
        "page_url": photos.page_url,
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "refresh_token": credentials.refresh_token,
    }
    if photos.ca_file is not None:
        shown["ca_file"] = str(photos.ca_file)
    return shown


def _watch_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Sets `stop` at the end of standard input; what is written there is thrown away.

    Raises:
        ValueError: standard input is no pipe or terminal, so nothing would tell of its end.
    """
    source = sys.stdin.fileno()

    def readable() -> None:
        if not os.read(source, 4096):
            loop.remove_reader(source)
            stop.set()

    try:
        loop.add_reader(source, readable)
    except PermissionError:  # epoll's answer for files and /dev/null
        raise ValueError("--until-eof needs a pipe as standard input") from None


async def serve(options: argparse.Namespace) -> None:
    """Runs the service until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if options.until_eof:
        _watch_input(loop, stop)
    async with FakeGooglePhotos(
        faults=options.faults,
        quota=Quota(options.requests_per_day, writes_per_minute=options.writes_per_minute),
        latency=options.latency,
        tls=options.tls,
        state=options.state,
        host=options.host,
        port=options.port,
        page_port=options.page_port,
        auto_consent=not options.ask,
    ) as photos:
        shown = addresses(photos)
        if options.json:
            print(json.dumps(shown), flush=True)
        else:
            for name, value in shown.items():
                print(f"{name:14} {value}")
            print("Ctrl-C ends it.", flush=True)
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    options = parser().parse_args(arguments)
    try:
        asyncio.run(serve(options))
    except (OSError, ValueError) as error:
        print(f"fake_google_photos: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
