"""Files on disk: fingerprints, and reading in threads so that the loop never waits for a disk.

`Stamp` is what says cheaply that a file is the one that was looked at before; the SHA-256 says it
surely. All reading goes through a `Disk`, whose threads stop early when the run ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

BLOCK = 1 << 20  # bytes read at a time
HEAD = 4096  # bytes at the front that show the type


class FileTrouble(Exception):
    """A file cannot be used; the text says why. The rest of the run goes on."""


class Vanished(FileTrouble):
    """It is not there any more."""


class Changed(FileTrouble):
    """It is not what it was when it was looked at."""


class Ended(Exception):
    """The run ends; a thread gives up reading."""


def _signed(number: int) -> int:
    """A number as the journal can hold it: in 64 bits with a sign.

    Some filesystems give numbers to files that need all 64 bits, or times far away.
    """
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


@dataclass(frozen=True)
class Stamp:
    """What `stat` says of a file's content."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        return cls(found.st_size, _signed(found.st_mtime_ns), _signed(found.st_ino))


@dataclass(frozen=True)
class Print:
    """A file's fingerprint: all of it was read."""

    stamp: Stamp
    sha: bytes
    head: bytes


def shown(path: str) -> str:
    """The path as text that can be printed and sent: file names need not be valid UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def open_file(path: str) -> int:
    """A descriptor of a regular file.

    Raises:
        FileTrouble: it is not there, no regular file, or may not be read.
    """
    try:
        # Not blocking: a pipe in the folder must not hold a thread until somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise Vanished("not there any more") from None
    except OSError as error:
        raise FileTrouble(f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileTrouble("not a regular file")
    return descriptor


class Disk:
    """Threads for reading files."""

    def __init__(self, threads: int = 6) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="disk")
        # Whole files take long: they must not keep uploads from their next block.
        self._whole = ThreadPoolExecutor(threads, thread_name_prefix="hash")
        self._ended = threading.Event()

    def close(self) -> None:
        """Let running reads give up soon; does not wait for them."""
        self._ended.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._whole.shutdown(wait=False, cancel_futures=True)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of a blocking call, made in one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: call(*args, **kwargs))

    async def fingerprint(self, path: str) -> Print:
        """Read all of a file.

        Raises:
            FileTrouble: it cannot be read, or it changed while it was read.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._whole, self._fingerprint, path)

    def _fingerprint(self, path: str) -> Print:
        descriptor = open_file(path)
        try:
            before = Stamp.of(os.fstat(descriptor))
            hasher = hashlib.sha256()
            head = b""
            while block := self._read(descriptor, BLOCK):
                if not head:
                    head = block[:HEAD]
                hasher.update(block)
            if Stamp.of(os.fstat(descriptor)) != before:
                raise Changed("it changed while it was read")
            return Print(before, hasher.digest(), head)
        finally:
            os.close(descriptor)

    def _read(self, descriptor: int, size: int) -> bytes:
        if self._ended.is_set():
            raise Ended
        try:
            return os.read(descriptor, size)
        except OSError as error:
            raise FileTrouble(f"cannot be read: {error.strerror}") from error

    async def open(self, path: str, expected: Stamp) -> OpenFile:
        """The file for sending it.

        Raises:
            FileTrouble: as `open_file`; `Changed` if it is not the one that `expected` describes.
        """
        descriptor = await self.run(open_file, path)
        opened = OpenFile(self, descriptor, expected)
        try:
            opened.check()
        except BaseException:
            opened.close()
            raise
        return opened


class OpenFile:
    """A file that is being sent; compares what is sent with the fingerprint taken before."""

    def __init__(self, disk: Disk, descriptor: int, expected: Stamp) -> None:
        self._disk = disk
        self._descriptor = descriptor
        self._expected = expected
        self._hasher = hashlib.sha256()
        self._hashed = 0  # bytes from the front that the hasher has seen
        self._busy = 0  # reads that threads have under way
        self._closed = False

    def close(self) -> None:
        """Close it, after the last read that a thread has under way."""
        self._closed = True
        if not self._busy and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def check(self) -> None:
        """Raise `Changed` unless it is still as it was."""
        if Stamp.of(os.fstat(self._descriptor)) != self._expected:
            raise Changed("it changed while it was uploaded")

    async def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset` on.

        Raises:
            Changed: the file ends before.
        """
        return await self._in_thread(self._read, offset, size)

    async def hash_to(self, offset: int, end: int) -> None:
        """Let the hasher see the bytes from `offset` to `end`, as far as it has not.

        After a resumption in the middle the front is missing, and `matches` trusts the stamp.
        """
        if offset <= self._hashed < end:
            await self._in_thread(self._hash, self._hashed, end)

    def matches(self, sha: bytes) -> bool:
        """Whether the whole file was seen and is the one expected, or cannot be told otherwise."""
        return self._hashed < self._expected.size or self._hasher.digest() == sha

    async def _in_thread(self, call: Callable[[int, int], T], first: int, second: int) -> T:
        # A task that is cancelled leaves the thread reading: the descriptor must live until then,
        # or its number could mean another file.
        self._busy += 1
        loop = asyncio.get_running_loop()

        def done(_: object) -> None:
            self._busy -= 1
            if self._closed:
                self.close()

        job = loop.create_task(self._disk.run(call, first, second))
        job.add_done_callback(done)
        return await asyncio.shield(job)

    def _read(self, offset: int, size: int) -> bytes:
        parts = []
        while size:
            if self._disk._ended.is_set():
                raise Ended
            try:
                part = os.pread(self._descriptor, size, offset)
            except OSError as error:
                raise FileTrouble(f"cannot be read: {error.strerror}") from error
            if not part:
                raise Changed("it became shorter while it was uploaded")
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _hash(self, offset: int, end: int) -> None:
        while offset < end:
            block = self._read(offset, min(BLOCK, end - offset))
            self._hasher.update(block)
            offset += len(block)
            self._hashed = offset
