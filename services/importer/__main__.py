"""Run the importer: ``python -m services.importer``."""

from __future__ import annotations

from services.importer.settings import ImporterSettings
from services.importer.wiring import serve
from shared.process.runtime import run


def main() -> None:
    """Import until SIGTERM or Ctrl-C; exit 1 with one line when the importer cannot start."""
    run("importer", ImporterSettings, serve)


if __name__ == "__main__":
    main()
