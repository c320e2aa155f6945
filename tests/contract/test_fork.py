"""fork and multiprocessing while a loop exists or runs.

Each test is a program in a child process.
"""

from __future__ import annotations

import pytest

from loops import Child

HEAD = """
import asyncio, os, socket, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # fork in a process that has threads

def forked(body):
    \"\"\"Run body() in a forked child and return its exit code.\"\"\"
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            body()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

async def work(word):
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.005, done.set_result, word)
    assert await asyncio.to_thread(str, word) == word
    return await done
"""


def test_a_child_makes_its_own_loop_while_one_exists_in_the_parent(child: Child) -> None:
    out = child.check(f"""{HEAD}
loop = new_event_loop()
print(loop.run_until_complete(work("parent 1")), flush=True)
def body():
    print(run(work("child")))
assert forked(body) == 0
print(loop.run_until_complete(work("parent 2")))
loop.close()
""")
    assert out.splitlines() == ["parent 1", "child", "parent 2"]


def test_a_child_forked_inside_a_running_loop_can_run_a_new_one(child: Child) -> None:
    out = child.check(f"""{HEAD}
async def main():
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    timer = asyncio.get_running_loop().call_later(3600, print)
    def body():
        assert asyncio._get_running_loop() is None
        print(run(work("child")))
    assert forked(body) == 0
    print(await work("parent"))
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
    timer.cancel()
    server.close()
sys.stdout.flush()
run(main())
""")
    assert out.splitlines() == ["child", "parent"]


def woken(is_stock: bool) -> str:
    """What the parent's loop does after a child has closed its copy.

    asyncio takes the wake-up socket out of the epoll instance that both have: afterwards the
    parent's loop sees what threads have to say only when something else wakes it.
    """
    return "def wake(): loop.call_later(0.01, wake)\nwake()" if is_stock else ""


def test_a_child_that_closes_its_copy_does_not_disturb_the_parent(
    child: Child, is_stock: bool
) -> None:
    """epoll registrations are shared between the copies: closing one must not undo the other's."""
    out = child.check(f"""{HEAD}
near, far = socket.socketpair()
loop = new_event_loop()
got = []
loop.add_reader(near, lambda: got.append(near.recv(10)))
loop.run_until_complete(work("warm"))
def body():
    loop.close()
assert forked(body) == 0
far.send(b"x")
async def wait():
    while not got:
        await asyncio.sleep(0.001)
loop.run_until_complete(asyncio.wait_for(wait(), 20))
{woken(is_stock)}
print(got, loop.run_until_complete(work("works")))
loop.remove_reader(near)
loop.close()
near.close()
far.close()
""")
    assert out == "[b'x'] works\n"


def test_a_child_that_exits_normally_with_the_copied_loop_is_clean(
    child: Child, is_stock: bool
) -> None:
    # In the child's end asyncio closes the copied loop.
    done = child(f"""{HEAD}
loop = new_event_loop()
loop.call_later(3600, print)
loop.run_until_complete(work("before"))
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    sys.exit(0)  # with everything that the interpreter does at its end
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
{woken(is_stock)}
print(loop.run_until_complete(work("parent")))
loop.close()
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "parent\n", "")


def test_signals_of_the_child_do_not_reach_the_loop_of_the_parent(child: Child) -> None:
    """Both copies share the wake-up socket until the child makes a loop of its own."""
    out = child.check(f"""{HEAD}
import signal
async def main():
    loop = asyncio.get_running_loop()
    got = []
    loop.add_signal_handler(signal.SIGUSR1, got.append, 1)
    def body():
        async def own():
            mine = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, mine.set_result, 1)
            os.kill(os.getpid(), signal.SIGUSR1)
            await mine
            asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)
        signal.set_wakeup_fd(-1)
        run(own())
    assert forked(body) == 0
    await asyncio.sleep(0.01)
    print(got)
    os.kill(os.getpid(), signal.SIGUSR1)
    while not got:
        await asyncio.sleep(0.001)
    print(got)
run(main())
""")
    assert out == "[]\n[1]\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_workers_run_loops(child: Child, method: str) -> None:
    out = child.check(f"""
from contract.in_child import run_in_workers

if __name__ == "__main__":
    async def main():
        print(run_in_workers({method!r}))
    run(main())  # a loop runs while the workers start
""")
    assert out == "[42, 42]\n"


def test_a_process_pool_executor_works_with_the_loop(child: Child) -> None:
    out = child.check(f"""{HEAD}
import concurrent.futures, multiprocessing, operator
async def main():
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(pool, operator.mul, 6, n) for n in range(8)]
        print(await asyncio.gather(*calls))
run(main())
""")
    assert out == "[0, 6, 12, 18, 24, 30, 36, 42]\n"
