"""Echo rows: what a request costs the server's process, over the kernel's loopback.

The server under test runs in its own process (`benches.server`, one of `benches.rows.servers`);
requests come from the load generator in `crates/load`. An operation is one request, sent back
whole, unless the row says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from benches.rows.place import READ
from benches.rows.row import Tier

SIZES = {64: "64", 1 << 10: "1k", 10 << 10: "10k", 100 << 10: "100k"}
CONNECTIONS = (1, 10, 100, 1000)
USUAL_CONNECTIONS = 10
IN_FLIGHT = 16


@dataclass(frozen=True)
class EchoRow:
    """One row; an operation is one request of `size` bytes, sent back whole."""

    name: str
    about: str
    server: str
    """A key of `SERVERS`."""
    size: int
    connections: int = USUAL_CONNECTIONS
    in_flight: int = 1
    group: str = "echo"
    place: str = "tcp"
    """Where the server listens: tcp, unix, udp, pipes or tls."""
    talk: str = "stream"
    """What is said, as the load generator names it."""
    command: str = "echo"
    """`echo`, or `connect` where an operation is a connection."""
    exchange: bool = False
    """Whether a connection of `connect` carries a request, or is closed by the server."""
    read: int | None = None
    """How many bytes the program asks for at once, where it is not the loop that decides."""
    limit: str | None = "echo"
    """What the plain epoll server serves as the limit of this row; None where there is none."""
    needs: tuple[str, ...] = ()
    """Packages from PyPI beside the loop's own."""
    tier: Tier = Tier.USUAL

    kind: ClassVar[str] = "echo"

    @property
    def shows_latency(self) -> bool:
        """Whether the row is in the tables of latencies."""
        return self.connections == 100


Shape = tuple[int, int, int]
"""Bytes of a request, connections, requests in flight on each."""


def _family(
    prefix: str,
    group: str,
    server: str,
    what: str,
    *,
    quick: Iterable[Shape],
    usual: Iterable[Shape],
    place: str = "tcp",
    connections: Sequence[int] = CONNECTIONS,
    sizes: Sequence[int] = tuple(SIZES),
    read: int | None = None,
) -> list[EchoRow]:
    """Rows of one server: every size with every number of connections, plain and in flight."""
    usual = {*usual, *quick}
    standard = USUAL_CONNECTIONS if USUAL_CONNECTIONS in connections else connections[0]
    rows = []
    for in_flight in (1, IN_FLIGHT):
        for count in sorted(connections, key=lambda count: (count != standard, count)):
            for size in sizes:
                shape = (size, count, in_flight)
                name = f"{prefix}_{SIZES[size]}"
                name += "" if count == standard else f"_c{count}"
                name += "" if in_flight == 1 else f"_x{in_flight}"
                words = f"{what}, {_shown(size)}, {_counted(count)}"
                if in_flight > 1:
                    words += f", {in_flight} in flight"
                tier = Tier.ALL
                if shape in usual:
                    tier = Tier.QUICK if shape in quick else Tier.USUAL
                rows.append(
                    EchoRow(
                        name,
                        words,
                        server,
                        *shape,
                        group=group,
                        place=place,
                        read=read,
                        tier=tier,
                    )
                )
    return rows


def _shown(size: int) -> str:
    return f"{size} B" if size < 1 << 10 else f"{size >> 10} KiB"


def _counted(connections: int) -> str:
    return "1 connection" if connections == 1 else f"{connections} connections"


B, K, TEN, BIG = SIZES

