"""The benchmark suite does the work it times, and reports what goes wrong.

No test here looks at how fast anything is: counts are tiny and the machine may be busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `benches`

from benches import cli, environments, load, wire, worker
from benches.child import Worker, WorkerFailed
from benches.contestants import CONTESTANTS, LIMIT, Contestant
from benches.echo_driver import EchoDriver
from benches.figures import FIGURES
from benches.idle_driver import IdleDriver
from benches.rows import ROWS, IdleRow, Row, Tier, echo, scheduling, select
from benches.runner import RowResult, run_row
from benches.settings import settings_for

CPU = FIGURES["scheduling"][0]
TINY = replace(settings_for(quick=True, rounds=1), scale=0.0005, seconds=0.05, warm_up=0.02)
START: dict[str, Any] = {**CONTESTANTS["stock"].start, "cores": []}

needs_load = pytest.mark.skipif(
    not (os.environ.get(load.BINARY_VARIABLE) or shutil.which("cargo", path=load.cargo_path())),
    reason="cargo is not installed: the load generator is built with it",
)


def entrant(name: str) -> dict[str, tuple[Contestant, Path]]:
    return {name: (CONTESTANTS[name], Path(sys.executable))}


def quiet(_text: str) -> None:
    pass


# The rows


def test_rows_are_chosen_by_name_pattern_and_group() -> None:
    assert select(None, Tier.ALL) == list(ROWS.values())
    assert [row.name for row in select(["sleep0*", "call_soon"])] == [
        "call_soon",
        "sleep0",
        "sleep0_100",
    ]
    assert select(["tls"]) == [row for row in echo.ROWS if row.group == "tls" and row.tier <= 1]
    assert select(["tls"], Tier.ALL) == [row for row in echo.ROWS if row.group == "tls"]
    assert all(row.tier <= Tier.USUAL for row in select(["echo_*"]))
    quick = select(None, Tier.QUICK)
    assert {row.name for row in quick} < {row.name for row in select(None)} < set(ROWS)
    assert {row.kind for row in quick} >= {"scheduling", "echo", "system", "client"}
    assert ROWS["echo_10k_c1000_x16"] in select(["echo_10k_c1000_x16"]), "any row can be named"
    with pytest.raises(ValueError, match="no row is called 'sleep_0'"):
        select(["call_soon", "sleep_0"])


def test_rows_of_echo_cover_every_size_and_number_of_connections() -> None:
    shapes = {
        (row.size, row.connections, row.in_flight) for row in echo.ROWS if row.server == "protocol"
    }
    sizes = (64, 1 << 10, 10 << 10, 100 << 10)
    assert {(s, c, w) for s in sizes for c in (1, 10, 100, 1000) for w in (1, 16)} <= shapes
    assert len({row.name for row in echo.ROWS}) == len(echo.ROWS)


def test_a_row_that_does_not_do_the_work_is_refused() -> None:
    async def lazy(_loop: asyncio.AbstractEventLoop, count: int) -> int:
        return count - 1

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(RuntimeError, match="9 operations were done instead of 10"):
            worker.measure(loop, scheduling.SchedulingRow("lazy", "", lazy, 10), 10)
    finally:
        loop.close()


def test_rows_of_tasks_use_what_stands_behind_the_names_of_asyncio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that a loop that puts its own classes there is measured with them."""
    used = set()

    def watched(name: str) -> Any:
        original = getattr(asyncio, name)

        def stand_in(*args: Any, **keywords: Any) -> Any:
            used.add(name)
            return original(*args, **keywords)

        return stand_in

    names = {"sleep", "gather", "wait_for", "timeout"}
    names |= {"TaskGroup", "Event", "Lock", "Queue", "Semaphore"}
    for name in names:
        monkeypatch.setattr(asyncio, name, watched(name))
    loop = asyncio.new_event_loop()
    try:
        for row in scheduling.ROWS:
            if row.name != "call_soon_threadsafe":
                worker.measure(loop, row, 1)
        assert used == names
        used.clear()
        worker.measure(loop, next(row for row in scheduling.ROWS if row.name == "web_request"), 1)
        assert used == names, "the web request is made of all of them"
    finally:
        loop.close()


