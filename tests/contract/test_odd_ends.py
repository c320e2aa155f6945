"""Odd ends: of the interpreter under a busy thread, of long chains of handles, of the signal pipe.

Each test is a program in a child process.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from loops import Child

BUSY = """
import asyncio, signal, socket, sys, threading, time
inside = threading.Event()

def compute(*_):
    inside.set()
    while True:
        pass

def block(*_):
    inside.set()
    threading.Event().wait()

class Late:
    def __del__(self):
        for _ in range(1_000_000):
            pass  # long enough for the other thread to ask for its turn

class Protocol(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"data")
    def data_received(self, data):
        WORK()

async def serve():
    loop = asyncio.get_running_loop()
    near, peer = socket.socketpair()
    near.setblocking(False)
    peer.setblocking(False)
    for sock in (near, peer):
        await loop.create_connection(Protocol, sock=sock)

async def work():
    WORK()

def fail():
    raise LookupError

loop = new_event_loop()
"""

PLACES = {
    "a callback": "loop.call_soon(WORK)",
    "a timer": "loop.call_later(0.001, WORK)",
    "a task": "kept = loop.create_task(work())",
    "data_received": "kept = loop.create_task(serve())",
    "the exception handler": "loop.set_exception_handler(WORK); loop.call_soon(fail)",
}


@pytest.mark.parametrize("place", list(PLACES))
@pytest.mark.parametrize("work", ["compute", "block"])
def test_the_interpreter_ends_under_a_daemon_thread_that_is_inside(
    child: Child, place: str, work: str
) -> None:
    """The thread never returns to the loop; finalizers of the module's objects still run."""
    program = f"""{BUSY}
{PLACES[place]}
threading.Thread(target=loop.run_forever, daemon=True).start()
assert inside.wait(30)
late = Late()
print("end", flush=True)
"""
    done = child(program.replace("WORK", work))
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
    assert "Fatal" not in done.stderr
    assert "panicked" not in done.stderr


@pytest.mark.parametrize("call", ["call_soon(", "call_later(0, ", "call_soon_threadsafe("])
@pytest.mark.parametrize("end", ["ran", "cancelled", "closed"])
def test_a_long_chain_of_handles_that_hold_each_other_is_freed(
    child: Child, call: str, end: str
) -> None:
    """Each handle has the one before it as its argument; freeing them must not take the stack."""
    ending = {
        "ran": "loop.call_later(0.01, loop.stop); loop.run_forever()",
        "cancelled": "handle.cancel(); loop.call_later(0.01, loop.stop); loop.run_forever()",
        "closed": "loop.close()",
    }[end]
    out = child.check(f"""
        loop = new_event_loop()
        handle = None
        for _ in range(300_000):
            handle = loop.{call}bool, handle)
        {ending}
        print("{end}", flush=True)
        del handle
        loop.close()
        print("freed")
    """)
    assert out == f"{end}\nfreed\n"


SIGNALS = """
import asyncio, os, signal, socket, sys
theirs, far = socket.socketpair()
theirs.setblocking(False)
far.setblocking(False)
signal.signal(signal.SIGUSR2, lambda *_: print("handled"))
"""


@pytest.mark.parametrize("removed", [True, False], ids=["removed", "left to close"])
@pytest.mark.parametrize("earlier", [True, False], ids=["theirs before", "none before"])
def test_a_closed_loop_leaves_no_closed_wakeup_descriptor_behind(
    child: Child, removed: bool, earlier: bool
) -> None:
    """A signal that finds one writes to stderr, or its number into somebody else's file."""
    out = child.check(f"""{SIGNALS}
if {earlier}:
    signal.set_wakeup_fd(theirs.fileno())
loop = new_event_loop()
async def main():
    loop.add_signal_handler(signal.SIGUSR1, print)
    if {removed}:
        loop.remove_signal_handler(signal.SIGUSR1)
loop.run_until_complete(main())
loop.close()
signal.raise_signal(signal.SIGUSR2)
left = signal.set_wakeup_fd(-1)
print(left in (-1, theirs.fileno()))
""")
    assert out == "handled\nTrue\n"


def test_a_loop_without_handlers_leaves_the_wakeup_descriptor_of_others(child: Child) -> None:
    out = child.check(f"""{SIGNALS}
signal.set_wakeup_fd(theirs.fileno())
loop = new_event_loop()
async def main():
    signal.raise_signal(signal.SIGUSR2)
    await asyncio.sleep(0.001)
for _ in range(2):
    loop.run_until_complete(main())
loop.close()
print(signal.set_wakeup_fd(-1) == theirs.fileno(), list(far.recv(10)) == [signal.SIGUSR2] * 2)
""")
    assert out == "handled\nhandled\nTrue True\n"


def test_a_loop_runs_in_a_thread_that_imports_threading_before_the_main_thread(
    child: Child,
) -> None:
    """`threading` then takes that thread for the main one, which signals do not."""
    program = """
import _thread, sys
done = _thread.allocate_lock()
done.acquire()

def other():
    try:
        from contract.in_child import new_event_loop
        loop = new_event_loop()
        loop.call_soon(print, "ran")
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        print("closed", flush=True)
    finally:
        done.release()

assert "threading" not in sys.modules
_thread.start_new_thread(other, ())
assert done.acquire(timeout=30)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=child.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "ran\nclosed\n", done.stderr
    assert "ValueError" not in done.stderr
