"""The event loop policy that makes Batuta loops, on the Python versions that have policies.

asyncio deprecates policies in 3.14 and means to drop them in 3.16. Nothing here warns about
that: the warning belongs to the program that calls asyncio's own policy functions.
"""

import sys
from asyncio import events, unix_events
from typing import TYPE_CHECKING, Any, Final

from batuta.loop import EventLoop

if TYPE_CHECKING:
    from asyncio.events import _AbstractEventLoopPolicy as AbstractPolicy

# One class on every version; its public alias is gone from 3.14 on.
DefaultPolicy = unix_events._UnixDefaultEventLoopPolicy

# Per policy: the loops that threads have set, and (up to 3.13) the child watcher.
_STATE: Final = ("_local", "_watcher")


class EventLoopPolicy(DefaultPolicy):
    """asyncio's default policy, whose new loops are `batuta.EventLoop`."""

    _loop_factory = EventLoop


def current_policy() -> "AbstractPolicy":
    """Return the policy in force; asyncio makes its default one if there is none yet."""
    if sys.version_info >= (3, 14):
        return events._get_event_loop_policy()
    return events.get_event_loop_policy()


def set_policy(policy: "AbstractPolicy | None") -> None:
    """Put `policy` in force, without 3.14's warning about policies in general."""
    if sys.version_info >= (3, 14):
        events._set_event_loop_policy(policy)
    else:
        events.set_event_loop_policy(policy)


def hand_over(old: object, new: object) -> None:
    """Let `new` go on with the current loops and the child watcher that `old` knows.

    Without this a change of policy would lose the loop that the program has set before it.
    """
    for name in _STATE:
        value: Any = getattr(old, name, None)
        if value is not None and hasattr(new, name):
            setattr(new, name, value)
