"""The results pages of the benchmark suite, on made-up measurements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benches import aims, charts, page
from benches.contestants import LIMIT
from benches.figures import FIGURES
from benches.report import Report
from benches.runner import RowResult

from measurements import MACHINE, result_of


def whole_report(
    results: list[RowResult], date: str = "2000-01-01", revision: str = "abc"
) -> Report:
    machine = {**MACHINE, "date": date, "revision": revision}
    loops = list(dict.fromkeys(loop for result in results for loop in result.identities))
    return Report(machine, {"summary": "3 rounds"}, loops, {}, {}, results)


def test_runs_are_put_together_row_by_row() -> None:
    first = whole_report([result_of("echo_64", stock=8.0), result_of("echo_1k", stock=9.0)])
    second = whole_report([result_of("echo_1k", stock=5.0)], date="2000-01-02")
    both = page.put_together([json.loads(json.dumps(one.to_json())) for one in (first, second)])
    assert [result.row.name for result in both.results] == ["echo_64", "echo_1k"]
    found = both.results[1].summary("stock", FIGURES["echo"][0])
    assert found is not None
    assert found.value == 5.0
    assert both.machine["date"] == "2000-01-01 to 2000-01-02"


def test_of_the_paces_of_the_core_the_worst_is_shown() -> None:
    reports = [whole_report([result_of(row, stock=8.0)]) for row in ("echo_64", "echo_1k", "lock")]
    for one, share in zip(reports, (None, 0.1, 0.456), strict=True):
        one.machine["slow_share"] = share
    both = page.put_together([one.to_json() for one in reports])
    assert "before 46% of the samples the core was found slower" in both.to_markdown()
    assert "the core was found slower" not in reports[0].to_markdown()


def test_runs_of_different_revisions_are_not_put_together() -> None:
    first = whole_report([result_of("echo_1k", stock=8.0)])
    second = whole_report([result_of("echo_1k", stock=8.0)], revision="def")
    with pytest.raises(page.NotTogether, match="of different revision: 'abc' and 'def'"):
        page.put_together([first.to_json(), second.to_json()])


def test_runs_under_different_conditions_are_not_put_together() -> None:
    first, second = (whole_report([result_of("echo_1k", stock=8.0)]) for _ in range(2))
    second.conditions["summary"] = "5 rounds"
    with pytest.raises(page.NotTogether, match="under different conditions"):
        page.put_together([first.to_json(), second.to_json()])


def test_the_projects_own_page_is_embedded_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = []
    monkeypatch.setattr(page, "FOLDER", tmp_path / "own")
    monkeypatch.setattr(page, "embed", lambda version, section: embedded.append((version, section)))
    monkeypatch.setattr(charts, "write", lambda *arguments: {})
    whole = whole_report([result_of("echo_1k", stock=8.0)])
    page.write(whole, tmp_path / "other")
    assert embedded == []
    page.write(whole, tmp_path / "own")
    [(version, section)] = embedded
    assert section.startswith(f"### Python {version}")


def test_what_is_no_run_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    whole = whole_report([result_of("echo_1k", stock=8.0)])
    figures.write_text(json.dumps(whole.to_json(rounds=False)))
    other = tmp_path / "other.json"
    other.write_text('{"format": 1}')
    for path, complaint in (
        (tmp_path / "gone.json", "cannot be read"),
        (Path(__file__), "cannot be read"),
        (other, "is no run of this suite in format"),
        (figures, "has no single samples"),
    ):
        with pytest.raises(SystemExit) as ended:
            page.main([str(path)])
        assert ended.value.code == 2
        assert complaint in capsys.readouterr().err
    assert aims.main([str(figures)]) == 0


def test_the_page_has_charts_for_light_and_dark(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="charts are drawn with it: make bench installs it")
    written = page.write(
        whole_report([result_of("echo_1k", stock=8.0, batuta=4.0, uvloop=5.0, limit=3.0)]), tmp_path
    )
    text = written.read_text()
    assert "## Aims\n\n| aim | rows that get there: batuta |" in text
    assert "## Behind the best rival by more than the noise\n\n| figure | batuta |" in text
    for theme in ("light", "dark"):
        for name in ("3.13-overview", "3.13-echo"):
            chart = (tmp_path / f"{name}-{theme}.svg").read_text()
            assert f"{name}-{theme}.svg" in text
            assert "2.00x" in chart, "text stays text"
            assert "batuta" in chart
    figures = json.loads((tmp_path / "3.13.json").read_text())
    assert figures["rows"][0]["summary"]["batuta"]["server_cpu_us"]["value"] == 4.0
    assert "rounds" not in figures["rows"][0], "the tables' figures only: the page is kept in git"


def test_a_limit_far_beyond_all_loops_is_cut_off() -> None:
    bars = charts.Bars("", ["a", "b"], {"batuta": [1.0, 2.0], LIMIT: [1.5, 20.0]})
    assert charts.reach(bars) == 3.0
    near = charts.Bars("", ["a", "b"], {"batuta": [1.0, 2.0], LIMIT: [1.5, 2.5]})
    assert charts.reach(near) == 2.5
    assert charts.reach(charts.Bars("", ["a"], {"batuta": [None], LIMIT: [2.0]})) == 1.5


def test_a_loop_without_a_figure_has_no_bar() -> None:
    failing = result_of("tls_1k", stock=8.0, batuta=4.0, rloop="exit code 1")
    whole = result_of("tls_10k", stock=8.0, batuta=2.0, rloop=4.0)
    bars = charts.of_group(whole_report([failing, whole]), "tls")
    assert bars is not None
    assert bars.labels == ["tls_1k", "tls_10k"]
    assert bars.ratios == {"batuta": [2.0, 4.0], "rloop": [None, 2.0]}
    overview = charts.overview(whole_report([failing, whole]), ["tls"])
    assert overview is not None
    assert overview.ratios == {"batuta": [pytest.approx(8**0.5)]}, "rloop ran on half the rows"


def test_each_python_has_its_section_newest_first(tmp_path: Path) -> None:
    place = tmp_path / "page.md"
    place.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    for version, text in (("3.11", "one"), ("3.13", "two"), ("3.11", "three")):
        page.embed(version, f"### Python {version}\n\n{text}\n", place)
    assert place.read_text() == (
        f"before\n{page.BEGIN}\n\n### Python 3.13\n\ntwo\n\n### Python 3.11\n\nthree\n\n"
        f"{page.END}\nafter\n"
    )
    place.write_text("no marks")
    with pytest.raises(page.NotTogether, match="lacks the marks"):
        page.embed("3.11", "text", place)