def package(folder: Path, name: str, code: str) -> str:
    """A package that makes loops of its own type, in a folder that workers and tests can import."""
    (folder / f"{name}.py").write_text(
        "import asyncio\n"
        "class Loop(asyncio.SelectorEventLoop): pass\n"
        "new_event_loop = Loop\n" + code
    )
    return name


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("def install(): pass", r"not available: .*install\(\) has no argument `accelerate`"),
        ("def install(*, accelerate=False): pass", r"replaced nothing but loops"),
        (
            "def install(*, accelerate=False): asyncio.SelectorEventLoop = Loop",
            r"replaced nothing but loops",
        ),
    ],
)
def test_an_accelerated_loop_that_is_not_is_refused(
    code: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = package(tmp_path, f"pretender{abs(hash(code))}", code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(asyncio, "SelectorEventLoop", asyncio.SelectorEventLoop)
    with pytest.raises(RuntimeError, match=complaint):
        wire.enter({"package": name, "distribution": None, "accelerate": True})


def test_an_accelerated_loop_says_what_it_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "def install(*, accelerate=False): asyncio.Lock = type('Lock', (), {})"
    name = package(tmp_path, "accelerated", code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(asyncio, "Lock", asyncio.Lock)
    loop, identity = wire.enter({"package": name, "distribution": None, "accelerate": True})
    loop.close()
    assert identity["type"] == "accelerated.Loop"
    assert identity["accelerated"] == ["Lock"]


def test_batuta_says_how_it_was_compiled() -> None:
    native = pytest.importorskip("batuta._batuta", reason="Batuta is not built into this Python")
    with Worker(
        sys.executable, "benches.worker", {**CONTESTANTS["batuta"].start, "cores": []}
    ) as one:
        assert one.identity["build"] == native.__build__
    assert native.__build__.startswith(("release, opt-level 3", "debug, opt-level"))


def test_a_loop_under_a_wrong_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fastest.py").write_text("from asyncio import new_event_loop\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match=r"fastest\.new_event_loop\(\) made a asyncio"):
        wire.new_loop("fastest")


# Workers


def test_a_worker_that_cannot_start_is_reported_with_its_error() -> None:
    with pytest.raises(WorkerFailed, match=r"(?s)exit code 1.*No module named 'no_such_loop'"):
        Worker(sys.executable, "benches.worker", {**START, "package": "no_such_loop"})


def test_a_worker_that_dies_is_reported_with_its_signal() -> None:
    with Worker(sys.executable, "benches.worker", START) as one:
        assert one.failure() is None
        os.kill(one.pid, signal.SIGSEGV)
        with pytest.raises(WorkerFailed, match="killed by SIGSEGV"):
            one.ask(10.0, row="call_soon", count=10)
        assert one.failure() == "killed by SIGSEGV"


def test_a_worker_that_hangs_is_killed_at_its_time_limit() -> None:
    with Worker(sys.executable, "benches.worker", START) as one:
        os.kill(one.pid, signal.SIGSTOP)
        with pytest.raises(WorkerFailed, match=r"no answer within 0\.2 s"):
            one.ask(0.2, row="call_soon", count=10)
        assert one.failure() == "killed by SIGKILL"


@needs_load
@pytest.mark.timeout(170)
def test_the_warm_up_compares_every_byte_and_lost_datagrams_are_held_against_a_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports = []
    run = load.run

    def with_losses(where: dict[str, str | Path], **options: Any) -> dict[str, Any]:
        reports.append({**run(where, **options), "lost": 3})
        return reports[-1]

    monkeypatch.setattr(load, "run", with_losses)
    driver = EchoDriver(ROWS["udp_1k"], CONTESTANTS["stock"], Path(sys.executable), TINY)
    with contextlib.closing(driver):
        driver.warm_up()
        assert driver.sample().disturbed == "3 datagrams were lost"
    assert [report["verified"] for report in reports] == [True, False]


@needs_load
@pytest.mark.timeout(170)
def test_a_server_that_dies_under_load_is_reported_with_its_signal() -> None:
    row = next(iter(echo.ROWS))
    driver = EchoDriver(row, CONTESTANTS["stock"], Path(sys.executable), TINY)
    with contextlib.closing(driver):
        os.kill(driver.identity["pid"], signal.SIGKILL)
        with pytest.raises(WorkerFailed, match="the server died: killed by SIGKILL"):
            driver.warm_up()


@needs_load
@pytest.mark.timeout(170)
def test_as_many_connections_are_idle_as_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "raise_descriptors", lambda: 150)
    row = IdleRow("idle", "connections that do nothing", 1_000)
    sample = IdleDriver(row, CONTESTANTS["stock"], Path(sys.executable), TINY).sample()
    assert sample.raw["held"]["connections"] == 50
    assert sample.remarks == ("with 50 connections: a process may have 150 descriptors here",)
    assert sample.figures["rss_kib"] > 0


def test_a_server_ends_when_the_runner_lets_go_of_it() -> None:
    with Worker(
        sys.executable,
        "benches.server",
        {**START, "server": "protocol", "size": 64, "place": "tcp"},
    ) as one:
        assert one.ask(10.0)["user_s"] > 0
    assert one.failure() == "exit code 0"


def test_what_a_row_prints_does_not_disturb_the_answers(tmp_path: Path) -> None:
    program = (
        "import sys; from benches import wire; answers = wire.take_stdout();"
        "print('noise', flush=True); wire.answer(answers, fine=True); sys.stdin.read()"
    )
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -c "{program}"\n')
    (tmp_path / "python").chmod(0o755)
    with Worker(tmp_path / "python", "unused", {}) as one:
        assert one.identity == {"fine": True}


def test_a_loop_that_fails_is_out_of_the_row_and_the_others_go_on() -> None:
    broken = Contestant("broken", "json")  # has no new_event_loop
    result = run_row(
        ROWS["call_soon"],
        {**entrant("stock"), "broken": (broken, Path(sys.executable))},
        TINY,
        quiet,
    )
    assert set(result.failures) == {"broken"}
    assert "new_event_loop" in result.failures["broken"]
    assert result.summary("broken", CPU) is None
    stock = result.summary("stock", CPU)
    assert stock is not None
    assert stock.value > 0


# Environments and the command


def test_a_rival_too_new_for_this_python_or_machine_says_so(tmp_path: Path) -> None:
    young = Contestant("young", "young", "young", "1", oldest_python=(99, 0))
    with pytest.raises(environments.NotInstallable, match=r"young==1 needs Python 99\.0; this is"):
        environments.python_for(young, quiet, tmp_path)
    modern = Contestant("modern", "modern", "modern", "1", oldest_glibc=(99, 1))
    if platform.libc_ver()[0] == "glibc":
        with pytest.raises(environments.NotInstallable, match=r"modern==1 needs glibc 99\.1; this"):
            environments.python_for(modern, quiet, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_loop_that_does_not_start_is_left_out_with_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = Contestant("broken", "json")  # has no new_event_loop
    monkeypatch.setitem(CONTESTANTS, "broken", broken)
    entrants, absent, _ = cli.enter(["stock", "broken"])
    assert list(entrants) == ["stock"]
    assert "does not start: AttributeError: module 'json' has no" in absent["broken"]


def test_a_rival_that_cannot_be_installed_says_why(tmp_path: Path) -> None:
    impossible = Contestant("impossible", "impossible", "not a name", "1")
    with pytest.raises(environments.NotInstallable, match="Invalid requirement"):
        environments.python_for(impossible, quiet, tmp_path / "bench")
    assert not list(tmp_path.rglob("complete")), "a half-made environment must not count as done"


def test_packages_of_the_rows_are_replaced_when_the_projects_own_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours: dict[str, str] = {}
    installed: list[list[str]] = []
    monkeypatch.setattr(environments, "_versions", lambda packages: ours)
    monkeypatch.setattr(environments, "_run", lambda command: installed.append(command[5:]))

    def add() -> list[list[str]]:
        installed.clear()
        environments._add(Path("python"), tmp_path, ["redis", "aiohttp"], quiet)
        return list(installed)

    ours.update(redis="7.0", aiohttp="3.13")
    assert add() == [["redis==7.0", "aiohttp==3.13"]]
    assert add() == [], "what is there at this version needs no installer"
    ours.update(redis="7.1")
    assert add() == [["redis==7.1"]]

    def impossible(command: list[str]) -> str:
        raise environments.NotInstallable("no such release")

    ours.update(aiohttp="99")
    with monkeypatch.context() as broken:
        broken.setattr(environments, "_run", impossible)
        add()
    assert add() == [["aiohttp==99"]], "what failed must not count as done"


def test_packages_of_the_rows_bring_what_they_need_in_turn() -> None:
    found = environments._with_their_needs(["aiohttp"])
    assert {"aiohttp", "yarl", "multidict"} <= set(found)
    assert len(found) == len(set(found))
    assert "pytest" not in found, "what an extra needs is not needed"
    assert environments._with_their_needs(["no-such-package"]) == ["no-such-package"]


def test_the_small_environment_has_batuta_and_nothing_else(tmp_path: Path) -> None:
    python = environments.small(tmp_path)
    code = "import importlib.metadata as m; print([one.name for one in m.distributions()])"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    there = ["batuta"] if importlib.util.find_spec("batuta") else []
    assert done.stdout.strip() == str(there)
    changed = python.stat().st_ctime_ns
    assert environments.small(tmp_path) == python
    assert python.stat().st_ctime_ns == changed, "it is used again"


def test_the_command_writes_the_table_and_everything_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        cli, "settings_for", lambda quick, rounds, seconds: replace(TINY, rounds=rounds)
    )
    out = tmp_path / "out.json"
    code = cli.main(
        ["--only", "call_soon,sleep0", "--loops", "stock", "--rounds", "2", "--json", str(out)]
    )
    assert code == 0
    table = capsys.readouterr().out
    assert "`sleep0`" in table
    written = json.loads(out.read_text())
    assert written["machine"]["python"] == sys.version
    assert [row["name"] for row in written["rows"]] == ["call_soon", "sleep0"]
    for row in written["rows"]:
        assert 2 <= len(row["rounds"]) <= 4
        assert row["summary"]["stock"]["cpu_ns"]["value"] > 0


def test_a_run_that_ends_early_keeps_what_it_has_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(row: Row, *arguments: Any, **words: Any) -> RowResult:
        if row.name == "sleep0":
            raise KeyboardInterrupt
        return run_row(row, *arguments, **words)

    monkeypatch.setattr(cli, "settings_for", lambda *arguments: TINY)
    monkeypatch.setattr(cli, "run_row", interrupted)
    out = tmp_path / "made" / "out.json"
    with pytest.raises(KeyboardInterrupt):
        cli.main(["--only", "call_soon,sleep0", "--loops", "stock", "--json", str(out)])
    assert [row["name"] for row in json.loads(out.read_text())["rows"]] == ["call_soon"]


ON_ONE_CORE = (
    "import os, runpy; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
    "runpy.run_module('benches', run_name='__main__')"
)
"""The command, which then does not wait for a core at full pace."""


@needs_load
@pytest.mark.timeout(170)
def test_a_command_told_to_end_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", ON_ONE_CORE, "--only", "unix_1k", "--loops", "stock"]
    with subprocess.Popen(
        [*command, "--seconds", "60"],
        cwd=Path(__file__).parent.parent,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            deadline = time.monotonic() + 40
            while not list(tmp_path.glob("batuta-bench-*/socket")):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.terminate()
            assert process.wait(20) == 128 + signal.SIGTERM
        finally:
            process.kill()
    assert list(tmp_path.glob("batuta-bench-*")) == []


def test_the_command_refuses_what_it_cannot_do_before_it_begins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in (
        ["--only", "echo_65"],
        ["--loops", "stock,trio"],
        ["--rounds", "0"],
        ["--seconds", "-1"],
        ["--only", " , "],
        ["--loops", ""],
        ["--json", "/dev/null/out.json"],
        ["--json", "/"],
        ["--page", "/dev/null"],
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2
    refusals = capsys.readouterr().err
    assert "no loop is called trio" in refusals
    assert "--only: names nothing" in refusals
    assert "--json: /dev/null is no folder" in refusals
    assert "--json: / is a folder" in refusals


@pytest.mark.parametrize(
    "part",
    [["--loops", "stock,batuta"], ["--only", "call_soon"], ["--quick"]],
    ids=lambda it: it[0],
)
def test_the_page_is_not_written_from_a_part(
    part: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--page", str(tmp_path), *part])
    assert ended.value.code == 2
    assert "--page shows all rows and loops" in capsys.readouterr().err


@needs_load
@pytest.mark.timeout(170)
def test_the_limit_needs_nothing_but_the_load_generator() -> None:
    entrants, absent, _ = cli.enter([LIMIT])
    assert list(entrants) == [LIMIT]
    assert absent == {}


def test_settings_hold_server_and_load_apart_where_there_are_two_cores() -> None:
    settings = settings_for(quick=False, rounds=None)
    if len(os.sched_getaffinity(0)) >= 2:
        assert settings.server_core != settings.client_core
        assert settings.server_cores == [settings.server_core]
    else:
        assert settings.server_cores == settings.all_cores


def test_a_reader_of_the_list_may_leave_early() -> None:
    child = subprocess.run(
        f"{shlex.quote(sys.executable)} -m benches --list | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).resolve().parent.parent,
    )
    assert child.stdout.startswith("call_soon ")
    assert child.stderr == ""
