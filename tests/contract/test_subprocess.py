"""Child processes: exit codes, pipes, signals, many at once, cancellation."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from typing import Any

import pytest

from contract.support import turns, until
from loops import Child, Run


async def python(code: str, **options: Any) -> Process:
    """Start a small Python program; -S -E keeps its start short."""
    return await asyncio.create_subprocess_exec(sys.executable, "-S", "-E", "-c", code, **options)


async def shell(command: str, **options: Any) -> Process:
    return await asyncio.create_subprocess_shell(command, **options)


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code(run: Run, code: int) -> None:
    async def main() -> None:
        process = await shell(f"exit {code}")
        assert await process.wait() == code
        assert await process.wait() == code
        assert process.returncode == code

    run(main)


def test_communicate(run: Run) -> None:
    async def main() -> None:
        process = await shell("cat; echo err >&2", stdin=PIPE, stdout=PIPE, stderr=PIPE)
        payload = b"in and out\n" * 50_000
        assert await process.communicate(payload) == (payload, b"err\n")
        assert process.returncode == 0

    run(main)


def test_streams_of_a_child_are_used_line_by_line(run: Run) -> None:
    async def main() -> None:
        process = await shell("cat", stdin=PIPE, stdout=PIPE)
        assert process.stdin
        assert process.stdout
        for number in range(20):
            process.stdin.write(b"line %d\n" % number)
            await process.stdin.drain()
            assert await process.stdout.readline() == b"line %d\n" % number
        process.stdin.close()
        await process.stdin.wait_closed()
        assert await process.stdout.read() == b""
        assert await process.wait() == 0

    run(main)


def test_redirections(run: Run) -> None:
    async def main() -> None:
        process = await shell("echo out; echo err >&2", stdout=PIPE, stderr=STDOUT)
        assert await process.communicate() == (b"out\nerr\n", None)
        process = await shell("cat; echo done", stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
        assert await process.communicate() == (b"done\n", None)

    run(main)


@pytest.mark.parametrize(
    ("method", "number"), [("kill", signal.SIGKILL), ("terminate", signal.SIGTERM)]
)
def test_kill_and_terminate(run: Run, method: str, number: int) -> None:
    async def main() -> None:
        process = await shell("exec sleep 60")
        getattr(process, method)()
        assert await process.wait() == -number
        assert process.returncode == -number

    run(main)


def test_send_signal_and_a_process_that_is_gone(run: Run) -> None:
    async def main() -> None:
        process = await shell("exec sleep 60")
        process.send_signal(signal.SIGHUP)
        assert await process.wait() == -signal.SIGHUP
        for call in (process.kill, process.terminate, lambda: process.send_signal(signal.SIGHUP)):
            with pytest.raises(ProcessLookupError):
                call()

    run(main)


def test_a_program_that_does_not_exist(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await asyncio.create_subprocess_exec("/no/such/program")
        await turns(3)

    run(main)


def test_many_at_once(run: Run) -> None:
    async def main() -> None:
        async def one(number: int) -> tuple[bytes, int | None]:
            process = await shell(f"echo {number}; exit {number}", stdout=PIPE)
            out, _ = await process.communicate()
            return out, process.returncode

        results = await asyncio.gather(*map(one, range(20)))
        assert results == [(b"%d\n" % n, n) for n in range(20)]

    run(main)


def test_a_child_that_exits_before_it_is_read_and_waited_for(run: Run) -> None:
    async def main() -> None:
        process = await shell("echo early", stdout=PIPE)
        assert process.stdout
        await until(lambda: process.returncode is not None)
        assert await process.stdout.read() == b"early\n"
        assert await process.wait() == 0

    run(main)


def test_output_that_outlives_the_child_is_read_to_its_end(run: Run) -> None:
    async def main() -> None:
        process = await shell("(sleep 0.1; echo grandchild) & echo child", stdout=PIPE)
        out, _ = await process.communicate()
        assert out == b"child\ngrandchild\n"
        assert process.returncode == 0

    run(main)


def test_writing_to_a_child_that_does_not_read(run: Run) -> None:
    async def main() -> None:
        process = await shell("exit 3", stdin=PIPE)
        out = await process.communicate(b"x" * 1_000_000)
        assert out == (None, None)
        assert process.returncode == 3

    run(main)


def test_cancelling_communicate_leaves_the_child_to_be_killed(run: Run) -> None:
    async def main() -> None:
        process = await shell("exec sleep 60", stdin=PIPE, stdout=PIPE)
        task = asyncio.ensure_future(process.communicate())
        await turns(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert process.returncode is None
        process.kill()
        assert await process.wait() == -signal.SIGKILL

    run(main)


def test_a_wait_that_timed_out_can_be_repeated(run: Run) -> None:
    async def main() -> None:
        process = await shell("exec sleep 60")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.01)
        process.kill()
        assert await process.wait() == -signal.SIGKILL

    run(main)


def test_several_waiters_all_get_the_exit_code(run: Run) -> None:
    async def main() -> None:
        process = await shell("exit 4")
        assert await asyncio.gather(*[process.wait() for _ in range(5)]) == [4] * 5

    run(main)


def test_the_options_of_popen_are_passed_on(run: Run, tmp_path: Any) -> None:
    async def main() -> None:
        process = await python(
            "import os; print(os.getcwd(), os.environ['WORD'], os.getsid(0) == os.getpid())",
            stdout=PIPE,
            cwd=tmp_path,
            env={"WORD": "given"},
            start_new_session=True,
        )
        out, _ = await process.communicate()
        assert out.decode().split() == [str(tmp_path), "given", "True"]

    run(main)


def test_file_descriptors_are_passed_on(run: Run) -> None:
    async def main() -> None:
        read_end, write_end = os.pipe()
        process = await shell(f"echo through > /dev/fd/{write_end}", pass_fds=[write_end])
        os.close(write_end)
        assert await process.wait() == 0
        assert os.read(read_end, 100) == b"through\n"
        os.close(read_end)

    run(main)


class Watching(asyncio.SubprocessProtocol):
    """Notes each call."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.calls.append("connection_made")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.calls.append((fd, data))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.calls.append(("pipe_connection_lost", fd))

    def process_exited(self) -> None:
        self.calls.append("process_exited")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.calls.append("connection_lost")


