"""Run intake: ``python -m services.intake``."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import uvloop

from services.intake.settings import IntakeSettings
from services.intake.wiring import serve
from shared.process.runtime import run


def flags() -> dict[str, Any]:
    """Read the command line; a flag that is not given is None."""
    parser = ArgumentParser(prog="python -m services.intake", description="The intake service of gexlake.")
    parser.add_argument("--host", help="address to listen on (GEXLAKE_HOST, 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (GEXLAKE_PORT, 8877)")
    parser.add_argument("--log-level", help="debug, info, warning or error (GEXLAKE_LOG_LEVEL, info)")
    parser.add_argument("--log-dir", type=Path, help="also write logs there (GEXLAKE_LOG_DIR)")
    parser.add_argument("--timeout-keep-alive", type=int, help="seconds an idle connection stays open (5)")
    parser.add_argument("--ssl-certfile", type=Path, help="serve HTTPS with this certificate")
    parser.add_argument("--ssl-keyfile", type=Path, help="its private key")
    return vars(parser.parse_args())


def main() -> None:
    """Run until SIGTERM or Ctrl-C; exit 1 with one line when intake cannot start."""
    run("intake", IntakeSettings, serve, loop_factory=uvloop.new_event_loop, **flags())


if __name__ == "__main__":
    main()
