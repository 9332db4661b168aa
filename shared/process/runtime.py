"""Run a service until SIGTERM or Ctrl-C, then drain it; a second signal exits at once."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, NoReturn

import structlog

from shared.errors import CannotStart, StoppedEarly
from shared.process import logs
from shared.process.settings import S, load

CANCEL_AGAIN_S: Final = 0.2
EXIT_AFTER_DRAIN_S: Final = 5.0
"""How long after the drain timeout a process ends, whatever still runs; compose waits longer."""
EXIT_STATUS: Final = 70
"""Of a process that ended while something still ran."""
log = structlog.get_logger(__name__)
Serve = Callable[[S, asyncio.Event], Awaitable[None]]


class BrokerGone(CannotStart):
    """The connection was closed for good; the process supervisor restarts the service."""

    def __init__(self) -> None:
        super().__init__("the connection to the broker was closed for good; the service must be restarted")


def run(
    service: str,
    settings_type: type[S],
    serve: Serve[S],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    **flags: Any,
) -> None:
    """Read a service's settings, configure its log, and serve until SIGTERM or Ctrl-C.

    Exits with status 1 and one line on standard error when the service cannot start or continue.

    Args:
        service: the name in the log.
        settings_type: the class of the service's settings.
        serve: runs the service until the event that it is passed is set, drains, and returns.
        loop_factory: makes the event loop; by default that of asyncio.
        flags: settings from the command line, by field name; None means not given.
    """
    try:
        settings = load(settings_type, **flags)
        logs.configure(service, settings.log_level, settings.log_dir)
        exit_within_s = settings.drain_timeout_s + EXIT_AFTER_DRAIN_S
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_until_stopped(partial(serve, settings), exit_within_s))
    except CannotStart as error:
        fail(error)


def fail(error: CannotStart) -> NoReturn:
    """Print the error as one line and exit with status 1."""
    print(f"gexlake: {error}", file=sys.stderr)  # noqa: T201 (the line the operator sees)
    sys.exit(1)


async def supervise(
    closed: asyncio.Event,
    stop: asyncio.Event,
    *,
    working: Sequence[Coroutine[Any, Any, None]] = (),
    background: Sequence[Coroutine[Any, Any, None]] = (),
) -> None:
    """Run the parts of a service until ``stop`` is set, the connection is closed, or a part fails.

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
    """Cancel repeatedly until all have ended: before Python 3.12, ``wait_for`` may lose a cancellation."""
    pending = set(parts)
    while pending:
        for part in pending:
            part.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*parts, return_exceptions=True)


async def _until_stopped(serve: Callable[[asyncio.Event], Awaitable[None]], exit_within_s: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, number)
    watch = asyncio.create_task(_exit_after(stop, exit_within_s))
    try:
        with suppress(StoppedEarly):
            await serve(stop)
    finally:
        stop.set()
        await watch


async def _exit_after(stop: asyncio.Event, within_s: float) -> None:
    """End the process some time after ``stop`` is set, whatever still runs.

    A thread cannot be ended, and the interpreter waits for it. Everything that is acknowledged is on disk.
    """
    await stop.wait()
    timer = threading.Timer(within_s, contextvars.copy_context().run, args=(_exit, within_s))
    timer.daemon = True
    timer.start()


def _exit(after_s: float) -> NoReturn:
    log.error("exit_without_drain", after_s=after_s, hint="what was not finished is delivered again")
    sys.stdout.flush()
    os._exit(EXIT_STATUS)


def _on_signal(stop: asyncio.Event, number: signal.Signals) -> None:
    if stop.is_set():
        os._exit(128 + number)
    stop.set()
