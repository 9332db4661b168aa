"""Health check of the containers: ``python -m shared.bus.health fetcher`` exits 0 if the service answers."""

from __future__ import annotations

import asyncio
import socket
import sys

import nats

from shared.bus.presence import is_answering
from shared.errors import CannotStart
from shared.process.runtime import fail
from shared.process.settings import Settings, load


def main() -> None:
    """Exit with status 0 if the service answers, 1 if it does not, and 2 if the command is wrong."""
    if len(sys.argv) != 2:
        print("usage: python -m shared.bus.health SERVICE", file=sys.stderr)  # noqa: T201 (for the operator)
        sys.exit(2)
    service = sys.argv[1]
    try:
        sys.exit(0 if asyncio.run(_check(load(Settings).broker_url, service)) else 1)
    except CannotStart as error:
        fail(error)
    except (nats.errors.Error, OSError) as error:
        sys.exit(f"{service}: the broker does not answer: {error}")


async def _check(broker_url: str, service: str) -> bool:
    # Left to itself the client tries for two minutes, and tells each attempt.
    client = await nats.connect(
        broker_url,
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=0,
        connect_timeout=2,
        error_cb=_keep_quiet,
    )
    try:
        return await is_answering(client, service, socket.gethostname())
    finally:
        await client.close()


async def _keep_quiet(_: Exception) -> None:
    """Leave it to the caller to tell the error."""


if __name__ == "__main__":
    main()
