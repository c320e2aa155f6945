"""The end of the interpreter with a loop in any state: no crash, no hang, the right exit code.

Each test is a program in a child process.
"""

from __future__ import annotations

import pytest

from loops import Child

HEAD = """
import asyncio, gc, os, signal, socket, sys, threading, time

async def everything():
    \"\"\"Leave one live operation of each kind behind.\"\"\"
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"x" * 10_000_000)
    datagram = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
    loop.add_reader(left, print)
    loop.call_later(3600, print, "timer")
    if threading.current_thread() is threading.main_thread():
        loop.add_signal_handler(signal.SIGUSR1, print)
    tasks = [loop.create_task(loop.sock_recv(right, 1)), loop.create_task(asyncio.sleep(3600))]
    await asyncio.sleep(0.005)
    return server, writer, datagram, left, right, tasks
"""


@pytest.mark.parametrize("held", ["in a global", "in a cycle", "nowhere"])
def test_live_operations_at_exit(child: Child, held: str) -> None:
    keep = {
        "in a global": "kept = (loop, result)",
        "in a cycle": "cycle = [loop, result]; cycle.append(cycle); del cycle, loop, result",
        "nowhere": "del result, loop",
    }[held]
    done = child(f"""{HEAD}
loop = new_event_loop()
result = loop.run_until_complete(everything())
{keep}
print("end", flush=True)
""")
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
    assert "Fatal" not in done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def test_sys_exit_inside_a_task(child: Child) -> None:
    done = child(f"""{HEAD}
async def main():
    kept.append(await everything())
    sys.exit(7)
kept = []
run(main())
""")
    assert done.returncode == 7, done.stderr
    assert "Fatal" not in done.stderr


def test_an_unhandled_exception_in_main(child: Child) -> None:
    done = child(f"""{HEAD}
async def main():
    await everything()
    raise LookupError("the reason")
run(main())
""")
    assert done.returncode == 1
    assert "LookupError: the reason" in done.stderr


def test_exit_with_a_daemon_thread_inside_the_loop(child: Child) -> None:
    done = child(f"""{HEAD}
def other():
    loop = new_event_loop()
    loop.create_task(everything())
    loop.run_forever()
threading.Thread(target=other, daemon=True).start()
time.sleep(0.1)
print("end")
""")
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


def test_exit_with_a_daemon_thread_that_spins_in_the_loop(child: Child) -> None:
    done = child(f"""{HEAD}
async def spin():
    while True:
        await asyncio.sleep(0)
threading.Thread(target=lambda: run(spin()), daemon=True).start()
time.sleep(0.1)
print("end")
""")
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


def test_exit_while_threads_call_into_the_loop(child: Child) -> None:
    done = child(f"""{HEAD}
loop = new_event_loop()
def feed():
    while True:
        try:
            loop.call_soon_threadsafe(int)
        except RuntimeError:
            return
for _ in range(3):
    threading.Thread(target=feed, daemon=True).start()
loop.run_until_complete(asyncio.sleep(0.05))
print("end")
""")
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


def test_a_loop_that_was_never_closed_warns(child: Child) -> None:
    done = child("loop = new_event_loop(); del loop", "-W", "always")
    assert done.returncode == 0
    assert "ResourceWarning: unclosed event loop" in done.stderr


def test_a_loop_that_was_never_closed_releases_its_file_descriptors(child: Child) -> None:
    out = child.check("""
        import gc, os, warnings
        warnings.simplefilter("ignore")
        def count():
            gc.collect()
            return len(os.listdir("/proc/self/fd"))
        new_event_loop()
        before = count()
        for _ in range(20):
            new_event_loop()
        print(count() - before)
    """)
    assert out == "0\n"


def test_a_thousand_loops_leave_no_file_descriptors_behind(child: Child) -> None:
    out = child.check("""
        import os
        new_event_loop().close()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(1000):
            loop = new_event_loop()
            loop.call_soon(loop.stop)
            loop.run_forever()
            loop.close()
        print(len(os.listdir("/proc/self/fd")) - before)
    """)
    assert out == "0\n"


def test_calls_in_atexit_and_in_del_at_the_end(child: Child) -> None:
    done = child(f"""{HEAD}
import atexit
loop = new_event_loop()
class Late:
    def __del__(self):
        try:
            loop.call_soon(print)
            loop.call_later(1, print)
        except Exception:
            pass
late = Late()
atexit.register(lambda: print(loop.run_until_complete(asyncio.sleep(0.001, "in atexit"))))
""")
    assert (done.returncode, done.stdout) == (0, "in atexit\n"), done.stderr


@pytest.mark.parametrize("options", [[], ["-X", "dev"]])
def test_memory_errors_of_the_interpreter_are_not_found(child: Child, options: list[str]) -> None:
    """-X dev turns on the checks of the allocators; a bad free or overrun would abort."""
    out = child.check(
        f"""{HEAD}
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    for size in (1, 1000, 300_000):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"x" * size)
        assert len(await reader.readexactly(size)) == size
        writer.close()
        await writer.wait_closed()
    server.close()
    await server.wait_closed()
    for _ in range(200):
        asyncio.get_running_loop().call_later(1, print).cancel()
        await asyncio.sleep(0)
    gc.collect()
async def serve(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
    await writer.wait_closed()
run(main())
print("ok")
""",
        *options,
    )
    assert out == "ok\n"


BLOCKING_AT_EXIT = """
import types
started = threading.Event()
class Slow:  # Finalisation takes longer than the thread sleeps.
    def __del__(self, sleep=time.sleep, write=os.write):
        sleep(0.5)
        write(1, b"end\\n")
sys.modules["slow"] = types.ModuleType("slow")
sys.modules["slow"].slow = Slow()
"""


@pytest.mark.parametrize("what", ["finalizer", "property"])
def test_exit_with_a_daemon_thread_in_code_that_the_loop_runs_by_the_way(
    child: Child, what: str
) -> None:
    """A finalizer of what the loop lets go of, an attribute that it looks at."""
    done = child(f"""{HEAD}{BLOCKING_AT_EXIT}
class Blocking:
    def __call__(self):
        pass
    def __del__(self, sleep=time.sleep):
        if what == "finalizer":
            started.set()
            sleep(0.2)
    def __await__(self):
        yield self
    @property
    def _asyncio_future_blocking(self):
        started.set()
        time.sleep(0.2)
what = {what!r}
async def wait():
    await Blocking()
def other():
    loop = new_event_loop()
    if what == "finalizer":
        loop.call_soon(Blocking())
    else:
        kept.append(loop.create_task(wait()))
    loop.run_forever()
kept = []
threading.Thread(target=other, daemon=True).start()
started.wait()
""")
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
