"""The command: exit codes, words for people and for programs, interruption."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batuta_photos.options import parser
from batuta_photos.states import Job
from fake_google_photos import At, Fault, FaultPlan, Kind
from test_items import refuse
from world import ALBUM, PHOTOS, QUICK_WORDS, on_batuta, world


@pytest.mark.parametrize(
    "words",
    [
        ["upload"],
        ["upload", "/nowhere", "Album"],
        ["upload", "FOLDER"],
        ["upload", "FOLDER", " "],
        ["upload", "FOLDER", "Album", "--concurrency", "0"],
        ["upload", "FOLDER", "Album", "--watch", "--dry-run"],
        ["upload", "FOLDER", "Album", "--album-template", "{what}"],
        ["upload", "FOLDER", "Album", "--account", "../other"],
        ["upload", "FOLDER", "Album", "--api-url", "http://example.com"],
        ["upload", "FOLDER", "Album", "--ca-file", "/nowhere"],
        ["login"],
        ["dance"],
    ],
)
def test_wrong_usage_ends_with_code_2_and_a_reason(tmp_path: Path, words: list[str]) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            finished = await here.command(
                *(str(here.folder) if word == "FOLDER" else word for word in words)
            )
            assert finished.code == 2
            assert finished.err.strip()
            assert "Traceback" not in finished.err

    on_batuta(main())


@pytest.mark.parametrize("loop", ["asyncio", "batuta"])
def test_upload_status_albums_and_retry_failed(tmp_path: Path, loop: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(12)
            bad = here.folder / "broken.gif"
            bad.write_bytes(b"GIF89a" + b"\0" * 100)
            problem = here.fake.items._problem
            refuse(here, bad)
            listed = here.root / "failed.txt"
            finished = await here.upload_command("--failed-to", str(listed), "--loop", loop)
            assert finished.code == 1
            assert finished.summary["done"] == 12
            assert finished.summary["failed"] == 1
            assert finished.summary["items_made"] == 12
            events = [event for event in finished.events if event["event"] == "file"]
            assert {e["path"] for e in events if e["state"] == "done"} == set(map(str, paths))
            (failed,) = (event for event in events if event["state"] == "failed")
            assert "BAD_IMAGE" in failed["error"]
            path, album, why = listed.read_text().strip().split("\t")
            assert (path, album) == (str(bad), ALBUM)
            assert "BAD_IMAGE" in why

            status = await here.command("status", "--json", "--loop", loop)
            found = json.loads(status.out)
            assert found["files"] == {"done": 12, "failed": 1}
            assert found["albums"] == {ALBUM: {"wanted": 13, "in": 12}}
            assert found["requests_today"] == finished.summary["requests_today"]
            words = await here.command("status", "--loop", loop)
            assert "BAD_IMAGE" in words.out
            assert "12 up" in words.out

            albums = await here.command("albums", "--json", "--loop", loop)
            (one,) = map(json.loads, albums.out.splitlines())
            assert (one["title"], one["items"]) == (ALBUM, 12)

            again = await here.command("retry-failed", "--json", *QUICK_WORDS, "--loop", loop)
            assert again.code == 1
            here.fake.items._problem = problem  # type: ignore[method-assign]
            again = await here.command("retry-failed", "--json", *QUICK_WORDS, "--loop", loop)
            assert again.code == 0, again.out
            assert again.summary["done"] == 1
            here.assert_all_up([*paths, bad])

    on_batuta(main())


def test_a_dry_run_says_what_would_be_and_does_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            here.pictures(10)
            await here.up()
            before = here.fake.requests.total
            kept = here.account.journal_file.stat().st_mtime_ns
            paths = here.pictures(25)
            (here.folder / "twin.jpg").write_bytes(paths[20].read_bytes())
            (here.folder / "notes.txt").write_text("x")
            finished = await here.upload_command("--dry-run")
            assert finished.code == 0, finished.err
            assert finished.summary["would_upload"] == 15
            assert finished.summary["would_need_requests"] == 16
            assert finished.summary["skipped"] == 1
            assert here.fake.requests.total == before
            assert here.account.journal_file.stat().st_mtime_ns == kept
            here.account.token_file.unlink()  # it needs no sign-in
            words = await here.command("upload", str(here.folder), ALBUM, "--dry-run")
            assert words.code == 0
            assert "Would upload 15" in words.err
            await asyncio.sleep(0)

    on_batuta(main())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("loop", ["asyncio", "batuta"])
def test_interrupted_with_code_130_and_gone_on_with(
    tmp_path: Path, number: signal.Signals, loop: str
) -> None:
    async def main() -> None:
        async with world(tmp_path, latency=0.05) as here:
            paths = here.pictures(300)
            process = await here.start(
                "upload",
                str(here.folder),
                ALBUM,
                "--json",
                "--loop",
                loop,
                "--concurrency",
                "4",
                *QUICK_WORDS,
            )
            while here.fake.requests.counts["create_items"] < 2:
                await asyncio.sleep(0.01)
                assert process.returncode is None
            process.send_signal(number)
            async with asyncio.timeout(10):
                out, err = await process.communicate()
            assert process.returncode == 130
            assert b"Traceback" not in err
            summary = json.loads(out.splitlines()[-1])
            assert summary["done"] >= 50
            assert summary["pending"] > 0
            assert summary["exit_code"] == 130
            # A create that was under way was seen through: nothing is uncertain.
            finished = await here.upload_command()
            assert finished.code == 0
            assert max(item.creations for item in here.fake.library.items) == 1
            here.assert_all_up(paths)

    on_batuta(main())


def test_one_process_at_a_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, latency=0.1) as here:
            here.pictures(40)
            words = ("--concurrency", "1", *QUICK_WORDS)
            first = await here.start("upload", str(here.folder), ALBUM, *words)
            while not here.fake.requests.counts["upload_raw"]:
                await asyncio.sleep(0.01)
            second = await here.upload_command()
            assert second.code == 2
            assert str(first.pid) in second.err
            assert (await here.command("status")).code == 0
            await first.communicate()
            assert first.returncode == 0

    on_batuta(main())


def test_a_share_of_faults_seen_by_a_person(tmp_path: Path) -> None:
    """Without a terminal: no control characters, the counts at the end."""
    plan = FaultPlan(listed=[At(Kind.CREATE_ITEMS, 1, Fault.RATE_LIMIT)])

    async def main() -> None:
        async with world(tmp_path, faults=plan) as here:
            here.pictures(5)
            finished = await here.command("upload", str(here.folder), ALBUM, *QUICK_WORDS)
            assert finished.code == 0
            assert finished.out == ""
            assert "5 files are up." in finished.err
            assert "\x1b" not in finished.err

    on_batuta(main())


def test_files_of_folders_that_cannot_be_listed_are_told_of(tmp_path: Path) -> None:
    async def main(monkeypatch: pytest.MonkeyPatch) -> None:
        async with world(tmp_path) as here:
            here.pictures(2)
            here.pictures(2, seed=1, folder=here.folder / "closed")
            real: Any = os.scandir

            def scandir(path: object) -> object:
                if str(path).endswith("closed"):
                    raise PermissionError(13, "Permission denied")
                return real(path)

            monkeypatch.setattr(os, "scandir", scandir)
            run = await here.upload()
            assert run.outcome.exit_code == 1
            assert run.outcome.unreadable == [(str(here.folder / "closed"), "Permission denied")]

            class Broken(contextlib.nullcontext[None]):
                def __iter__(self) -> Iterator[object]:
                    with real(here.folder / "closed") as found:
                        yield next(found)
                    raise OSError(5, "Input/output error")

            def damaged(path: object) -> object:
                return Broken() if str(path).endswith("closed") else real(path)

            monkeypatch.setattr(os, "scandir", damaged)
            run = await here.upload()
            assert run.outcome.exit_code == 1
            assert run.outcome.unreadable == [(str(here.folder / "closed"), "Input/output error")]
            assert run.outcome.counts == {Job.DONE: 3}

    with pytest.MonkeyPatch.context() as monkeypatch:
        on_batuta(main(monkeypatch))


def test_every_option_has_words() -> None:
    actions = parser()._subparsers
    assert actions is not None
    for command in next(iter(actions._group_actions)).choices.values():  # type: ignore[union-attr]
        for action in command._actions:
            assert action.help or not action.option_strings or action.metavar, action
    assert (PHOTOS / "README.md").exists()
