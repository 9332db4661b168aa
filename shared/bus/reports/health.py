"""Check a container: ``python -m shared.bus.reports.health SERVICE`` exits 0 if the service answers."""

from __future__ import annotations

import asyncio
import socket
import sys

import nats

from shared.bus.credentials import connect_options
from shared.bus.reports.presence import is_answering
from shared.errors import CannotStart
from shared.process.runtime import fail
from shared.process.settings import Settings, load


def main() -> None:
    """Exit with status 0 if the service answers, 1 if it does not, and 2 if the command is wrong."""
    if len(sys.argv) != 2:
        print("usage: python -m shared.bus.reports.health SERVICE", file=sys.stderr)  # noqa: T201 (for the operator)
        sys.exit(2)
    service = sys.argv[1]
    try:
        sys.exit(0 if asyncio.run(_check(load(Settings), service)) else 1)
    except CannotStart as error:
        fail(error)
    except (nats.errors.Error, OSError) as error:
        sys.exit(f"{service}: no connection to the broker: {error}")


async def _check(settings: Settings, service: str) -> bool:
    # By default the client retries for two minutes and prints each attempt.
    client = await nats.connect(
        settings.broker_url,
        **connect_options(settings, service),
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=0,
        connect_timeout=2,
        error_cb=_ignore,
    )
    try:
        return await is_answering(client, service, socket.gethostname())
    finally:
        await client.close()


async def _ignore(_: Exception) -> None:
    """Do nothing: the caller prints the error that ends the check."""


if __name__ == "__main__":
    main()
