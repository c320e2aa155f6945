"""What watches which descriptor, in the words of the `selectors` module.

Role: the loop's ``_selector``, for programs and debuggers that look into
asyncio's own loop, for programs that make its turns themselves (``select``), and
for those that replace that function. What is watched can be read (``get_key``,
``get_map``) and not changed: descriptors are registered with ``add_reader()`` and
``add_writer()``.

Holds nothing but its loop; any thread that may look at the loop may use it.
"""

from __future__ import annotations

import selectors
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batuta.loop import EventLoop


# The key of an event that the loop has queued already.
_QUEUED = selectors.SelectorKey(fileobj=-1, fd=-1, events=selectors.EVENT_READ, data=(None, None))


class SelectorView(Mapping[Any, selectors.SelectorKey]):
    """A read-only mapping from descriptor or file object to its key."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        callbacks = self._loop._callbacks_of(fd)
        if callbacks is None:
            raise KeyError(f"{fileobj!r} is not registered")
        reader, writer = callbacks
        events = selectors.EVENT_READ * (reader is not None)
        events |= selectors.EVENT_WRITE * (writer is not None)
        return selectors.SelectorKey(fileobj, fd, events, (reader, writer))

    def __iter__(self) -> Iterator[int]:
        return iter(self._loop._watched_fds())

    def __len__(self) -> int:
        return len(self._loop._watched_fds())

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """Return the key of a descriptor or file object.

        Raises:
            KeyError: nobody watches it with ``add_reader()`` or ``add_writer()``.
        """
        return self[fileobj]

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Return the mapping itself."""
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "select":
            self._loop._selects_by_program = True

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name == "select":
            self._loop._selects_by_program = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Begin a turn: wait until something happens, and have the loop queue what that calls for.

        A program may assign a function of its own, which the loop then calls in every turn.

        Args:
            timeout: At most so many seconds; None waits until something happens.

        Returns:
            An entry for each event, of which nothing is left for ``_process_events()`` to do.
        """
        return [(_QUEUED, selectors.EVENT_READ)] * self._loop._select(timeout)
