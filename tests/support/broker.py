"""One nats-server for all tests of a process, with a JetStream account for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from simulator.nats_server import ANY_PORT, NatsServer

_ACCOUNTS: Final = 600
"""More than there are tests that need a broker."""
_CONFIG: Final = """
jetstream {{
  # The streams of all accounts together reserve their maximum sizes.
  max_file_store: 1000TB
  max_memory_store: 1GB
}}
max_payload: 1MB
write_deadline: "10s"
accounts {{
{accounts}
}}
"""
_ACCOUNT: Final = "  {name}: {{ jetstream: enabled, users: [{{ user: {name}, password: {name} }}] }}"


@contextmanager
def accounts(folder: Path) -> Iterator[Iterator[str]]:
    """Run a server and yield the URLs of its accounts, each of them empty.

    The server does not flush to the disk. A test that kills its server uses the fixture ``nats_server``.
    """
    names = [f"test{number}" for number in range(_ACCOUNTS)]
    folder.mkdir()
    config = folder / "nats.conf"
    config.write_text(_CONFIG.format(accounts="\n".join(_ACCOUNT.format(name=name) for name in names)))
    server = NatsServer(folder, ANY_PORT, config)
    server.start()
    try:
        yield (f"nats://{name}:{name}@127.0.0.1:{server.port}" for name in names)
    finally:
        server.kill()  # no test needs its data any more
