"""The harness that runs other projects' suites (`tests/suites`): it sees what differs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `tests.suites`

from tests.suites import projects, runs
from tests.suites.__main__ import main
from tests.suites.runs import NOT_ENDED, WAYS, Outcomes, WrongLoop
from tests.suites.verdicts import judge

MADE_UP = """
import asyncio, os
import batuta, pytest

def module():
    loop = asyncio.new_event_loop()
    loop.close()
    return type(loop).__module__

def test_anywhere():
    assert module()

def test_of_stock():
    assert module().startswith("asyncio.")

def test_of_asyncios_own_queue():
    assert asyncio.Queue is not batuta.Queue

@pytest.mark.skip(reason="not here")
def test_skipped():
    pass

def test_torn_down(request):
    request.addfinalizer(lambda: 1 / 0)

def test_dies():
    if module().startswith("batuta"):
        os.abort()

def test_after_it():
    pass
"""


def start(way: str, folder: Path, **words: object) -> Outcomes:
    return runs.run(
        *(way, Path(sys.executable), folder, ["test_made_up.py"], folder / "logs"),
        **{"seconds": 40, **words},  # type: ignore[arg-type]
    )


def names(outcomes: Outcomes) -> dict[str, str]:
    return {test.rpartition("::")[2]: found for test, found in outcomes.tests.items()}


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    (tmp_path / "test_made_up.py").write_text(MADE_UP)
    return tmp_path


def test_each_way_runs_on_its_loop_and_each_test_has_its_outcome(made_up: Path) -> None:
    common = {"test_anywhere": "passed", "test_skipped": "skipped", "test_torn_down": "failed"}
    for way in WAYS:
        found = start(way, made_up)
        outcomes = names(found)
        assert outcomes.items() >= common.items()
        assert "ZeroDivisionError" in found.texts["test_made_up.py::test_torn_down"]
        if way == "stock":
            assert found.over
            assert outcomes["test_of_stock"] == outcomes["test_after_it"] == "passed"
        else:
            assert not found.over
            assert outcomes["test_of_stock"] == "failed"
            assert outcomes["test_dies"] == NOT_ENDED
            assert "test_after_it" not in outcomes
        own_queue = "failed" if way == "batuta+accelerate" else "passed"
        assert outcomes["test_of_asyncios_own_queue"] == own_queue


def test_only_the_tests_that_are_asked_for_are_run(made_up: Path) -> None:
    found = start("stock", made_up, only=["test_made_up.py::test_anywhere"])
    assert names(found) == {"test_anywhere": "passed"}


def test_a_run_that_does_not_end_is_ended(made_up: Path) -> None:
    (made_up / "test_made_up.py").write_text("import time\ndef test_it(): time.sleep(50)\n")
    found = start("stock", made_up, seconds=3)
    assert not found.over
    assert names(found) == {"test_it": NOT_ENDED}


def test_a_run_on_the_wrong_loop_says_nothing(
    made_up: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WAYS, "batuta", ([], "batuta."))
    with pytest.raises(WrongLoop, match=r"loops of asyncio\..*, not of batuta\.\*"):
        start("batuta", made_up)
    with pytest.raises(WrongLoop, match="wrote nothing down"):
        runs.run(
            *("stock", Path(sys.executable), made_up, ["--no-such-option"], made_up / "logs"),
            seconds=40,
        )


def test_what_fails_again_and_again_differs_and_what_wavers_is_named() -> None:
    stock = Outcomes(
        {"same": "passed", "differs": "passed", "listed[a]": "passed", "wavers": "passed"}
        | {"broken": "failed", "skips": "skipped"}
    )
    here = Outcomes(
        {"same": "passed", "differs": "failed", "listed[a]": "failed", "wavers": "failed"}
        | {"broken": "failed", "skips": "failed"}
    )
    tries: list[tuple[str, list[str]]] = []

    def again(way: str, only: list[str]) -> Outcomes:
        tries.append((way, only))
        if way == "stock":
            return Outcomes(dict.fromkeys(only, "passed"))
        return Outcomes({"differs": "failed", "wavers": "passed" if len(tries) > 3 else "failed"})

    listed = {"listed[[]*": "of no kind", "listed[*": "asks for a class", "gone": "no more"}
    verdict = judge("batuta", stock, here, listed, again)
    assert (verdict.tests, verdict.counted, verdict.passed) == (6, 4, 1)
    assert [way for way, _ in tries] == ["stock", "batuta"] * 3
    assert tries[0][1] == ["differs", "listed[a]", "wavers"]
    assert verdict.differ == {"differs": "failed"}
    assert verdict.departures == {"listed[a]": "asks for a class"}
    assert verdict.unsteady == {"wavers": "passes 3 of 3 on stock, 2 here"}
    assert verdict.stale == ["listed[[]*", "gone"]
    assert not verdict.good
    assert judge("batuta", stock, stock, {}, again).good
    assert not judge("batuta", Outcomes(), Outcomes(), {}, again).good


def test_the_projects_are_listed_with_what_their_tests_need() -> None:
    for name, project in projects.listed().items():
        assert project.arguments, name
        assert project.requirements[0].startswith(name)
        assert project.requirements[0].endswith(f"=={project.version}")


def test_the_command_refuses_unknown_projects(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nosuch"])
    assert ended.value.code == 2
    assert "no project is called nosuch" in capsys.readouterr().err
