"""The page for users keeps its word: each line of its table names tests that exist."""

from __future__ import annotations

import re

from batuta_photos.stops import Exit
from world import PHOTOS

PAGE = PHOTOS.parents[1] / "docs" / "photos.md"


def test_every_line_of_the_table_names_its_test() -> None:
    text = PAGE.read_text()
    table = text[text.index("| | gphotos-uploader-cli |") :]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 20
    there: set[str] = set()
    for path in (PHOTOS / "tests" / "app").glob("test_*.py"):
        there |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert there.issuperset(named), row


def test_the_exit_codes_are_all_explained() -> None:
    rows = re.findall(r"^\| (\d+) \| \S", PAGE.read_text(), re.MULTILINE)
    assert [int(row) for row in rows] == sorted(Exit)
