"""What each command does, and the loop that it does it on."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from rich.console import Console

from batuta_photos.album_template import AlbumTemplate, clean_title
from batuta_photos.credentials import TokenSource, choose_store, keep_choice, open_store
from batuta_photos.errors import ApiError
from batuta_photos.journal import Journal
from batuta_photos.library import Library
from batuta_photos.options import account_of, run_options, selection_of, service_of
from batuta_photos.progress import shown
from batuta_photos.quota import Usage
from batuta_photos.redact import redact, set_up_logging
from batuta_photos.report import (
    print_dry_run,
    print_failed,
    print_json,
    print_outcome,
    print_status,
    status,
    summary,
    write_failed,
)
from batuta_photos.settings import RunOptions
from batuta_photos.sign_in import SignIn, read_client
from batuta_photos.sources import Titles
from batuta_photos.stops import Exit, Stop, UsageError
from batuta_photos.tally import Tally
from batuta_photos.upload import Run, Task, real_folder
from batuta_photos.wire import Wire


def run_command(given: argparse.Namespace) -> int:
    """Carry out a command; returns the exit code."""
    console = Console(stderr=True)
    try:
        set_up_logging(given.verbose, given.log_file)
        return run_on(given.loop, lambda: _interruptible(COMMANDS[given.command](given, console)))
    except Stop as stop:
        console.print(
            f"batuta-photos: {redact(str(stop))}", style="red", highlight=False, markup=False
        )
        return int(stop.code)
    except ApiError as error:
        console.print(
            f"batuta-photos: {redact(str(error))}", style="red", highlight=False, markup=False
        )
        return int(Exit.SOME_FAILED)
    except OSError as error:
        console.print(f"batuta-photos: {error}", style="red", highlight=False, markup=False)
        return int(Exit.USAGE)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return int(Exit.INTERRUPTED)


def run_on(loop: str, main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a coroutine on Batuta, or on stock asyncio: the program is the same."""
    if loop == "asyncio":
        return asyncio.run(main())
    import batuta

    return batuta.run(main(), accelerate=True)


async def _interruptible(command: Awaitable[int]) -> int:
    """SIGTERM ends a command as Ctrl-C does, and what it was about is written down."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await command
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def _carry_out(task: Task, given: argparse.Namespace, console: Console) -> int:
    tally = Tally()
    if given.json:
        tally.on_event = lambda event: print_json(event, sys.stdout)
    run = Run(task, tally)
    try:
        if given.json:
            await run.execute()
        else:
            async with shown(run, console):
                await run.execute()
    finally:
        # Also when interrupted: the numbers are those of the journal.
        if run.outcome.run:
            await _say(run, given, console)
    return int(run.outcome.exit_code)


async def _say(run: Run, given: argparse.Namespace, console: Console) -> None:
    dry = run.task.options.dry_run
    if given.json:
        print_json(summary(run), sys.stdout)
    elif dry:
        print_dry_run(run, console)
    else:
        print_outcome(run, console)
    if dry:
        return
    async with Journal(run.task.account.journal_file) as journal:
        if not given.json:
            await print_failed(journal, run.outcome.run, console)
        if given.failed_to is not None:
            count = await write_failed(journal, run.outcome.run, given.failed_to)
            if not given.json:
                console.print(
                    f"{count:,} failed files are listed in {given.failed_to}.", highlight=False
                )


async def _upload(given: argparse.Namespace, console: Console) -> int:
    folder = real_folder(given.folder)
    if not os.path.isdir(folder):
        raise UsageError(f"there is no folder {given.folder}")
    if not given.album and not given.album_template:
        raise UsageError("name the ALBUM, or give --album-template")
    album = clean_title(given.album) if given.album else ""
    template = None
    if given.album_template:
        template = AlbumTemplate(given.album_template, album, os.path.basename(folder))
    if given.watch and given.dry_run:
        raise UsageError("--watch and --dry-run do not go together")
    if given.watch and given.delete_after_verified:
        raise UsageError("--watch and --delete-after-verified do not go together")
    task = Task(
        account_of(given),
        service_of(given),
        run_options(given),
        folder,
        selection_of(given),
        Titles(album, template),
        given.album_template or album,
        given.watch,
    )
    return await _carry_out(task, given, console)


async def _retry_failed(given: argparse.Namespace, console: Console) -> int:
    task = Task(account_of(given), service_of(given), run_options(given))
    return await _carry_out(task, given, console)


def _ask(words: str, ended: threading.Event) -> str:
    """One line from the user; gives up soon after `ended`, so that Ctrl-C need not wait for it."""
    print(words, end="", flush=True)
    while not select.select([sys.stdin], [], [], 0.2)[0]:
        if ended.is_set():
            return ""
    return sys.stdin.readline()


async def _login(given: argparse.Namespace, console: Console) -> int:
    account, service = account_of(given), service_of(given)
    account.make()
    kept = account.folder / "client.json"
    if given.client_secret is None and not kept.exists():
        raise UsageError(
            "the first sign-in needs a client id of your own: --client-secret FILE "
            "(docs/photos.md says how to get one)"
        )
    client = read_client(given.client_secret or kept)
    sign_in = SignIn(client, choose_store(account, keyring=given.keyring), service.ca_file)

    def show(address: str) -> None:
        console.print("Open this address and allow access:")
        # Not through the console: it must arrive in one piece to be copied.
        print(address, flush=True)

    if given.no_browser:
        console.print(
            "After that the browser says that it cannot show a page: copy that page's address, "
            "which begins with http://127.0.0.1, and paste it here."
        )
        ended = threading.Event()
        try:
            await sign_in.with_paste(show, lambda: _ask("Address: ", ended))
        finally:
            ended.set()
    else:
        await sign_in.with_browser(show)
    keep_choice(account, keyring=given.keyring)
    if given.client_secret is not None:
        handle = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(client, file)
    console.print("Signed in.", style="green")
    return int(Exit.ALL_UP)


async def _status(given: argparse.Namespace, console: Console) -> int:
    account = account_of(given)
    if not account.journal_file.exists():
        console.print("Nothing has been uploaded with this account yet.")
        return int(Exit.ALL_UP)
    async with Journal(account.journal_file) as journal:
        found = await status(journal)
        if given.json:
            print(json.dumps(found, ensure_ascii=False, indent=2))
        else:
            out = Console()
            print_status(found, out)
            await print_failed(journal, None, out)
        if given.failed_to is not None:
            await write_failed(journal, None, given.failed_to)
    return int(Exit.ALL_UP)


async def _albums(given: argparse.Namespace, console: Console) -> int:
    account, service = account_of(given), service_of(given)
    tokens = TokenSource(open_store(account), service.ca_file)
    options = RunOptions()
    async with Wire(service, tokens, Usage(), options.waits, options.stall) as wire:
        out = Console()
        async for album in Library(wire).albums():
            if given.json:
                print(json.dumps(vars(album), ensure_ascii=False), flush=True)
            else:
                text = f"{album.items:>7,}  {album.title}"
                out.print(text, highlight=False, markup=False, soft_wrap=True)
    return int(Exit.ALL_UP)


async def _demo(given: argparse.Namespace, console: Console) -> int:
    from batuta_photos.demo import demo

    return await demo(given, console)


COMMANDS: dict[str, Callable[[argparse.Namespace, Console], Awaitable[int]]] = {
    "albums": _albums,
    "demo": _demo,
    "login": _login,
    "retry-failed": _retry_failed,
    "status": _status,
    "upload": _upload,
}
