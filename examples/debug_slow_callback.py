"""Debug mode catches a hog: code that holds the loop for 150 ms.

One call that does not give way delays everything else in the program, and
nothing in the hog's own code looks wrong. In debug mode (asyncio.run(...,
debug=True), PYTHONASYNCIODEBUG=1 or python -X dev) the loop times every
callback and logs a warning for each that took slow_callback_duration or more.

What to look at: the warnings name the task or the function, and where it was
defined; the well-behaved task, which waits just as long, is not named. The
handler below replaces times and places, which differ from run to run; what
asyncio really logs looks like this:

    Executing <Task finished name='Task-3' coro=<hog() done, defined at
    debug_slow_callback.py:45> result=None created at ...> took 0.150 seconds

It prints:

    debug mode: True
    a task that waits 150 ms
    a task that hogs 150 ms
      WARNING asyncio: <Task hog()> took 150 ms or more
    a callback that hogs 150 ms
      WARNING asyncio: <Handle hog_callback()> took 150 ms or more
    2 warnings, 0 of them about the well-behaved task
"""

import asyncio
import logging
import re
import time

SLOW = 0.150

# The kind of thing and the name of its code, then the time: the rest differs.
WARNING = re.compile(
    r"Executing <(?P<kind>Task|Handle|TimerHandle)\b.*?(?P<name>\w+)\(.*took (?P<took>[\d.]+) s"
)


async def well_behaved() -> None:
    # Waiting is not hogging: during an await the loop runs others.
    await asyncio.sleep(SLOW)


async def hog() -> None:
    # time.sleep stands for anything that does not give way: a long
    # computation, a big file, a database driver without async.
    time.sleep(SLOW)


def hog_callback() -> None:
    time.sleep(SLOW)


class PlainWarnings(logging.Handler):
    """Prints asyncio's records without what differs from run to run."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.names: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        match = WARNING.search(message)
        if match is None:
            print(f"  {record.levelname} {record.name}: {message}")
        elif float(match["took"]) >= SLOW:
            self.names.append(match["name"])
            what = f"<{match['kind']} {match['name']}()>"
            print(f"  {record.levelname} {record.name}: {what} took {SLOW * 1000:.0f} ms or more")


async def main() -> None:
    warnings = PlainWarnings()
    logger = logging.getLogger("asyncio")
    logger.addHandler(warnings)
    logger.propagate = False

    loop = asyncio.get_running_loop()
    print(f"debug mode: {loop.get_debug()}")
    # 100 ms if not set. On a busy machine a good callback may take a while too.
    loop.slow_callback_duration = SLOW

    print("a task that waits 150 ms")
    await asyncio.create_task(well_behaved())
    print("a task that hogs 150 ms")
    await asyncio.create_task(hog())
    print("a callback that hogs 150 ms")
    loop.call_soon(hog_callback)
    # One turn to run the callback; its warning comes when it has ended.
    await asyncio.sleep(0)

    about_the_good_one = warnings.names.count("well_behaved")
    print(
        f"{len(warnings.names)} warnings, {about_the_good_one} of them about the well-behaved task"
    )


if __name__ == "__main__":
    asyncio.run(main(), debug=True)
