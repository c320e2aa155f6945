"""The weather client on both loops, whatever the service does, and the comparison of the two."""

import http.server
import json
import socket
import subprocess
from collections.abc import Iterator

import pytest

from weather_program import (
    LIMIT,
    LOOP_MODULES,
    LOOPS,
    Done,
    client,
    client_command,
    compare,
    get,
    http_server,
    send,
    started_service,
    wait_for_connection,
)

pytestmark = [pytest.mark.needs("aiohttp"), pytest.mark.timeout(2.5 * LIMIT)]
on_both_loops = pytest.mark.parametrize("loop", LOOPS)


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with started_service("--until-stdin-closes") as (_, url):
        yield url


def failure(done: Done) -> str:
    """The one line with which a client that failed says why."""
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("weather: ")
    return lines[0].removeprefix("weather: ")


@on_both_loops
def test_client_gets_what_the_service_says(service: str, loop: str) -> None:
    done = client(loop, service, "Oslo", "Lima", "tokyo", "--json", "--requests", "20")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["loop"].partition(".")[0] == LOOP_MODULES[loop]
    assert [each["city"] for each in result["forecasts"]] == ["Oslo", "Lima", "Tokyo"]
    for each in result["forecasts"]:
        _, answer = get(service, "/v1/forecast", city=each["city"], days=1)
        expected = {**answer["days"][0], "country": answer["city"]["country"]}
        assert {**each, "city": None} == {**expected, "city": None}
    assert result["unknown"] == []
    assert result["quick"]["requests"] == 20
    assert result["quick"]["cpu_seconds"] > 0


def test_client_gets_the_same_on_both_loops_and_gather_is_faster(service: str) -> None:
    results = [
        json.loads(client(loop, service, "--first", "30", "--json").stdout) for loop in LOOPS
    ]
    stock, batuta = results
    assert len(stock["forecasts"]) == 30
    assert batuta["forecasts"] == stock["forecasts"]
    for result in results:
        # 30 waits of 30 ms at least in turn; together, the longest counts.
        assert result["seconds"]["one_after_the_other"] >= 0.9
        assert result["seconds"]["all_at_once"] < result["seconds"]["one_after_the_other"] / 2


@on_both_loops
def test_client_names_an_unknown_city_and_keeps_the_others(service: str, loop: str) -> None:
    done = client(loop, service, "Oslo", "Atlantis", "Lima", "--json")
    assert done.returncode == 3
    assert done.stderr == "weather: no such city: 'Atlantis'\n"
    result = json.loads(done.stdout)
    assert [each["city"] for each in result["forecasts"]] == ["Oslo", "Lima"]
    assert [each["city"] for each in result["unknown"]] == ["Atlantis"]


@on_both_loops
def test_client_prints_a_readable_report(service: str, loop: str) -> None:
    done = client(loop, service, "Reykjavík")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Reykjavík" in done.stdout
    assert "one after the other: 0." in done.stdout


@on_both_loops
def test_client_says_that_nobody_listens(loop: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        url = f"http://127.0.0.1:{closed_soon.getsockname()[1]}"
    assert failure(client(loop, url, "Oslo")).startswith(f"cannot reach {url}")


@on_both_loops
def test_client_gives_up_on_a_service_that_never_answers(loop: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections queue, nobody accepts
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = client(loop, url, "Oslo", "--timeout", "0.3")
    assert failure(done) == f"{url} did not answer within 0.3 s"


@on_both_loops
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>", "not JSON (status 200)"),
        (200, b"[]", "not a JSON object"),
        (200, b'{"city": {}}', "bad reply to /v1/forecast"),
        (200, b'{"city": {"name": "Oslo"}, "days": []}', "bad reply to /v1/forecast"),
        (503, b'{"reason": "closed on Sundays"}', "refused with status 503: closed on Sundays"),
    ],
)
def test_client_reports_a_bad_reply(loop: str, status: int, body: bytes, said: str) -> None:
    with http_server(lambda handler: send(handler, status, body)) as url:
        done = client(loop, url, "Oslo", "Lima")
    assert said in failure(done)


@on_both_loops
def test_client_reports_a_reply_that_breaks_off(loop: str) -> None:
    def promise_too_much(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"city": ')

    with http_server(promise_too_much) as url:
        done = client(loop, url, "Oslo")
    assert failure(done).startswith(f"the connection to {url} broke: ")


@on_both_loops
def test_client_reports_a_service_that_dies_on_the_way(loop: str) -> None:
    with started_service() as (process, url):
        command = client_command(loop, url, "--first", "100", "--timeout", "30")
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as running:
            try:
                # One after the other takes 3 s at least; connected, it is in the middle of it.
                wait_for_connection(url, running)
                process.kill()
                stdout, stderr = running.communicate(timeout=LIMIT)
            finally:
                running.kill()
    reason = failure(subprocess.CompletedProcess(command, running.returncode, stdout, stderr))
    # In the middle of a request the connection breaks; between two, the next cannot connect.
    assert reason.startswith((f"the connection to {url} broke", f"cannot reach {url}"))


# The comparison


@pytest.mark.needs("rich")
def test_comparison_shows_weather_and_times_of_both_loops() -> None:
    done = compare("--cities", "12", "--requests", "40", "--rounds", "1")
    assert (done.returncode, done.stderr) == (0, "")
    for expected in ("8 of 12 cities", "Auckland", "asyncio", "Batuta", "one by one", "gather"):
        assert expected in done.stdout


@pytest.mark.needs("rich")
def test_comparison_fails_when_a_client_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        url = f"http://127.0.0.1:{closed_soon.getsockname()[1]}"
    done = compare("--url", url)
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"cannot reach {url}" in done.stderr


@pytest.mark.needs("rich")
def test_comparison_fails_when_the_loops_get_different_weather() -> None:
    asked: list[str] = []

    def fickle(handler: http.server.BaseHTTPRequestHandler) -> None:
        """A service that changes its mind after the first client's two requests."""
        if handler.path == "/v1/cities":
            send(handler, 200, b'{"cities": [{"name": "Oslo"}]}')
            return
        asked.append(handler.path)
        day = {"date": "today", "temperature_min": 1, "temperature_max": 2, "precipitation": 0}
        day["sky"] = "clear" if len(asked) <= 2 else "rain"
        answer = {"city": {"name": "Oslo", "country": "Norway"}, "days": [day]}
        send(handler, 200, json.dumps(answer).encode())

    with http_server(fickle) as url:
        done = compare("--url", url, "--cities", "1")
    assert len(asked) == 4
    assert done.returncode == 1
    assert "the two loops got different weather: Oslo" in done.stderr
