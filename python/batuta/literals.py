"""Addresses that need no resolver: numeric ones.

`loop.getaddrinfo()` asks the system's resolver in a thread, because that may wait for the network.
For a numeric host and port it cannot wait, and the way to the thread and back is most of the cost.
"""

from __future__ import annotations

import socket
from typing import Any, Final

_getaddrinfo: Final = socket.getaddrinfo


def resolve(host: Any, port: Any, family: int, kind: int, proto: int, flags: int) -> Any:
    """What `socket.getaddrinfo()` says of a numeric host and port.

    Returns None where the resolver might have to ask somebody: a host name, the name of a service,
    and anything while a program has put a function of its own in the place of
    `socket.getaddrinfo`. Raises what `socket.getaddrinfo()` raises.
    """
    if socket.getaddrinfo is not _getaddrinfo or not (_is_literal(host) and _is_numeric(port)):
        return None
    return _getaddrinfo(host, port, family, kind, proto, flags)


def _is_literal(host: Any) -> bool:
    if type(host) is not str:
        return False
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)
    except (OSError, ValueError):
        return False
    return True


def _is_numeric(port: Any) -> bool:
    return port is None or type(port) is int
