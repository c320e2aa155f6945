"""The weather program on stock asyncio and on Batuta, side by side.

    python compare.py [--cities N] [--requests N] [--rounds N] [--url URL]

Starts the service (in its own process, always on stock asyncio), runs the same unmodified
client.py on both loops, checks that both got the same weather, and prints some of it and the
times. The quick requests, which show the cost of the loop, are sent in several rounds in which
the loops take turns; the table has their median, least and most.

Exit code: 0, or 1 with a reason if anything failed, also if the second client did not run on
Batuta. This program itself only starts others and waits for them, so it is not asynchronous.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import selectors
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from climate import by_name, latency
from rich import box
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
CLIENTS = {
    "asyncio": [sys.executable, str(HERE / "client.py")],
    "Batuta": [sys.executable, "-m", "batuta", str(HERE / "client.py")],
}
LOOP_MODULES = {"asyncio": "asyncio", "Batuta": "batuta"}
START_LIMIT = 20.0  # seconds for the service to say that it listens
CLIENT_LIMIT = 180.0
SHOWN = ["Berlin", "Bogotá", "Cape Town", "Chicago", "Dakar", "Dublin", "Athens", "Auckland"]
SKY_STYLE = {
    "clear": "bright_yellow",
    "fair": "yellow",
    "cloudy": "white",
    "rain": "bright_blue",
    "heavy rain": "blue",
    "snow": "bright_cyan",
}
ENOUGH_ROUNDS = 5  # for a word on which loop needs less
BAR = 10  # characters for the longest bar
BAR_STYLE = {"asyncio": "bright_black", "Batuta": "green"}

Result = dict[str, Any]


class Failure(Exception):
    """Something did not work; the text is for the user."""


def first_line(process: subprocess.Popen[str]) -> str:
    """The first line of a process's stdout; "" if it ended, or took too long, before that."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline() if selector.select(START_LIMIT) else ""


