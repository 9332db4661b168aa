"""Ask the intake of this machine whether it is ready: ``python -m services.intake.health``.

Exits with status 1 and the reason if it is not. Containers' health checks run this, with or without TLS.
"""

from __future__ import annotations

import ssl
import sys
from typing import Final
from urllib.error import HTTPError
from urllib.request import urlopen

from services.intake.settings import ANY_ADDRESS, IntakeSettings
from shared.process.settings import load

_TIMEOUT_S: Final = 5.0


def ready_url(settings: IntakeSettings) -> str:
    """Return the URL of ``/ready`` on this machine."""
    scheme = "https" if settings.ssl_certfile else "http"
    host = "127.0.0.1" if settings.host in ANY_ADDRESS else settings.host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}/ready"


def why_unhealthy(url: str) -> str:
    """Return why intake is not ready; empty when it is."""
    # The certificate is of the name that clients use, which is not this machine's own.
    trust = ssl._create_unverified_context()  # noqa: S323, SLF001 (nothing is sent, on the loopback)
    try:
        with urlopen(url, timeout=_TIMEOUT_S, context=trust):  # noqa: S310 (of our own settings)
            return ""
    except HTTPError as error:
        return f"{error.code} {error.read(1000).decode(errors='replace')}"
    except OSError as error:
        return str(error)


def main() -> None:
    """Exit with status 0 when intake is ready, 1 otherwise."""
    sys.exit(why_unhealthy(ready_url(load(IntakeSettings))) or 0)


if __name__ == "__main__":
    main()
