"""Run the importer: ``python -m services.importer``."""

from __future__ import annotations

from functools import partial

from services.importer.settings import ImporterSettings
from services.importer.wiring import serve
from shared import logs
from shared.errors import CannotStart
from shared.runtime import fail, run
from shared.settings import load


def main() -> None:
    """Import until SIGTERM or Ctrl-C."""
    try:
        settings = load(ImporterSettings)
    except CannotStart as error:
        fail(error)
    logs.configure("importer", settings.log_level, settings.log_dir)
    run(partial(serve, settings))


if __name__ == "__main__":
    main()
