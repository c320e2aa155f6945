"""A client of the weather service: many cities, one after the other and then all at once.

    python client.py URL [CITY ...] [--first N] [--requests N] [--timeout S] [--json]

A plain asyncio and aiohttp program. It asks for the forecast of each city (of those named, or of
the first N that the service knows) in two ways, and says how long each took. With --requests it
also sends that many quick requests over a few connections that are kept open, and says how much
processor time one of them costs this process.

Exit code: 0, or 1 if the service failed, 2 if called wrongly, 3 if a city is unknown.

What to look at: one_after_the_other() and all_at_once() differ in one expression. Errors of the
network become one exception with a readable reason where the request is made (Weather.get), so
that nothing above has to know aiohttp's exceptions.
"""

import argparse
import asyncio
import json
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp

CONNECTIONS = 8  # for the quick requests


class WeatherError(Exception):
    """No weather could be had; the text says why."""


class UnknownCity(WeatherError):
    """The service works, but does not know the city."""


@dataclass(frozen=True)
class Forecast:
    """Today's weather in a city."""

    city: str
    country: str
    date: str
    sky: str
    temperature_min: float
    temperature_max: float
    precipitation: float


@dataclass(frozen=True)
class Unknown:
    """Stands in the results for a city that the service does not know."""

    city: str
    reason: str


