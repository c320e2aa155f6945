"""A pytest plugin, loaded by `runs`: writes down what came of each test, and on which loop.

One JSON object a line, into the file named by BATUTA_SUITES_RECORD: first the class of loop that
this process gets from asyncio, then each test when it is over. So a run that dies or is killed
leaves what it had done.

Standard library and pytest only; it is imported in the projects' own environments.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest


class Witness:
    """Writes the record, and refuses tests that are not asked for."""

    def __init__(self, record: str, only: list[str]) -> None:
        self._file = open(record, "a", buffering=1)  # closed at the end of the process
        self._only = frozenset(only)
        self._outcomes: dict[str, str] = {}

    def note(self, **facts: Any) -> None:
        self._file.write(json.dumps(facts) + "\n")

    def pytest_sessionstart(self) -> None:
        loop = asyncio.new_event_loop()
        self.note(loop=f"{type(loop).__module__}.{type(loop).__qualname__}")
        loop.close()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._only:
            items[:] = [item for item in items if item.nodeid in self._only]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.note(test=report.nodeid, outcome="failed", text=str(report.longrepr))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.note(begins=item.nodeid)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        before = self._outcomes.get(report.nodeid, "passed")
        now = report.outcome if before == "passed" else before
        self._outcomes[report.nodeid] = now
        text = str(report.longrepr) if report.failed else ""
        if report.when == "teardown" or report.failed:
            self.note(test=report.nodeid, outcome=now, text=text)


def pytest_configure(config: pytest.Config) -> None:
    record = os.environ.get("BATUTA_SUITES_RECORD")
    # Not in the pytest that a test starts in this process: `pytester`.
    if record and not config.pluginmanager.has_plugin("batuta-witness"):
        only = json.loads(os.environ.get("BATUTA_SUITES_ONLY", "[]"))
        del os.environ["BATUTA_SUITES_RECORD"]
        config.pluginmanager.register(Witness(record, only), "batuta-witness")
