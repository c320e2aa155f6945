"""What is ready to run, in the words of `collections.deque`.

Role: the loop's ``_ready``, for programs that make the turns of asyncio's own loop
themselves, and for those that look into it. An entry that native code has queued
gets a handle when somebody looks.

Holds nothing but its loop; other threads may look, the loop's may change it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from batuta.loop import EventLoop


class ReadyView(Sequence[asyncio.Handle]):
    """The queue of a loop: a sequence of handles, oldest first, that can be changed at its ends."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop

    def __len__(self) -> int:
        return self._loop._count_queued()

    def __iter__(self) -> Iterator[asyncio.Handle]:
        return iter(self._loop._queued_handles())

    @overload
    def __getitem__(self, index: int) -> asyncio.Handle: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[asyncio.Handle]: ...
    def __getitem__(self, index: int | slice) -> asyncio.Handle | Sequence[asyncio.Handle]:
        return self._loop._queued_handles()[index]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._loop._queued_handles()!r})"

    def append(self, handle: asyncio.Handle) -> None:
        """Queue a handle behind all others; a timer waits no longer for its time.

        Raises:
            AttributeError: what is given is no handle.
        """
        self._loop._queue_last(handle)

    def appendleft(self, handle: asyncio.Handle) -> None:
        """Queue a handle before all others; a timer waits no longer for its time.

        Raises:
            AttributeError: what is given is no handle.
        """
        self._loop._queue_first(handle)

    def extend(self, handles: Iterable[asyncio.Handle]) -> None:
        """Append one handle after the other."""
        for handle in list(handles):
            self.append(handle)

    def extendleft(self, handles: Iterable[asyncio.Handle]) -> None:
        """Put one handle after the other before all others, so that the last comes first."""
        for handle in list(handles):
            self.appendleft(handle)

    def popleft(self) -> asyncio.Handle:
        """Take the oldest handle out.

        Raises:
            IndexError: nothing is ready.
        """
        handle = self._loop._pop_queued()
        if handle is None:
            raise IndexError("pop from an empty deque")
        return handle

    def clear(self) -> None:
        """Drop all that is ready: it will not run."""
        self._loop._clear_queue()