class Weather:
    """The service, as seen from here."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url.rstrip("/")

    async def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """One request; a WeatherError for everything that can go wrong with it."""
        try:
            async with self.session.get(self.url + path, params=parameters) as response:
                body = await response.read()
        # aiohttp's time-outs are both ClientErrors and TimeoutErrors: this comes first.
        except TimeoutError:
            limit = self.session.timeout.total
            raise WeatherError(f"{self.url} did not answer within {limit:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise WeatherError(f"cannot reach {self.url}: {error.strerror}") from error
        except aiohttp.InvalidURL:
            raise WeatherError(f"not an address: {self.url}") from None
        except aiohttp.ClientError as error:
            reason = str(error) or type(error).__name__
            raise WeatherError(f"the connection to {self.url} broke: {reason}") from error

        try:
            answer = json.loads(body)
        except ValueError:
            raise WeatherError(
                f"bad reply to {path}: not JSON (status {response.status})"
            ) from None
        if not isinstance(answer, dict):
            raise WeatherError(f"bad reply to {path}: not a JSON object")
        if response.status == 404 and "city" in parameters:
            raise UnknownCity(str(answer.get("reason", "no such city")))
        if response.status != 200:
            reason = answer.get("reason", "no reason given")
            raise WeatherError(f"{path} refused with status {response.status}: {reason}")
        return answer

    async def cities(self) -> list[str]:
        answer = await self.get("/v1/cities")
        try:
            return [str(city["name"]) for city in answer["cities"]]
        except (KeyError, TypeError) as error:
            raise WeatherError(f"bad reply to /v1/cities: {error!r}") from error

    async def forecast(self, name: str) -> Forecast | Unknown:
        try:
            answer = await self.get("/v1/forecast", city=name, days="1")
        except UnknownCity as error:
            return Unknown(name, str(error))
        try:
            city, today = answer["city"], answer["days"][0]
            return Forecast(
                city=str(city["name"]),
                country=str(city["country"]),
                date=str(today["date"]),
                sky=str(today["sky"]),
                temperature_min=float(today["temperature_min"]),
                temperature_max=float(today["temperature_max"]),
                precipitation=float(today["precipitation"]),
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise WeatherError(f"bad reply to /v1/forecast: {error!r}") from error


Answers = list[Forecast | Unknown]


async def one_after_the_other(weather: Weather, names: list[str]) -> Answers:
    return [await weather.forecast(name) for name in names]


async def all_at_once(weather: Weather, names: list[str]) -> Answers:
    return list(await asyncio.gather(*(weather.forecast(name) for name in names)))


async def timed(
    way: Callable[[Weather, list[str]], Awaitable[Answers]], weather: Weather, names: list[str]
) -> tuple[Answers, float]:
    began = time.perf_counter()
    answers = await way(weather, names)
    return answers, time.perf_counter() - began


async def quick_requests(weather: Weather, city: str, number: int) -> dict[str, float]:
    """Send requests that the service answers at once; say what they cost."""

    async def send(count: int) -> None:
        for _ in range(count):
            await weather.get("/v1/current", city=city)

    async def send_all(total: int) -> None:
        # Each sender has one request under way at a time, so one connection each.
        shares = [len(range(sender, total, CONNECTIONS)) for sender in range(CONNECTIONS)]
        await asyncio.gather(*map(send, shares))

    # Before the clock starts: connections are made, code and caches are warm.
    await send_all(max(CONNECTIONS, number // 10))
    wall, cpu = time.perf_counter(), time.process_time()
    await send_all(number)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"requests": number, "wall_seconds": wall, "cpu_seconds": cpu}


async def report(options: argparse.Namespace) -> dict[str, Any]:
    """Do what the options ask for; return all there is to say about it."""
    loop = type(asyncio.get_running_loop())
    result: dict[str, Any] = {
        "loop": f"{loop.__module__}.{loop.__qualname__}",
        "python": platform.python_version(),
    }
    timeout = aiohttp.ClientTimeout(total=options.timeout)
    # limit=0: as many connections as there are cities asked for at once.
    async with aiohttp.ClientSession(
        timeout=timeout, connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        weather = Weather(session, options.url)
        names = options.cities or (await weather.cities())[: options.first]
        if names:
            answers, sequential = await timed(one_after_the_other, weather, names)
            again, gathered = await timed(all_at_once, weather, names)
            if answers != again:
                raise WeatherError("the two ways got different answers")
            result["forecasts"] = [asdict(each) for each in answers if isinstance(each, Forecast)]
            result["unknown"] = [asdict(each) for each in answers if isinstance(each, Unknown)]
            result["seconds"] = {"one_after_the_other": sequential, "all_at_once": gathered}
        if options.requests:
            city = names[0] if names else (await weather.cities())[0]
            result["quick"] = await quick_requests(weather, city, options.requests)
    return result


def print_for_people(result: dict[str, Any]) -> None:
    for each in result.get("forecasts", []):
        warmth = f"{each['temperature_min']:5.1f} to {each['temperature_max']:5.1f} °C"
        print(f"{each['city']:<16} {warmth}  {each['precipitation']:4.1f} mm  {each['sky']}")
    if seconds := result.get("seconds"):
        print(f"one after the other: {seconds['one_after_the_other']:.2f} s")
        print(f"all at once:         {seconds['all_at_once']:.2f} s")
    if quick := result.get("quick"):
        each = quick["cpu_seconds"] / quick["requests"] * 1e6
        print(f"quick requests:      {each:.0f} µs of processor time each")
    print(f"loop:                {result['loop']}, Python {result['python']}")


def parse_options() -> argparse.Namespace:
    def count(text: str) -> int:
        if not text.isdecimal():
            raise argparse.ArgumentTypeError("must be a whole number, 0 or more")
        return int(text)

    def seconds(text: str) -> float:
        if not float(text) > 0:
            raise argparse.ArgumentTypeError("must be more than 0")
        return float(text)

    parser = argparse.ArgumentParser(description="Ask a weather service for many cities.")
    parser.add_argument("url", help="where the service is: http://127.0.0.1:PORT")
    parser.add_argument("cities", nargs="*", metavar="CITY", help="cities to ask for")
    parser.add_argument(
        "--first", type=count, default=40, metavar="N", help="if none is named: the first N (40)"
    )
    parser.add_argument(
        "--requests", type=count, default=0, metavar="N", help="also send N quick requests"
    )
    parser.add_argument(
        "--timeout", type=seconds, default=10.0, metavar="S", help="seconds for an answer (10)"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    return parser.parse_args()


def main() -> int:
    options = parse_options()
    try:
        result = asyncio.run(report(options))
    except WeatherError as error:
        print(f"weather: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(result))
    else:
        print_for_people(result)
    unknown = result.get("unknown", [])
    for each in unknown:
        print(f"weather: {each['reason']}", file=sys.stderr)
    return 3 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
