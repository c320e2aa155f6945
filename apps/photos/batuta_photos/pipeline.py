"""From files to albums: the stages and what flows between them.

    source ──> readers ──────> sender ───────────> creator
    (paths)    hash, sniff,    bytes up, many      items made, 50 at a time,
               known content?  at once             one request at a time

Memory is flat: the source waits for the readers, and at most `in_flight` contents are between
readers and creator, whatever the folder holds. Queues behind that bound have no limit of their own,
so stages can hand works back (an upload token that is not good) without a dead end.

A content is one `Work` in `_works`, however many files have it: a second file joins. Whoever joins
has its job on disk first, and whoever ends a work looks afterwards whether somebody has joined.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence

from batuta_photos.albums import AlbumBook
from batuta_photos.creator import NAMELESS, Creator
from batuta_photos.files import Changed, Disk, FileTrouble, Print, Stamp, Vanished, shown
from batuta_photos.journal import Journal
from batuta_photos.library import Library
from batuta_photos.pacing import WriteRate
from batuta_photos.quota import requests_to_send
from batuta_photos.redact import redact
from batuta_photos.rows import ContentRow, JobRow
from batuta_photos.scan import Found
from batuta_photos.sender import Sender
from batuta_photos.settings import RunOptions
from batuta_photos.sniff import named_like_media, sniff
from batuta_photos.states import Content, Job, Placement
from batuta_photos.stops import foremost
from batuta_photos.tally import Tally
from batuta_photos.uploads import Uploader
from batuta_photos.wire import Wire
from batuta_photos.work import Work

READERS = 32  # most of their time they wait for the journal; the disk has fewer threads
LOOKS = 3  # times that a file which keeps changing is read

Source = AsyncIterator[Sequence[Found]]


class Pipeline:
    """One pass over a source.

    Args:
        run: its number in the journal.
        retry_failed: whether contents that the service refused are tried again.
    """

    def __init__(
        self,
        journal: Journal,
        disk: Disk,
        wire: Wire,
        options: RunOptions,
        tally: Tally,
        run: int,
        *,
        retry_failed: bool = False,
    ) -> None:
        self._journal = journal
        self._disk = disk
        self._options = options
        self._tally = tally
        self._run = run
        self._retry_failed = retry_failed
        library = Library(wire)
        rate = WriteRate(options.writes_per_minute)
        self.albums = AlbumBook(library, journal, options.waits, rate, options.album_items)
        uploader = Uploader(wire, journal, disk, options.chunk)
        self.sender = Sender(uploader, wire, journal, options, tally, self)
        self.creator = Creator(library, journal, self.albums, rate, options, tally, self)
        self._found: asyncio.Queue[tuple[Found, bytes | None]] = asyncio.Queue(maxsize=2 * READERS)
        self._reading = 0  # files between source and readers
        self._room = asyncio.Semaphore(options.in_flight)
        self._works: dict[bytes, Work] = {}
        self._again: list[Found] = []  # files that have changed, to be read once more
        self._looks: dict[tuple[str, str], int] = {}
        self._source_waits = False
        self._waits: Callable[[], bool] = lambda: False
        self._tick = asyncio.Event()

    async def run(self, source: Source, *, waits: Callable[[], bool] = lambda: False) -> None:
        """Take everything that the source gives to its end.

        Args:
            source: batches of files; those that the journal knows as done cost one look.
            waits: whether the source is waiting for something outside (watching a folder).

        Raises:
            Stop: the run cannot go on.
        """
        self._waits = waits
        if not self._options.dry_run:
            await self.albums.load()
        try:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(self._read(), name="reader") for _ in range(READERS)]
                if not self._options.dry_run:
                    workers += [
                        group.create_task(runner, name="sender") for runner in self.sender.runners()
                    ]
                    workers.append(group.create_task(self.creator.run(), name="creator"))
                async for batch in source:
                    await self._take(batch)
                    await self._take_again()
                self._tally.scanned = True
                self._source_waits = True
                while self._reading or self._works or self._again:
                    await self._take_again()
                    self.creator.look()
                    self._tick.clear()
                    if self._reading or self._works:
                        await self._tick.wait()
                for worker in workers:
                    worker.cancel()
        except BaseExceptionGroup as errors:
            raise foremost(errors) from None

    def nothing_coming(self) -> bool:
        """Whether the creator has all that it can get before it makes room itself."""
        if self.sender.sending:
            return False
        if self._room.locked():
            return True
        return not self._reading and not self._again and (self._source_waits or self._waits())

    def moved(self) -> None:
        """Something has left a stage: others may be able to go on."""
        self._tick.set()
        self.creator.look()

    # Source

    async def _take(self, batch: Sequence[Found]) -> None:
        """Pass on what is not known as done."""
        self._tally.found += len(batch)
        if not self._options.dry_run:
            for album in dict.fromkeys(found.album for found in batch):
                await self.albums.check(album)
        known = await self._journal.known([found.path for found in batch])
        seen: list[tuple[str, str]] = []
        for found in batch:
            rows = known.get(found.path, [])
            row = next((row for row in rows if row.album == found.album), None)
            if row is not None and found.stamp is not None and row.stamp == found.stamp:
                if row.state in (Job.DONE, Job.SKIPPED):
                    seen.append((found.path, found.album))
                    self._tally.unchanged += 1
                    continue
                if row.state is Job.FAILED and not row.retryable and not self._retry_failed:
                    seen.append((found.path, found.album))
                    self._tally.end(Job.FAILED)
                    self._tally.file(Job.FAILED, found.path, found.album, row.error or "")
                    continue
            # Read once already, for another album or in a run that did not end: known by its stamp.
            same = (row.sha for row in rows if row.sha is not None and row.stamp == found.stamp)
            self._reading += 1
            await self._found.put((found, next(same, None)))
        if seen:
            await self._journal.seen(self._run, seen)

    async def _take_again(self) -> None:
        while self._again:
            self._reading += 1
            await self._found.put((self._again.pop(), None))

    # Readers

    async def _read(self) -> None:
        while True:
            found, sha = await self._found.get()
            try:
                await self._look_at(found, sha)
            finally:
                self._reading -= 1
                self.moved()

    async def _look_at(self, found: Found, sha: bytes | None) -> None:
        try:
            if found.stamp is None:
                raise FileTrouble(found.error)
            if sha is not None:
                await self._join(found, sha, found.stamp)
                return
            whole = await self._disk.fingerprint(found.path)
        except Vanished as gone:
            await self._ends(found, Job.VANISHED, str(gone))
        except Changed as changed:
            await self._once_more(found, str(changed))
        except FileTrouble as trouble:
            await self._ends(found, Job.FAILED, str(trouble))
        else:
            self._tally.read += 1
            self._tally.read_bytes += whole.stamp.size
            await self._judge(found, whole)

    async def _judge(self, found: Found, whole: Print) -> None:
        """Whether it is something that the service takes."""
        expected = named_like_media(found.path)
        media = sniff(whole.head, found.path) if whole.head else None
        if media is None:
            if not expected:
                await self._ends(found, Job.SKIPPED, "no picture and no video", whole.stamp)
            elif not whole.stamp.size:
                await self._ends(found, Job.FAILED, "the file is empty", whole.stamp)
            else:
                text = "named like a picture or video, but its content is none that is taken"
                await self._ends(found, Job.FAILED, text, whole.stamp)
        elif whole.stamp.size > media.most_bytes:
            text = f"larger than the {media.most_bytes >> 20} MiB that the service takes"
            await self._ends(found, Job.FAILED, text, whole.stamp)
        else:
            name = shown(os.path.basename(found.path))
            await self._join(found, whole.sha, whole.stamp, (media.mime, name))

    async def _ends(self, found: Found, state: Job, text: str, stamp: Stamp | None = None) -> None:
        """A file ends here. What its bytes say will not change; a failed read may."""
        retryable = stamp is None
        await self._journal.job_ended(
            self._run, found.path, found.album, stamp, state, text, retryable=retryable
        )
        self._tally.end(state)
        self._tally.file(state, found.path, found.album, text)

    async def _once_more(self, found: Found, text: str) -> None:
        key = (found.path, found.album)
        self._looks[key] = self._looks.get(key, 1) + 1
        if self._looks[key] > LOOKS:
            await self._ends(found, Job.FAILED, f"{text}, again and again")
        else:
            # Whoever writes it may be about to end.
            await asyncio.sleep(self._options.waits.after_5xx)
            self._again.append(found)

    async def _join(
        self, found: Found, sha: bytes, stamp: Stamp, media: tuple[str, str] | None = None
    ) -> None:
        """The content of a file is known: let it share the work on that, or begin one.

        Args:
            media: type and name, if the content may be new to the journal.
        """
        await self._journal.take_in(self._run, found.path, found.album, stamp, sha, media)
        await self._room.acquire()
        # Nothing may be awaited from here until the work is joined or there.
        work = self._works.get(sha)
        if work is not None:
            self._room.release()
            self._tally.duplicates += 1
            work.joined += 1
            work.files += 1
            work.albums.setdefault(found.album, False)
            self._note(work, found)
            return
        work = self._works[sha] = Work(sha, found.path, stamp, {found.album: False})
        self._note(work, found)
        await self._route(work)

    def _note(self, work: Work, found: Found) -> None:
        if self._tally.wants_events:
            work.waiting.append((found.path, found.album))

    async def _route(self, work: Work) -> None:
        """Where a content is to go on, by what the journal says of it."""
        content = await self._journal.content(work.sha)
        work.mime, work.name = content.mime, content.name
        for album, state in (await self._journal.albums_of(work.sha)).items():
            if album in work.albums and state is Placement.PLACED:
                work.albums[album] = True
        if self._options.dry_run:
            await self._pretend(work, content)
            return
        match content.state:
            case Content.CREATED:
                self._tally.duplicates += 1
                work.created = True
                work.media_id = content.media_id or ""
                if not work.missing():
                    await self.finished(work, noted=0)
                elif work.media_id:
                    self.creator.place(work)
                else:
                    await self.failed(work, NAMELESS, retryable=False)
                return
            case Content.UPLOADED | Content.CREATING:
                age = time.time() - (content.token_at or 0)
                if content.token and 0 <= age < self._options.token_age:
                    work.token = content.token
                    work.uncertain = content.state is Content.CREATING
                    self.creator.create(work)
                    return
                work.uncertain = content.state is Content.CREATING
                await self._journal.start_again([work.sha])
            case Content.FAILED:
                if not (content.retryable or self._retry_failed):
                    await self.failed(work, content.error or "", retryable=False)
                    return
                await self._journal.start_again([work.sha])
        self.sender.send(work)

    async def _pretend(self, work: Work, content: ContentRow) -> None:
        """A dry run: count, and let the thrown-away journal say that it is up."""
        if content.state is Content.CREATED:
            self._tally.duplicates += 1
        else:
            self._tally.to_upload += 1
            self._tally.wanted_bytes += content.size
            self._tally.to_upload_requests += requests_to_send(
                content.size, self._options.resumable_from, self._options.chunk
            )
        await self._journal.pretend(work.sha, work.missing())
        for album in work.albums:
            work.albums[album] = True
        await self.finished(work, noted=0)

    # What the stages report

    async def uploaded(self, work: Work) -> None:
        self.creator.create(work)

    async def send_again(self, work: Work) -> None:
        await self._journal.start_again([work.sha])
        work.token = work.media_id = ""
        work.created = False
        self.sender.send(work)

    async def finished(self, work: Work, noted: int = 1) -> None:
        joined = noted
        while work.joined != joined:
            # Their jobs came to the journal after the statement that ended the others'.
            joined = work.joined
            placed = [album for album, there in work.albums.items() if there]
            await self._journal.finish(work.sha, placed)
        if work.missing():
            self.creator.place(work)
            return
        self._tally.end(Job.DONE, work.files)
        self._over(work)
        for path, album in work.waiting:
            self._tally.file(Job.DONE, path, album)

    async def failed(self, work: Work, error: str, *, retryable: bool) -> None:
        error = redact(error)  # the words of others: they go to lists and events
        joined = 0
        rows: list[JobRow] = []
        while work.joined != joined:
            joined = work.joined
            if self._tally.wants_events:
                rows += await self._journal.files_of(work.sha, Job.PENDING, self._run)
            if work.created:
                await self._journal.jobs_failed(work.sha, error, retryable=retryable)
            else:
                await self._journal.content_failed(work.sha, error, retryable=retryable)
        self._tally.end(Job.FAILED, work.files)
        self._over(work)
        for row in rows:
            self._tally.file(Job.FAILED, row.path, row.album, error)

    async def file_lost(self, work: Work, trouble: FileTrouble) -> None:
        """The file that a content was read from is not what it was: another one may have it."""
        if isinstance(trouble, Changed):
            state = Job.PENDING
            # What went up may be of neither the old content nor the new one: another file with the
            # old one must not go on in this session.
            await self._journal.start_again([work.sha])
        else:
            state = Job.VANISHED if isinstance(trouble, Vanished) else Job.FAILED
        albums = await self._journal.path_lost(work.path, work.sha, state, str(trouble))
        work.waiting = [(path, album) for path, album in work.waiting if path != work.path]
        for album in albums:
            work.files -= 1
            if state is Job.PENDING:
                await self._once_more(Found(work.path, album, work.stamp), str(trouble))
            else:
                self._tally.end(state)
                self._tally.file(state, work.path, album, str(trouble))
        joined = 0
        while work.joined != joined:
            joined = work.joined
            others = await self._journal.files_of(work.sha, Job.PENDING, self._run)
            for other in others:
                if other.stamp is not None:
                    work.path, work.stamp = other.path, other.stamp
                    work.albums = {row.album: False for row in others}
                    self.sender.send(work)
                    return
        self._over(work)

    def _over(self, work: Work) -> None:
        work.over = True
        del self._works[work.sha]
        self._room.release()
        self.moved()
