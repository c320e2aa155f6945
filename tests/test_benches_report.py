"""The wording of the benchmark report, on made-up measurements."""

from __future__ import annotations

from benches.contestants import LIMIT
from benches.rows import ROWS
from benches.runner import RowResult

from measurements import line_of, report, result_of


def test_the_table_shows_medians_ratios_to_stock_and_the_best_rival() -> None:
    text = report(
        [result_of("sleep0", stock=1000.0, batuta=100.0, uvloop=400.0, rloop=200.0)],
        ["stock", "batuta", "uvloop", "rloop"],
    )
    line = line_of(text, "sleep0")
    assert "| 1,000 ±0% | **100** ±0% (10.00x) | 400 ±0% (2.50x) | 200 ±0% (5.00x) |" in line
    assert line.endswith("| 2.00x rloop |")
    assert "batuta is behind the best rival on no row" in text


def test_both_ways_to_use_batuta_are_compared_each_for_itself() -> None:
    ours = {"batuta+accelerate": 50.0}
    text = report(
        [
            result_of("sleep0", stock=1000.0, batuta=100.0, rloop=200.0, **ours),
            result_of("timers", stock=1000.0, batuta=100.0, rloop=800.0, **ours),
        ],
        ["stock", "batuta", "batuta+accelerate", "rloop"],
    )
    assert line_of(text, "sleep0").endswith("| 2.00x rloop | 4.00x rloop |")
    # Means of 2 and 8, and of 4 and 16.
    assert (
        "**batuta** against the best rival of each row: 4.00x in the geometric mean over 2 rows, "
        "2.00x to 8.00x." in text
    )
    assert "**batuta+accelerate** against the best rival of each row: 8.00x in the" in text


def test_stock_is_the_best_rival_where_no_other_is_faster() -> None:
    text = report(
        [result_of("lock", stock=100.0, batuta=110.0, rloop=120.0)], ["stock", "batuta", "rloop"]
    )
    assert line_of(text, "lock").endswith("| **behind:** 0.91x stock |")


def test_rows_that_are_won_narrowly_are_named() -> None:
    text = report(
        [
            result_of("sleep0", stock=1000.0, batuta=100.0, rloop=140.0),
            result_of("timers", stock=1000.0, batuta=100.0, rloop=151.0),
        ],
        ["stock", "batuta", "rloop"],
    )
    narrow = text.partition("Rows on which it is ahead by less than 1.5x:\n\n")[2]
    assert narrow.startswith("- `sleep0`: 1.40x rloop\n")
    assert "`timers`" not in narrow


def test_a_build_that_is_no_release_is_shown_as_such() -> None:
    for build, shown in (
        ("release, opt-level 3", "1.0 (release, opt-level 3 build)\n"),
        ("debug, opt-level 1", "1.0 (**debug, opt-level 1 build: its figures say nothing**)\n"),
    ):
        result = result_of("sleep0", stock=1000.0, batuta=100.0)
        result.identities["batuta"]["build"] = build
        assert f"- batuta: `batuta.Loop` {shown}" in report([result], ["stock", "batuta"])


def test_accelerated_names_are_listed() -> None:
    result = result_of("sleep0", **{"batuta+accelerate": 100.0})
    result.identities["batuta+accelerate"]["accelerated"] = ["Event", "sleep"]
    assert "1.0 with its own `Event`, `sleep`\n" in report([result], ["batuta+accelerate"])


def test_rows_that_are_lost_are_named() -> None:
    text = report(
        [
            result_of("sleep0", stock=1000.0, batuta=100.0, rloop=80.0),
            result_of("timers", stock=1000.0, batuta=100.0, rloop=200.0),
        ],
        ["stock", "batuta", "rloop"],
    )
    assert line_of(text, "sleep0").endswith("| **behind:** 0.80x rloop |")
    lost = text.partition("Rows on which batuta is behind the best rival:\n\n")[2]
    assert lost.startswith("- `sleep0`: behind: 0.80x rloop\n")
    assert "`timers`" not in lost


def test_failures_and_absent_loops_are_shown_with_their_reasons() -> None:
    text = report(
        [
            result_of("sleep0", stock=1000.0, batuta=100.0, rloop="killed by SIGSEGV"),
            result_of("timers", rloop="exit code 1: Traceback:\n  File x\nOSError: no"),
        ],
        ["stock", "batuta", "rloop"],
        uvloop="cannot be installed: no wheel",
    )
    assert "| failed | 10.00x stock |" in line_of(text, "sleep0")
    assert "- rloop failed on `sleep0`: killed by SIGSEGV" in text
    assert "- rloop failed on `timers`: exit code 1: OSError: no\n" in text
    assert "- uvloop: **not measured**: cannot be installed: no wheel" in text


def test_where_nothing_was_compared_nothing_is_claimed() -> None:
    alone = result_of("sleep0", stock="exit code 1", batuta=100.0, rloop="killed by SIGSEGV")
    text = report([alone], ["stock", "batuta", "rloop"])
    assert line_of(text, "sleep0").endswith("| failed | - |")
    assert "geometric mean" not in text
    assert "the best rival on no row" not in text


def test_without_batuta_there_is_no_comparison_of_it() -> None:
    text = report([result_of("sleep0", stock=1000.0, rloop=500.0)], ["stock", "rloop"])
    assert "against the best rival" not in text
    assert "(2.00x)" in line_of(text, "sleep0")


# The limit, and what cannot be measured


def test_the_limit_is_shown_but_is_nobody_s_rival() -> None:
    text = report(
        [result_of("echo_1k", stock=8.0, batuta=4.2, uvloop=5.0, limit=4.0)],
        ["stock", "batuta", "uvloop", LIMIT],
    )
    line = line_of(text, "echo_1k")
    # Its figure is neither the best nor compared with stock.
    assert "| **4.20** ±0% (1.90x) | 5.00 ±0% (1.60x) | 4.00 ±0% | 1.19x uvloop | 1.05x |" in line
    assert "| batuta to the limit |" in text
    assert "batuta is behind the best rival on no row" in text


def test_rows_without_a_limit_have_no_column_of_it() -> None:
    text = report([result_of("sleep0", stock=100.0, batuta=10.0)], ["stock", "batuta", LIMIT])
    assert LIMIT not in text
    assert "to the limit" not in text


def test_latencies_are_shown_for_rows_of_a_hundred_connections() -> None:
    text = report(
        [result_of("echo_64", stock=8.0), result_of("echo_64_c100", stock=7.0)], ["stock"]
    )
    worst = text.partition("### 99.9th percentile of latency, µs")[2].partition("###")[0]
    assert "`echo_64_c100`" in worst
    assert "**21.0** ±0%" in worst
    assert "`echo_64`" not in worst


def test_what_a_loop_does_not_have_is_not_called_a_failure() -> None:
    missing = "exit code 1: Traceback:\n  File x\nNotImplementedError"
    text = report(
        [result_of("tls_1k", stock=8.0, rloop=missing, uvloop="killed by SIGSEGV")],
        ["stock", "uvloop", "rloop"],
    )
    assert line_of(text, "tls_1k").endswith("| **8.00** ±0% | failed | not supported |")
    assert "- rloop failed on `tls_1k`: exit code 1: NotImplementedError" in text


def test_a_row_whose_server_is_not_installed_says_so() -> None:
    result = RowResult(ROWS["redis_get"], skipped="redis-server is not installed: apt-get …")
    text = report([result], ["stock", "batuta"])
    assert line_of(text, "redis_get").endswith("| not measured | not measured | - |")
    assert "`redis_get` was not measured: redis-server is not installed" in text
