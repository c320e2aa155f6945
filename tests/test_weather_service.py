"""The contract of the weather service, as the top of examples/weather/service.py describes it."""

import signal
import socket
import sys
import time
from collections.abc import Iterator

import pytest

from weather_program import LIMIT, WEATHER, get, request, run, started_service

pytestmark = [pytest.mark.needs("aiohttp"), pytest.mark.timeout(2 * LIMIT)]


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with started_service("--until-stdin-closes") as (_, url):
        yield url


def test_knows_about_a_hundred_cities_all_different(service: str) -> None:
    status, answer = get(service, "/v1/cities")
    assert status == 200
    cities = answer["cities"]
    assert len(cities) >= 100
    assert len({city["name"] for city in cities}) == len(cities)
    for city in cities:
        assert set(city) == {"name", "country", "latitude", "longitude"}
        assert -90 <= city["latitude"] <= 90
        assert -180 <= city["longitude"] <= 180


def test_search_finds_by_the_beginning_whatever_the_case(service: str) -> None:
    _, answer = get(service, "/v1/search", name="bER")
    assert [city["name"] for city in answer["results"]] == ["Berlin"]
    _, answer = get(service, "/v1/search", name="b", count=3)
    assert len(answer["results"]) == 3
    assert all(city["name"].startswith("B") for city in answer["results"])
    assert get(service, "/v1/search", name="xyz") == (200, {"results": []})


@pytest.mark.parametrize("days", [1, 3, 7])
def test_forecast_has_the_days_asked_for(service: str, days: int) -> None:
    status, answer = get(service, "/v1/forecast", city="Lisbon", days=days)
    assert status == 200
    assert answer["city"]["name"] == "Lisbon"
    assert answer["units"] == {"temperature": "°C", "precipitation": "mm"}
    dates = [day["date"] for day in answer["days"]]
    assert len(dates) == days
    assert dates == sorted(set(dates))
    for day in answer["days"]:
        assert day["temperature_min"] < day["temperature_max"]
        assert day["precipitation"] >= 0
        assert (day["precipitation"] > 0) == (day["sky"] in {"rain", "heavy rain", "snow"})


def test_forecast_is_the_same_each_time_and_in_each_process(service: str) -> None:
    first = get(service, "/v1/forecast", city="São Paulo")
    assert len(first[1]["days"]) == 3
    with started_service() as (_, other):
        assert get(other, "/v1/forecast", city="são paulo") == first


def test_a_place_gets_the_forecast_of_the_nearest_city(service: str) -> None:
    by_place = get(service, "/v1/forecast", latitude=48.9, longitude=2.3)
    assert by_place == get(service, "/v1/forecast", city="Paris")
    # Near the date line, where longitudes jump: 179 degrees west is close to New Zealand.
    _, answer = get(service, "/v1/current", latitude=-40, longitude=-179)
    assert answer["city"]["country"] == "New Zealand"


def test_current_is_the_first_day_of_the_forecast(service: str) -> None:
    _, answer = get(service, "/v1/current", city="Tokyo")
    _, forecast = get(service, "/v1/forecast", city="Tokyo")
    assert answer["current"] == forecast["days"][0]


def test_forecast_waits_for_the_upstream_and_current_does_not(service: str) -> None:
    def fastest(path: str) -> float:
        times = []
        for _ in range(8):
            began = time.monotonic()
            get(service, path, city="Oslo")
            times.append(time.monotonic() - began)
        return min(times)

    assert fastest("/v1/forecast") >= 0.030
    assert fastest("/v1/current") < 0.030


@pytest.mark.parametrize(
    ("path", "parameters", "named"),
    [
        ("/v1/forecast", {}, "city"),
        ("/v1/current", {}, "city"),
        ("/v1/search", {}, "name"),
        ("/v1/search", {"name": "a", "count": "0"}, "count"),
        ("/v1/forecast", {"city": "Oslo", "days": "8"}, "days"),
        ("/v1/forecast", {"city": "Oslo", "days": "two"}, "days"),
        ("/v1/forecast", {"city": "Oslo", "days": "9" * 5000}, "days"),
        ("/v1/forecast", {"latitude": "10"}, "longitude"),
        ("/v1/forecast", {"latitude": "nan", "longitude": "0"}, "latitude"),
        ("/v1/forecast", {"latitude": "0", "longitude": "181"}, "longitude"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(
    service: str, path: str, parameters: dict[str, str], named: str
) -> None:
    status, answer = get(service, path, **parameters)
    assert status == 400
    assert answer["error"] is True
    assert named in answer["reason"]


def test_unknown_city_path_and_method_are_refused_as_json(service: str) -> None:
    status, answer = get(service, "/v1/forecast", city="Atlantis")
    assert (status, answer) == (404, {"error": True, "reason": "no such city: 'Atlantis'"})
    assert get(service, "/v2/forecast")[0] == 404
    assert request("POST", service, "/v1/forecast", city="Oslo")[0] == 405


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_service_ends_in_good_order_on_a_signal(number: signal.Signals) -> None:
    with started_service() as (process, url):
        assert get(url, "/v1/current", city="Oslo")[0] == 200
        process.send_signal(number)
        _, stderr = process.communicate(timeout=LIMIT)
        assert (process.returncode, stderr) == (0, "")


def test_service_does_not_outlive_who_started_it() -> None:
    with started_service("--until-stdin-closes") as (process, _):
        _, stderr = process.communicate(timeout=LIMIT)  # closes its stdin
        assert (process.returncode, stderr) == (0, "")


def test_service_says_when_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(sys.executable, str(WEATHER / "service.py"), "--port", str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("weather service: ")
    assert str(port) in done.stderr
