"""Ctrl-C: before, during and between runs, in a blocked poll, under a spinner.

Each test is a program in a child process.
"""

from __future__ import annotations

import signal
import subprocess

import pytest

from loops import Child

BODIES = {
    "a blocked poll": "await asyncio.sleep(3600)",
    "a poll without timers": "await asyncio.get_running_loop().create_future()",
    "a sleep(0) spinner": "while True: await asyncio.sleep(0)",
    "a chain of call_soon": "spin(); await asyncio.get_running_loop().create_future()",
    "a callback that computes": "asyncio.get_running_loop().call_soon(compute); "
    "await asyncio.sleep(3600)",
}

HEAD = """
import asyncio, os, signal, sys, threading, time

def spin():
    asyncio.get_running_loop().call_soon(spin)

def compute():  # ends by itself: Runner only cancels the main task
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        pass

def interrupt(after=0.05):
    def kill():
        time.sleep(after)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=kill, daemon=True).start()
"""


@pytest.mark.parametrize("where", list(BODIES))
def test_it_ends_asyncio_run(child: Child, where: str) -> None:
    """Runner turns it into the cancellation of the main task, then KeyboardInterrupt."""
    code = f"""{HEAD}
async def main():
    interrupt()
    try:
        {BODIES[where]}
    except asyncio.CancelledError:
        print("cancelled", asyncio.current_task().cancelling() > 0)
        raise
try:
    run(main())
except KeyboardInterrupt:
    print("KeyboardInterrupt")
"""
    assert child.check(code) == "cancelled True\nKeyboardInterrupt\n"


@pytest.mark.parametrize("where", list(BODIES))
def test_it_escapes_run_until_complete_and_the_loop_can_be_run_again(
    child: Child, where: str
) -> None:
    code = f"""{HEAD}
loop = new_event_loop()
loop.set_exception_handler(lambda loop, context: print("reported", context["message"]))
async def main():
    interrupt()
    {BODIES[where]}
task = loop.create_task(main())
task.add_done_callback(lambda task: task.cancelled() or task.exception())
try:
    loop.run_until_complete(task)
except KeyboardInterrupt:
    print("KeyboardInterrupt")
assert not loop.is_running()
spin = compute = lambda: None
task._log_destroy_pending = False  # on stock it may lose the step that was about to run
task.cancel()
print(loop.run_until_complete(asyncio.sleep(0.01, "again")))
loop.close()
"""
    assert child.check(code) == "KeyboardInterrupt\nagain\n"


def test_it_works_before_the_run(child: Child) -> None:
    out = child.check(f"""{HEAD}
loop = new_event_loop()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("before")
print(loop.run_until_complete(asyncio.sleep(0.01, "ran")))
loop.close()
""")
    assert out == "before\nran\n"


def test_it_works_between_runs_also_in_a_blocking_call(child: Child) -> None:
    out = child.check(f"""{HEAD}
loop = new_event_loop()
async def main():
    loop.add_signal_handler(signal.SIGUSR1, print)
    await asyncio.sleep(0)
for _ in range(3):
    loop.run_until_complete(main())
    interrupt()
    try:
        time.sleep(30)
    except KeyboardInterrupt:
        print("between")
loop.close()
interrupt()
try:
    time.sleep(30)
except KeyboardInterrupt:
    print("after close")
""")
    assert out == "between\n" * 3 + "after close\n"


def test_a_second_one_breaks_a_task_that_ignores_the_first(child: Child) -> None:
    out = child.check(f"""{HEAD}
async def main():
    interrupt()
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        print("ignored")
    interrupt()
    await asyncio.sleep(3600)
try:
    run(main())
except KeyboardInterrupt:
    print("KeyboardInterrupt")
""")
    assert out == "ignored\nKeyboardInterrupt\n"


def test_a_task_may_handle_it_and_return(child: Child) -> None:
    out = child.check(f"""{HEAD}
async def main():
    interrupt()
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        asyncio.current_task().uncancel()
        return "handled"
print(run(main()))
""")
    assert out == "handled\n"


def test_a_handler_of_the_loop_takes_its_place(child: Child) -> None:
    out = child.check(f"""{HEAD}
async def main():
    loop = asyncio.get_running_loop()
    got = loop.create_future()
    loop.add_signal_handler(signal.SIGINT, got.set_result, "handled")
    interrupt()
    print(await got)
    loop.remove_signal_handler(signal.SIGINT)
run(main())
""")
    assert out == "handled\n"


def test_it_runs_the_finally_blocks_of_all_tasks(child: Child) -> None:
    out = child.check(f"""{HEAD}
async def worker(name):
    try:
        await asyncio.sleep(3600)
    finally:
        print("finally", name)
async def main():
    tasks = [asyncio.create_task(worker(name)) for name in "ab"]
    interrupt()
    try:
        await asyncio.gather(*tasks)
    finally:
        print("finally main")
try:
    run(main())
except KeyboardInterrupt:
    print("KeyboardInterrupt")
""")
    assert sorted(out.splitlines()) == [
        "KeyboardInterrupt",
        "finally a",
        "finally b",
        "finally main",
    ]


@pytest.mark.parametrize("body", ["a blocked poll", "a sleep(0) spinner"])
def test_a_program_that_does_not_catch_it_dies_of_the_signal(child: Child, body: str) -> None:
    process = child.start(f"""{HEAD}
async def main():
    print("ready", flush=True)
    {BODIES[body]}
run(main())
""")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        pytest.fail("Ctrl-C did not end the program")
    assert process.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_it_reaches_a_loop_in_the_main_thread_while_others_run(child: Child) -> None:
    out = child.check(f"""{HEAD}
stop = threading.Event()
def other():
    async def spin_here():
        while not stop.is_set():
            await asyncio.sleep(0.001)
        print("other ended well")
    run(spin_here())
thread = threading.Thread(target=other)
thread.start()
async def main():
    interrupt()
    await asyncio.sleep(3600)
try:
    run(main())
except KeyboardInterrupt:
    print("KeyboardInterrupt")
stop.set()
thread.join()
""")
    assert out == "KeyboardInterrupt\nother ended well\n"
