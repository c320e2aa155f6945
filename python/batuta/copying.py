"""Copies and pickles of native locks and queues: the state that asyncio's own classes have.

Their state lies outside of `__dict__`, where `copy` and `pickle` look. It is given under the names
that it has in asyncio's classes, so it means the same: `copy.copy` shares deques with the original,
and what a future waits for, or what is bound to a loop, is pickled as little as there.
"""

import copyreg
from typing import Any, ClassVar, SupportsIndex

__all__ = ["Copied"]


class Copied:
    """A class whose native attributes go along when it is copied."""

    __slots__ = ()

    # The native attributes, in asyncio's order.
    _batuta_state: ClassVar[tuple[str, ...]] = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """As ever; the way of old protocols cannot be used with a native base."""
        return super().__reduce_ex__(max(protocol.__index__(), 2))

    def __getstate__(self) -> Any:
        """The attributes as the default gives them, as if all were in `__dict__`."""
        state = {name: getattr(self, name) for name in self._batuta_state if hasattr(self, name)}
        event_loop = getattr(self, "_loop", None)
        if event_loop is not None:
            state["_loop"] = event_loop
        state.update(vars(self))
        slot_names: list[str] = copyreg._slotnames(type(self))  # type: ignore[attr-defined]
        slots = {name: getattr(self, name) for name in slot_names if hasattr(self, name)}
        return (state, slots) if slots else state

    def __setstate__(self, state: Any) -> None:
        """Take over what `__getstate__` has given, or an object of asyncio's own class."""
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        for name, value in attributes.items():
            if (
                name == "_loop"
                or name in self._batuta_state
                or callable(getattr(type(self), name, None))
            ):
                # Methods as well: native code has to learn that one is replaced.
                setattr(self, name, value)
            else:
                vars(self)[name] = value
        for name, value in (slots or {}).items():
            setattr(self, name, value)
