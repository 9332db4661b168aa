"""How every service runs: until SIGTERM or Ctrl-C, then it drains; a second signal exits at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, NoReturn

from shared.errors import CannotStart, StoppedEarly
from shared.process import logs
from shared.process.settings import S, load

CANCEL_AGAIN_S: Final = 0.2
Serve = Callable[[S, asyncio.Event], Awaitable[None]]


class BrokerGone(CannotStart):
    """The connection was closed for good; the supervisor starts the service again."""

    def __init__(self) -> None:
        super().__init__(
            "the connection to the broker was closed for good; the service must be started again"
        )


def run(service: str, settings_type: type[S], serve: Serve[S], **flags: Any) -> None:
    """Run a service: read its settings, open its log, and serve until SIGTERM or Ctrl-C.

    Exits with status 1 and one line on standard error when it cannot start or go on.

    Args:
        service: its name in the log.
        settings_type: what it has to know.
        serve: does its work; it gets the event that tells it to stop, and returns when it has drained.
        flags: settings from the command line, by field name; None means not given.
    """
    try:
        settings = load(settings_type, **flags)
        logs.configure(service, settings.log_level, settings.log_dir)
        asyncio.run(_until_stopped(partial(serve, settings)))
    except CannotStart as error:
        fail(error)


def fail(error: CannotStart) -> NoReturn:
    """Print why a service cannot run, as one line, and exit with status 1."""
    print(f"gexlake: {error}", file=sys.stderr)  # noqa: T201 (the line the operator sees)
    sys.exit(1)


async def supervise(
    closed: asyncio.Event,
    stop: asyncio.Event,
    *,
    working: Sequence[Coroutine[Any, Any, None]] = (),
    background: Sequence[Coroutine[Any, Any, None]] = (),
) -> None:
    """Run the parts of a service until ``stop`` is set, the connection is gone, or a part fails.

    Args:
        closed: set when the connection to the broker is closed for good.
        stop: ends the service; also set here when a part fails or the connection is closed.
        working: parts that drain and return once ``stop`` is set.
        background: parts that never return; they are cancelled after the others have returned.

    Raises:
        BrokerGone: the connection was closed for good.
    """
    workers = [asyncio.create_task(part) for part in working]
    endless = [asyncio.create_task(part) for part in background]
    watch = asyncio.create_task(_stopped_or_closed(closed, stop))
    try:
        ended, _ = await asyncio.wait({watch, *workers, *endless}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await asyncio.gather(*workers)
        for part in ended:
            part.result()
    finally:
        await _end([watch, *workers, *endless])


async def _stopped_or_closed(closed: asyncio.Event, stop: asyncio.Event) -> None:
    closing = asyncio.create_task(closed.wait())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({closing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        closing.cancel()
        stopping.cancel()
    if not stop.is_set():
        raise BrokerGone


async def _end(parts: Sequence[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: before Python 3.12, ``wait_for`` may lose a cancellation."""
    pending = set(parts)
    while pending:
        for part in pending:
            part.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*parts, return_exceptions=True)


async def _until_stopped(serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, number)
    with suppress(StoppedEarly):
        await serve(stop)


def _on_signal(stop: asyncio.Event, number: signal.Signals) -> None:
    if stop.is_set():
        os._exit(128 + number)
    stop.set()
