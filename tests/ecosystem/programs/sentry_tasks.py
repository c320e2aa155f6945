"""sentry-sdk: its task factory makes a span of each task and reports what tasks raise."""

from __future__ import annotations

import asyncio
from typing import Any

import sentry_sdk
from report import note, say
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.asyncio import enable_asyncio_integration
from sentry_sdk.transport import Transport

events: list[dict[str, Any]] = []


class Keep(Transport):
    """Keeps what would be sent."""

    def capture_envelope(self, envelope: Envelope) -> None:
        for item in envelope.items:
            payload = item.payload.json
            if payload is not None:
                events.append(payload)


async def fine() -> int:
    note("factory")
    await asyncio.sleep(0)
    return 42


async def broken() -> None:
    await asyncio.sleep(0)
    raise LookupError("lost")


async def hang() -> None:
    await asyncio.get_running_loop().create_future()


async def main() -> None:
    enable_asyncio_integration()
    note("main")
    with sentry_sdk.start_transaction(name="all", op="test"):
        task = asyncio.create_task(fine(), name="own name")
        # Which one wins depends on how the version of Python hands names to factories.
        assert task.get_name() in ("own name", "fine (Sentry-wrapped)")
        assert task in asyncio.all_tasks()
        assert await task == 42
        results = await asyncio.gather(fine(), broken(), return_exceptions=True)
        assert results[0] == 42
        assert isinstance(results[1], LookupError)
        async with asyncio.TaskGroup() as group:
            group.create_task(fine())
        hanging = asyncio.create_task(hang())
        await asyncio.sleep(0)
        assert hanging in asyncio.all_tasks()
        assert hanging.cancel()
        await asyncio.wait([hanging])
        assert hanging.cancelled()
    sentry_sdk.flush()

    errors = [event["exception"]["values"][-1] for event in events if "exception" in event]
    assert [(error["type"], error["value"]) for error in errors] == [("LookupError", "lost")], (
        errors
    )
    assert errors[0]["mechanism"]["type"] == "asyncio"
    [transaction] = [event for event in events if event.get("type") == "transaction"]
    spans = [span["description"] for span in transaction["spans"]]
    assert sorted(spans) == ["broken", "fine", "fine", "fine", "hang"], spans


if __name__ == "__main__":
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        transport=Keep,
        default_integrations=False,
        auto_enabling_integrations=False,
        traces_sample_rate=1.0,
    )
    # In debug mode it shortens `_source_traceback` of each task.
    asyncio.run(main(), debug=True)
    events.clear()
    asyncio.run(main())
    say()
