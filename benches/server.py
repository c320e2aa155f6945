"""A worker for echo rows: the server under test, alone in its process.

    python -m benches.server '{"package": "asyncio", …, "server": "protocol", "size": 64,
                               "place": "tcp", "folder": "/tmp/…"}'

Says who it is and on which port it listens, then answers every line with the processor time it has
used so far, its memory and how often it has ticked. The main thread runs the loop; a second thread
sleeps on standard input, and ends the process when the runner closes it or is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from benches import wire
from benches.rows.place import HOST, Place
from benches.rows.servers import SERVERS


class Ticker:
    """A timer that goes off again and again, as keep-alives do; off while `seconds` is 0."""

    def __init__(self, seconds: float) -> None:
        self.count = 0
        self.seconds = seconds
        self.loop = asyncio.get_running_loop()
        if seconds:
            self.loop.call_later(seconds, self.tick)

    def tick(self) -> None:
        self.count += 1
        self.loop.call_later(self.seconds, self.tick)


def attend(answers: TextIO, ticker: Ticker) -> None:
    """Answer the runner until it closes the pipe; there is nothing to clean up after that."""
    for _ in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        wire.answer(
            answers,
            user_s=used.ru_utime,
            system_s=used.ru_stime,
            page_faults=used.ru_minflt,
            rss_kib=wire.rss_kib(),
            ticks=ticker.count,
        )
    os._exit(0)


async def serve(start: dict[str, Any], answers: TextIO, identity: dict[str, Any]) -> None:
    place = Place(start.get("place", "tcp"), Path(start.get("folder", ".")), start["size"])
    kept = await SERVERS[start["server"]](place)
    ticker = Ticker(start.get("tick", 0.0))
    wire.answer(answers, **identity, host=HOST, port=place.port)
    threading.Thread(target=attend, args=(answers, ticker), daemon=True).start()
    # Not `serve_forever()`: the server listens already, and rloop 0.5 stops when told so twice.
    await asyncio.get_running_loop().create_future()
    del kept


def main(start: dict[str, Any]) -> None:
    answers = wire.take_stdout()
    wire.pin(start["cores"])
    wire.raise_descriptors()
    loop, identity = wire.enter(start)
    loop.run_until_complete(serve(start, answers, identity))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