def test_the_protocol_interface(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_shell(
            Watching, "echo out; read line; echo err >&2; exit 5"
        )
        assert isinstance(transport, asyncio.SubprocessTransport)
        pid = transport.get_pid()
        assert pid > 0
        assert transport.get_returncode() is None
        await until(lambda: (1, b"out\n") in protocol.calls)
        stdin = transport.get_pipe_transport(0)
        assert stdin is not None
        stdin.write(b"line\n")
        await until(lambda: "connection_lost" in protocol.calls)
        assert protocol.calls[0] == "connection_made"
        assert (2, b"err\n") in protocol.calls
        assert "process_exited" in protocol.calls
        assert {c for c in protocol.calls if c[0] == "pipe_connection_lost"} == {
            ("pipe_connection_lost", fd) for fd in (0, 1, 2)
        }
        assert protocol.calls[-1] == "connection_lost"
        assert transport.get_returncode() == 5
        transport.close()

    run(main)


def test_closing_the_transport_kills_the_child(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_shell(Watching, "exec sleep 60")
        pid = transport.get_pid()
        transport.close()
        await until(lambda: "connection_lost" in protocol.calls)
        assert transport.get_returncode() == -signal.SIGKILL
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    run(main)


def test_children_of_others_are_left_alone(run: Run) -> None:
    async def main() -> None:
        with subprocess.Popen(["sh", "-c", "exit 6"]) as foreign:
            process = await shell("exit 7")
            assert await process.wait() == 7
            await turns(5)
            assert foreign.wait(30) == 6

    run(main)


def test_children_can_be_started_from_a_loop_in_another_thread(child: Child) -> None:
    out = child.check("""
        import asyncio, threading
        async def main():
            process = await asyncio.create_subprocess_shell("echo hi; exit 3", stdout=-1)
            out, _ = await process.communicate()
            print(out, process.returncode)
        thread = threading.Thread(target=lambda: run(main()))
        thread.start()
        thread.join(30)
    """)
    assert out == "b'hi\\n' 3\n"


class Events(asyncio.SubprocessProtocol):
    def __init__(self) -> None:
        self.output = b""
        self.ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.output += data

    def process_exited(self) -> None:
        self.ended.set_result(self.output)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="a race on stock from 3.12 on")
def test_the_end_of_a_child_comes_after_what_it_has_written(run: Run, is_stock: bool) -> None:
    if is_stock:
        pytest.skip(
            "a race there, which a thread of asyncio's that waits for the child loses mostly"
        )

    async def one() -> bytes:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            Events, "/bin/echo", "hi", stdin=DEVNULL, stderr=None
        )
        output = await protocol.ended
        transport.close()
        return output

    async def main() -> list[bytes]:
        alone = [await one() for _ in range(10)]
        return [*alone, *await asyncio.gather(*[one() for _ in range(10)])]

    assert run(main) == [b"hi\n"] * 20
