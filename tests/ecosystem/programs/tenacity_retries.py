"""tenacity: retries of coroutines, with waits between them, and their cancellation."""

from __future__ import annotations

import asyncio

import tenacity
from report import note, say

calls: list[str] = []


@tenacity.retry(
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_fixed(0.001),
    retry=tenacity.retry_if_exception_type(OSError),
)
async def flaky(fail: int) -> int:
    note("retried")
    calls.append("flaky")
    await asyncio.sleep(0)
    if len(calls) <= fail:
        raise ConnectionError(f"attempt {len(calls)}")
    return len(calls)


async def main() -> None:
    assert await asyncio.create_task(flaky(3)) == 4
    calls.clear()
    try:
        await flaky(100)
    except tenacity.RetryError as error:
        assert len(calls) == 5
        assert str(error.last_attempt.exception()) == "attempt 5"
    else:
        raise AssertionError

    total = 0
    async for attempt in tenacity.AsyncRetrying(wait=tenacity.wait_random(0, 0.001)):
        with attempt:
            total += 1
            if attempt.retry_state.attempt_number < 4:
                raise LookupError
    assert total == 4

    @tenacity.retry(wait=tenacity.wait_fixed(60))
    async def never() -> None:
        note("sleeping")
        raise OSError

    task = asyncio.create_task(never())
    await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    try:
        await asyncio.wait_for(task, 30)
    except asyncio.CancelledError:
        assert task.cancelled()
    else:
        raise AssertionError


if __name__ == "__main__":
    asyncio.run(main())
    say()
