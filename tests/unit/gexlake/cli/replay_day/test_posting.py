"""Records are posted until they are accepted, or refused for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from gexlake.cli.errors import IntakeUnreachable, RequestRefused
from gexlake.cli.replay_day.posting import IN_FLIGHT, PATIENCE_S, Poster
from tests.support.poll import eventually

Answer = Callable[[], httpx.Response]


@dataclass
class FakeTime:
    """A clock that the pauses move on."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 3))
        self.now += seconds
        await asyncio.sleep(0)


def answer(status: int, message: str = "why", **headers: str) -> Answer:
    return lambda: httpx.Response(status, json={"error": {"message": message}}, headers=headers)


def unreachable() -> httpx.Response:
    raise httpx.ConnectError("refused")


def poster(time: FakeTime, *answers: Answer, seen: list[bytes] | None = None) -> Poster:
    """Return a poster to a gexlake with these answers, the last one again and again."""
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request.content)
        return (left.pop(0) if len(left) > 1 else left[0])()

    client = httpx.AsyncClient(transport=httpx.MockTransport(handle), base_url="http://lake.test")
    return Poster(client, clock=time.clock, pause=time.pause)


async def post(poster: Poster, *bodies: bytes) -> None:
    async with poster.client, poster:
        for body in bodies:
            await poster.post(body)


@pytest.mark.parametrize("trouble", [unreachable, answer(503), answer(502), answer(429)])
async def test_what_passes_is_tried_again_without_a_loss(trouble: Answer) -> None:
    time, seen = FakeTime(), list[bytes]()
    target = poster(time, trouble, trouble, answer(200), seen=seen)
    await post(target, b"1")
    assert (target.counts.posted, target.counts.retries, seen) == (1, 2, [b"1"] * 3)
    assert time.pauses == [0.1, 0.2]


async def test_a_gexlake_says_when_to_come_again_and_others_wait_too() -> None:
    time = FakeTime()
    target = poster(time, answer(429, **{"Retry-After": "7"}), answer(200))
    async with target.client, target:
        await target.post(b"1")
        await eventually(lambda: time.pauses)
        await target.post(b"2")
    assert target.counts.posted == 2
    assert time.pauses[0] == 7.0


async def test_a_record_that_is_refused_is_counted_and_the_next_one_is_posted() -> None:
    target = poster(FakeTime(), answer(422, "zero_gamma: it is missing"), answer(422, "another"), answer(200))
    await post(target, b"1", b"2", b"3")
    counts = target.counts
    assert (counts.posted, counts.refused, counts.refusal) == (1, 2, "zero_gamma: it is missing")


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [(unreachable, IntakeUnreachable), (answer(503), RequestRefused)],
)
async def test_patience_ends(trouble: Answer, kind: type[Exception]) -> None:
    time = FakeTime()
    with pytest.raises(kind):
        await post(poster(time, trouble), b"1", b"2")
    assert PATIENCE_S < time.now < 2 * PATIENCE_S


async def test_a_rate_limit_is_waited_for_however_long() -> None:
    time = FakeTime()
    target = poster(time, *[answer(429, **{"Retry-After": "60"})] * 3, answer(200))
    await post(target, b"1")
    assert (target.counts.posted, time.now) == (1, 180.0)


async def test_what_concerns_all_records_ends_the_posting() -> None:
    target = poster(FakeTime(), answer(401, "a valid API key is needed"))
    with pytest.raises(RequestRefused, match="a valid API key is needed"):
        await post(target, b"1", b"2")


async def test_only_so_many_are_under_way() -> None:
    under_way = most = 0

    async def handle(_: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return httpx.Response(200)

    target = Poster(httpx.AsyncClient(transport=httpx.MockTransport(handle), base_url="http://lake.test"))
    bodies: list[Any] = [b"x"] * 100
    await post(target, *bodies)
    assert target.counts.posted == 100
    assert 1 < most <= IN_FLIGHT