ROWS = (
    *_family(
        "echo",
        "echo",
        "protocol",
        "protocol",
        quick=[(B, 10, 1), (TEN, 10, 1), (B, 100, 1)],
        usual=[
            *((size, count, 1) for size in SIZES for count in (10, 100)),
            *((size, count, 1) for size in (B, BIG) for count in (1, 1000)),
            *((size, 10, IN_FLIGHT) for size in (B, K, TEN)),
        ],
    ),
    *_family(
        "buffered",
        "echo",
        "buffered",
        "buffered protocol",
        read=READ,
        quick=[],
        usual=[(B, 10, 1), (K, 10, 1), (TEN, 10, 1), (BIG, 10, 1), (K, 100, 1)],
    ),
    *_family(
        "stream_readexactly",
        "streams",
        "readexactly",
        "streams, `readexactly`",
        quick=[(K, 10, 1)],
        usual=[(B, 10, 1), (TEN, 10, 1), (BIG, 10, 1), (K, 100, 1), (K, 1000, 1), (K, 10, 16)],
    ),
    *_family(
        "stream_readline",
        "streams",
        "readline",
        "streams, `readline`",
        quick=[],
        usual=[(B, 10, 1), (K, 10, 1), (K, 100, 1), (B, 10, IN_FLIGHT), (K, 10, IN_FLIGHT)],
        # Longer lines exceed the readers' standard limit.
        sizes=(B, K, TEN),
    ),
    *(
        EchoRow(
            f"stream_bulk{'' if count == 1 else f'_c{count}'}",
            f"streams, `read(65536)` of one long upload, per 64 KiB, {_counted(count)}",
            "bulk",
            64 << 10,
            count,
            group="streams",
            talk="one-way",
            limit="sink",
        )
        for count in (1, 10)
    ),
    *_family(
        "sock",
        "sockets",
        "sock",
        "`sock_recv`, `sock_sendall`",
        read=READ,
        quick=[(K, 10, 1)],
        usual=[(B, 10, 1), (TEN, 10, 1), (BIG, 10, 1), (K, 100, 1), (K, 1000, 1), (K, 10, 16)],
    ),
    *_family(
        "add_reader",
        "sockets",
        "add_reader",
        "`add_reader`",
        read=READ,
        quick=[(K, 10, 1)],
        usual=[(B, 10, 1), (TEN, 10, 1), (BIG, 10, 1), (K, 100, 1)],
    ),
    *_family(
        "unix",
        "unix-udp-pipes",
        "protocol",
        "Unix socket, protocol",
        place="unix",
        quick=[(K, 10, 1)],
        usual=[(B, 10, 1), (TEN, 10, 1), (BIG, 10, 1), (K, 100, 1), (K, 10, 16)],
    ),
    *_family(
        "unix_stream",
        "unix-udp-pipes",
        "readexactly",
        "Unix socket, streams, `readexactly`",
        place="unix",
        quick=[],
        usual=[(K, 10, 1)],
    ),
    *_family(
        "udp",
        "unix-udp-pipes",
        "datagrams",
        "UDP, protocol",
        place="udp",
        quick=[(K, 10, 1)],
        usual=[(B, 10, 1), (TEN, 10, 1), (K, 100, 1), (B, 10, IN_FLIGHT)],
        # More is no datagram.
        sizes=(B, K, TEN),
    ),
    *_family(
        "pipes",
        "unix-udp-pipes",
        "pipes",
        "pipes, protocol",
        place="pipes",
        quick=[],
        usual=[(B, 1, 1), (K, 1, 1), (BIG, 1, 1), (K, 1, IN_FLIGHT)],
        connections=(1,),
    ),
    *_family(
        "tls",
        "tls",
        "protocol",
        "TLS, protocol",
        place="tls",
        quick=[(K, 10, 1)],
        usual=[(B, 10, 1), (TEN, 10, 1), (BIG, 10, 1), (K, 100, 1), (K, 10, IN_FLIGHT)],
    ),
    *_family(
        "tls_stream",
        "tls",
        "readexactly",
        "TLS, streams, `readexactly`",
        place="tls",
        quick=[],
        usual=[(K, 10, 1)],
    ),
    EchoRow(
        "tls_handshake",
        "TLS connections: whole handshake, 64 B there and back, closed, 10 at a time",
        "protocol",
        64,
        group="connections",
        place="tls",
        command="connect",
        exchange=True,
        tier=Tier.QUICK,
    ),
    EchoRow(
        "accept_close",
        "connections accepted and closed at once, 10 at a time",
        "close",
        64,
        group="connections",
        command="connect",
        limit="close",
        tier=Tier.QUICK,
    ),
    EchoRow(
        "accept_echo",
        "connections: accepted, 64 B there and back, closed by the client, 10 at a time",
        "protocol",
        64,
        group="connections",
        command="connect",
        exchange=True,
    ),
    EchoRow(
        "accept_echo_streams",
        "the same with streams, `readexactly`",
        "readexactly",
        64,
        group="connections",
        command="connect",
        exchange=True,
    ),
    *(
        EchoRow(
            f"{server}_{SIZES[size]}{'' if count == 10 else f'_c{count}'}",
            f"{words}, body of {_shown(size)}, {_counted(count)}",
            server,
            size,
            count,
            group="web",
            talk="http",
            limit="http",
            needs=needs,
            tier=Tier.QUICK if (server, size, count) == ("uvicorn", B, 10) else Tier.USUAL,
        )
        for server, words, needs in (
            ("uvicorn", "uvicorn with httptools, plain ASGI application", ("uvicorn", "httptools")),
            ("aiohttp", "aiohttp server", ("aiohttp",)),
        )
        for size, count in ((B, 10), (TEN, 10), (B, 100))
    ),
    *(
        EchoRow(
            f"websockets_{SIZES[size]}{'' if count == 10 else f'_c{count}'}",
            f"websockets, messages of {_shown(size)} sent back, {_counted(count)}",
            "websockets",
            size,
            count,
            group="web",
            talk="websocket",
            limit=None,
            needs=("websockets",),
            tier=tier,
        )
        for size, count, tier in (
            (K, 10, Tier.QUICK),
            (K, 100, Tier.USUAL),
            (BIG, 10, Tier.USUAL),
        )
    ),
)