@contextlib.contextmanager
def running_service() -> Iterator[str]:
    """Start the service; give its address; end it."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "service.py"), "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = first_line(process)
        try:
            url = str(json.loads(line)["url"])
        except (ValueError, KeyError, TypeError):
            raise Failure("the weather service did not start") from None
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def run_client(loop: str, url: str, *arguments: str) -> Result:
    """Run client.py on a loop; return what it reports."""
    try:
        finished = subprocess.run(
            [*CLIENTS[loop], url, "--json", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=CLIENT_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"the client on {loop} did not end within {CLIENT_LIMIT:g} s") from None
    if finished.returncode != 0:
        said = finished.stderr.strip() or "(it said nothing)"
        raise Failure(f"the client on {loop} failed with {finished.returncode}: {said}")
    try:
        result: Result = json.loads(finished.stdout)
    except ValueError:
        raise Failure(f"the client on {loop} printed no result") from None
    if result["loop"].partition(".")[0] != LOOP_MODULES[loop]:
        raise Failure(f"the client that should run on {loop} ran on {result['loop']}")
    return result


def check_agreement(stock: Result, batuta: Result) -> None:
    """Both clients must have got the same weather, for every city."""
    if stock["forecasts"] == batuta["forecasts"]:
        return
    pairs = zip(stock["forecasts"], batuta["forecasts"], strict=False)
    different = [first["city"] for first, second in pairs if first != second]
    raise Failure(f"the two loops got different weather: {', '.join(different) or 'more cities'}")


def weather_table(forecasts: list[Result]) -> Table:
    """Some of the cities, the picked ones first."""
    by_city = {each["city"]: each for each in forecasts}
    shown = [by_city.pop(name) for name in SHOWN if name in by_city]
    shown = sorted([*shown, *by_city.values()][: len(SHOWN)], key=lambda each: each["city"])
    title = f"Today's weather, {len(shown)} of {len(forecasts)} cities (invented)"
    table = Table(title=title, title_justify="left", box=box.ROUNDED)
    for heading in ("city", "country", "sky"):
        table.add_column(heading)
    for heading in ("min °C", "max °C", "rain mm"):
        table.add_column(heading, justify="right")
    for each in shown:
        style = SKY_STYLE.get(each["sky"], "")
        table.add_row(
            f"[bold]{each['city']}[/]",
            each["country"],
            f"[{style}]{each['sky']}[/]" if style else each["sky"],
            f"{each['temperature_min']:.1f}",
            f"{each['temperature_max']:.1f}",
            f"{each['precipitation']:.1f}" if each["precipitation"] else "-",
        )
    return table


def times_table(results: dict[str, Result], cpu: dict[str, list[float]]) -> Table:
    """What took how long on which loop, with bars in proportion."""
    cities, python = len(results["asyncio"]["forecasts"]), results["asyncio"]["python"]
    title = f"Times for {cities} cities, Python {python}"
    table = Table(title=title, title_justify="left", box=box.ROUNDED)
    for heading in ("what", "loop", "time", "", "compared"):
        table.add_column(heading, justify="right" if heading == "time" else "left")

    def add(what: str, loop: str, time: str, share: float, compared: str = "") -> None:
        bar = "━" * max(1, round(BAR * share))
        label = what if loop == "asyncio" else ""
        table.add_row(label, loop, time, f"[{BAR_STYLE[loop]}]{bar}[/]", compared)

    longest = max(each["seconds"]["one_after_the_other"] for each in results.values())
    for loop, result in results.items():
        time = result["seconds"]["one_after_the_other"]
        add("one by one", loop, f"{time:.3f} s", time / longest)
    table.add_section()
    for loop, result in results.items():
        time, slow = result["seconds"]["all_at_once"], result["seconds"]["one_after_the_other"]
        add("gather", loop, f"{time:.3f} s", time / longest, f"{time / slow:.0%} of that")
    table.add_section()
    # Only this was measured often enough to set the loops against each other.
    medians = {loop: statistics.median(values) for loop, values in cpu.items()}
    for loop, values in cpu.items():
        time = medians[loop]
        text = f"{time:.0f} µs ({min(values):.0f}-{max(values):.0f})"
        compared = f"{time / medians['asyncio']:.0%} of asyncio" if loop == "Batuta" else ""
        add("CPU a request", loop, text, time / max(medians.values()), compared)
    return table


def conclusion(results: dict[str, Result], cpu: dict[str, list[float]], requests: int) -> str:
    """What the table shows, and what it does not."""
    known = (by_name(each["city"]) for each in results["asyncio"]["forecasts"])
    slowest = max((latency(city) for city in known if city is not None), default=0.0)
    gathered = results["Batuta"]["seconds"]["all_at_once"]
    first, second = cpu.values()
    # With fewer rounds than that, two equal loops would often look different.
    apart = min(len(first), len(second)) >= ENOUGH_ROUNDS and (
        max(first) < min(second) or max(second) < min(first)
    )
    difference = (
        "so the difference is the loop's."
        if apart
        else "and these rounds do not set the two clearly apart."
    )
    return (
        "The first two are mostly the service's latency, which no loop shortens: of gather's "
        f"{gathered * 1000:.0f} ms on Batuta, {slowest * 1000:.0f} are the slowest city's. The "
        f"last is the client's work without that wait ({requests:,} requests in a round; median, "
        "least and most of the rounds); aiohttp's part of it is the same on both loops, "
        f"{difference}"
    )


def compare(url: str, options: argparse.Namespace, console: Console) -> None:
    """Run everything and print it."""
    results: dict[str, Result] = {}
    cpu: dict[str, list[float]] = {loop: [] for loop in CLIENTS}
    with console.status("asking for the weather") as status:
        for loop in CLIENTS:
            status.update(f"{options.cities} cities on {loop}")
            results[loop] = run_client(loop, url, "--first", str(options.cities))
        check_agreement(results["asyncio"], results["Batuta"])
        for number in range(options.rounds):
            for loop in CLIENTS:
                status.update(f"quick requests on {loop}, round {number + 1} of {options.rounds}")
                result = run_client(loop, url, "--first", "0", "--requests", str(options.requests))
                quick = result["quick"]
                cpu[loop].append(quick["cpu_seconds"] / quick["requests"] * 1e6)
    console.print(weather_table(results["asyncio"]["forecasts"]))
    console.print()
    console.print(times_table(results, cpu))
    console.print()
    console.print(conclusion(results, cpu, options.requests))


def parse_options() -> argparse.Namespace:
    def positive(text: str) -> int:
        if not text.isdecimal() or int(text) == 0:
            raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
        return int(text)

    parser = argparse.ArgumentParser(description="The weather client on both loops, side by side.")
    parser.add_argument("--cities", type=positive, default=40, help="how many to ask for (40)")
    parser.add_argument("--requests", type=positive, default=1000, help="quick ones a round (1000)")
    parser.add_argument("--rounds", type=positive, default=5, help="of quick requests (5)")
    parser.add_argument("--url", help="a service that runs already, instead of an own one")
    return parser.parse_args()


def main() -> int:
    options = parse_options()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show "São Paulo" is no reason to fail.
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    try:
        if importlib.util.find_spec("batuta") is None:
            raise Failure("Batuta is not installed for this Python; `make run` builds it")
        with contextlib.ExitStack() as stack:
            url = options.url or stack.enter_context(running_service())
            compare(url, options, console)
    except Failure as failure:
        print(f"compare: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
