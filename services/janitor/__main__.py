"""Run the janitor: ``python -m services.janitor``."""

from __future__ import annotations

from services.janitor.settings import JanitorSettings
from services.janitor.wiring import serve
from shared.process.runtime import run


def main() -> None:
    """Run the duties until SIGTERM or Ctrl-C; exit 1 with one line when the janitor cannot start."""
    run("janitor", JanitorSettings, serve)


if __name__ == "__main__":
    main()
