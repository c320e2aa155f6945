"""What is said of tasks and futures that die, taken down: asyncio's log and Python's warnings, with
what may differ masked.

Left out are addresses, the numbers that tasks get for names, times, and what is said of frames
other than those of the cases themselves: asyncio has frames where Batuta has none.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

from leaks.ways import WAYS, Way, without_acceleration

Loop = asyncio.AbstractEventLoop
Case = Callable[[Loop], Awaitable[None]]

HERE = re.escape(str(Path(__file__).with_name("test_last_words.py")))
# A frame of a traceback that is not in the file of the cases, or belongs to what runs the case.
OTHER_FRAMES = re.compile(
    rf'^[ |+-]*File "(?!{HERE}|<string>).*\n([ |]*    .*\n)*'
    r"|^[ |]*File .* in (main|last_words|on_stock|test_.*)\n([ |]*    .*\n)*",
    re.MULTILINE,
)
MASKS = [
    # In debug mode: asyncio names a line of its own where Batuta names that of its caller.
    (re.compile(r"\bcreated at (<string>|[^\s>]+):\d+"), "created at PLACE"),
    (re.compile(r"<Future finis\.\.\.[^\s>]+>"), "<Future>"),
    (re.compile(r"\[<FrameSummary.*>\]"), "[FRAMES]"),
    (re.compile(r"0x[0-9a-f]+"), "0x"),
    (re.compile(r"\bTask-\d+\b"), "Task-N"),
    (re.compile(r"\bwhen=[\d.]+"), "when=T"),
    (re.compile(r"\btook [\d.]+ seconds"), "took T seconds"),
]


def masked(text: str) -> str:
    text = OTHER_FRAMES.sub("", text + "\n")
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return text.rstrip("\n")


class Failure(Exception):
    pass


async def steps(count: int = 4) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Listener(logging.Handler):
    """Formats what is logged at once, as a file of logs would have it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.lines.append(masked(self.format(record)))
        except Failure:
            self.lines.append("no repr")


def last_words(way: Way, case: Case, *, debug: bool) -> list[str]:
    """What is logged and warned of while the case runs, and when its loop is gone."""

    async def main() -> None:
        await case(asyncio.get_running_loop())
        gc.collect()
        await steps()
        gc.collect()

    logger = logging.getLogger("asyncio")
    listener = Listener()
    logger.addHandler(listener)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with asyncio.Runner(debug=debug, loop_factory=way.new_loop) as runner:
                runner.get_loop().slow_callback_duration = 3600
                runner.run(main())
            del runner
            gc.collect()
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
        logger.propagate = propagate
    warned = [f"{one.category.__name__}: {masked(str(one.message))}" for one in caught]
    return listener.lines + warned


def on_stock(way: Way, case: Case, *, debug: bool) -> list[str]:
    """What stock asyncio says, also while asyncio's names lead elsewhere."""
    with without_acceleration(way):
        return last_words(WAYS["stock"], case, debug=debug)
