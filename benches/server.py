"""A worker for echo rows: the server under test, alone in its process.

    python -m benches.server '{"package": "asyncio", …, "server": "protocol", "size": 64}'

Says who it is and on which port it listens, then answers every line with the processor time it has
used so far. The main thread runs the loop; a second thread sleeps on standard input, and ends the
process when the runner closes it or is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import threading
from typing import Any, TextIO

from benches import wire
from benches.rows.echo import SERVERS

HOST = "127.0.0.1"


def attend(answers: TextIO) -> None:
    """Answer the runner until it closes the pipe; there is nothing to clean up after that."""
    for _ in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        wire.answer(
            answers, user_s=used.ru_utime, system_s=used.ru_stime, page_faults=used.ru_minflt
        )
    os._exit(0)


async def serve(start: dict[str, Any], answers: TextIO, identity: dict[str, Any]) -> None:
    server = await SERVERS[start["server"]](HOST, start["size"])
    port = server.sockets[0].getsockname()[1]
    wire.answer(answers, **identity, host=HOST, port=port)
    threading.Thread(target=attend, args=(answers,), daemon=True).start()
    # Not `serve_forever()`: the server listens already, and rloop 0.5 stops when told so twice.
    await asyncio.get_running_loop().create_future()


def main(start: dict[str, Any]) -> None:
    answers = wire.take_stdout()
    wire.pin(start["cores"])
    loop, identity = wire.enter(start)
    loop.run_until_complete(serve(start, answers, identity))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
