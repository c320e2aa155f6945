"""A small weather service: a JSON API over HTTP, made with aiohttp.

    python service.py [--port N] [--until-stdin-closes]

When it listens it prints one line of JSON to stdout, {"url": "http://127.0.0.1:PORT"}, and
goes on until SIGTERM or SIGINT. The answers are the same on each run (see climate.py).

The API; every answer is a JSON object:

GET /v1/cities
    {"cities": [{"name", "country", "latitude", "longitude"}, ...]}: all that the service knows.

GET /v1/search?name=TEXT[&count=10]
    {"results": [city, ...]}: the cities whose name begins with TEXT, at most `count` (1 to 100).

GET /v1/forecast?city=NAME[&days=3]
GET /v1/forecast?latitude=DEGREES&longitude=DEGREES[&days=3]
    {"city": city, "units": {...}, "days": [{"date", "temperature_max", "temperature_min",
    "precipitation", "sky"}, ...]} for a city, or for the known city nearest to the place;
    `days` is 1 to 7, today first. Made from a (simulated) upstream service: takes 30 to 60 ms,
    always the same for the same city.

GET /v1/current?city=NAME, or with latitude and longitude
    {"city": city, "units": {...}, "current": day}: the weather of today, from memory, at once.

What is wrong is said as {"error": true, "reason": "..."}: 400 for a parameter that is missing
or not valid, 404 for an unknown city or path, 405 for another method than GET.
"""

import argparse
import asyncio
import json
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from climate import CITIES, MAX_DAYS, City, by_name, forecast, latency, nearest, search

UNITS = {"temperature": "°C", "precipitation": "mm"}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BadParameter(Exception):
    """A query parameter is missing or not valid."""


class UnknownCity(Exception):
    """There is no city of this name."""


def whole_number(request: web.Request, name: str, default: int, highest: int) -> int:
    text = request.query.get(name, str(default))
    # int() alone would read " 1_0 " too, and refuse thousands of digits in its own way.
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= highest:
        raise BadParameter(f"{name} must be a whole number from 1 to {highest}, not {text!r}")
    return int(text)


def degrees(request: web.Request, name: str, limit: int) -> float:
    text = request.query.get(name, "")
    try:
        value = float(text)
    except ValueError:
        raise BadParameter(f"{name} must be a number of degrees, not {text!r}") from None
    # Written so that it refuses "nan" too.
    if not -limit <= value <= limit:
        raise BadParameter(f"{name} must be from -{limit} to {limit}, not {text!r}")
    return value


def asked_city(request: web.Request) -> City:
    if "city" in request.query:
        name = request.query["city"]
        city = by_name(name)
        if city is None:
            raise UnknownCity(f"no such city: {name!r}")
        return city
    if "latitude" in request.query or "longitude" in request.query:
        return nearest(degrees(request, "latitude", 90), degrees(request, "longitude", 180))
    raise BadParameter("city, or latitude and longitude, must be given")


async def list_cities(request: web.Request) -> web.Response:
    return web.json_response({"cities": [city.as_json() for city in CITIES]})


async def find_cities(request: web.Request) -> web.Response:
    name = request.query.get("name", "")
    if not name:
        raise BadParameter("name must be given")
    found = search(name, whole_number(request, "count", 10, 100))
    return web.json_response({"results": [city.as_json() for city in found]})


async def give_forecast(request: web.Request) -> web.Response:
    city = asked_city(request)
    days = whole_number(request, "days", 3, MAX_DAYS)
    # The simulated upstream: while this request waits, others are served.
    await asyncio.sleep(latency(city))
    answer = {"city": city.as_json(), "units": UNITS, "days": forecast(city, days)}
    return web.json_response(answer)


async def give_current(request: web.Request) -> web.Response:
    city = asked_city(request)
    answer = {"city": city.as_json(), "units": UNITS, "current": forecast(city, 1)[0]}
    return web.json_response(answer)


def error_response(status: int, reason: str) -> web.Response:
    return web.json_response({"error": True, "reason": reason}, status=status)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except BadParameter as error:
        return error_response(400, str(error))
    except UnknownCity as error:
        return error_response(404, str(error))
    except web.HTTPException as error:
        # What aiohttp refuses by itself (unknown path, wrong method), said in our words.
        response = error_response(error.status, f"{error.reason}: {request.method} {request.path}")
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response


def make_app() -> web.Application:
    app = web.Application(middlewares=[errors_as_json])
    app.router.add_get("/v1/cities", list_cities)
    app.router.add_get("/v1/search", find_cities)
    app.router.add_get("/v1/forecast", give_forecast)
    app.router.add_get("/v1/current", give_current)
    return app


async def stdin_closed() -> None:
    """Return when the other end of stdin is gone."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while await reader.read(4096):
            pass
    finally:
        transport.close()


async def serve(port: int, until_stdin_closes: bool) -> None:
    """Serve until a signal comes, or until whoever started us has gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    runner = web.AppRunner(make_app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        listening_port = runner.addresses[0][1]
        print(json.dumps({"url": f"http://127.0.0.1:{listening_port}"}), flush=True)
        reasons: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
        if until_stdin_closes:
            reasons.append(asyncio.create_task(stdin_closed()))
        await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
        for reason in reasons:
            reason.cancel()
        await asyncio.gather(*reasons, return_exceptions=True)
    finally:
        await runner.cleanup()


def main() -> int:
    parser = argparse.ArgumentParser(description="A small weather service on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default): any free port")
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="end when stdin is closed, so as not to outlive the program that started it",
    )
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.port, options.until_stdin_closes))
    except OSError as error:
        print(f"weather service: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
